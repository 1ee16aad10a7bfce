"""The engine: from options to a run whose captures are on disk, one stage after the other."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from matrix import environment, hub, memory, outcome, request, sessions
from matrix import options as command_line
from matrix import run as runs
from matrix import spec as specs
from matrix.capture import read_tokens
from matrix.case import Case
from matrix.cell import Cell
from matrix.console import say
from matrix.environment import Lock
from matrix.errors import EnvironmentFailure, NoCaptureError, SpecError
from matrix.machine import available_bytes, this_machine
from matrix.options import Options
from matrix.outcome import Outcome
from matrix.pairs import pairs
from matrix.plan import Job, Plan, plan
from matrix.request import Task
from matrix.run import Run
from matrix.sources import Resolver, Source, Sources
from matrix.spec import Spec
from matrix.state import State


@dataclass(frozen=True, kw_only=True)
class Work:
    """A plan with everything it needs to start.

    Attributes:
        spec: What is asked for, with every input filled in.
        plan: Cells and jobs.
        sources: Case name → what it is loaded from.
        locks: Cell id → its lock, or why there is none.
        state: Where captures go.
        options: How to run: cells at a time, and whether earlier captures count.
    """

    spec: Spec
    plan: Plan
    sources: Mapping[str, Sources]
    locks: Mapping[str, Lock | EnvironmentFailure]
    state: State
    options: Options

    def tasks(self, cell: Cell, jobs: Sequence[Job]) -> list[Task]:
        """What one cell is to capture; nothing when its environment cannot be resolved."""
        lock = self.locks[cell.id]
        if isinstance(lock, EnvironmentFailure):
            return []
        return [request.task(cell, job, lock, self.sources[job.case.name], self.state) for job in jobs]


def matrix(options: Options, arguments: Sequence[str], state: State) -> Run:
    """Take every capture that the options ask for, or find the finished run since which nothing has changed.

    Raises:
        MatrixError: For a wrong request, or when no cell gave a usable capture.
    """
    if options.jobs is not None and options.jobs < 1:
        raise SpecError("--jobs is not a number of cells", given=options.jobs, allowed="1 or more")
    asked = command_line.apply(options, specs.read(options.spec))
    work = prepare(asked, options, state)
    if len(work.plan.cells) == 1 and not options.cell and not any(pairs(work.spec, work.plan)):
        raise SpecError(
            "one cell alone has nothing to be compared with",
            given=work.plan.baseline.id,
            next_step="give at least two values of one axis, oldest first, or compare variants with --within",
        )
    work = with_locks(work, work.plan.cells)
    if not options.fresh and (same := runs.unchanged(state.runs, work.spec, keys(work), options.run_id)):
        return same
    run = runs.finished(runs.new(state.runs, work.spec, "matrix", arguments, options.run_id), None)
    run.write()
    outcomes = complete(run, work, work.plan.cells)
    if not any(done.status == "captured" and done.is_main for done in outcomes):
        raise NoCaptureError(
            "no cell gave a usable capture", given=_reasons(outcomes, work), next_step=f"see {run.folder}"
        )
    return settled(run, work, outcomes)


def keys(work: Work) -> dict[str, list[str]]:
    """Cell id → the keys of everything that it loads."""
    return {cell.id: [task.key for task in work.tasks(cell, work.plan.loads(cell))] for cell in work.plan.cells}


def settled(run: Run, work: Work, outcomes: Iterable[Outcome]) -> Run:
    """Write down whether a run whose captures are taken would say the same the next time."""
    seen = (done.status in {"captured", "probe_failed"} and not done.transient for done in outcomes)
    run = runs.finished(run, keys(work) if not _failures(work) and all(seen) else None)
    run.write()
    return run


def prepare(spec: Spec, options: Options, state: State) -> Work:
    """Find every checkpoint and lay out the plan; nothing is built yet.

    Raises:
        MatrixError: For a spec that selects nothing, or a checkpoint that is missing.
    """
    spec, sources = resolve(spec, Resolver(state.create(), options.spec.resolve().parent))
    return Work(spec=spec, plan=plan(spec), sources=sources, locks={}, state=state, options=options)


def with_locks(work: Work, cells: Sequence[Cell]) -> Work:
    """The same work with these cells' environments resolved too."""
    return replace(work, locks={**work.locks, **lock(cells, work.state)})


def complete(run: Run, work: Work, cells: Sequence[Cell], jobs: Sequence[Job] | None = None) -> list[Outcome]:
    """Take all that a comparison of these cells with the baseline may ask for: first what is compared, then closer.

    Args:
        run: Where the captures are shown.
        work: With these cells' and the baseline's locks.
        cells: The cells to capture.
        jobs: What each cell loads; every job and repeat that the plan has for it when None.
    """
    outcomes = capture(run, work, {cell: jobs or work.plan.loads(cell) for cell in cells})
    outcomes += capture(run, work, _same_ids(run, work, cells), again=True)
    return outcomes + capture(run, work, _evidence(run, cells), again=True)


def resolve(spec: Spec, resolver: Resolver) -> tuple[Spec, dict[str, Sources]]:
    """Find every case's checkpoint and tokenizer, and fill in the inputs of cases that name none.

    Raises:
        CheckpointError: When one is missing, half-written or cannot be fetched.
    """
    sources, cases = {}, []
    for case in spec.case:
        found = sources[case.name] = resolver.sources(case)
        cases.append(request.with_inputs(_pinned(case, found), found.checkpoint, found.tokenizer))
    resolver.save()
    return replace(spec, case=tuple(cases)), sources


