"""The noise floor: how far rounding alone moves a case's logits, measured in the baseline's cell, never a constant."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from matrix.capture import Capture
from matrix.cell import Cell
from matrix.metrics import compare
from matrix.outputs import kept, rows
from matrix.tensorfile import TensorFile

LIMITS = {"float32": 2.0, "float64": 2.0}
LIMIT_16_BIT = 3.0
"""How many floors still count as noise. Two roundings of the same sum may each lie one floor from the truth, on either
side: 2. At 16 bits the floor itself is a few units in the last place and is sampled coarsely: 3."""


@dataclass(frozen=True, kw_only=True)
class Floor:
    """A measured noise floor.

    Attributes:
        max_abs: Largest absolute difference of logits between two ways to compute the same thing.
        limit: How many floors still count as noise.
        source: What it was measured from.
    """

    max_abs: float
    limit: float
    source: str

    def ratio(self, max_abs: float) -> float:
        """k: how many floors a difference is; infinite above a floor of zero."""
        return max_abs / self.max_abs if self.max_abs else float("inf")


def applies(baseline: Cell, candidate: Cell) -> bool:
    """Whether rounding may differ between two cells at all: only where an axis other than transformers differs."""
    return any(baseline.axes[name] != candidate.axes[name] for name in baseline.axes if name != "transformers")


def measure(capture: Capture, relatives: Mapping[str, Capture], dtype: str) -> Floor | None:
    """The spread over the baseline's own attention kernels, at one dtype.

    Args:
        capture: The baseline's capture of the job.
        relatives: Kernel → the baseline's capture of the same case and dtype under it.
        dtype: The variant's dtype.

    Returns:
        None when there is nothing finite to measure it from.
    """
    spreads = {kernel: _spread(capture, relative) for kernel, relative in relatives.items()}
    finite = {kernel: spread for kernel, spread in spreads.items() if spread is not None and math.isfinite(spread)}
    if not finite:
        return None
    source = f"{capture.attention} against {' and '.join(finite)} in the baseline's cell"
    return Floor(max_abs=max(finite.values()), limit=LIMITS.get(dtype, LIMIT_16_BIT), source=source)


def _spread(a: Capture, b: Capture) -> float | None:
    if a.outputs["logits"]["shape"] != b.outputs["logits"]["shape"] or a.tokens != b.tokens:
        return None
    first, second = (rows(TensorFile(side.tensors).array("logits")) for side in (a, b))
    return compare(first, second, kept(a, first.shape)).max_abs
