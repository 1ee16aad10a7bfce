"""`python -m reports.sweep SWEEP`: render the answer of a sweep, print it, and say by the exit code what it found."""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from matrix.console import say
from matrix.errors import MatrixError
from matrix.files import write_text
from matrix.sweep import answer as answers
from matrix.sweep.answer import Answer
from reports import console, store, sweep_tables, sweep_words
from reports.escape import Markdown, fence, one_line, plain, text, ticked
from reports.frames import markdown
from reports.templating import template

MARKDOWN = "sweep.md"
WIDTH = 80
_MOST = 15
"""So many changes are listed on a terminal; the report has all of them."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One change of an architecture, as the template shows it."""

    title: Markdown
    sentence: Markdown
    commands: Markdown | None


def main(arguments: Sequence[str], *, out: Path = store.OUT) -> int:
    """Render one answer; its exit code is ours.

    Args:
        arguments: The sweep's folder.
        out: Where reports go.
    """
    parser = argparse.ArgumentParser(prog="python -m reports.sweep")
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args(arguments)
    try:
        found = answers.read(asked.folder)
        folder = out / found.id
        write_text(folder / answers.FILE, (asked.folder / answers.FILE).read_text(encoding="utf-8"))
        write_text(folder / MARKDOWN, render(found))
        store.point(folder)
    except MatrixError as error:
        say(f"error: {error}")
        return error.exit_code
    console.show(terminal(found, folder / MARKDOWN))
    return found.exit_code


def render(answer: Answer) -> str:
    """sweep.md: what a maintainer reads."""
    return template("sweep.md.j2").render(
        headline=sweep_words.headline(answer),
        counts=markdown(sweep_tables.counts(answer)),
        differing=markdown(sweep_tables.differing(answer)),
        changes=markdown(sweep_tables.changes(answer)),
        sections=list(_sections(answer)),
        noisy=markdown(sweep_tables.noisy(answer)),
        removed=markdown(sweep_tables.removed(answer)),
        cells=markdown(sweep_tables.cells(answer)),
        unbuilt=markdown(sweep_tables.unbuilt(answer)),
        alone=markdown(sweep_tables.alone(answer)),
        unwritten=markdown(sweep_tables.unwritten(answer)),
        repaired=markdown(sweep_tables.repaired(answer)),
        inert=markdown(sweep_tables.inert(answer)),
        held_fixed=", ".join(f"{name} {value}" for name, value in answer.held_fixed.items()),
        sweep=answer.id,
        started=answer.started,
        command=fence(answer.command),
    )


def terminal(answer: Answer, report: Path) -> str:
    """What is printed: the headline, the counts, the first differences, and what to do next."""
    path = os.path.relpath(report)
    table = tabulate(
        sweep_tables.counts(answer).to_dict("list"), headers="keys", tablefmt="plain", disable_numparse=True
    )
    parts = [_filled(sweep_words.headline(answer)), table, "\n".join(_lines(answer))]
    parts += ["\n".join(_failed(answer))]
    parts += ["\n".join([f"Report: {report if path.startswith('..') else path}", *_next(answer)])]
    return "\n\n".join(part for part in parts if part) + "\n"


def _sections(answer: Answer) -> Iterator[Section]:
    cells = sweep_words.labels(answer)
    for found, change in sweep_words.changes(answer):
        lines = sweep_words.commands(found, change, answer)
        yield Section(
            title=text(f"{found.name}, {cells[change.cell]}"),
            sentence=ticked(sweep_words.sentence(found, change, cells)),
            commands=fence("\n".join(lines), language="sh") if lines else None,
        )


def _lines(answer: Answer) -> Iterator[str]:
    cells, changes = sweep_words.labels(answer), sweep_words.changes(answer)
    for found, change in changes[:_MOST]:
        place = ", ".join(filter(None, (change.stage, change.where)))
        head = f"{found.name}: {change.verdict} in {cells[change.cell]}"
        line = "; ".join(filter(None, (head, place, sweep_words.shows(change))))
        yield _filled(line, indent="  ")
    if len(changes) > _MOST:
        yield f"and {len(changes) - _MOST} more"


def _failed(answer: Answer) -> Iterator[str]:
    for row in sweep_tables.cells(answer).itertuples():
        yield _filled(f"{row.cell} ({row.status}): {row.reason}")


def _next(answer: Answer) -> Iterator[str]:
    """How to go on from the first difference."""
    for found, change in sweep_words.changes(answer):
        if lines := sweep_words.commands(found, change, answer):
            yield f"Next: {lines[0]}"
            return


def _filled(line: str, indent: str = "") -> str:
    words = one_line(plain(line), limit=2000)
    return textwrap.fill(words, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
