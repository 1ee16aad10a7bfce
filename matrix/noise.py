"""The noise floor: how far rounding alone moves a case's logits, measured in the baseline's cell, never a constant."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from matrix.cell import Cell
from matrix.evidence import Evidence, bits
from matrix.pairs import Pair
from matrix.proof import Proof, between, prove
from matrix.spec import Axis

LIMIT = 2.0
LIMIT_16_BIT = 3.0
"""How many floors still count as noise. Two roundings of the same sum may each lie one floor from the truth, on either
side: 2. At 16 bits the floor itself is a few units in the last place and is sampled coarsely: 3."""

_SINGLE = 24
"""Significant bits of float32 (IEEE 754)."""

ROUNDING_PACKAGES = frozenset({"torch", "numpy", "mkl", "intel-openmp", "onednn", "triton"})
"""Requirement axes whose packages compute, so that another release may round in another way."""


@dataclass(frozen=True, kw_only=True)
class Floor:
    """A measured noise floor.

    Attributes:
        parts: What was measured → largest absolute difference of logits between two ways to compute the same thing.
        limit: How many floors still count as noise.
        excluded: What was measured and is no rounding: kernels that do not agree in corrected float64 either.
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
    """

    plausible: bool
    floor: Floor | None = None
    proof: Proof | None = None
    lacking: tuple[str, ...] = ()

    def explains(self, max_abs: float, *, settled: bool) -> bool:
        """Whether rounding is enough to explain a largest difference of logits.

        Args:
            max_abs: The difference.
            settled: Whether nothing else that may be the cause differs: then a floor is enough where it may apply.
        """
        if self.proof and max_abs > self.proof.reach:
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
    # the coarser side is the one whose rounding is seen
    measured = min(sides, key=lambda side: bits(side.dtype), default=None)
    return Rounding(
        plausible=plausible,
        floor=measure(measured) if measured else None,
        proof=prove(good, bad, max_abs) if good and bad else None,
        lacking=tuple(dict.fromkeys(f"{name}: {why}" for side in sides for name, why in side.lacking.items())),
    )


def measure(evidence: Evidence) -> Floor | None:
    """The floor of one case in one cell; None when there is nothing finite to measure it from."""
    wide = bits(evidence.dtype) >= _SINGLE
    parts, excluded = dict(_error(evidence)), dict[str, float]()
    for name, max_abs in _spreads(evidence):
        (parts if _is_rounding(evidence, name) else excluded)[name] = max_abs
    finite = {name: max_abs for name, max_abs in parts.items() if math.isfinite(max_abs)}
    return Floor(parts=finite, limit=LIMIT if wide else LIMIT_16_BIT, excluded=excluded) if finite else None


def _error(evidence: Evidence) -> Iterator[tuple[str, float]]:
    """The low-precision error of the logits themselves."""
    if stored := evidence.exact.get(evidence.kernel):
        yield "its own error against corrected float64", between(evidence, "logits", evidence, stored).max_abs


def _spreads(evidence: Evidence) -> Iterator[tuple[str, float]]:
    for name, stored in evidence.roundings.items():
        yield name, between(evidence, "logits", evidence, stored).max_abs if stored else 0.0


def _is_rounding(evidence: Evidence, name: str) -> bool:
    """Whether another way to compute computes the same: two kernels may not, and then their spread is no noise."""
    own, other = evidence.exact.get(evidence.kernel), evidence.exact.get(name)
    stored = evidence.roundings[name]
    if own is None or other is None or stored is None:
        return True
    spread = between(evidence, "logits", evidence, stored).max_abs
    return Proof.of(evidence, own, evidence, other, spread).vanishes


def _differing(a: Cell, b: Cell) -> Iterator[str]:
    return (name for name in a.axes if a.axes[name] != b.axes[name])


def _rounds(name: str, axis: Axis) -> bool:
    return axis.kind != "requirement" or name.lower() in ROUNDING_PACKAGES
