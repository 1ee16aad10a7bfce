"""Which tokens two sides would pick, where the picks differ, and how close the call was."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float64]

MAX_FLIPS: Final = 20
"""How many flips are listed; all are counted."""

TOP: Final = 5


@dataclass(frozen=True, kw_only=True)
class Flip:
    """One position at which the two sides would pick another token; logits in the model's own unit.

    Attributes:
        position: (batch, seq).
        baseline_id: The baseline's argmax, the first one in case of a tie or NaN.
        candidate_id: The candidate's argmax. Equal to `baseline_id` only where a row holds NaN.
        margin: The baseline's best logit minus its second best: how firm its choice was. None where NaN or inf
            leaves it undefined.
        candidate_margin: The same of the candidate.
        gap: The baseline's logit of its own pick minus its logit of the candidate's pick: `margin`, or more where the
            candidate picks the baseline's third best or worse. None where NaN or inf leaves it undefined, or has a part
            in the candidate's pick: such a flip is never a tie.
    """

    position: tuple[int, int]
    baseline_id: int
    candidate_id: int
    margin: float | None
    candidate_margin: float | None
    gap: float | None

    def is_tie(self, reach: float) -> bool:
        """Whether logits that move by up to `reach` each can swap the two picks: `gap` ≤ 2 · `reach`.

        One of the two may fall by `reach` while the other rises by as much. Since `gap` is never less than `margin`,
        `margin` ≤ 2 · `reach` then holds too.

        Args:
            reach: In the unit of the logits, such as the largest difference that rounding alone makes; 0 or more.
        """
        return is_tie(self.gap, reach)


def is_tie(gap: float | None, reach: float) -> bool:
    """Whether a gap between two logits is closed when each moves by `reach`; never where the gap is undefined."""
    return gap is not None and gap <= 2.0 * reach


@dataclass(kw_only=True)
class Picks:
    """Running totals over the rows whose bits differ; rows that do not are known to add nothing."""

    flips: list[Flip] = field(default_factory=list)
    """The first `MAX_FLIPS`."""
    gaps: list[float | None] = field(default_factory=list)
    """`Flip.gap` of every flip."""
    missed_top: float = 0.0
    """Sum over the rows of the share of the baseline's five best that is not among the candidate's."""
    strangers: int = 0
    """Rows where one side's argmax is below the other's five best."""

    def add(self, position: tuple[int, int], baseline: Row, candidate: Row) -> None:
        """Take in one row of both sides.

        Args:
            position: (batch, seq).
            baseline: Shape [vocab], float64, at least one.
            candidate: The same shape.
        """
        a, b = _best(baseline), _best(candidate)
        self.missed_top += 1.0 - len(a.ids & b.ids) / a.values.size
        numbers = bool(a.ids and b.ids)
        if numbers and a.id == b.id:
            return
        gap = _finite(baseline[a.id] - baseline[b.id]) if np.isfinite(b.values[-1]) else None
        self.gaps.append(gap)
        self.strangers += not (numbers and baseline[b.id] >= a.values[0] and candidate[a.id] >= b.values[0])
        if len(self.flips) < MAX_FLIPS:
            margins = {"margin": a.margin, "candidate_margin": b.margin}
            self.flips.append(Flip(position=position, baseline_id=a.id, candidate_id=b.id, gap=gap, **margins))


@dataclass(frozen=True, kw_only=True)
class _Best:
    """The best tokens of a row.

    Attributes:
        id: The argmax, the first one in case of a tie; the first NaN, if there is one.
        ids: The ids of the five largest logits (or all, if fewer), of equal ones the lowest; none in a row with NaN.
        values: The five largest logits, ascending; NaN counts as the largest.
    """

    id: int
    ids: frozenset[int]
    values: Row

    @property
    def margin(self) -> float | None:
        """The best logit minus the second best."""
        return _finite(self.values[-1] - self.values[-2]) if self.values.size > 1 else None


def _best(row: Row) -> _Best:
    size = min(TOP, row.size)
    values = np.sort(np.partition(row, -size)[-size:])
    ids = np.flatnonzero(row >= values[0]) if not np.isnan(values[-1]) else np.empty(0, np.intp)
    if ids.size > size:
        # stable: of equal logits the lowest ids come first
        ids = ids[np.argsort(-row[ids], kind="stable")[:size]]
    return _Best(id=int(row.argmax()), ids=frozenset(ids.tolist()), values=values)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
