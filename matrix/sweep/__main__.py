"""`python -m matrix.sweep ARGS`: sweep, then hand the answer to the reporter, whose exit code is ours."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from matrix.console import say
from matrix.errors import MatrixError
from matrix.state import State
from matrix.sweep import options
from matrix.sweep.sweep import sweep


def main(arguments: Sequence[str]) -> int:
    """Take the captures, write the answer and become the reporter."""
    try:
        folder = sweep(options.parse(arguments), arguments, State())
    except MatrixError as error:
        say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say("interrupted; the same command continues where this one stopped")
        return 130
    command = [sys.executable, "-E", "-m", "reports.sweep", str(folder)]
    return os.execv(sys.executable, command)  # noqa: S606 - no shell


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
