"""Curves: a softcap that one side lacks, and another constant below the root of a norm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matrix.explain.signs.sides import ENOUGH, FILLER, ROUNDINGS, SMALLEST, Floats, Sides, by_token


def cap(sides: Sides) -> tuple[float, bool] | None:
    """(c, whether the bad side lacks it), where one side is c·tanh(x/c) of the other (Gemma 2, arXiv:2408.00118).

    The quotient, the tangent and the product round once each, the other side's x once: within 8 u of |x|. What is
    bent by less than 64 u at the largest |x| cannot be told from another curve.
    """
    good, bad = (side.reshape(-1) for side in sides.tokens)
    usual = np.isfinite(good) & np.isfinite(bad) & (np.maximum(np.abs(good), np.abs(bad)) < FILLER)
    # what only one side has no number for is no cap
    if usual.sum() < ENOUGH or (np.isfinite(good) != np.isfinite(bad)).any():
        return None
    good, bad = good[usual], bad[usual]
    for capped, free, lacks in ((good, bad, True), (bad, good, False)):
        if (found := _cap(capped, free, sides.roundoff)) is not None:
            return found, lacks
    return None


def _cap(capped: Floats, free: Floats, roundoff: float) -> float | None:
    """The c of capped = c·tanh(free/c)."""
    top = int(np.argmax(np.abs(free)))
    high, low = abs(free[top]), abs(capped[top])
    varied = np.unique(np.abs(free)[np.abs(free) > high / 8]).size
    if not 0 < low < high * (1 - 64 * roundoff) or varied < ENOUGH / 2:
        return None
    c = _solve(high, low)
    # 1 - tanh²: how far the rounding of the topmost value moves c, and with it every other value
    steep = math.tanh(high / c) - (high / c) / math.cosh(min(high / c, 300.0)) ** 2
    blur = ROUNDINGS * roundoff * (low / max(steep, roundoff)) * np.minimum(1.0, (np.abs(free) / c) ** 3)
    left = np.abs(capped - c * np.tanh(free / c))
    # a straight line through the largest value would fit as well where nothing is bent
    bent = np.abs(capped - free * (low / high)).max() > ENOUGH * roundoff * high
    return c if bent and (left <= ROUNDINGS * roundoff * np.abs(capped) + blur).all() else None


def _solve(free: float, capped: float) -> float:
    """The c > 0 with c·tanh(free/c) = capped, by bisection: the left side grows with c from 0 to free."""
    low, high = capped, capped
    while high * math.tanh(free / high) < capped:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if middle * math.tanh(free / middle) < capped else (low, middle)
    return (low + high) / 2


@dataclass(frozen=True, kw_only=True)
class Epsilon:
    """Two constants below the root of a norm.

    Attributes:
        difference: The bad side's minus the good side's.
        smallest: The smallest mean square (variance) of a token that went in.
        largest: The largest.
        at_smallest: Relative difference of the output at the smallest.
        at_largest: Relative difference at the largest.
        known: The only pair of usual constants (good, bad) that fits; None where several do, or none.
    """

    difference: float
    smallest: float
    largest: float
    at_smallest: float
    at_largest: float
    known: tuple[float, float] | None


USUAL = (0.0, 1e-12, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
"""Constants that configs set for norms."""


def epsilon(output: Sides, given: NDArray[Any], *, centred: bool) -> Epsilon | None:
    """The constants that explain how a norm's output differs on one input.

    A norm without a bias gives x·w/√(m + ε) with the mean square m (the variance where `centred`): the output's ratio
    bad over good is one number r per token, and r² = (m + ε_good)/(m + ε_bad). Within a token the ratio spreads by
    8 u; r² has to follow m within 16 u, and has to vary by more than twice that: else it is one factor.

    Args:
        output: The norm's output.
        given: Its input, the same on both sides, shaped like the output.
        centred: Whether the norm subtracts the mean first.
    """
    x = by_token(given)[output.kept].astype(np.float64)
    mean_square = x.var(axis=1) if centred else np.square(x).mean(axis=1)
    found = _ratios(output)
    if found is None or found.shape != mean_square.shape or found.size < 3 or not (mean_square > 0).all():  # noqa: PLR2004
        return None
    squares, limit = np.square(found), 2 * ROUNDINGS * output.roundoff
    if np.ptp(np.log(squares)) <= 2 * limit:
        return None
    fitted = _fit(mean_square, squares)
    if fitted is None or _error(mean_square, squares, *fitted) > limit:
        return None
    low, high = int(np.argmin(mean_square)), int(np.argmax(mean_square))
    pairs = [(a, b) for a in USUAL for b in USUAL if a != b]
    errors = [_error(mean_square, squares, *pair) for pair in pairs]
    fitting = [pair for pair, error in zip(pairs, errors, strict=True) if error <= limit]
    return Epsilon(
        difference=fitted[1] - fitted[0],
        smallest=float(mean_square[low]),
        largest=float(mean_square[high]),
        at_smallest=float(abs(found[low] - 1)),
        at_largest=float(abs(found[high] - 1)),
        known=fitting[0] if len(fitting) == 1 else None,
    )


def _ratios(sides: Sides) -> Floats | None:
    """Bad over good per token, [tokens], where it is one number for all features of each."""
    good, bad = sides.tokens
    counted = np.abs(good) > SMALLEST
    if not np.isfinite(bad).all() or (counted.sum(axis=1) < 2).any():  # noqa: PLR2004 - one quotient never spreads
        return None
    quotients = np.divide(bad, good, out=np.full_like(good, np.nan), where=counted)
    found: Floats = np.nanmedian(quotients, axis=1)
    spread = np.nanmax(quotients, axis=1) - np.nanmin(quotients, axis=1)
    return found if (found > 0).all() and (spread <= ROUNDINGS * sides.roundoff * found).all() else None


def _fit(mean_square: Floats, squares: Floats) -> tuple[float, float] | None:
    """(ε_good, ε_bad) by least squares from (ε_good - r²·ε_bad)/(m·r²) = 1 - 1/r², both at least 0; or None.

    Where both are far below every m only their difference is determined, and the smaller one is taken as 0.
    """
    best: tuple[float, tuple[float, float]] | None = None
    # each token's equation, weighed so that its error is a relative one of r²
    columns, target = (1 / (mean_square * squares), -1 / mean_square), 1 - 1 / squares
    candidates = [np.linalg.lstsq(np.stack(columns, axis=1), target, rcond=None)[0]]
    for number, column in enumerate(columns):
        candidates.append(np.eye(2)[number] * float(column @ target / (column @ column)))
    for good, bad in ((float(pair[0]), float(pair[1])) for pair in candidates):
        error = _error(mean_square, squares, good, bad)
        if good >= 0 and bad >= 0 and good != bad and (best is None or error < best[0]):
            best = error, (good, bad)
    return best[1] if best else None


def _error(mean_square: Floats, squares: Floats, good: float, bad: float) -> float:
    """The largest relative error of r² = (m + ε_good)/(m + ε_bad)."""
    return float(np.abs((mean_square + good) / (mean_square + bad) / squares - 1).max())
