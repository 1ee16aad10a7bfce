"""Validation: both ends are looked at before anything between them, and decide what is looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from matrix import plan, request
from matrix.bisect import predicate
from matrix.bisect.options import Asked
from matrix.bisect.predicate import Predicate
from matrix.bisect.steps import Steps, Taken
from matrix.case import Variants
from matrix.cell import Cell
from matrix.engine import Work
from matrix.errors import NoCaptureError, SpecError
from matrix.judgement import QUIET, Judgement

_SAME_IDS = (
    "the ends differ already at the tokens, and beneath them too: every release gets the good end's ids;"
    " --stage tokens searches the tokens"
)
_ALSO_BENEATH = (
    "the ends differ at the tokens, and with the good end's ids beneath them, too: the tokens are searched,"
    " as they were asked for"
)
_TOKENS = "the ends differ at the tokens, and with the good end's ids they agree: the tokens are what is searched"


@dataclass(frozen=True, kw_only=True)
class Ready:
    """What is looked for, and the bad end that shows it.

    Attributes:
        predicate: What makes a release bad.
        bad: What was seen of the bad end.
        notes: How the search goes on where that is not plain.
    """

    predicate: Predicate
    bad: Taken
    notes: tuple[str, ...] = ()


def validate(asked: Asked, steps: Steps) -> Ready:
    """Look at both ends, and settle on one job of the case and on what is looked for.

    Raises:
        NoCaptureError: When an end has no capture.
        SpecError: When the ends do not differ, or not as asked for.
    """
    given = asked.ends
    both = [cell_of(steps.work, given.axis, value) for value in (given.good, given.bad)]
    wanted = Predicate(verdict=asked.verdict, stage=asked.stage, where=asked.where)
    taken = _first(wanted, steps.take(both, repeats=True)[both[1].id])
    _check(asked, wanted, taken.judged)
    work, notes = _of_one_job(steps.work, wanted, taken.judged)
    if work.spec != steps.work.spec:
        steps.narrow(work)
        seconds = taken.seconds
        (taken,) = steps.take(both, repeats=True)[both[1].id]
        taken = replace(taken, seconds=round(seconds + taken.seconds, 2))
        _check(asked, wanted, taken.judged)
    own = wanted if wanted != Predicate() else predicate.like(taken.judged)
    return Ready(predicate=own, bad=taken, notes=notes)


def cell_of(work: Work, axis: str, value: str) -> Cell:
    """The cell of one value of the axis."""
    return next(cell for cell in work.plan.cells if cell.axes[axis] == value)


def _first(wanted: Predicate, taken: Sequence[Taken]) -> Taken:
    """The first job that shows what is looked for, else the first that differs at all, else the first."""
    showing = [found for found in taken if _shows(wanted, found.judged)]
    differing = [found for found in taken if found.judged.verdict not in QUIET]
    return [*showing, *differing, *taken][0]


def _shows(wanted: Predicate, judged: Judgement) -> bool:
    """Whether a job shows what is looked for, if need be beneath its tokens."""
    beneath = judged.same_ids is not None and predicate.shows(wanted, judged.same_ids)
    decided = judged.verdict != "missing" and not judged.baseline_at_fault
    return decided and (beneath or predicate.shows(wanted, judged))


def _check(asked: Asked, wanted: Predicate, judged: Judgement) -> None:
    """Refuse ends between which there is nothing to be found.

    Raises:
        NoCaptureError: When an end has no capture.
        SpecError: When the ends do not differ, or not as asked for.
    """
    axis, good, bad = asked.ends.axis, asked.ends.good, asked.ends.bad
    if not judged.baseline.captured:
        reason = judged.baseline.reason or judged.summary
        next_step = "name a release in which the case works"
        raise NoCaptureError("the good end has no capture", given=f"{axis} {good}: {reason}", next_step=next_step)
    if judged.verdict == "missing":
        raise NoCaptureError("the bad end has no capture", given=f"{axis} {bad}: {judged.summary}")
    if judged.baseline_at_fault:
        raise SpecError(
            "the good end does not agree with itself, so nothing can be compared with it",
            given=judged.summary,
            next_step="name a release in which the case is stable, or give the checkpoint what it lacks",
        )
    if _shows(wanted, judged):
        return
    if judged.verdict in QUIET:
        raise SpecError(
            "the ends do not differ, so there is nothing to find",
            given=f"{axis} {good} and {bad}: {judged.verdict}, {judged.summary}",
            next_step="--verdict noise searches where the rounding changed"
            if judged.verdict == "noise"
            else "name two releases that differ: nox -s matrix shows which",
        )
    raise SpecError(
        "the bad end does not show what is looked for",
        given=f"{wanted.sentence}; it shows {predicate.named(judged)}",
        next_step="leave out --verdict, --stage and --where, or name what the bad end shows",
    )


def _of_one_job(work: Work, wanted: Predicate, judged: Judgement) -> tuple[Work, tuple[str, ...]]:
    """The same work for one job alone, and for the good end's ids where only beneath the tokens it is to be found."""
    job, baseline, notes = judged.job, judged.baseline.captured, list[str]()
    case = job.case
    if judged.stage == "tokens" and judged.same_ids and baseline and baseline.tokens:
        notes = [_TOKENS if judged.same_ids.verdict in QUIET else _ALSO_BENEATH]
        if predicate.shows(wanted, judged.same_ids):
            notes, case = [_SAME_IDS], request.same_ids(job, baseline.tokens.lists).case
    one = {name: (value,) for name, value in vars(job.variant).items()}
    spec = replace(work.spec, case=(replace(case, variants=Variants(**one)),))
    return replace(work, spec=spec, plan=plan.plan(spec)), tuple(notes)
