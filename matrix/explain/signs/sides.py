"""Sides: one tensor as both sides have it, and how far rounding alone may take them apart.

Thresholds are numbers of unit roundoffs u = 2^-p of the dtype (Higham, Accuracy and Stability of Numerical Algorithms,
2.2): an operation that rounds once moves a value by a factor of at most 1 + u.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from matrix import evidence

Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]

ROUNDINGS = 8
"""Unit roundoffs by which a quotient or a difference of two values may spread that were rounded up to three times on
each side (a product, a factor, a weight), and stored; what is meant to be real has to be twice as large."""

ENOUGH = 16
"""Elements that have to agree before a pattern is more than a coincidence."""

SMALLEST = float(np.finfo(np.float32).tiny)
"""Below it float32 and bfloat16 have no relative precision."""

FILLER = 2.0**100
"""What is larger rules something out, such as the lowest number in a mask, and is no number of the model's."""

HEADS = 4
"""Rank of [batch, heads, sequence, dimension]."""


@dataclass(frozen=True, kw_only=True)
class Sides:
    """One tensor as both sides have it.

    Attributes:
        good: The baseline's: floats, [batch, sequence, …] or [batch, heads, sequence, dimension].
        bad: The candidate's, of the same shape.
        mask: [batch, sequence], 0 where the model may not look; None where it may look everywhere.
        dtype: torch's name of the dtype that it was computed in, which may be narrower than the arrays'.
    """

    good: NDArray[Any]
    bad: NDArray[Any]
    mask: NDArray[Any] | None = None
    dtype: str = "float32"

    @property
    def roundoff(self) -> float:
        """The unit roundoff of the dtype."""
        return float(2.0 ** -evidence.bits(self.dtype))

    @property
    def kept(self) -> Flags:
        """Where the mask lets the model look, [batch, sequence]."""
        shape = by_token(self.good).shape[:2]
        if self.mask is None or self.mask.shape != shape or not self.mask.any():
            return np.ones(shape, np.bool_)
        return np.asarray(self.mask != 0)

    @property
    def tokens(self) -> tuple[Floats, Floats]:
        """Both sides' vectors at the positions that count, [tokens, features]."""
        return tuple(by_token(side)[self.kept].astype(np.float64) for side in (self.good, self.bad))  # type: ignore[return-value]

    @property
    def moved(self) -> Flags:
        """The positions that count and have another value on the other side, [batch, sequence]."""
        good, bad = by_token(self.good), by_token(self.bad)
        differs: Flags = ((good != bad) & ~((good != good) & (bad != bad))).any(axis=-1)  # noqa: PLR0124 - NaN
        return differs & self.kept

    @property
    def visible(self) -> bool:
        """Whether it differs by more than rounding may: nearer, on a log scale, to the values than to their roundoff.

        Another kernel rounds otherwise, and from the second position on only; so does a padded row that takes another
        path than one without padding. Both stay far below √u of the largest value.
        """
        good, bad = self.tokens
        usual = np.isfinite(good) & (np.abs(good) < FILLER)
        largest = float(np.abs(good[usual]).max(initial=0.0))
        return bool(
            (np.abs(bad - good)[usual] > math.sqrt(self.roundoff) * largest).any() or np.isnan(bad[usual]).any()
        )


def by_token(values: NDArray[Any]) -> NDArray[Any]:
    """[batch, sequence, features], whatever the rank: heads become features; a tensor without positions has one."""
    values = np.asarray(values)
    if values.ndim == HEADS:
        values = np.moveaxis(values, 1, 2)
    if values.ndim < HEADS - 1:
        return values.reshape(values.shape[0] if values.ndim else 1, 1, -1)
    return values.reshape(*values.shape[:2], -1)
