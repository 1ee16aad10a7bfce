"""Start: a run over the releases between two ends, or the one that was stopped, with the list it had."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from matrix import ends, engine
from matrix import run as runs
from matrix.bisect import indexes, releases
from matrix.bisect.options import Asked
from matrix.ends import Ends
from matrix.engine import Work
from matrix.errors import CaptureError, SpecError
from matrix.plan import plan
from matrix.run import Run
from matrix.state import State

ANSWER = "bisect.json"
"""The answer's file in the run's folder: a run without it is not finished."""


def begin(asked: Asked, arguments: Sequence[str], state: State) -> tuple[Run, Work]:
    """A run whose spec holds every release between the ends; what the same command left unfinished is continued.

    Raises:
        MatrixError: When the case, its checkpoint or the list of releases cannot be had.
    """
    options = asked.ends.options
    earlier = None if options.fresh else _stopped(state, arguments, options.run_id)
    if earlier and asked.ends.axis in earlier.spec.axes:
        # a release that was published meanwhile would make it another search
        work = prepared(asked.ends, earlier.spec.axes[asked.ends.axis].values, state)
        if earlier.spec.sha256 == work.spec.sha256:
            return earlier, work
    work = prepared(asked.ends, listed(asked), state)
    run = runs.new(state.searches, work.spec, "bisect", arguments, options.run_id)
    run.write()
    return run, work


def prepared(given: Ends, values: Sequence[str], state: State) -> Work:
    """The work of one case along these values of the axis.

    Raises:
        MatrixError: When the case or its checkpoint cannot be had.
    """
    spec = ends.between(given, sorted(values, key=releases.version))
    return engine.prepare(spec, given.options, state)


def towards_bad(given: Ends, work: Work) -> tuple[str, ...]:
    """The values of the axis from the good end to the bad one, which may be the older."""
    values = work.spec.axes[given.axis].values
    return values if values[0] == given.good else values[::-1]


def listed(asked: Asked) -> tuple[str, ...]:
    """The releases between the ends, both included.

    Raises:
        SpecError: When none can be listed.
    """
    given = asked.ends
    spec = ends.between(given, sorted((given.good, given.bad), key=releases.version))
    if spec.axes[given.axis].kind != "requirement":
        raise SpecError(
            "only the releases of a package can be listed",
            given=f"--axis {given.axis}",
            next_step=f"compare its values with each other: nox -s matrix -- --axis {given.axis}=…,…",
        )
    python = plan(spec).baseline.python
    found = releases.published(given.axis, indexes.configured(), python)
    return releases.between(found, given.good, given.bad, pre=asked.pre)


def _stopped(state: State, arguments: Sequence[str], run_id: str | None) -> Run | None:
    """The run of that id, or the newest one of the same command that has no answer yet."""
    command = shlex.join(["nox", "-s", "bisect", "--", *arguments])
    files = state.searches.glob(f"{run_id or '*'}/run.json")
    for path in sorted(files, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        found = _readable(path.parent)
        unfinished = found and found.command == command and not (path.parent / ANSWER).exists()
        if found and (run_id or unfinished):
            return found
    return None


def _readable(folder: Path) -> Run | None:
    try:
        return runs.read(folder)
    except CaptureError:
        # of another version, or torn: it is no use, and no reason to stop
        return None
