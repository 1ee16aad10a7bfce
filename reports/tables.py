"""Tables: a judged run as data frames of text, ready for any format; nothing here is Markdown and nothing is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import pandas as pd

from matrix.capture import Capture, TensorState
from matrix.cell import Cell
from matrix.judge import Judgement, Verdict
from matrix.metrics import Difference
from matrix.outputs import OutputDifference
from matrix.plan import Job
from matrix.verdicts import CellReport, Verdicts
from reports import captures, conditions, differences, numbers
from reports.names import Names, listing

Mark = Callable[[Verdict, bool], str]
"""How a format writes a verdict; the flag says whether it is known."""

MAX_IDS = 12
MAX_KEYS = 8
_IDS_BEFORE = 3

_RANK = 3
"""Of logits with positions: [batch, position, vocabulary]."""


def matrix(verdicts: Verdicts, names: Names, mark: Mark) -> pd.DataFrame:
    """One row per case, or per variant where the variants' verdicts differ; one column per cell."""
    rows = [row for case in verdicts.run.spec.case for row in _case_rows(verdicts, names, case.name, mark)]
    return _frame(rows)


def cells(verdicts: Verdicts, names: Names) -> pd.DataFrame:
    """Cells without any capture, and why."""
    lacking = [report for report in in_order(verdicts) if report.status != "captured"]
    rows = [{"cell": names.cell(r.cell), "status": r.status, "reason": r.reason or numbers.ABSENT} for r in lacking]
    return _frame(rows)


def state(verdicts: Verdicts, names: Names, difference: differences.Difference) -> pd.DataFrame:
    """The first values of the earliest differing tensor in every cell, and digests of the whole."""
    job, where = difference.jobs[0], difference.where or ""
    held = {label: _tensor(capture, where) for label, capture in sides(verdicts, names, job)}
    rows = max((len(tensor.head) for tensor in held.values() if tensor), default=0)
    index = [*map(str, range(rows)), "sha256"]
    return _frame({"element": index, **{label: _values(tensor, rows) for label, tensor in held.items()}})


def tokens(verdicts: Verdicts, names: Names, difference: differences.Difference) -> pd.DataFrame:
    """Every cell's ids around the first position that differs, one row per cell."""
    change = difference.first.comparison.tokens if difference.first.comparison else None
    if change is None:
        return _frame([])
    start = max(0, change.position - _IDS_BEFORE) if change.position >= MAX_IDS else 0
    window = range(start, start + MAX_IDS)
    rows = []
    for label, capture in sides(verdicts, names, difference.jobs[0]):
        lists = capture.tokens.lists.get(change.list, ()) if capture.tokens else ()
        ids = lists[change.row] if change.row < len(lists) else ()
        shown = {str(place): str(ids[place]) if place < len(ids) else "" for place in window}
        rows.append({"cell": label, **shown, "length": str(len(ids))})
    # positions that no cell has
    return _without_empty(_frame(rows))


def config(names: Names, difference: differences.Difference) -> pd.DataFrame:
    """Config keys whose values differ, in the baseline and in every cell that shows the difference."""
    columns: dict[str, dict[str, str]] = {}
    for judged in difference.judgements:
        for change in judged.comparison.config[:MAX_KEYS] if judged.comparison else ():
            columns.setdefault(_baseline_label(names, judged.baseline.cell), {})[change.key] = repr(change.baseline)
            columns.setdefault(names.cell(judged.candidate.cell), {})[change.key] = repr(change.candidate)
    keys = dict.fromkeys(key for column in columns.values() for key in column)
    filled = {label: [column.get(key, "as the baseline") for key in keys] for label, column in columns.items()}
    return _frame({"key": list(keys), **filled})


def metrics(names: Names, judgements: Iterable[Judgement]) -> pd.DataFrame:
    """How far the logits lie from the baseline's, one row per variant and cell that was compared."""
    rows = [
        {
            "variant": names.variant(judged.job.variant),
            "cell": names.cell(judged.candidate.cell),
            **_metrics(judged.comparison.outputs),
            "first other greedy token": _step(judged),
        }
        for judged in judgements
        if judged.comparison and judged.comparison.outputs
    ]
    return _without_empty(_frame(rows))


def environment(verdicts: Verdicts, names: Names) -> pd.DataFrame:
    """What differs between the cells' environments: a package, Python, torch or the CPU per row."""
    facts = {names.cell(cell): found for cell, found in conditions.environments(verdicts)}
    differing = conditions.differing(list(facts.values()))
    columns = {label: [found.get(name, numbers.ABSENT) for name in differing] for label, found in facts.items()}
    return _frame({"package": differing, **columns})


def cost(verdicts: Verdicts, names: Names, case: str) -> pd.DataFrame:
    """What one case cost in every cell that measured it, one row per variant and cell."""
    rows = []
    for job in verdicts.plan.jobs:
        found = captures.of(verdicts, job) if job.case.name == case else {}
        for report in in_order(verdicts):
            if (capture := found.get(report.cell.id)) and capture.cost:
                cell = {"variant": names.variant(job.variant), "cell": names.cell(report.cell)}
                rows.append({**cell, **_cost(capture.cost)})
    return _frame(rows)


def in_order(verdicts: Verdicts) -> list[CellReport]:
    """Every cell, excluded ones too, sorted as the spec writes the axes' values."""
    axes = verdicts.run.spec.axes
    return sorted(verdicts.cells, key=lambda r: [axes[name].values.index(value) for name, value in r.cell.axes.items()])


