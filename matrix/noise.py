"""The noise floor: how far rounding alone moves a case's logits, measured in the baseline's cell, never a constant."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from matrix.cell import Cell
from matrix.evidence import Evidence, bits
from matrix.pairs import Pair
from matrix.proof import Proof, between, largest, prove
from matrix.spec import Axis

LIMIT = 2.0
LIMIT_16_BIT = 3.0
"""How many floors still count as noise. Two roundings of the same sum may each lie one floor from the truth, on either
side: 2. At 16 bits the floor itself is a few units in the last place and is sampled coarsely: 3."""

_SINGLE = 24
"""Significant bits of float32 (IEEE 754)."""

OWN_ERROR = "its own error against corrected float64"
KERNELS = frozenset({"eager", "sdpa"})
"""Other roundings that are another attention kernel; the others are numbers of threads."""

ROUNDING_PACKAGES = frozenset({"torch", "numpy", "mkl", "intel-openmp", "onednn", "triton"})
"""Requirement axes whose packages compute, so that another release may round in another way."""


@dataclass(frozen=True, kw_only=True)
class Floor:
    """A measured noise floor.

    Attributes:
        parts: What was measured → largest absolute difference of logits between two ways to compute the same thing.
        limit: How many floors still count as noise.
        excluded: What was measured and is not known to be rounding: kernels that do not agree in corrected float64, or
            could not run in it, and an own error nearer to the logits themselves than to the unit roundoff.
    """

    parts: Mapping[str, float]
    limit: float
    excluded: Mapping[str, float]

    @property
    def max_abs(self) -> float:
        """The floor: the largest of its parts."""
        return max(self.parts.values())

    @property
    def source(self) -> str:
        """The part that the floor is."""
        return max(self.parts, key=self.parts.__getitem__)

    @property
    def reach(self) -> float:
        """How far noise may move one logit."""
        return self.limit * self.max_abs

    def ratio(self, max_abs: float) -> float:
        """k: how many floors a difference is; infinite above a floor of zero."""
        return max_abs / self.max_abs if self.max_abs else math.inf if max_abs else 0.0


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """What is known about rounding where two captures differ.

    Attributes:
        plausible: Whether something differs between the sides that may round in another way: torch, kernel, dtype,
            threads or CPU. Where nothing does, a floor excuses nothing and only a proof counts.
        floor: The noise floor; None when it could not be measured.
        proof: What is left of the difference in corrected float64; None when a side could not run it.
        lacking: Why something could not be measured.
        misrounded: Of two dtypes, parameters that the coarser load does not hold as rounding would make them.
    """

    plausible: bool
    floor: Floor | None = None
    proof: Proof | None = None
    lacking: tuple[str, ...] = ()
    misrounded: tuple[str, ...] = ()

    def explains(self, max_abs: float, *, settled: bool) -> bool:
        """Whether rounding is enough to explain a largest difference of logits.

        Args:
            max_abs: The difference.
            settled: Whether nothing else that may be the cause differs: then a floor is enough where it may apply.
        """
        if self.misrounded or (self.proof and max_abs > self.proof.reach):
            return False
        measured = self.plausible and settled and self.floor is not None and max_abs <= self.floor.reach
        return measured or (self.proof is not None and self.proof.vanishes)


def plausible(pair: Pair, axes: Mapping[str, Axis]) -> bool:
    """Whether rounding may differ between the two sides of a pair at all."""
    return pair.within is not None or any(_rounds(name, axes[name]) for name in _differing(pair.baseline, pair.cell))


def weigh(good: Evidence | None, bad: Evidence | None, max_abs: float, *, plausible: bool) -> Rounding:
    """Put together what both sides' closer looks say about a difference.

    Args:
        good: The baseline's side.
        bad: The candidate's side.
        max_abs: The largest absolute difference of logits that is to be explained.
        plausible: Whether rounding may differ at all.

    Raises:
        CaptureError: When a tensor file is missing or torn.
    """
    sides = [side for side in (good, bad) if side]
    return Rounding(
        plausible=plausible,
        floor=measure(measured) if (measured := _measured(good, bad)) else None,
        proof=prove(good, bad, max_abs) if good and bad else None,
        lacking=tuple(dict.fromkeys(f"{name}: {why}" for side in sides for name, why in side.lacking.items())),
        misrounded=tuple(name for side in sides for name in side.misrounded),
    )


def _measured(good: Evidence | None, bad: Evidence | None) -> Evidence | None:
    """The side whose floor counts: the baseline's; of two dtypes the coarser one's, whose rounding is seen."""
    if good is None or bad is None or good.dtype == bad.dtype:
        return good
    if good.kernel not in good.exact or bad.kernel not in bad.exact:
        return None  # the coarser one's own error is nearly the difference itself, and tells nothing alone
    return bad if bits(bad.dtype) < bits(good.dtype) else good


def measure(evidence: Evidence) -> Floor | None:
    """The floor of one case in one cell; None when there is nothing finite to measure it from."""
    wide = bits(evidence.dtype) >= _SINGLE
    found = {name: (max_abs, _is_rounding(evidence, name, max_abs)) for name, max_abs in _measurements(evidence)}
    parts = {name: max_abs for name, (max_abs, counts) in found.items() if counts}
    excluded = {name: max_abs for name, (max_abs, counts) in found.items() if not counts}
    return Floor(parts=parts, limit=LIMIT if wide else LIMIT_16_BIT, excluded=excluded) if parts else None


def _measurements(evidence: Evidence) -> Iterator[tuple[str, float]]:
    """The low-precision error of the logits themselves, and how far they lie from other roundings of them."""
    if stored := evidence.exact.get(evidence.kernel):
        yield OWN_ERROR, between(evidence, evidence.plain, evidence, stored).max_abs
    for name, stored in evidence.roundings.items():
        yield name, between(evidence, evidence.plain, evidence, stored).max_abs if stored else 0.0


def _is_rounding(evidence: Evidence, name: str, max_abs: float) -> bool:
    """Whether what was measured is rounding; of a kernel float64 has to say so, and float64 itself may be off."""
    own = evidence.exact.get(evidence.kernel)
    if not math.isfinite(max_abs):
        return False
    if name == OWN_ERROR:
        return own is not None and max_abs <= largest(evidence, own) * 2.0 ** (-bits(evidence.dtype) / 2)
    if name not in KERNELS:
        return True
    other = evidence.exact.get(name)
    return own is not None and other is not None and Proof.of(evidence, own, evidence, other, max_abs).vanishes


def _differing(a: Cell, b: Cell) -> Iterator[str]:
    return (name for name in a.axes if a.axes[name] != b.axes[name])


def _rounds(name: str, axis: Axis) -> bool:
    return axis.kind != "requirement" or name.lower() in ROUNDING_PACKAGES
