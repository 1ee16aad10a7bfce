"""Tables: a judged run as data frames of text, ready for any format; nothing here is Markdown and nothing is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pandas as pd

from matrix.judgement import Judgement, Verdict
from matrix.plan import Job
from matrix.verdicts import CellReport, Verdicts
from reports import captures, conditions, numbers
from reports.frames import frame
from reports.names import Names, listing

Mark = Callable[[Verdict, bool], str]
"""How a format writes a verdict; the flag says whether it is known."""


def matrix(verdicts: Verdicts, names: Names, mark: Mark) -> pd.DataFrame:
    """One row per case, or per variant where the variants' verdicts differ; one column per cell."""
    rows = [row for case in verdicts.run.spec.case for row in _case_rows(verdicts, names, case.name, mark)]
    return frame(rows)


def within(verdicts: Verdicts, names: Names, mark: Mark) -> pd.DataFrame:
    """One row per case and pair of variants that are compared inside the cells; one column per cell."""
    rows: dict[tuple[object, ...], dict[str, str]] = {}
    for judged in verdicts.within:
        head = {"case": judged.job.case.name, "variants": names.compared(judged)}
        key = (judged.job.id, judged.within)
        rows.setdefault(key, {**head, **{names.cell(report.cell): report.status for report in in_order(verdicts)}})
        rows[key][names.cell(judged.candidate.cell)] = _marked(judged, mark)
    return frame(list(rows.values()))


def cells(verdicts: Verdicts, names: Names) -> pd.DataFrame:
    """Cells without any capture, and why."""
    found = [(names.cell(report.cell), report.status, report.reason) for report in in_order(verdicts)]
    rows = [
        {"cell": cell, "status": status, "reason": reason or numbers.ABSENT}
        for cell, status, reason in found
        if status != "captured"
    ]
    return frame(rows)


def environment(verdicts: Verdicts, names: Names) -> pd.DataFrame:
    """What differs between the cells' environments: a package, Python, torch or the CPU per row."""
    facts = {names.cell(cell): found for cell, found in conditions.environments(verdicts)}
    differing = conditions.differing(list(facts.values()))
    columns = {label: [found.get(name, numbers.ABSENT) for name in differing] for label, found in facts.items()}
    return frame({"package": differing, **columns})


def cost(verdicts: Verdicts, names: Names, case: str) -> pd.DataFrame:
    """What one case cost in every cell that measured it, one row per variant and cell."""
    rows = []
    for job in verdicts.plan.jobs:
        found = captures.of(verdicts, job) if job.case.name == case else {}
        for report in in_order(verdicts):
            if (capture := found.get(report.cell.id)) and capture.cost:
                cell = {"variant": names.job(job), "cell": names.cell(report.cell)}
                rows.append({**cell, **_cost(capture.cost)})
    return frame(rows)


def in_order(verdicts: Verdicts) -> list[CellReport]:
    """Every cell, excluded ones too, sorted as the spec writes the axes' values."""
    axes = verdicts.run.spec.axes
    return sorted(verdicts.cells, key=lambda r: [axes[name].values.index(value) for name, value in r.cell.axes.items()])


def shared_variants(table: pd.DataFrame) -> str | None:
    """The variants that every row of the matrix holds for, where they are the same in all rows."""
    found = list(dict.fromkeys(table["variant"]))
    return str(found[0]) if len(found) == 1 else None


def _case_rows(verdicts: Verdicts, names: Names, case: str, mark: Mark) -> Iterator[dict[str, str]]:
    jobs = [job for job in verdicts.plan.jobs if job.case.name == case]
    rows = [_row(verdicts, names, job, mark) for job in jobs]
    if all(row == rows[0] for row in rows):
        rows, variants = rows[:1], [listing(names.job(job) for job in jobs)]
    else:
        variants = [names.job(job) for job in jobs]
    for variant, row in zip(variants, rows, strict=True):
        yield {"case": case, "variant": variant, **row}


def _row(verdicts: Verdicts, names: Names, job: Job, mark: Mark) -> dict[str, str]:
    found = {judged.candidate.cell.id: judged for judged in verdicts.judgements if judged.job.id == job.id}
    row = {}
    for report in in_order(verdicts):
        judged = found.get(report.cell.id)
        if report.cell.id == verdicts.plan.baseline.id:
            row[names.cell(report.cell)] = _baseline_mark(report, job)
        elif judged:
            row[names.cell(report.cell)] = _marked(judged, mark)
        else:
            row[names.cell(report.cell)] = report.status if verdicts.plan.asks(report.cell, job) else "skipped"
    return row


def _marked(judged: Judgement, mark: Mark) -> str:
    return mark(judged.verdict, judged.known is not None and not judged.fails)


def _baseline_mark(report: CellReport, job: Job) -> str:
    outcome = report.outcomes.get(job.id)
    status = outcome.status if outcome else report.status
    return "baseline" if status == "captured" else f"baseline ({status})"


def _cost(cost: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """Seconds of the stages that every case has, and the most memory that any stage held."""
    seconds = {name: cost.get(stage, {}).get("seconds") for name, stage in (("load", "load"), ("forward", "logits"))}
    peak = max((stage.get("peak_bytes", 0) for stage in cost.values()), default=0)
    return {
        **{name: f"{value:.3f} s" if value is not None else numbers.ABSENT for name, value in seconds.items()},
        "peak memory": f"{peak / 2**20:,.0f} MiB" if peak else numbers.ABSENT,
    }