def _pinned(case: Case, found: Sources) -> Case:
    """The case with commits in place of the Hub's branches and tags: a run says which bytes it is about."""

    def pin(name: str | None, source: Source | None) -> str | None:
        return f"hub:{hub.parse(name).repository}@{source.commit}" if name and source and source.commit else name

    return replace(
        case,
        checkpoint=pin(case.checkpoint, found.checkpoint) or case.checkpoint,
        tokenizer=pin(case.tokenizer, found.tokenizer),
        adapter=pin(case.adapter, found.adapter),
    )


def lock(cells: Sequence[Cell], state: State) -> dict[str, Lock | EnvironmentFailure]:
    """Resolve every cell's environment, several at a time; a cell without a solution keeps the resolver's reason."""

    def one(cell: Cell) -> Lock | EnvironmentFailure:
        try:
            return environment.lock(cell.requirements, state, cell.python)
        except EnvironmentFailure as error:
            return error

    with ThreadPoolExecutor() as pool:
        return dict(zip([cell.id for cell in cells], pool.map(one, cells), strict=True))


def discard(tasks: Iterable[Sequence[Task]]) -> None:
    """Forget earlier captures of these tasks."""
    for task in itertools.chain(*tasks):
        shutil.rmtree(task.content["folder"], ignore_errors=True)


def capture(run: Run, work: Work, jobs: Mapping[Cell, Sequence[Job]], *, again: bool = False) -> list[Outcome]:
    """Take what is not yet taken; every cell ends with a cell.json that says what became of it.

    Args:
        run: Where the captures are shown.
        work: The plan and its locks.
        jobs: What each cell is to capture.
        again: Whether the cells' earlier outcomes in this run stay.
    """
    tasks = {cell: work.tasks(cell, todo) for cell, todo in jobs.items()}
    if work.options.fresh:
        discard(tasks.values())
    waiting = []
    for cell, todo in tasks.items():
        folder, found = run.cell(cell.id), work.locks[cell.id]
        if isinstance(found, EnvironmentFailure):
            outcome.write_failure(folder, cell, "env_failed", str(found))
            continue
        left = _too_large(work, todo)
        fitting = [task for task in todo if task.id not in {out.id for out in left}]
        if not outcome.ask(folder, cell, found, fitting, [*(_before(folder, todo) if again else ()), *left]):
            waiting.append(cell)
    if waiting:
        running = {cell: [task.job for task in tasks[cell]] for cell in waiting}
        sessions.drive(run, waiting, work.options.jobs or default_jobs(work, running))
    return [done for cell in tasks for done in outcome.read(run.cell(cell.id))]


def _before(folder: Path, tasks: Sequence[Task]) -> list[Outcome]:
    """What became of everything else that a cell did in this run."""
    now = {task.id for task in tasks}
    return [done for done in outcome.read(folder) if done.id not in now]


def default_jobs(work: Work, jobs: Mapping[Cell, Sequence[Job]] | None = None) -> int:
    """As many cells at a time as there are cores, and as fit into the memory that is free now; at least one.

    A job that does not fit alone is said before anything starts.

    Args:
        work: The plan and where its cases are loaded from.
        jobs: What each cell is to capture; everything that the plan loads when None.
    """
    asked = jobs if jobs is not None else {cell: work.plan.loads(cell) for cell in work.plan.cells}
    needs = [memory.largest(todo, work.sources) for todo in asked.values()] or [memory.IMPORTS]
    available = available_bytes()
    if max(needs) > available:
        said = f"about {memory.gib(max(needs))} for its largest capture, and {memory.gib(available)} are available"
        say(f"memory: a cell needs {said}; one cell runs at a time, and may be stopped by the system")
    return memory.at_a_time(needs, available, this_machine().cores)


def _too_large(work: Work, tasks: Sequence[Task]) -> list[Outcome]:
    """Closer looks that would not fit into the memory that is free now: they are left out, and the report says so."""
    available, left = available_bytes(), []
    for task in tasks:
        needed = memory.need(task.job, work.sources[task.job.case.name])
        if task.job.take == "evidence" and needed > available and not outcome.is_captured(task.content):
            reason = f"a closer look needs about {memory.gib(needed)} and {memory.gib(available)} are available"
            left.append(Outcome(id=task.id, key=task.key, status="not_run", reason=reason, transient=True))
    return left


def _same_ids(run: Run, work: Work, cells: Sequence[Cell]) -> dict[Cell, list[Job]]:
    """Where a cell's tokenizer made other ids than the baseline's: the same cases again, with the baseline's ids."""
    again: dict[Cell, list[Job]] = {}
    for job in work.plan.jobs:
        baseline = read_tokens(run.cell(work.plan.baseline.id) / job.id) if job.case.text or job.case.chat else None
        for cell in cells if baseline else ():
            tokens = read_tokens(run.cell(cell.id) / job.id)
            if baseline and tokens and tokens != baseline:
                again.setdefault(cell, []).append(request.same_ids(job, baseline.lists))
    return again


def _evidence(run: Run, cells: Sequence[Cell]) -> dict[Cell, list[Job]]:
    """Where bits differ, or parameters come and go: a closer look in both cells."""
    # reading logits needs numpy, which a run that finds nothing new does without
    from matrix import evidence  # noqa: PLC0415

    return evidence.wanted(run, cells)


def _failures(work: Work) -> list[EnvironmentFailure]:
    return [lock for lock in work.locks.values() if isinstance(lock, EnvironmentFailure)]


def _reasons(outcomes: Sequence[Outcome], work: Work) -> str:
    reasons = [done.reason or done.status for done in outcomes] + [str(error) for error in _failures(work)]
    return "; ".join(dict.fromkeys(reasons))
