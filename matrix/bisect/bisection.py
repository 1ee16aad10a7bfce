"""Bisection: from two ends to an answer, step by step."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matrix.bisect import predicate, search
from matrix.bisect.options import Asked
from matrix.bisect.search import Mark, Transition
from matrix.bisect.start import begin, towards_bad
from matrix.bisect.steps import Steps, Taken
from matrix.bisect.validation import Ready, cell_of, validate
from matrix.console import say
from matrix.files import locked
from matrix.judgement import Judgement
from matrix.run import Run
from matrix.state import State

Status = Literal["found", "several", "range", "inconclusive"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One release that was looked at.

    Attributes:
        mark: What it says.
        judged: What was seen; None for the good end, with which all others are compared.
        why: Why it is marked so, where that is not plain.
        seconds: Wall time; releases that were looked at together share it.
    """

    mark: Mark
    judged: Judgement | None = None
    why: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a search found.

    Attributes:
        run: Where its captures are.
        asked: What was asked for.
        ready: What was looked for, and the bad end.
        releases: All of them, from the good end to the bad one.
        steps: Position → what was seen there, in the order of the releases.
        transitions: Where the difference appears and disappears, in the order of the releases.
        seconds: Wall time.
        cpu_seconds: CPU time of every process that was started.
    """

    run: Run
    asked: Asked
    ready: Ready
    releases: tuple[str, ...]
    steps: dict[int, Step]
    transitions: tuple[Transition, ...]
    seconds: float
    cpu_seconds: float

    @property
    def status(self) -> Status:
        """Whether every change is known to the release; what is not is never given as an answer."""
        between = {self.steps[position].mark for found in self.transitions for position in found.between}
        if "unsure" in between:
            return "inconclusive"
        if between:
            return "range"
        return "found" if len(self.transitions) == 1 else "several"


def bisect(asked: Asked, arguments: Sequence[str], state: State) -> Answer:
    """Find where the difference appears.

    Raises:
        MatrixError: For a wrong request, ends that do not differ, or an end without a capture.
    """
    start = time.monotonic()
    run, work = begin(asked, arguments, state)
    with locked(run.folder / ".lock"), Steps(run, work) as steps:
        ready = validate(asked, steps)
        values = towards_bad(asked.ends, work)
        seen = Search(asked, steps, ready, values).go()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Answer(
        run=run,
        asked=asked,
        ready=ready,
        releases=values,
        steps=seen,
        transitions=search.transitions({position: step.mark for position, step in seen.items()}),
        seconds=round(time.monotonic() - start, 2),
        cpu_seconds=round(used.ru_utime + used.ru_stime, 2),
    )


class Search:
    """One search between two validated ends.

    Args:
        asked: What was asked for.
        steps: Takes the captures.
        ready: What is looked for.
        values: The releases, from the good end to the bad one.
    """

    def __init__(self, asked: Asked, steps: Steps, ready: Ready, values: Sequence[str]) -> None:
        self._steps, self._ready, self._values = steps, ready, values
        self._cells = [cell_of(steps.work, asked.ends.axis, value) for value in values]
        self._checks = len(values) if asked.all else search.CHECKS
        self._seen: dict[int, Step] = {0: Step(mark="good", seconds=ready.bad.seconds)}
        # the ends were loaded twice when they were validated
        self._confirmed = {0, len(values) - 1}
        self._record(len(values) - 1, ready.bad)

    def go(self) -> dict[int, Step]:
        """Close every change in, make sure of both sides of it, and look elsewhere for another one."""
        count = len(self._values)
        while True:
            open_ = search.closing(self._marks) is not None
            if not open_ and (doubtful := self._unconfirmed()):
                self._confirm(doubtful)
                continue
            positions = search.batch(self._marks, count, self._checks)
            if not positions:
                return dict(sorted(self._seen.items()))
            self._checks -= len(positions) - open_
            if open_:
                ahead = search.ahead(self._marks, count, self._checks, positions)
                self._steps.prepare(self._cells[position] for position in ahead)
            self._look(positions)

    @property
    def _marks(self) -> dict[int, Mark]:
        return {position: step.mark for position, step in self._seen.items()}

    def _unconfirmed(self) -> list[int]:
        """Both sides of every change that one load does not decide."""
        if self._ready.predicate.uninitialised:
            return []
        sides = [side for found in search.transitions(self._marks) for side in (found.last, found.first)]
        return sorted({*sides} - self._confirmed)

    def _look(self, positions: Sequence[int]) -> None:
        taken = self._steps.take([self._cells[position] for position in positions], repeats=False)
        for position in positions:
            self._record(position, taken[self._cells[position].id][0])

    def _confirm(self, positions: Sequence[int]) -> None:
        """Load once more, in a process of its own: what then says something else was never decided."""
        taken = self._steps.take([self._cells[position] for position in positions], repeats=True)
        for position in positions:
            self._confirmed.add(position)
            before, again = self._seen[position], taken[self._cells[position].id][0]
            reading = predicate.read(self._ready.predicate, again.judged)
            if reading.mark != before.mark:
                said = reading.why or predicate.named(again.judged)
                why = f"{before.mark} at first, {reading.mark} when it was loaded again: {said}"
                seconds = round(before.seconds + again.seconds, 2)
                self._seen[position] = Step(mark="unsure", judged=again.judged, why=why, seconds=seconds)
                self._show(position)

    def _record(self, position: int, taken: Taken) -> None:
        reading = predicate.read(self._ready.predicate, taken.judged)
        self._seen[position] = Step(mark=reading.mark, judged=taken.judged, why=reading.why, seconds=taken.seconds)
        self._show(position)

    def _show(self, position: int) -> None:
        """One line per step for a person who watches."""
        step = self._seen[position]
        if sys.stderr.isatty() and step.judged:
            said = step.why or predicate.named(step.judged)
            say(f"{self._values[position]:<12} {step.mark:<7} {step.seconds:6.1f} s  {said}")