def sides(verdicts: Verdicts, names: Names, job: Job) -> Iterator[tuple[str, Capture]]:
    """Every cell's complete capture of one job under the cell's name, in the spec's order."""
    found = captures.of(verdicts, job)
    for report in in_order(verdicts):
        capture = found.get(report.cell.id)
        if capture and capture.status == "captured":
            is_baseline = report.cell.id == verdicts.plan.baseline.id
            yield _baseline_label(names, report.cell) if is_baseline else names.cell(report.cell), capture


def shared_variants(table: pd.DataFrame) -> str | None:
    """The variants that every row of the matrix holds for, where they are the same in all rows."""
    found = list(dict.fromkeys(table["variant"]))
    return str(found[0]) if len(found) == 1 else None


def _frame(content: Mapping[str, Sequence[str]] | Sequence[Mapping[str, str]]) -> pd.DataFrame:
    """A frame from columns or from rows."""
    frame: pd.DataFrame = pd.DataFrame(content, dtype="object")
    return frame


def _without_empty(table: pd.DataFrame) -> pd.DataFrame:
    """The table without the columns in which no row says anything."""
    filled: pd.DataFrame = table[[column for column in table.columns if (table[column] != "").any()]]
    return filled


def _case_rows(verdicts: Verdicts, names: Names, case: str, mark: Mark) -> Iterator[dict[str, str]]:
    jobs = [job for job in verdicts.plan.jobs if job.case.name == case]
    rows = [_row(verdicts, names, job, mark) for job in jobs]
    if all(row == rows[0] for row in rows):
        rows, variants = rows[:1], [listing(names.variant(job.variant) for job in jobs)]
    else:
        variants = [names.variant(job.variant) for job in jobs]
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
            row[names.cell(report.cell)] = mark(judged.verdict, judged.known is not None and not judged.fails)
        else:
            row[names.cell(report.cell)] = report.status
    return row


def _baseline_mark(report: CellReport, job: Job) -> str:
    outcome = report.outcomes.get(job.id)
    status = outcome.status if outcome else report.status
    return "baseline" if status == "captured" else f"baseline ({status})"


def _baseline_label(names: Names, cell: Cell) -> str:
    return f"{names.cell(cell)} (baseline)"


def _tensor(capture: Capture, name: str) -> TensorState | None:
    return next((held for held in (*capture.parameters, *capture.buffers) if held.name == name), None)


def _values(tensor: TensorState | None, rows: int) -> list[str]:
    if tensor is None:
        return [numbers.ABSENT] * (rows + 1)
    shown = [numbers.element(value, tensor.dtype) for value in tensor.head]
    return [*shown, *[""] * (rows - len(shown)), tensor.sha256[:8]]


def _metrics(outputs: OutputDifference) -> dict[str, str]:
    values, logits = outputs.values, outputs.logits
    before, after = numbers.pair(values.baseline_value, values.candidate_value)
    agreeing = logits.positions - logits.flip_count
    return {
        "largest difference": numbers.size(values.max_abs),
        "at": _place(outputs),
        "baseline → candidate": f"{before} → {after}",
        "relative L2": numbers.size(values.l2_rel),
        "cosine": numbers.cosine(values.cosine, values.one_minus_cosine),
        "not finite": _not_finite(values),
        "KL max / mean": f"{numbers.size(logits.kl_max)} / {numbers.size(logits.kl_mean)}",
        "same argmax": f"{numbers.share(logits.argmax_agreement)} ({agreeing} of {logits.positions})",
        "top-5 overlap": numbers.share(logits.top5_overlap),
        "by position": "last only" if outputs.last_only else _by_position(logits.max_abs_by_position),
    }


def _cost(cost: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """Seconds of the stages that every case has, and the most memory that any stage held."""
    seconds = {name: cost.get(stage, {}).get("seconds") for name, stage in (("load", "load"), ("forward", "logits"))}
    peak = max((stage.get("peak_bytes", 0) for stage in cost.values()), default=0)
    return {
        **{name: f"{value:.3f} s" if value is not None else numbers.ABSENT for name, value in seconds.items()},
        "peak memory": f"{peak / 2**20:,.0f} MiB" if peak else numbers.ABSENT,
    }


def _place(outputs: OutputDifference) -> str:
    at = outputs.values.max_abs_at
    if at is None:
        return numbers.ABSENT
    # sides with different ids were compared at their last position alone
    names = [at[0], "last", *at[2:]] if outputs.last_only and len(at) == _RANK else at
    return f"({', '.join(map(str, names))})"


def _by_position(peaks: Sequence[float]) -> str:
    """Where along the sequence the difference begins and where it is largest."""
    first = next((place for place, peak in enumerate(peaks) if peak), None)
    if first is None:
        return numbers.ABSENT
    return f"first {first}, largest {max(range(len(peaks)), key=peaks.__getitem__)}"


def _not_finite(values: Difference) -> str:
    """How many elements are NaN or infinite on either side; relative L2 and cosine leave them out."""
    counts = (("baseline", values.nonfinite_baseline), ("candidate", values.nonfinite_candidate))
    return ", ".join(f"{number} of {values.elements} ({side})" for side, number in counts if number)


def _step(judged: Judgement) -> str:
    """The first greedy token that is another; nothing for a case that generates none."""
    step = judged.comparison.generation if judged.comparison else None
    return str(step) if step is not None else "none" if judged.job.case.generate else ""
