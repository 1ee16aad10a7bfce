"""Patterns: pure tests of how one output of two sides differs; each says what it measured, or nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matrix.explain.signs.sides import ENOUGH, FILLER, HEADS, ROUNDINGS, SMALLEST, Flags, Sides, by_token

_THREE = 3
"""Positions: one that is exact, and two that are not."""


def rows(sides: Sides) -> list[Flags]:
    """Of every row, which of its kept positions moved, in their order."""
    return [moved[kept] for moved, kept in zip(sides.moved, sides.kept, strict=True)]


def exact_first(sides: Sides) -> int | None:
    """How many later positions differ, where the first kept position of every row is exact and no later one is.

    Rows of one position say nothing and are passed over; two later positions in one row are needed.
    """
    found = [row for row in rows(sides) if len(row) > 1]
    if not found or max(map(len, found)) < _THREE or any(row[0] or not row[1:].all() for row in found):
        return None
    return sum(len(row) - 1 for row in found)


def rotated(sides: Sides) -> bool:
    """Whether every head's vector has the same length on both sides, though its direction differs: [.., .., dim].

    Rounding moves each of two products, their sum and the cosine by one u: the length by no more than 4 u a side.
    """
    if sides.good.ndim != HEADS:
        return False
    kept = np.broadcast_to(sides.kept[:, None, :], sides.good.shape[:3])
    before, after = (np.linalg.norm(side.astype(np.float64), axis=-1)[kept] for side in (sides.good, sides.bad))
    return bool(np.isfinite(after).all() and (np.abs(after - before) <= ROUNDINGS * sides.roundoff * before).all())


def window(ladder: Iterable[Sides], named: Collection[int] = ()) -> tuple[int, int] | None:
    """(n, rows that show it), where every row is exact for its first n positions and different at every later one.

    One row may also change at n because of the token that stands there. So two rows of different tokens have to show
    the same n at two later positions or more, or one row and a config that names n; rows of up to n positions have to
    be exact. Rows with padding may count from another position, and only confirm.

    Args:
        ladder: The same output for several inputs.
        named: Lengths that the config names, such as its sliding window.
    """
    plain: list[tuple[Flags, NDArray[Any]]] = []
    padded: list[tuple[Flags, NDArray[Any]]] = []
    starts: list[NDArray[Any]] = []
    for sides in ladder:
        tokens = by_token(sides.good)
        for row, kept, values in zip(rows(sides), sides.kept, tokens, strict=True):
            (plain if kept.all() else padded).append((row, values[kept][0]))
    firsts = {int(np.argmax(row)) for row, _ in plain if row.any()}
    if len(firsts) != 1 or (n := firsts.pop()) < 2:  # noqa: PLR2004 - from the second position on it is no window
        return None
    if any(not row[n:].all() for row, _ in plain):
        return None
    for row, start in (*plain, *padded):
        # a last position alone is a fault of the last position
        if len(row) > n + 1 and not row[:n].any() and row[n:].all():
            starts += [start] if not any(np.array_equal(start, other) for other in starts) else []
    return (n, len(starts)) if len(starts) > 1 or (starts and n in named) else None


def only_padded(ladder: Iterable[Sides]) -> tuple[int, int] | None:
    """(rows with padding that differ, rows without that are exact), where no row without padding differs.

    A row without padding counts for one with as many positions to be seen: a shorter one would hide what only length
    shows.
    """
    moved, exact = [], []
    for sides in ladder:
        for row, kept in zip(rows(sides), sides.kept, strict=True):
            if kept.all() and row.any():
                return None
            if kept.all():
                exact.append(len(row))
            elif row.any():
                moved.append(len(row))
    if not moved or not exact or max(exact) < max(moved):
        return None
    return len(moved), sum(length >= min(moved) for length in exact)


def lost(sides: Sides) -> tuple[str, int, int] | None:
    """("NaN or infinity" | "zero", tokens lost, tokens kept), where whole tokens of the bad side hold nothing else.

    Only tokens whose good side holds numbers throughout, and another value than 0, can be lost.
    """
    good, bad = sides.tokens
    sound = np.isfinite(good).all(axis=1) & (good != 0).any(axis=1)
    for name, gone in (("NaN or infinity", ~np.isfinite(bad).any(axis=1)), ("zero", (bad == 0).all(axis=1))):
        if count := int((gone & sound).sum()):
            return name, count, int(sound.size)
    return None


def ratio(sides: Sides) -> tuple[float, float] | None:
    """(bad over good, its relative spread), where one factor other than 1 accounts for every element.

    Both sides round the product once and may round the factor: the quotient spreads by 4 u at most. A factor within
    twice the limit of 1 is rounding, and no factor at all.
    """
    good, bad = sides.tokens
    # what rules a key out stands in scores on both sides
    ruled_out = (good == bad) & ~(np.abs(good) < FILLER)
    good, bad = good[~ruled_out], bad[~ruled_out]
    if not (np.isfinite(good).all() and np.isfinite(bad).all()) or ((good == 0) != (bad == 0)).any():
        return None
    counted = (np.abs(good) > SMALLEST) & (np.abs(bad) > SMALLEST)
    quotients, limit = bad[counted] / good[counted], ROUNDINGS * sides.roundoff
    if quotients.size < ENOUGH or np.unique(np.abs(good[counted])).size < ENOUGH / 2:
        return None
    middle = float(np.median(quotients))
    spread = float(np.ptp(quotients)) / abs(middle)
    return (middle, spread) if spread <= limit and abs(middle - 1) > 2 * limit else None


def shift(sides: Sides) -> tuple[str, float] | None:
    """("centring" | "bias", its largest size), where each token, or every token alike, is off by a constant.

    Centring takes one number from all features of a token; a bias adds one vector to every token. Adding rounds once,
    and what was added to once on each side: the difference spreads by 4 u of the larger value. The constant has to
    stand out of that spread by a factor of 16, so that no noise looks constant.
    """
    good, bad = sides.tokens
    offset, size = bad - good, np.maximum(np.abs(bad), np.abs(good))
    if offset.size < ENOUGH or min(offset.shape) < 2 or not np.isfinite(offset).all():  # noqa: PLR2004 - a pair
        return None
    slack = ROUNDINGS * sides.roundoff * np.maximum(size, np.abs(offset))
    largest = float(np.abs(offset).max())
    if largest <= 16 * float(slack.max()) or (good == good[:1]).all() or (good == good[:, :1]).all():
        return None
    for name, axis in (("centring", 1), ("bias", 0)):
        # one number that is within the slack of every element
        if ((offset - slack).max(axis=axis) <= (offset + slack).min(axis=axis)).all():
            return name, largest
    return None
