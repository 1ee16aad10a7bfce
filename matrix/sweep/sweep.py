"""The sweep, stage by stage: who knows what, who writes what, what each cell makes of it, and what that means."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from matrix import engine, outcome, table
from matrix import run as runs
from matrix.cell import Cell
from matrix.console import tell
from matrix.engine import Work
from matrix.errors import CaptureError, NoCaptureError
from matrix.files import locked, read_json
from matrix.request import SCHEMA
from matrix.run import Run
from matrix.spec import Spec
from matrix.state import State
from matrix.sweep import answer, cases, models, options, written
from matrix.sweep.answer import Answer, CellSeen, Found
from matrix.sweep.cohort import Architecture, Cohort, cohorts
from matrix.sweep.compared import Compared
from matrix.sweep.heads import HEADS
from matrix.sweep.models import Made
from matrix.sweep.options import Asked
from matrix.sweep.roster import Roster


def sweep(asked: Asked, arguments: Sequence[str], state: State) -> Path:
    """Take every capture, judge them all, and write sweep.json.

    Returns:
        The sweep's folder.

    Raises:
        MatrixError: For a wrong request, or when nothing could be captured at all.
    """
    spec = options.base(asked)
    run = _begin(asked, spec, arguments, state.create())
    with locked(run.folder / ".lock"):
        work = models.work(spec, asked, state, run.folder)
        tell("asking every release which architectures it knows …")
        rosters = models.rosters(run, work)
        wanted = models.wanted(asked, rosters.values())
        tell(f"writing checkpoints of {len(wanted)} architectures …")
        groups, made = _authored(asked, run, work, rosters, wanted)
        compared = [
            Compared(cohort=group, made=made, run=_compare(asked, group, made, run, work, arguments))
            for group in groups
        ]
        _write(asked, run, rosters, wanted, compared)
    return run.folder


def _begin(asked: Asked, spec: Spec, arguments: Sequence[str], state: State) -> Run:
    """The sweep's own run, which holds rosters and checkpoints: a new one, or the one that the same command began."""
    given, command = asked.options, shlex.join(["nox", "-s", "sweep", *(["--", *arguments] if arguments else [])])
    if not given.run_id and not given.fresh:
        files = state.sweeps.glob("*/run.json")
        for path in sorted(files, key=lambda path: path.stat().st_mtime_ns, reverse=True):
            earlier = _readable(path.parent)
            if earlier and earlier.command == command and earlier.spec.sha256 == spec.sha256:
                return earlier
    run = runs.new(state.sweeps, spec, "sweep", arguments, given.run_id)
    run.write()
    return run


def _authored(
    asked: Asked, run: Run, work: Work, rosters: Mapping[Cell, Roster], wanted: Sequence[Architecture]
) -> tuple[tuple[Cohort, ...], Made]:
    """Let the oldest releases write; what one cannot build, the next one that knows it is asked for."""
    tried: dict[Architecture, tuple[str, ...]] = {}
    while True:
        groups = cohorts(work.spec, rosters, wanted, asked.authors, tried)
        made = models.made(run, work, [group for group in groups if group.compares])
        failed = {
            one: group.author
            for group in groups
            for one in group.architectures
            # where nothing is left to compare, a later author is no better than the first
            if (one in made.unbuilt or (one in tried and not group.compares)) and group.author not in tried.get(one, ())
        }
        if not failed:
            return groups, made
        tried |= {one: (*tried.get(one, ()), author) for one, author in failed.items()}


def _compare(asked: Asked, cohort: Cohort, made: Made, parent: Run, base: Work, arguments: Sequence[str]) -> Run | None:
    """Take every capture of one cohort; None where there is nothing to compare."""
    spec = cases.spec_of(cohort, made.checkpoints, asked.generate) if cohort.compares else None
    if spec is None:
        return None
    # the same cells have the same environments: what is compared needs no package of its own
    work = replace(engine.prepare(spec, asked.options, base.state), locks=base.locks)
    if not asked.options.fresh and (same := runs.unchanged(parent.folder, work.spec, engine.keys(work), cohort.name)):
        return same
    tell(f"comparing what {cohort.author} wrote: {len(spec.case)} cases in {len(work.plan.cells)} cells …")
    run = _run(parent.folder, cohort.name, work.spec, arguments)
    written.write(work.spec, run.folder)
    return engine.settled(run, work, engine.complete(run, work, work.plan.cells))


