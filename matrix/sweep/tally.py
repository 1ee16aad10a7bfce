"""The tally: everything that was judged about one architecture becomes one verdict per cell and one difference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from matrix.cell import Cell
from matrix.judgement import Judgement
from matrix.sweep.answer import QUIET, SEVERITY, Difference, Seen, Shown
from matrix.sweep.cases import input_of
from matrix.sweep.cohort import AXIS
from matrix.verdicts import Verdicts


def seen(judgements: Iterable[Judgement], removed: Iterable[Cell]) -> dict[str, Seen]:
    """Cell id → the worst verdict there, or that its release does not know the type."""
    worst: dict[str, Seen] = {cell.id: "removed" for cell in removed}
    for judged in judgements:
        cell = judged.candidate.cell.id
        worst[cell] = max(worst.get(cell, judged.verdict), judged.verdict, key=SEVERITY.index)
    return worst


def known(judgements: Sequence[Judgement]) -> tuple[str, ...]:
    """The cells where something is not quiet, and all of it was expected."""
    loud = [judged for judged in judgements if judged.verdict not in QUIET]
    failing = {judged.candidate.cell.id for judged in loud if judged.fails}
    return tuple(dict.fromkeys(cell for judged in loud if (cell := judged.candidate.cell.id) not in failing))


def difference(judgements: Sequence[Judgement], verdicts: Verdicts) -> Difference | None:
    """The worst of the first bad cell; None where all that was compared is quiet."""
    loud = [judged for judged in judgements if judged.verdict not in QUIET]
    if not loud:
        return None
    first = min((judged.candidate.cell for judged in loud), key=lambda cell: _from_baseline(cell, verdicts))
    here = [judged for judged in judgements if judged.candidate.cell == first]
    shown = [judged for judged in here if judged.verdict not in QUIET]
    worst = max(shown, key=lambda judged: (SEVERITY.index(judged.verdict), _distance(judged)[1] or 0.0))
    max_abs, l2_rel = _distance(worst)
    axis, good, bad = _ends(worst, verdicts)
    return Difference(
        cell=first.id,
        case=worst.job.case.name,
        attention=worst.job.variant.attention,
        dtype=worst.job.variant.dtype,
        verdict=worst.verdict,
        stage=worst.stage,
        where=worst.where,
        summary=worst.summary,
        max_abs=max_abs,
        l2_rel=l2_rel,
        shown=tuple(_shown(judged) for judged in shown),
        quiet=tuple(_shown(judged) for judged in here if judged.verdict in QUIET),
        axis=axis,
        good=good,
        bad=bad,
        known=worst.known.reason if worst.known and not worst.fails else None,
    )


def _from_baseline(cell: Cell, verdicts: Verdicts) -> tuple[bool, tuple[int, ...]]:
    """Newer cells first, from the baseline outwards, then older ones."""
    axes, base = verdicts.run.spec.axes, verdicts.plan.baseline.axes
    steps = [axis.values.index(cell.axes[name]) - axis.values.index(base[name]) for name, axis in axes.items()]
    return any(step < 0 for step in steps), tuple(map(abs, steps))


def _ends(judged: Judgement, verdicts: Verdicts) -> tuple[str, str, str]:
    """Axis, last good and first bad value; the baseline and this cell where no axis alone explains it."""
    cell, base = judged.candidate.cell, verdicts.plan.baseline
    for finding in verdicts.findings:
        same = (finding.case, finding.variant) == (judged.job.case.name, judged.job.variant)
        if same and finding.first_bad == cell.axes[finding.axis]:
            return finding.axis, finding.last_good, finding.first_bad
    axis = next((name for name in (AXIS, *cell.axes) if cell.axes[name] != base.axes[name]), AXIS)
    return axis, base.axes[axis], cell.axes[axis]


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
