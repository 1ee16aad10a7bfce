"""Captures: what the cells of a judged run saw of one job, whether or not there is anything to compare it with."""

from __future__ import annotations

from collections.abc import Iterator

from matrix.capture import Capture
from matrix.outcome import Outcome
from matrix.plan import Job
from matrix.verdicts import CellReport, Verdicts, found

REPEAT = "@repeat"


def of(verdicts: Verdicts, job: Job) -> dict[str, Capture]:
    """Every cell's capture of one job by the cell's id, complete or not; the baseline's first."""
    if not verdicts.judgements:
        return _alone(verdicts, job)
    about = [judged for judged in verdicts.judgements if judged.job.id == job.id]
    sides = [*(judged.baseline for judged in about), *(judged.candidate for judged in about)]
    return {side.cell.id: side.capture for side in sides if side.capture}


def baseline(verdicts: Verdicts) -> CellReport:
    """What became of the baseline's cell."""
    return next(report for report in verdicts.cells if report.cell.id == verdicts.plan.baseline.id)


def failed(verdicts: Verdicts) -> Iterator[tuple[Job, Outcome]]:
    """What the only cell of a run could not capture; where there are more cells, judgements say it."""
    for job in verdicts.plan.jobs if not verdicts.judgements else ():
        outcome = baseline(verdicts).outcomes.get(job.id)
        if outcome is None or outcome.status != "captured":
            yield job, outcome or Outcome(id=job.id, key="", status="not_run")


def repeated(verdicts: Verdicts) -> list[str]:
    """The cases that every cell loaded a second time wherever it captured them at all."""
    again = [(job.case.name, verdicts.plan.repeat_of(job).id) for job in verdicts.plan.jobs]
    taken: dict[str, list[bool]] = {}
    for report in verdicts.cells:
        captured = {outcome.id for outcome in report.outcomes.values() if outcome.status == "captured"}
        for case, repeat in again:
            if repeat.removesuffix(REPEAT) in captured:
                taken.setdefault(case, []).append(repeat in captured)
    return [case for case, found in taken.items() if all(found)]


def _alone(verdicts: Verdicts, job: Job) -> dict[str, Capture]:
    """The baseline's capture, which no judgement holds where there is nothing to judge."""
    report = baseline(verdicts)
    taken = found(verdicts.run, report, job)
    return {report.cell.id: taken} if taken else {}
