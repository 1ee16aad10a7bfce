"""Verdicts: a whole run judged, from its folder alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from matrix import capture, evidence, noise, tokenizers
from matrix.capture import Capture
from matrix.cell import Cell, CellStatus
from matrix.compare import Comparison, compare_captures
from matrix.evidence import Evidence
from matrix.files import read_json
from matrix.findings import Finding, find
from matrix.judge import judge
from matrix.judgement import QUIET, Judgement, Side, concerns, expected, fits
from matrix.noise import Rounding
from matrix.outcome import CELL, Outcome
from matrix.outcome import read as read_outcomes
from matrix.outputs import differing
from matrix.pairs import Pair, pairs
from matrix.plan import Job, Plan
from matrix.repeats import Repeat
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
        within: One per cell and two variants that are compared there.
        findings: Where along an axis something starts or ends.
        stale: Known verdicts that were looked for and not found, and where.
    """

    run: Run
    plan: Plan
    cells: tuple[CellReport, ...]
    judgements: tuple[Judgement, ...]
    within: tuple[Judgement, ...]
    findings: tuple[Finding, ...]
    stale: tuple[Stale, ...]

    @property
    def fails(self) -> bool:
        """Whether something was found that is not known, or the baseline itself lacks a capture."""
        baseline = next(report for report in self.cells if report.cell == self.plan.baseline)
        outcomes = (baseline.outcomes.get(job.id) for job in self.plan.jobs)
        lacking = any(outcome is None or outcome.status != "captured" for outcome in outcomes)
        return lacking or any(judged.fails for judged in (*self.judgements, *self.within))


def judge_run(run: Run) -> Verdicts:
    """Judge every pair of captures of a run.

    Raises:
        CaptureError: When a file of the run is torn, or written by a newer version.
    """
    plan = run.plan
    cells = {cell.id: _cell_report(run, cell) for cell in plan.cells}
    judgements = tuple(_judge_pair(run, cells, pair) for pair in pairs(run.spec, plan))
    skipped = [CellReport(cell=s.cell, status="skipped", reason=s.reason, outcomes={}) for s in plan.skipped]
    return Verdicts(
        run=run,
        plan=plan,
        cells=(*cells.values(), *skipped),
        judgements=tuple(judged for judged in judgements if judged.within is None),
        within=tuple(judged for judged in judgements if judged.within),
        findings=tuple(find(run.spec, plan.baseline, [judged for judged in judgements if judged.within is None])),
        stale=tuple(stale for known in run.spec.known if (stale := _stale(known, judgements))),
    )


def judge_cell(run: Run, cell: Cell, job: Job) -> Judgement:
    """Judge one job of one cell against the baseline's, and nothing else of the run.

    Raises:
        CaptureError: When a file of the two cells is torn, or written by a newer version.
    """
    baseline = run.plan.baseline
    cells = {known.id: _cell_report(run, known) for known in (baseline, cell)}
    return _judge_pair(run, cells, Pair(baseline=baseline, reference=job, cell=cell, job=job))


def _judge_pair(run: Run, cells: Mapping[str, CellReport], pair: Pair) -> Judgement:
    baseline = _side(run, cells[pair.baseline.id], pair.reference)
    report, again = cells[pair.cell.id], replace(pair.job, same_ids=True)
    judged = _judge(run, pair, baseline, _side(run, report, pair.job))
    if pair.within is None and again.id in report.outcomes and baseline.captured:
        same = _judge(run, replace(pair, job=again), baseline, _side(run, report, again))
        judged = replace(judged, same_ids=same)
    return expected(judged, run.spec)


def _judge(run: Run, pair: Pair, baseline: Side, candidate: Side) -> Judgement:
    good, bad = baseline.captured, candidate.captured
    against = pair.reference if pair.within else None
    bare = Judgement(job=pair.job, baseline=baseline, candidate=candidate, within=pair.within, against=against)
    if pair.job.case.probe == "tokenizer":
        return tokenizers.judged(bare)
    if not good or not bad:
        return judge(bare, None)
    one = evidence.read(run.cell(pair.baseline.id) / evidence.of_reference(pair, good, bad).id)
    other = evidence.read(run.cell(pair.cell.id) / evidence.of_job(pair, good, bad).id)
    contents = (one.contents if one else {}, other.contents if other else {})
    bare = replace(bare, baseline=replace(baseline, look=one), candidate=replace(candidate, look=other))
    compared = partial(compare_captures, good, bad, same_ids=pair.job.same_ids, within=pair.within, contents=contents)
    left = () if one or other else _left_out(run, pair, good, bad)

    def judged(output: str | None) -> Judgement:
        comparison = compared(output=output)
        return judge(bare, comparison, _rounding(run, pair, comparison, (one, other), left))

    first = judged(None)
    if first.verdict not in QUIET or first.comparison is None:
        return first
    # what is said of one output says nothing of the next
    later = (name for name in differing(good, bad) if name != first.comparison.output)
    return _loudest([first, *map(judged, later)])


