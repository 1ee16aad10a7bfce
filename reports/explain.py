"""`python -m reports.explain RUN`: render an explanation, print it, and say by the exit code whether it is proven."""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from matrix.console import say
from matrix.errors import EXIT_FOUND, EXIT_OK, MatrixError
from matrix.explain import explanation as explanations
from matrix.explain.explanation import Explanation
from matrix.files import write_text
from reports import explanation, issue, store
from reports.escape import one_line, plain

SCRIPT = "repro.py"
_WIDTH = 80


def main(arguments: Sequence[str], *, out: Path = store.OUT) -> int:
    """Write explain.md, explain.json, issue.md and repro.py of one run into the reports' folder."""
    asked = _parser().parse_args(arguments)
    try:
        found = explanations.read(asked.run)
    except MatrixError as error:
        say(f"error: {error}")
        return error.exit_code
    folder = out / found.question.run
    written = (asked.run / explanations.FILE).read_text(encoding="utf-8")
    files = {"explain.md": explanation.render(found), "issue.md": issue.render(found), explanations.FILE: written}
    if found.reproducer:
        files[SCRIPT] = found.reproducer.text
    for name, text in files.items():
        write_text(folder / name, text)
    store.point(folder)
    printed = {"json": written, "issue": files["issue.md"]}
    sys.stdout.write(printed.get(asked.format) or _summary(found, folder))
    sys.stdout.flush()
    return EXIT_OK if found.proven else EXIT_FOUND


def _summary(found: Explanation, folder: Path) -> str:
    """What a terminal shows: the answer in a few plain sentences, and where the rest is."""
    sentences = [explanation.title(found), explanation.headline(found)]
    sentences += [f"{found.cause.sentence}."] if found.cause else []
    sentences += [f"{fact}." for fact in found.facts]
    paths = {"Explanation": "explain.md", "Bug report to paste": "issue.md"}
    paths |= {"Reproducer": SCRIPT} if found.reproducer else {}
    lines = [f"{label}: {_shown(folder / name)}" for label, name in paths.items()]
    filled = [textwrap.fill(one_line(plain(sentence), limit=2000), _WIDTH) for sentence in sentences]
    return "\n\n".join([*filled, "\n".join(lines)]) + "\n"


def _shown(path: Path) -> str:
    """The path as it can be opened from here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reports.explain", description="Render an explanation.")
    parser.add_argument("run", type=Path, help="the run's folder")
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument("--json", dest="format", action="store_const", const="json", help="print explain.json")
    formats.add_argument("--issue", dest="format", action="store_const", const="issue", help="print the bug report")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
