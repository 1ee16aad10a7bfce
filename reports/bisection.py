"""`python -m reports.bisection RUN [--json]`: render the answer of a search, and print it."""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from matrix.console import say
from matrix.errors import MatrixError
from matrix.files import read_json, write_text
from reports import console, store
from reports.escape import Markdown, code, fence, link, one_line, text
from reports.frames import frame, markdown
from reports.names import count
from reports.templating import template

FILE = "bisect.json"
MARKDOWN = "bisect.md"
SCHEMA = 1
WIDTH = 80

_COMMITS = (
    "The tags may lie on branches of their own: git then judges their merge base first. A commit that cannot be built"
    " or loaded is skipped."
)

Content = Mapping[str, Any]


def main(arguments: Sequence[str], *, out: Path = store.OUT) -> int:
    """Render one answer; its exit code is ours.

    Args:
        arguments: The run's folder, and whether JSON is printed.
        out: Where reports go.
    """
    parser = argparse.ArgumentParser(prog="python -m reports.bisection")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    try:
        content = read_json(asked.folder / FILE, schema=SCHEMA)
        answer = (asked.folder / FILE).read_text(encoding="utf-8")
        folder = out / asked.folder.name
        write_text(folder / FILE, answer)
        write_text(folder / MARKDOWN, render(content))
        store.point(folder)
    except MatrixError as error:
        say(f"error: {error}")
        return error.exit_code
    if asked.json:
        sys.stdout.write(answer)
        sys.stdout.flush()
    else:
        console.show(terminal(content, folder / MARKDOWN))
    return int(content["exit_code"])


def render(content: Content) -> str:
    """bisect.md: what a maintainer reads."""
    url = content["compare"]
    return template("bisect.md.j2").render(
        headline=content["headline"],
        looked_for=_predicate(content),
        held_fixed=_held_fixed(content),
        compare=link(url.rpartition("/")[2], url) if url else None,
        notes=content["notes"],
        steps=markdown(frame(_rows(content))),
        legend=_legend(content),
        commits=fence("\n".join(content["commits"])) if content["commits"] else None,
        commits_note=_COMMITS,
        next=fence(content["next"]),
        run=content["run"],
        command=fence(content["run"]["command"]),
    )


def terminal(content: Content, report: Path) -> str:
    """What is printed: the answer, the steps, and as the last line what to do next."""
    rows = [{name: one_line(value, limit=60) for name, value in row.items()} for row in _rows(content)]
    notes = [_filled(f"Note: {note}") for note in content["notes"]]
    url = content["compare"]
    commits = ["\n".join([_filled(_COMMITS), *content["commits"]])] if content["commits"] else []
    path = os.path.relpath(report)
    parts = [
        _filled(content["headline"]),
        tabulate(rows, headers="keys", tablefmt="plain", disable_numparse=True),
        _filled(_legend(content)),
        *notes,
        *([f"What changed: {url}"] if url else []),
        *commits,
        f"Report: {report if path.startswith('..') else path}\nNext: {content['next']}",
    ]
    return "\n\n".join(parts) + "\n"


def _rows(content: Content) -> list[dict[str, str]]:
    return [_row(step) for step in content["steps"]]


def _row(step: Content) -> dict[str, str]:
    place = ", ".join(dict.fromkeys(filter(None, (step["stage"], step["where"]))))
    return {
        "release": step["release"],
        "says": step["mark"],
        "verdict": step["verdict"] or "the good end",
        "where": place,
        "why": step["why"] or "",
        "seconds": f"{step['seconds']:.1f}",
    }


def _predicate(content: Content) -> Markdown:
    wanted = content["predicate"]
    place = f" in {code(wanted['where'])}" if wanted["where"] and wanted["where"] not in wanted["sentence"] else ""
    return Markdown(f"{text(wanted['sentence'])}{place}")


def _held_fixed(content: Content) -> str:
    variant = content["variant"]
    fixed = [f"{name} {value}" for name, value in {**content["held_fixed"], **variant}.items()]
    return ", ".join(fixed)


def _legend(content: Content) -> str:
    looked, whole = len(content["steps"]), len(content["releases"])
    seconds, cpu = (f"{content['cost'][name]:.0f} s" for name in ("seconds", "cpu_seconds"))
    said = f"Looked at {looked} of {count(whole, 'release')} in {seconds} ({cpu} of CPU time)."
    skipped = any(step["mark"] in {"skip", "unsure"} for step in content["steps"])
    return said + (" skip: cannot be tried, or hides it; unsure: cannot be told." if skipped else "")


def _filled(line: str) -> str:
    return textwrap.fill(one_line(line, limit=2000), WIDTH, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