def _left_out(run: Run, pair: Pair, good: Capture, bad: Capture) -> tuple[str, ...]:
    """Why the closer looks at a pair were not taken, as where memory was too little for them."""
    asked = ((pair.baseline, evidence.of_reference(pair, good, bad)), (pair.cell, evidence.of_job(pair, good, bad)))
    outcomes = [done for cell, job in asked for done in read_outcomes(run.cell(cell.id)) if done.id == job.id]
    return tuple(dict.fromkeys(done.reason or done.status for done in outcomes if done.status == "not_run"))


def _loudest(found: Sequence[Judgement]) -> Judgement:
    """The first judgement that needs attention, else the first that tells of noise, else the first."""
    loud = [judged for judged in found if judged.verdict not in QUIET]
    noise = [judged for judged in found if judged.verdict != "identical"]
    return (loud or noise or found)[0]


def _rounding(
    run: Run, pair: Pair, comparison: Comparison, looks: tuple[Evidence | None, Evidence | None], left: tuple[str, ...]
) -> Rounding | None:
    """What the closer looks say, or why they were left out; None where there was nothing to look at."""
    if comparison.tokens or not (comparison.outputs or comparison.generation is not None):
        return None
    if not any(looks):
        return Rounding(plausible=noise.plausible(pair, run.spec.axes), lacking=left) if left else None
    largest = comparison.outputs.values.max_abs if comparison.outputs else 0.0
    good, bad = (look.of(comparison.output) if look else None for look in looks)
    return noise.weigh(good, bad, largest, plausible=noise.plausible(pair, run.spec.axes))


def _side(run: Run, report: CellReport, job: Job) -> Side:
    outcome = report.outcomes.get(job.id)
    status = outcome.status if outcome else report.status
    reason = outcome.reason if outcome else report.reason
    stage = outcome.stage if outcome else None
    taken, repeat = found(run, report, job), None
    if not job.same_ids:
        repeat = _repeat(run, report, run.plan.repeat_of(job), job)
    return Side(cell=report.cell, status=status, reason=reason, stage=stage, capture=taken, repeat=repeat)


def found(run: Run, report: CellReport, job: Job) -> Capture | None:
    """The capture of a job, complete or not; what lies in the folder of one that crashed is not what became of it."""
    outcome = report.outcomes.get(job.id)
    return capture.read(run.cell(report.cell.id) / job.id) if outcome and outcome.status in _SEEN else None


def _repeat(run: Run, report: CellReport, own: Job, job: Job) -> Repeat | None:
    first, second = found(run, report, replace(own, take="main")), found(run, report, own)
    outcome = report.outcomes.get(own.id)
    crashed = (outcome.reason or outcome.status) if outcome and outcome.status == "crashed" else None
    if second is None and crashed is None:
        return None
    same = (own.case.name, own.variant) == (job.case.name, job.variant)
    return Repeat(first=first, second=second, crashed=crashed, own=same)


def _cell_report(run: Run, cell: Cell) -> CellReport:
    path = run.cell(cell.id) / CELL
    if not path.exists():
        return CellReport(cell=cell, status="not_run", reason="the run was stopped before this cell", outcomes={})
    content = read_json(path, schema=SCHEMA)
    outcomes = {job["id"]: Outcome(**job) for job in content["jobs"]}
    return CellReport(cell=cell, status=content["status"], reason=content["reason"], outcomes=outcomes)


def _stale(known: Known, judgements: tuple[Judgement, ...]) -> Stale | None:
    """The cells where a known verdict was looked for and nothing is wrong any more."""
    quiet = [
        j.candidate.cell.id for j in judgements if concerns(known, j) and j.verdict in QUIET and not fits(known, j)
    ]
    return Stale(known=known, cells=tuple(dict.fromkeys(quiet))) if quiet else None
