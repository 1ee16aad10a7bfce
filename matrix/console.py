"""Words for the person in front of the terminal, on standard error so that piped output stays clean."""

from __future__ import annotations

import sys


def say(message: str) -> None:
    """Print one line that matters whether or not anyone watches."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def tell(message: str) -> None:
    """Print one line about what goes on, for somebody who watches."""
    if sys.stderr.isatty():
        say(message)
