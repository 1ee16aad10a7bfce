"""The terminal: verdicts in colour where somebody watches, the same plain text everywhere else."""

from __future__ import annotations

import os
import re
import sys

_COLOURS = {"identical": 32, "noise": 32, "drift": 31, "unstable": 33, "error": 31, "missing": 35}
_VERDICT = re.compile(rf"(?<![\w.-])({'|'.join(_COLOURS)})(?=\*|\s|$)", re.MULTILINE)


def show(text: str) -> None:
    """Print a summary on standard output; colour only on a terminal, and never with NO_COLOR (https://no-color.org)."""
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    sys.stdout.write(paint(text) if coloured else text)
    sys.stdout.flush()


def paint(text: str) -> str:
    """The text with every verdict of the table in its colour."""
    return _VERDICT.sub(lambda found: f"\x1b[{_COLOURS[found[1]]}m{found[1]}\x1b[0m", text)