def _run(home: Path, name: str, spec: Spec, arguments: Sequence[str]) -> Run:
    """The cohort's run of that name, begun anew where its cases are others by now."""
    earlier = _readable(home / name)
    if earlier and earlier.spec.sha256 != spec.sha256:
        shutil.rmtree(home / name)
    run = runs.finished(runs.new(home, spec, "sweep", arguments, name), None)
    run.write()
    return run


def _write(
    asked: Asked, run: Run, rosters: Mapping[Cell, Roster], wanted: Sequence[Architecture], compared: Sequence[Compared]
) -> None:
    """Write sweep.json, unless it would say the same.

    Raises:
        NoCaptureError: When nothing at all was captured.
    """
    digest = _digest(asked, run, wanted, compared)
    if digest and _said(run.folder) == digest:
        return
    owners = {one: group for group in compared for one in group.cohort.architectures}
    found = tuple(owners[one].found(one) if one in owners else _nobodys(one) for one in wanted)
    if not any(one.built for one in found) and any(one.unbuilt for one in found):
        reasons = dict.fromkeys(f"{one.name}: {one.unbuilt.reason}" for one in found if one.unbuilt)
        raise NoCaptureError("no architecture could be built", given="; ".join(reasons), next_step=f"see {run.folder}")
    answer.write(
        Answer(
            id=run.id,
            started=run.started,
            command=run.command,
            digest=digest or "",
            baseline=run.plan.baseline.id,
            cells=tuple(_cell(run, cell, rosters.get(cell), asked.heads) for cell in run.plan.cells),
            heads=asked.heads,
            shard="{}/{}".format(*asked.shard) if asked.shard else None,
            held_fixed=_held_fixed(run),
            architectures=found,
        ),
        run.folder,
    )


def _digest(asked: Asked, run: Run, wanted: Sequence[Architecture], compared: Sequence[Compared]) -> str | None:
    """Over everything that decides sweep.json; None while a capture could go better the next time."""
    ran = [group.run.digest for group in compared if group.run]
    if None in ran:
        return None
    unbuilt = {one.name: table.whole(why) for group in compared for one, why in group.made.unbuilt.items()}
    parts = [asked.digest(run.spec), [one.name for one in wanted], ran, unbuilt, runs.code_digest()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _said(folder: Path) -> str | None:
    """The digest of the answer that is there."""
    try:
        return str(read_json(folder / answer.FILE, schema=answer.SCHEMA)["digest"])
    except (CaptureError, KeyError):
        return None


def _nobodys(one: Architecture) -> Found:
    """An architecture that none of the releases that may write knows."""
    return Found(type=one.type, head=one.head, author=None, built=False, seen={})


def _cell(run: Run, cell: Cell, roster: Roster | None, heads: Sequence[str]) -> CellSeen:
    content = read_json(run.cell(cell.id) / outcome.CELL, schema=SCHEMA)
    done = next((job for job in content["jobs"] if "@roster" in job["id"]), content)
    knows = {head: len(roster.types(HEADS[head].auto_class)) for head in heads} if roster else {}
    return CellSeen(id=cell.id, axes=dict(cell.axes), status=done["status"], reason=done["reason"], knows=knows)


def _held_fixed(run: Run) -> dict[str, str]:
    """What was the same in every cell and every case."""
    axes = {name: axis.values[0] for name, axis in run.spec.axes.items() if len(axis.values) == 1}
    chosen = {name: getattr(run.spec.variants, name) for name in ("dtype", "device", "threads")}
    options = {name: str(values[0]) for name, values in chosen.items() if values and len(values) == 1}
    return {**axes, **options, "CPU": str(run.host.get("cpu", "unknown"))}


def _readable(folder: Path) -> Run | None:
    try:
        return runs.read(folder)
    except CaptureError:
        # of another version, or torn: it is no use, and no reason to stop
        return None
