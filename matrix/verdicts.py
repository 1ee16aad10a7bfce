"""Verdicts: a whole run judged, from its folder alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from matrix import capture, noise
from matrix.case import Variant
from matrix.cell import Cell, CellStatus
from matrix.compare import compare_captures
from matrix.files import read_json
from matrix.findings import Finding, find
from matrix.judge import QUIET, Judgement, Side, concerns, expected, judge
from matrix.noise import Floor
from matrix.outcome import CELL, Outcome
from matrix.plan import Job, Plan
from matrix.request import SCHEMA
from matrix.run import Run
from matrix.spec import Known

_SEEN: frozenset[CellStatus] = frozenset({"captured", "probe_failed"})


@dataclass(frozen=True, kw_only=True)
class CellReport:
    """What became of one cell: its status, why, and each task's outcome by id."""

    cell: Cell
    status: CellStatus
    reason: str | None
    outcomes: Mapping[str, Outcome]


@dataclass(frozen=True, kw_only=True)
class Stale:
    """A known verdict, and the cells where nothing is wrong any more."""

    known: Known
    cells: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """A judged run.

    Attributes:
        run: The run.
        plan: What it was asked to do.
        cells: Every cell, excluded ones too, in the order of the spec.
        judgements: One per job and candidate, jobs first, cells in the order of the spec.
        findings: Where along an axis something starts or ends.
        stale: Known verdicts that were looked for and not found, and where.
    """

    run: Run
    plan: Plan
    cells: tuple[CellReport, ...]
    judgements: tuple[Judgement, ...]
    findings: tuple[Finding, ...]
    stale: tuple[Stale, ...]

    @property
    def fails(self) -> bool:
        """Whether something was found that is not known, or the baseline itself lacks a capture."""
        baseline = next(report for report in self.cells if report.cell == self.plan.baseline)
        lacking = any(outcome.status != "captured" for outcome in baseline.outcomes.values())
        return lacking or any(judged.fails for judged in self.judgements)


def judge_run(run: Run) -> Verdicts:
    """Judge every job of a run.

    Raises:
        CaptureError: When a file of the run is torn, or written by a newer version.
    """
    plan = run.plan
    cells = {cell.id: _cell_report(run, cell) for cell in plan.cells}
    judgements = tuple(_judge_jobs(run, plan, cells))
    skipped = [CellReport(cell=s.cell, status="skipped", reason=s.reason, outcomes={}) for s in plan.skipped]
    return Verdicts(
        run=run,
        plan=plan,
        cells=(*cells.values(), *skipped),
        judgements=judgements,
        findings=tuple(find(run.spec, plan.baseline, judgements)),
        stale=tuple(stale for known in run.spec.known if (stale := _stale(known, judgements))),
    )


def _judge_jobs(run: Run, plan: Plan, cells: Mapping[str, CellReport]) -> Iterator[Judgement]:
    for job in plan.jobs:
        baseline = _side(run, cells[plan.baseline.id], job.id)
        for cell in plan.cells:
            if cell != plan.baseline:
                judged = _judge(run, plan, job, baseline, _side(run, cells[cell.id], job.id))
                same = _judge_same_ids(run, plan, job, baseline, cells[cell.id])
                yield expected(replace(judged, same_ids=same), run.spec)


def _judge(run: Run, plan: Plan, job: Job, baseline: Side, candidate: Side) -> Judgement:
    good, bad = baseline.captured, candidate.captured
    comparison = compare_captures(good, bad, same_ids=job.same_ids) if good and bad else None
    # a floor costs reading other captures: only where bits differ and rounding may be why
    wanted = comparison and comparison.outputs and noise.applies(baseline.cell, candidate.cell)
    return judge(job, baseline, candidate, comparison, _floor(run, plan, job) if wanted else None)


def _judge_same_ids(run: Run, plan: Plan, job: Job, baseline: Side, report: CellReport) -> Judgement | None:
    again = replace(job, same_ids=True)
    if again.id not in report.outcomes or not baseline.captured:
        return None
    return _judge(run, plan, again, baseline, _side(run, report, again.id))


def _floor(run: Run, plan: Plan, job: Job) -> Floor | None:
    """The baseline's spread over the attention kernels of one dtype."""
    own = replace(job, same_ids=False)
    kin = [other for other in plan.jobs if other.case == own.case and _kin(other.variant, own.variant)]
    found = {other.variant.attention: capture.read(run.cell(plan.baseline.id) / other.id) for other in (own, *kin)}
    whole = {name: taken for name, taken in found.items() if taken and taken.status == "captured"}
    return noise.measure(whole.pop(own.variant.attention), whole, own.variant.dtype) if len(whole) > 1 else None


def _kin(other: Variant, variant: Variant) -> bool:
    return other != variant and replace(other, attention=variant.attention) == variant


def _side(run: Run, report: CellReport, task: str) -> Side:
    outcome = report.outcomes.get(task)
    status = outcome.status if outcome else report.status
    reason = outcome.reason if outcome else report.reason
    # whatever lies in the folder of a job that crashed is not what became of it
    found = capture.read(run.cell(report.cell.id) / task) if outcome and status in _SEEN else None
    stage = outcome.stage if outcome else None
    return Side(cell=report.cell, status=status, reason=reason, stage=stage, capture=found)


def _cell_report(run: Run, cell: Cell) -> CellReport:
    path = run.cell(cell.id) / CELL
    if not path.exists():
        return CellReport(cell=cell, status="not_run", reason="the run was stopped before this cell", outcomes={})
    content = read_json(path, schema=SCHEMA)
    outcomes = {job["id"]: Outcome(**job) for job in content["jobs"]}
    return CellReport(cell=cell, status=content["status"], reason=content["reason"], outcomes=outcomes)


def _stale(known: Known, judgements: tuple[Judgement, ...]) -> Stale | None:
    """The cells where a known verdict was looked for and nothing is wrong any more."""
    quiet = [j.candidate.cell.id for j in judgements if concerns(known, j) and j.verdict in QUIET]
    return Stale(known=known, cells=tuple(dict.fromkeys(quiet))) if quiet else None
