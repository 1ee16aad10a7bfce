"""The proof that a difference is rounding: in corrected float64 it all but vanishes; a change of meaning stays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from matrix.evidence import Evidence, bits
from matrix.metrics import Difference, compare
from matrix.outputs import kept, read

_DOUBLE = 53
"""Significant bits of float64 (IEEE 754)."""

_RULED_OUT = 2.0**120
"""Beyond this a logit is a filler such as `torch.finfo(torch.float32).min`, 2^128, or a share of it."""

RESOLUTION_BITS = 10
"""How many bits of float64 a forward may lose by its own sums: a difference below 2^-43 of the largest logit says
nothing. Kernels were seen to move corrected logits by 2^-51 (two layers) and 2^-48 (thirty)."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What is left of a difference when both sides compute in corrected float64.

    Attributes:
        before: The largest absolute difference at the dtype at hand.
        after: The largest absolute difference in corrected float64.
        cut: The share of `before` below which the difference is rounding. Rounding shrinks with the unit roundoff,
            from 2^-p to 2^-53; a change of meaning does not shrink. The cut lies between the two, at their geometric
            mean 2^-((53-p)/2): 4.3e-5 for float32, 1.7e-7 for bfloat16, 0 for float64, where nothing shrinks.
        resolution: Below this, float64 cannot tell.
        escaped: Operations that stayed below float64 on either side, and how often.
        reach: How far rounding may go at all: nearer, on a log scale, to the better side's own error than to the
            logits themselves. What goes further vanishes in float64 for another reason, such as a branch on the dtype
            or positions in bfloat16.
    """

    before: float
    after: float
    cut: float
    resolution: float
    escaped: Mapping[str, int]
    reach: float

    @property
    def vanishes(self) -> bool:
        """Whether the difference is rounding and nothing else."""
        return self.is_lifted and self.before <= self.reach

    @property
    def is_lifted(self) -> bool:
        """Whether float64 makes the difference go away, for whatever reason."""
        return math.isfinite(self.before) and math.isfinite(self.after) and self.after <= self.limit

    @property
    def limit(self) -> float:
        """How much may be left of a difference that is rounding."""
        return max(self.cut * self.before, self.resolution)

    @classmethod
    def of(cls, good: Evidence, one: str, bad: Evidence, other: str, before: float) -> Proof:
        """The proof from two stored tensors."""
        found, precision = between(good, one, bad, other), min(bits(good.dtype), bits(bad.dtype))
        return cls(
            before=before,
            after=math.inf
            if _lost(good, found.nonfinite_baseline) or _lost(bad, found.nonfinite_candidate)
            else found.max_abs,
            cut=2.0 ** (-(_DOUBLE - precision) / 2) if precision < _DOUBLE else 0.0,
            resolution=largest(good, one) * 2.0 ** (RESOLUTION_BITS - _DOUBLE),
            escaped=_escaped(good, bad),
            reach=_reach(good, one, bad, other, 2.0**-precision),
        )


def _reach(good: Evidence, one: str, bad: Evidence, other: str, roundoff: float) -> float:
    """The geometric mean of the better side's own error and the largest logit."""
    scale = largest(good, one)
    errors = [between(side, side.plain, side, stored).max_abs for side, stored in ((good, one), (bad, other))]
    better = min((error for error in errors if math.isfinite(error)), default=0.0)
    # the finer of two dtypes has an error of its own that is no measure of the coarser one's
    return math.sqrt(max(better, scale * roundoff) * scale)


def prove(good: Evidence, bad: Evidence, before: float) -> Proof | None:
    """The proof for one difference; None where a side could not run in corrected float64.

    Args:
        good: The baseline's closer look.
        bad: The candidate's.
        before: The largest absolute difference that is to be explained.

    Raises:
        CaptureError: When a tensor file is missing or torn.
    """
    one, other = good.exact.get(good.kernel), bad.exact.get(bad.kernel)
    return Proof.of(good, one, bad, other, before) if one and other else None


def between(good: Evidence, one: str, bad: Evidence, other: str) -> Difference:
    """How far two stored outputs lie apart where the mask lets the model look."""
    a, b = read(good.capture, one, good.output), read(bad.capture, other, bad.output)
    return compare(a, b, kept(good.capture, a.shape, good.output))


def _lost(side: Evidence, nonfinite: int) -> bool:
    """Whether float64 logits hold NaN or infinity where the plain ones do not: they prove nothing."""
    return nonfinite > between(side, side.plain, side, side.plain).nonfinite_baseline


def largest(side: Evidence, stored: str) -> float:
    """The largest logit that the mask keeps, without its sign; what fills a column and says nothing is left out.

    A column that holds one number at every position, or a number near the end of float32's range, rules a token out.
    """
    logits = read(side.capture, stored, side.output)
    mask = kept(side.capture, logits.shape, side.output)
    counted = logits.reshape(-1, logits.shape[-1]) if mask is None else logits[mask != 0]
    varied = (counted != counted[:1]).any(axis=0)
    sizes = np.abs(counted[:, varied] if varied.any() else counted)
    return float(np.max(sizes, initial=0.0, where=np.isfinite(sizes) & (sizes < _RULED_OUT)))


def _escaped(good: Evidence, bad: Evidence) -> dict[str, int]:
    counts = [side.escaped.get(side.kernel, {}) for side in (good, bad)]
    return {name: max(count.get(name, 0) for count in counts) for name in {**counts[0], **counts[1]}}
