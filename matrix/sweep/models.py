"""Models: what the releases are asked before anything is compared: which types they know, and to write them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from matrix import capture, engine, outcome, wording
from matrix.case import Case, Variant
from matrix.cell import Cell
from matrix.engine import Work
from matrix.errors import EnvironmentFailure, NoCaptureError, SpecError
from matrix.outcome import Outcome
from matrix.plan import Job, plan, shard
from matrix.run import Run
from matrix.sources import Source, Sources
from matrix.spec import Spec
from matrix.state import State
from matrix.sweep import author, roster
from matrix.sweep.answer import Unbuilt
from matrix.sweep.author import Authored
from matrix.sweep.cases import TIMEOUT
from matrix.sweep.cohort import Architecture, Cohort
from matrix.sweep.heads import HEADS
from matrix.sweep.options import Asked
from matrix.sweep.roster import Roster

ROSTER_TIMEOUT = 300
"""Seconds: the first job of a fresh environment compiles what it imports."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """What the authors wrote.

    Attributes:
        checkpoints: Architecture → its checkpoints and inputs.
        unbuilt: Architecture → why there are none.
    """

    checkpoints: Mapping[Architecture, Authored]
    unbuilt: Mapping[Architecture, Unbuilt]


def work(spec: Spec, asked: Asked, state: State, folder: Path) -> Work:
    """The cells and their environments, with no checkpoint at all."""
    (stand_in,) = spec.case
    laid = plan(spec)
    bare = Work(
        spec=spec, plan=laid, sources={stand_in.name: _nothing(folder)}, locks={}, state=state, options=asked.options
    )
    return engine.with_locks(bare, laid.cells)


def rosters(run: Run, work: Work) -> dict[Cell, Roster]:
    """Cell → what its release knows, for every cell that says so.

    Raises:
        NoCaptureError: When none does.
    """
    job = roster_job(work.spec)
    outcomes = engine.capture(run, work, dict.fromkeys(work.plan.cells, (job,)), again=True)
    read = {cell: roster.read(run.cell(cell.id) / job.id) for cell in work.plan.cells}
    found = {cell: known for cell, known in read.items() if known}
    if not found:
        failed = [str(lock) for lock in work.locks.values() if isinstance(lock, EnvironmentFailure)]
        reasons = dict.fromkeys([*failed, *(done.reason or done.status for done in outcomes)])
        raise NoCaptureError(
            "no release could say which architectures it knows", given="; ".join(reasons), next_step=f"see {run.folder}"
        )
    return found


def wanted(asked: Asked, known: Iterable[Roster]) -> tuple[Architecture, ...]:
    """What is swept: head by head, types in the oldest release's order, then what newer ones add.

    Raises:
        SpecError: When no release knows a type that was asked for, or the shard is empty.
    """
    found = tuple(known)
    types = roster.all_types(found, (head.auto_class for head in HEADS.values()))
    for name in asked.types:
        if name not in types:
            close = difflib.get_close_matches(name, types, n=5)
            raise SpecError(
                "no selected release knows this model type", given=name, allowed=close or f"one of {len(types)} types"
            )
    chosen = tuple(name for name in types if name in asked.types or not asked.types)
    if asked.shard:
        chosen = shard(chosen, *asked.shard)
    every = (Architecture(type=name, head=head) for head in asked.heads for name in chosen)
    architectures = tuple(one for one in every if any(one.type in each.types(one.auto_class) for each in found))
    if not architectures:
        raise SpecError(
            "nothing is left to sweep", given=" ".join(asked.heads), next_step="choose other types or heads"
        )
    return architectures


def made(run: Run, work: Work, cohorts: Sequence[Cohort]) -> Made:
    """Ask every author for its architectures; one that cannot be built is a reason, never an error."""
    jobs = {one: author_job(one) for cohort in cohorts for one in cohort.architectures}
    nothing = next(iter(work.sources.values()))
    asking = replace(work, sources={**work.sources, **{job.case.name: nothing for job in jobs.values()}})
    engine.capture(
        run, asking, {cohort.cell: [jobs[one] for one in cohort.architectures] for cohort in cohorts}, again=True
    )
    checkpoints: dict[Architecture, Authored] = {}
    unbuilt: dict[Architecture, Unbuilt] = {}
    for cohort in cohorts:
        done = {outcome.id: outcome for outcome in outcome.read(run.cell(cohort.cell.id))}
        for one in cohort.architectures:
            # the capture itself, not what the run shows of it: a checkpoint is named by where it stays
            task = asking.tasks(cohort.cell, [jobs[one]])[0]
            if found := author.read(Path(task.content["folder"])):
                checkpoints[one] = found
            else:
                unbuilt[one] = _unbuilt(Path(task.content["folder"]), done.get(task.id))
    return Made(checkpoints=checkpoints, unbuilt=unbuilt)


def roster_job(spec: Spec) -> Job:
    """What every cell is asked first."""
    (stand_in,) = spec.case
    ask = {"auto_classes": [head.auto_class for head in HEADS.values()]}
    return Job(case=replace(stand_in, timeout=ROSTER_TIMEOUT), variant=Variant(), take="roster", ask=ask)


def author_job(one: Architecture) -> Job:
    """What an author is asked for each of its architectures."""
    case = Case(name=one.name, checkpoint=".", auto_class=one.auto_class, input_ids=((1,),), timeout=TIMEOUT)
    ask = {"model_type": one.type, "auto_class": one.auto_class}
    return Job(case=case, variant=Variant(), take="author", ask=ask)


def _unbuilt(folder: Path, done: Outcome | None) -> Unbuilt:
    if failure := capture.failure(folder):
        return Unbuilt(step=failure.stage, reason=wording.failure(failure))
    if done is None:
        return Unbuilt(step="start", reason="it was never begun")
    return Unbuilt(step=done.stage or "start", reason=f"{done.status}: {done.reason or 'no reason was left'}")


def _nothing(folder: Path) -> Sources:
    empty = folder / "nothing"
    empty.mkdir(parents=True, exist_ok=True)
    source = Source(folder=empty, file=None, digest="", bytes=0, has_tokenizer=False)
    return Sources(checkpoint=source, tokenizer=source)
