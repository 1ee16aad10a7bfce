"""The running totals of one comparison, fed block by block."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK_BYTES: Final = 1 << 19
"""Bytes of one side's block: both blocks and the buffers of `Totals` stay in a core's cache."""

SEGMENT: Final = 512
"""Elements that BLAS may add up in float32 before the sum moves to float64: keeps relative errors under 1e-7."""


@dataclass(kw_only=True)
class Totals:
    """Everything that `matrix.metrics.Difference` is made of, summed in float64 over the blocks seen so far.

    The sums run over elements that are finite on both sides.

    Args:
        dtype: The type of the blocks to come: float32, float64 or any integer.
    """

    dtype: np.dtype[Any]
    elements: int = 0
    differing: int = 0
    finite: int = 0
    nonfinite_baseline: int = 0
    nonfinite_candidate: int = 0
    baseline_squares: float = 0.0
    candidate_squares: float = 0.0
    difference_squares: float = 0.0
    projection: float = 0.0
    """The inner product of the baseline and the difference."""
    peak: float = 0.0
    peak_at: int | None = None
    """Flat index of the first element that reaches `peak`, or None while all differences are 0."""
    _difference: NDArray[Any] = field(init=False, repr=False)
    _unequal: NDArray[np.bool_] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Allocate the buffers that all blocks share."""
        self._difference = np.empty(self.block_elements, self.dtype)
        self._unequal = np.empty(self.block_elements, np.bool_)

    @property
    def block_elements(self) -> int:
        """The most elements that one block may have."""
        return BLOCK_BYTES // self.dtype.itemsize

    def add(self, baseline: NDArray[Any], candidate: NDArray[Any], start: int) -> None:
        """Take in one block of both sides.

        Args:
            baseline: Shape [n], aligned and contiguous, of `dtype`; n is at most `block_elements`.
            candidate: The same for the candidate.
            start: Flat index of the block's first element.
        """
        size = baseline.size
        unequal = np.not_equal(bits(baseline), bits(candidate), out=self._unequal[:size])
        differing = int(np.count_nonzero(unequal))
        self.elements += size
        self.differing += differing
        if self.dtype.kind != "f":
            self._add_integers(baseline, candidate, start)
        elif not (self._add_different(baseline, candidate, start) if differing else self._add_equal(baseline)):
            self._add_careful(baseline.astype(np.float64), candidate.astype(np.float64), start)

    def _add_equal(self, block: NDArray[Any]) -> bool:
        squares = inner(block, block)
        if trusted := self._trusts(block.size, squares):
            self._add_sums(block.size, squares, squares, 0.0, 0.0)
        return trusted

    def _add_different(self, baseline: NDArray[Any], candidate: NDArray[Any], start: int) -> bool:
        difference = np.subtract(baseline, candidate, out=self._difference[: baseline.size])
        squares = inner(baseline, baseline), inner(candidate, candidate), inner(difference, difference)
        if trusted := self._trusts(baseline.size, *squares):
            self._add_sums(baseline.size, *squares, inner(baseline, difference))
            if max(difference.max(), -difference.min()) > self.peak:
                self._raise_peak(np.abs(difference, out=difference), start)
        return trusted

    def _trusts(self, size: int, *squares: float) -> bool:
        """Whether sums of squares can be right: no NaN or inf among the elements, no overflow, no underflow."""
        limits = np.finfo(self.dtype)
        floor = size * float(limits.tiny) / float(limits.eps)
        return all(floor < square < float("inf") for square in squares)

    def _add_careful(self, baseline: NDArray[np.float64], candidate: NDArray[np.float64], start: int) -> None:
        """The rare block with NaN or inf, or with elements whose squares float32 cannot hold; slow and in float64."""
        finite_baseline, finite_candidate = np.isfinite(baseline), np.isfinite(candidate)
        finite = finite_baseline & finite_candidate
        self.nonfinite_baseline += int(np.count_nonzero(~finite_baseline))
        self.nonfinite_candidate += int(np.count_nonzero(~finite_candidate))
        self._raise_peak(magnitude(baseline, candidate), start)
        a, b = baseline[finite], candidate[finite]
        d = a - b
        self._add_sums(a.size, inner(a, a), inner(b, b), inner(d, d), inner(a, d))

    def _add_integers(self, baseline: NDArray[Any], candidate: NDArray[Any], start: int) -> None:
        """Integers of up to 64 bits: the larger minus the smaller is exact as an unsigned number, even if it wraps."""
        less = baseline < candidate
        wrapped = np.where(less, candidate - baseline, baseline - candidate)
        a, b, distance = (block.astype(np.float64) for block in (baseline, candidate, bits(wrapped)))
        d = np.where(less, -distance, distance)
        self._add_sums(a.size, inner(a, a), inner(b, b), inner(d, d), inner(a, d))
        self._raise_peak(distance, start)

    def _add_sums(self, finite: int, baseline: float, candidate: float, difference: float, projection: float) -> None:
        self.finite += finite
        self.baseline_squares += baseline
        self.candidate_squares += candidate
        self.difference_squares += difference
        self.projection += projection

    def _raise_peak(self, distance: NDArray[Any], start: int) -> None:
        at = int(distance.argmax())
        if distance[at] > self.peak:
            self.peak, self.peak_at = float(distance[at]), start + at


def bits(array: NDArray[Any]) -> NDArray[Any]:
    """The same memory as unsigned integers of the same width, for comparing bits instead of values."""
    return array.view(f"u{array.dtype.itemsize}")


def magnitude(baseline: NDArray[np.float64], candidate: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distance |baseline - candidate| of every element, with an answer for NaN and inf.

    Equal infinities and two NaN are 0 apart; anything else that is not finite on one side is inf apart.

    Args:
        baseline: Any shape, float64.
        candidate: The same shape, float64.
    """
    distance = np.abs(baseline - candidate)
    # What is not a number now came from NaN (or two equal infinities): only one-sided NaN is a difference.
    same = (baseline == candidate) | (np.isnan(baseline) & np.isnan(candidate))
    distance[np.isnan(distance)] = np.inf
    distance[same] = 0.0
    return distance


def inner(x: NDArray[Any], y: NDArray[Any]) -> float:
    """The inner product of two float vectors, with a relative error under 1e-7 of |x||y|.

    BLAS multiplies and adds in the vectors' own type, one `SEGMENT` at a time; the segments are added in float64.

    Args:
        x: Shape [n], float32 or float64.
        y: Shape [n], the type of `x`.
    """
    if x.dtype != np.float32:
        return float(np.dot(x, y))
    whole = x.size - x.size % SEGMENT
    # A batch of row-times-column products: numpy calls BLAS dot once per segment.
    segments = np.matmul(x[:whole].reshape(-1, 1, SEGMENT), y[:whole].reshape(-1, SEGMENT, 1))
    return float(segments.sum(dtype=np.float64)) + float(np.dot(x[whole:], y[whole:]))
