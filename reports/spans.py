"""Spans: which cells and variants something holds for, in as few words as are true."""

from __future__ import annotations

from collections.abc import Sequence

from matrix.judgement import Judgement
from matrix.verdicts import Verdicts
from reports.differences import concerned
from reports.names import Names, listing


def place(verdicts: Verdicts, names: Names, found: Sequence[Judgement]) -> str:
    """What `span` says, after the pair of variants where both are of one cell."""
    where = span(verdicts, names, found)
    return f"{names.compared(found[0])} {where}" if found[0].within else where


def span(verdicts: Verdicts, names: Names, found: Sequence[Judgement]) -> str:
    """Such as `since 5.2.0`, `up to 4.48.0`, `in 5.2.0 and 5.23.0`, `since 5.2.0 under sdpa`.

    "Since" and "up to" are only said of an axis along which every judged cell of the case, whatever its other axes,
    agrees with them. Within a cell nothing is older or newer than its baseline: there the cells are listed.
    """
    if found[0].within:
        return _within(verdicts, names, found)
    return f"{_cells(verdicts, names, found)}{_variants(verdicts, names, found)}"


def _cells(verdicts: Verdicts, names: Names, found: Sequence[Judgement]) -> str:
    shown = {judged.candidate.cell.id for judged in found}
    judged_cells = [judged.candidate.cell for judged in concerned(verdicts, found[0].job.case.name)]
    for axis in names.axes:
        values = {judged.candidate.cell.axes[axis] for judged in found}
        alike = {cell.id for cell in judged_cells if cell.axes[axis] in values}
        tested = {cell.axes[axis] for cell in judged_cells}
        if alike == shown and (phrase := _along(verdicts, names, axis, values, tested)):
            return phrase
    return "in " + listing(names.cell(judged.candidate.cell) for judged in found)


def _within(verdicts: Verdicts, names: Names, found: Sequence[Judgement]) -> str:
    """Such as `in 4.57.6`, or `in every cell` where all cells that could say it do."""
    shown = dict.fromkeys(names.cell(judged.candidate.cell) for judged in found)
    pairs = [judged for judged in verdicts.within if _pair(judged) == _pair(found[0])]
    compared = {names.cell(judged.candidate.cell) for judged in pairs if judged.verdict != "missing"}
    return "in every cell" if len(compared) > 1 and compared == set(shown) else f"in {listing(shown)}"


def _pair(judged: Judgement) -> tuple[str, str]:
    return judged.job.id, judged.against.id if judged.against else ""


def _along(verdicts: Verdicts, names: Names, axis: str, values: set[str], tested: set[str]) -> str | None:
    """The phrase for an unbroken stretch that starts next to the baseline's side and ends with the axis."""
    order = verdicts.run.spec.axes[axis].values
    base = order.index(verdicts.plan.baseline.axes[axis])
    for side, word, doubt in ((order[base + 1 :], "since", "at the latest"), (order[:base][::-1], "up to", "at least")):
        line = [value for value in side if value in tested]
        bad = [value for value in line if value in values]
        if values <= set(line) and bad == line[len(line) - len(bad) :]:
            good = line[len(line) - len(bad) - 1 : len(line) - len(bad)]
            between = side[side.index(good[0]) + 1 if good else 0 : side.index(bad[0])]
            return f"{word} {names.value(axis, bad[0])}" + (f" {doubt}" if between else "")
    return None


def _variants(verdicts: Verdicts, names: Names, found: Sequence[Judgement]) -> str:
    case = found[0].job.case.name
    every = {job.variant.id for job in verdicts.plan.jobs if job.case.name == case}
    shown = {judged.job.variant.id for judged in found}
    return "" if shown == every else " under " + listing(names.job(judged.job) for judged in found)
