"""Differences: every change of one architecture, walking its cells away from the baseline.

A bad cell is a change of its own unless a cell next to it on the way to the baseline shows the same: the same verdict,
stage and place, under the same inputs and kernels. What agreed in between and is bad again has changed again; a cell
that could not be compared says nothing, and the walk goes on over it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from matrix.cell import Cell
from matrix.judgement import Judgement
from matrix.spec import Stage
from matrix.sweep.answer import QUIET, SEVERITY, Difference, Seen, Shown
from matrix.sweep.cases import input_of
from matrix.sweep.cohort import AXIS
from matrix.verdicts import Verdicts

Cells = Mapping[tuple[str, ...], Sequence[Judgement]]
"""The values of a cell's axes → everything that was judged there about one architecture."""

Looks = tuple[Seen, Stage | None, str | None, frozenset[Shown]]
"""What a bad cell looks like: its worst verdict, the stage and the place of that, and everything that is not quiet."""


def differences(judgements: Iterable[Judgement], verdicts: Verdicts) -> tuple[Difference, ...]:
    """One per change, newer cells first, from the baseline outwards, then older ones."""
    cells: dict[tuple[str, ...], list[Judgement]] = {}
    for judged in judgements:
        cells.setdefault(tuple(judged.candidate.cell.axes.values()), []).append(judged)
    return tuple(_changes(cells, verdicts))


def _changes(cells: Cells, verdicts: Verdicts) -> Iterator[Difference]:
    for here in sorted(cells.values(), key=lambda here: _from_baseline(here[0].candidate.cell, verdicts)):
        before = list(_before(here[0].candidate.cell, cells, verdicts))
        looks = _looks(here)
        if looks and looks not in map(_looks, before):
            yield _difference(here, before, verdicts)


def _from_baseline(cell: Cell, verdicts: Verdicts) -> tuple[bool, tuple[int, ...]]:
    """Newer cells first, from the baseline outwards, then older ones."""
    axes, base = verdicts.run.spec.axes, verdicts.plan.baseline.axes
    steps = [axis.values.index(cell.axes[name]) - axis.values.index(base[name]) for name, axis in axes.items()]
    return any(step < 0 for step in steps), tuple(map(abs, steps))


def _before(cell: Cell, cells: Cells, verdicts: Verdicts) -> Iterator[Sequence[Judgement]]:
    """The next cells towards the baseline, along each axis; where one says nothing, the one behind it too."""
    for name, axis in verdicts.run.spec.axes.items():
        start, end = (axis.values.index(value) for value in (cell.axes[name], verdicts.plan.baseline.axes[name]))
        step = 1 if start < end else -1
        places = [{**cell.axes, name: axis.values[index]} for index in range(start + step, end + step, step)]
        for near in filter(None, (cells.get(tuple(place.values())) for place in places)):
            yield near
            if any(judged.verdict != "missing" for judged in near):
                break


def _looks(here: Sequence[Judgement]) -> Looks | None:
    """What one cell shows; None where all of it is quiet."""
    loud = _loud(here)
    if not loud:
        return None
    worst = _worst(loud)
    return worst.verdict, worst.stage, worst.where, frozenset(map(_shown, loud))


def _difference(here: Sequence[Judgement], before: Sequence[Sequence[Judgement]], verdicts: Verdicts) -> Difference:
    """What is worst of what is new in one cell, and the worst of all where nothing more is bad than before it."""
    loud = _loud(here)
    told = {_told(judged) for judged in chain.from_iterable(before)}
    worst = _worst([judged for judged in loud if _told(judged) not in told] or loud)
    max_abs, l2_rel = _distance(worst)
    axis, good, bad = _ends(worst, before, verdicts)
    return Difference(
        cell=worst.candidate.cell.id,
        case=worst.job.case.name,
        attention=worst.job.variant.attention,
        dtype=worst.job.variant.dtype,
        verdict=worst.verdict,
        stage=worst.stage,
        where=worst.where,
        summary=worst.summary,
        max_abs=max_abs,
        l2_rel=l2_rel,
        shown=tuple(map(_shown, loud)),
        quiet=tuple(_shown(judged) for judged in here if judged.verdict in QUIET),
        axis=axis,
        good=good,
        bad=bad,
        known=worst.known.reason if worst.known and not worst.fails else None,
    )


def _ends(judged: Judgement, before: Iterable[Sequence[Judgement]], verdicts: Verdicts) -> tuple[str, str, str]:
    """Axis, last good and first bad value; the baseline and this cell where nothing nearer is good."""
    cell, base = judged.candidate.cell, verdicts.plan.baseline
    for finding in verdicts.findings:
        same = (finding.case, finding.variant) == (judged.job.case.name, judged.job.variant)
        if same and finding.first_bad == cell.axes[finding.axis]:
            return finding.axis, finding.last_good, finding.first_bad
    unlike = [name for name in dict.fromkeys((AXIS, *cell.axes)) if cell.axes[name] != base.axes[name]]
    axis = unlike[0] if unlike else AXIS
    good = base.axes[axis]
    if len(unlike) == 1:
        quiet = [near for near in chain.from_iterable(before) if near.job.id == judged.job.id and near.verdict in QUIET]
        good = next((near.candidate.cell.axes[axis] for near in quiet), good)
    return axis, good, cell.axes[axis]


def _loud(judgements: Iterable[Judgement]) -> list[Judgement]:
    return [judged for judged in judgements if judged.verdict not in QUIET]


def _worst(judgements: Iterable[Judgement]) -> Judgement:
    return max(judgements, key=lambda judged: (SEVERITY.index(judged.verdict), _distance(judged)[1] or 0.0))


def _told(judged: Judgement) -> tuple[str, Seen, Stage | None, str | None]:
    return judged.job.id, judged.verdict, judged.stage, judged.where


def _shown(judged: Judgement) -> Shown:
    variant = judged.job.variant
    return Shown(input=input_of(judged.job.case), attention=variant.attention, dtype=variant.dtype)


def _distance(judged: Judgement) -> tuple[float | None, float | None]:
    """The largest difference and the relative L2 distance of what was compared; 0 where the bits are the same."""
    comparison = judged.comparison
    if comparison is None or comparison.shapes:
        return None, None
    if comparison.outputs is None:
        return 0.0, 0.0
    values = comparison.outputs.values
    l2_rel = float(f"{values.l2_rel:.9g}") if math.isfinite(values.l2_rel) else values.l2_rel
    return float(values.max_abs), l2_rel
