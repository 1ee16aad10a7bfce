"""`python -m matrix.bisect ARGS`: search, write the answer, then hand it to the reporter, whose exit code is ours."""  # noqa: A005

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from matrix.bisect import answer, checkout, options, predicate
from matrix.bisect.bisection import bisect
from matrix.bisect.options import Asked
from matrix.bisect.start import ANSWER
from matrix.console import say
from matrix.errors import MatrixError
from matrix.files import write_json
from matrix.state import FOLDER_VARIABLE, State


def main(arguments: Sequence[str]) -> int:
    """Search and become the reporter; with --checkout, judge one source tree."""
    # whatever ends us ends what we have started, too
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    inside = any(word.partition("=")[0] == "--checkout" for word in arguments)
    try:
        asked = options.parse(arguments, Path(os.environ.get(FOLDER_VARIABLE, ".")))
        if asked.checkout:
            return _judge_checkout(asked, asked.checkout, arguments)
        found = bisect(asked, arguments, State())
        write_json(found.run.folder / ANSWER, answer.content(found, arguments))
    except MatrixError as error:
        say(f"error: {error}")
        return checkout.EXIT_STOP if inside else error.exit_code
    except KeyboardInterrupt:
        say("interrupted; the same command continues where this one stopped")
        return 130
    except SystemExit as error:
        return checkout.EXIT_STOP if inside and error.code else int(error.code or 0)
    command = [sys.executable, "-E", "-m", "reports.bisection", str(found.run.folder)]
    return os.execv(sys.executable, [*command, *(["--json"] if asked.ends.json else [])])  # noqa: S606 - no shell


def _judge_checkout(asked: Asked, folder: Path, arguments: Sequence[str]) -> int:
    """Print what a source tree says; whatever goes wrong in between must never count as bad."""
    try:
        reading, taken, tree = checkout.judge(asked, folder, arguments, State())
    except MatrixError:
        raise
    except Exception as error:  # noqa: BLE001 - Python's own exit code would be 1, which is bad
        say(f"error: {type(error).__name__}: {error}")
        return checkout.EXIT_STOP
    judged = taken.judged if taken else None
    said = reading.why or (predicate.named(judged) if judged else "")
    if asked.ends.json:
        seen = {name: getattr(judged, name, None) for name in ("verdict", "stage", "where", "summary")}
        content = {"schema": answer.SCHEMA, "tree": tree, "mark": reading.mark, **seen, "why": reading.why}
        sys.stdout.write(json.dumps(content, indent=1) + "\n")
    else:
        sys.stdout.write(f"{reading.mark}: tree {tree[:12]}: {said}\n")
    sys.stdout.flush()
    return checkout.EXIT_CODES[reading.mark]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
