"""How far one tensor lies from its baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from matrix.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

WIDER: Final = {"b1": "u1", "f2": "f4"}
"""Types that are compared in another one that holds the same values exactly."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How two arrays of one shape differ, over all elements or those that a mask keeps.

    `rmse`, `l2_rel` and the cosines look only at elements that are finite on both sides; where there is none and
    something differs, they say inf, inf, 0 and 1. No field is ever NaN, unless float64 elements exceed 1e150.

    Attributes:
        elements: Number of elements compared.
        differing: Number of elements whose bits differ: -0.0 and 0.0 do, two NaN with the same bits do not.
        max_abs: Largest |baseline - candidate|, in the tensor's unit; inf where NaN or inf stands on one side only
            (or infinities of opposite sign face each other); an exact int for integers. NaN against NaN counts 0.
        max_abs_at: Coordinate of the first element that reaches `max_abs`; None where `max_abs` is 0.
        baseline_value: The baseline's element there; an int for integers and booleans.
        candidate_value: The candidate's element there.
        rmse: Root of the mean square difference, in the tensor's unit.
        l2_rel: ‖baseline - candidate‖ / ‖baseline‖; inf for a zero baseline and another candidate.
        cosine: Cosine similarity, -1 to 1; 1 for two zero vectors, 0 where only one is zero.
        one_minus_cosine: 1 - `cosine`, 0 to 2, without the cancellation: it resolves what `cosine` rounds to 1, down
            to 1e-7 of ‖baseline - candidate‖² / (‖baseline‖ ‖candidate‖).
        nonfinite_baseline: Number of NaN and inf in the baseline.
        nonfinite_candidate: Number of NaN and inf in the candidate.
    """

    elements: int
    differing: int
    max_abs: float
    max_abs_at: tuple[int, ...] | None
    baseline_value: float | None
    candidate_value: float | None
    rmse: float
    l2_rel: float
    cosine: float
    one_minus_cosine: float
    nonfinite_baseline: int
    nonfinite_candidate: int


def compare(baseline: ArrayLike, candidate: ArrayLike, mask: ArrayLike | None = None) -> Difference:
    """Compare two arrays in one pass over blocks of 512 KiB; memory maps are never loaded as a whole.

    Arrays of different types are compared in the type that numpy promotes both to. An array that is not contiguous
    is copied first.

    Args:
        baseline: Any shape; bool, integer or float.
        candidate: The same shape.
        mask: Shape of the leading axes, such as [batch, seq] for [batch, seq, hidden]; elements under 0 are left out.

    Raises:
        ValueError: The shapes differ, or the mask's shape is not that of the leading axes.
        TypeError: The arrays hold something other than booleans, integers or floats.
    """
    a, b = np.asarray(baseline), np.asarray(candidate)
    if a.shape != b.shape:
        message = f"arrays of one shape are needed, not {a.shape} and {b.shape}"
        raise ValueError(message)
    totals = Totals(dtype=_working_dtype(a.dtype, b.dtype))
    flat_a, flat_b = a.reshape(-1), b.reshape(-1)
    room_a, room_b = np.empty((2, totals.block_elements), totals.dtype)
    with np.errstate(all="ignore"):  # NaN, inf and overflow are what is looked for
        for start, stop in _blocks(a.shape, mask, totals.block_elements):
            totals.add(_load(flat_a[start:stop], room_a), _load(flat_b[start:stop], room_b), start)
    return _difference(totals, a, b)


def first_difference(
    baseline_ids: Sequence[int] | Sequence[Sequence[int]], candidate_ids: Sequence[int] | Sequence[Sequence[int]]
) -> int | None:
    """The first step at which greedy tokens differ, or None where all agree.

    A sequence that ends early differs at the step where it ends; a row that one side lacks counts as an empty one.

    Args:
        baseline_ids: Token ids of one sequence, or one such list per row of the batch.
        candidate_ids: The same for the candidate; over several rows the earliest step is returned.
    """
    steps = (_first_step(a, b) for a, b in zip_longest(_rows(baseline_ids), _rows(candidate_ids), fillvalue=()))
    return min((step for step in steps if step is not None), default=None)


def _first_step(a: Sequence[int], b: Sequence[int]) -> int | None:
    return next((step for step, (x, y) in enumerate(zip_longest(a, b)) if x != y), None)


def _rows(ids: Sequence[int] | Sequence[Sequence[int]]) -> list[Sequence[int]]:
    rows: list[Sequence[int]] = [row for row in ids if not isinstance(row, int)]
    return rows or [[token for token in ids if isinstance(token, int)]]


def _working_dtype(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    common = np.result_type(a, b)
    dtype = np.dtype(WIDER.get(f"{common.kind}{common.itemsize}", common))
    if dtype.kind not in "iuf" or dtype.itemsize > np.dtype(np.float64).itemsize:
        message = f"booleans, integers and floats of up to 64 bits can be compared, not {a} and {b}"
        raise TypeError(message)
    return dtype


def _blocks(shape: tuple[int, ...], mask: ArrayLike | None, limit: int) -> Iterator[tuple[int, int]]:
    """Flat ranges that cover what the mask keeps, none longer than `limit`."""
    for start, stop in [(0, math.prod(shape))] if mask is None else _kept_ranges(shape, np.asarray(mask)):
        for begin in range(start, stop, limit):
            yield begin, min(begin + limit, stop)


def _kept_ranges(shape: tuple[int, ...], mask: NDArray[Any]) -> list[tuple[int, int]]:
    """Flat ranges of neighbouring elements that the mask keeps."""
    if mask.shape != shape[: mask.ndim]:
        message = f"a mask of shape {mask.shape} does not fit the leading axes of {shape}"
        raise ValueError(message)
    width = math.prod(shape[mask.ndim :])
    kept = np.concatenate(([0], mask.reshape(-1) != 0, [0]))
    edges = (np.flatnonzero(np.diff(kept)) * width).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def _load(piece: NDArray[Any], room: NDArray[Any]) -> NDArray[Any]:
    """The piece itself where it can be used as it lies, else its values converted into `room`."""
    if piece.dtype == room.dtype and piece.flags.aligned:
        return piece
    block = room[: piece.size]
    np.copyto(block, piece)
    return block


def _difference(totals: Totals, a: NDArray[Any], b: NDArray[Any]) -> Difference:
    at, baseline_value, candidate_value, max_abs = None, None, None, totals.peak
    if totals.peak_at is not None:
        at = tuple(int(axis) for axis in np.unravel_index(totals.peak_at, a.shape))
        baseline_value, candidate_value = _value(a[at]), _value(b[at])
        # The block may have worked in float32: say it exactly.
        max_abs = abs(baseline_value - candidate_value) if math.isfinite(max_abs) else max_abs
    rmse, l2_rel, one_minus_cosine = _ratios(totals)
    return Difference(
        elements=totals.elements,
        differing=totals.differing,
        max_abs=max_abs,
        max_abs_at=at,
        baseline_value=baseline_value,
        candidate_value=candidate_value,
        rmse=rmse,
        l2_rel=l2_rel,
        cosine=1.0 - one_minus_cosine,
        one_minus_cosine=one_minus_cosine,
        nonfinite_baseline=totals.nonfinite_baseline,
        nonfinite_candidate=totals.nonfinite_candidate,
    )


def _value(element: Any) -> float:  # noqa: ANN401 - a numpy scalar of any kind
    value = element.item()
    return int(value) if isinstance(value, bool) else float(value) if isinstance(value, float) else value


def _ratios(totals: Totals) -> tuple[float, float, float]:
    """RMSE, relative L2 error and 1 - cosine of everything that is finite on both sides."""
    if not totals.finite and totals.peak:
        return math.inf, math.inf, 1.0
    if not totals.difference_squares:
        return 0.0, 0.0, 0.0
    rmse = math.sqrt(totals.difference_squares / totals.finite)
    norm = math.sqrt(totals.baseline_squares)
    return rmse, math.sqrt(totals.difference_squares) / norm if norm else math.inf, _one_minus_cosine(totals)


def _one_minus_cosine(totals: Totals) -> float:
    # With d = a - b:  |d|² = |a|² + |b|² - 2 a·b = (|a| - |b|)² + 2 |a| |b| (1 - cos),  solved for 1 - cos. Nothing
    # near 1 is subtracted from 1. |a| - |b| would still cancel, so it is taken from
    # |a|² - |b|² = (a - b)·(a + b) = 2 a·d - |d|²,  divided by |a| + |b|.
    a, b = math.sqrt(totals.baseline_squares), math.sqrt(totals.candidate_squares)
    if not a or not b:
        return 1.0
    gap = (2.0 * totals.projection - totals.difference_squares) / (a + b)
    return min(max((totals.difference_squares - gap * gap) / (2.0 * a * b), 0.0), 2.0)
