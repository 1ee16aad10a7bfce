"""`python -m matrix.explain ARGS`: explain one difference, then hand it to the reporter, whose exit code is ours."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from matrix import ends
from matrix.console import say
from matrix.errors import MatrixError
from matrix.explain import explanation
from matrix.explain.explain import explain
from matrix.explain.setting import settle
from matrix.state import State

_WHAT = (
    "Explain one difference between two releases: the first module whose inputs are the same and whose output is not,"
    " the part that causes it, proven by swapping it in both directions, the code that changed, whose bug it is, and a"
    " script that shows it."
)
_CODES = (
    "Exit code: 0 the cause is proven; 1 there is a difference whose cause is not; 2 the request is wrong, or the two"
    " ends do not differ; 3 an end gives no usable capture."
)


def main(arguments: Sequence[str]) -> int:
    """Take the captures, find the cause and become the reporter."""
    parser = ends.parser("explain", _WHAT, _CODES)
    parser.add_argument("--issue", action="store_true", help="print the bug report instead of the explanation")
    given = vars(parser.parse_args(arguments))
    try:
        asked = ends.read(given)
        setting = settle(asked, arguments, State())
        explanation.write(explain(setting), setting.run.folder)
    except MatrixError as error:
        say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say("interrupted; the same command continues where this one stopped")
        return 130
    shown = ["--json"] if asked.json else ["--issue"] if given["issue"] else []
    command = [sys.executable, "-E", "-m", "reports.explain", str(setting.run.folder), *shown]
    return os.execv(sys.executable, command)  # noqa: S606 - no shell


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
