"""`python -m matrix ARGS`: run the matrix, then hand the run to the reporter, whose exit code is ours."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from matrix import engine, options
from matrix.console import say
from matrix.errors import MatrixError
from matrix.state import State


def main(arguments: Sequence[str]) -> int:
    """Take the captures and become the reporter.

    The reporter is another process, not an import: it may import us, never the reverse, and where nothing has changed
    neither half pays for the other's libraries.
    """
    try:
        run = engine.matrix(options.parse(arguments), arguments, State())
    except MatrixError as error:
        say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say("interrupted; the same command continues where this one stopped")
        return 130
    return os.execv(sys.executable, [sys.executable, "-E", "-m", "reports", str(run.folder)])  # noqa: S606 - no shell


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
