"""Evidence: the earliest differing thing in every cell as a data frame of text, the baseline's first."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from matrix.capture import Capture, TensorState
from matrix.verdicts import Verdicts
from reports import captures, numbers
from reports.differences import Difference
from reports.frames import frame, without_empty
from reports.names import Names
from reports.tables import in_order

MAX_IDS = 12
MAX_KEYS = 8
_IDS_BEFORE = 3


def state(verdicts: Verdicts, names: Names, difference: Difference) -> pd.DataFrame:
    """The first values of the earliest differing tensor on every side that has it, and digests of the whole."""
    where = difference.where or ""
    held = {label: _tensor(capture, where) for label, capture in _sides(verdicts, names, difference)}
    held |= _second_loads(names, difference, where)
    if not any(held.values()):
        return frame([])
    rows = max(len(tensor.head) for tensor in held.values() if tensor)
    index = [*map(str, range(rows)), "sha256"]
    return frame({"element": index, **{label: _values(tensor, rows) for label, tensor in held.items()}})


def tokens(verdicts: Verdicts, names: Names, difference: Difference) -> pd.DataFrame:
    """Every cell's ids around the first position that differs, one row per cell."""
    change = difference.first.comparison.tokens if difference.first.comparison else None
    if change is None:
        return frame([])
    start = max(0, change.position - _IDS_BEFORE) if change.position >= MAX_IDS else 0
    window = range(start, start + MAX_IDS)
    rows = []
    for label, capture in _sides(verdicts, names, difference):
        lists = capture.tokens.lists.get(change.list, ()) if capture.tokens else ()
        ids = lists[change.row] if change.row < len(lists) else ()
        shown = {str(place): str(ids[place]) if place < len(ids) else "" for place in window}
        rows.append({"cell": label, **shown, "length": str(len(ids))})
    # positions that no cell has
    return without_empty(frame(rows))


def config(names: Names, difference: Difference) -> pd.DataFrame:
    """Config keys whose values differ, on the baseline's side and wherever the difference shows."""
    columns: dict[str, dict[str, str]] = {}
    for judged in difference.judgements:
        for change in judged.comparison.config[:MAX_KEYS] if judged.comparison else ():
            for label, value in zip(names.sides(judged), (change.baseline, change.candidate), strict=True):
                columns.setdefault(label, {})[change.key] = repr(value)
    keys = dict.fromkeys(key for column in columns.values() for key in column)
    filled = {label: [column.get(key, "as the baseline") for key in keys] for label, column in columns.items()}
    return frame({"key": list(keys), **filled})


def _sides(verdicts: Verdicts, names: Names, difference: Difference) -> Iterator[tuple[str, Capture]]:
    """Every cell's complete capture, in the spec's order; of variants that were compared, both in each cell."""
    if difference.first.within:
        for judged in difference.judgements:
            for label, side in zip(names.sides(judged), (judged.baseline, judged.candidate), strict=True):
                if side.captured:
                    yield label, side.captured
        return
    found = captures.of(verdicts, difference.jobs[0])
    for report in in_order(verdicts):
        capture = found.get(report.cell.id)
        if capture and capture.status == "captured":
            is_baseline = report.cell.id == verdicts.plan.baseline.id
            yield names.cell(report.cell) + (" (baseline)" if is_baseline else ""), capture


def _second_loads(names: Names, difference: Difference, where: str) -> dict[str, TensorState | None]:
    """The same tensor in the second loads that do not agree with the first."""
    found: dict[str, TensorState | None] = {}
    for judged in difference.judgements:
        for label, side in zip(names.sides(judged), (judged.baseline, judged.candidate), strict=True):
            again = side.repeat.taken if side.repeat else None
            one, other = (_tensor(load, where) if load else None for load in (side.captured, again))
            if one and other and one.sha256 != other.sha256:
                found[f"{label}, second load"] = other
    return found


def _tensor(capture: Capture, name: str) -> TensorState | None:
    return next((held for held in (*capture.parameters, *capture.buffers) if held.name == name), None)


def _values(tensor: TensorState | None, rows: int) -> list[str]:
    if tensor is None:
        return [numbers.ABSENT] * (rows + 1)
    shown = [numbers.element(value, tensor.dtype) for value in tensor.head]
    return [*shown, *[""] * (rows - len(shown)), tensor.sha256[:8]]
