"""The noise floor: how far rounding alone moves a case's logits, measured in the baseline's cell, never a constant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from matrix.capture import Capture
from matrix.cell import Cell
from matrix.metrics import compare
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


def measure(capture: Capture, relatives: Iterable[Capture], dtype: str) -> Floor | None:
    """The spread over the baseline's own attention kernels, at one dtype.

    Args:
        capture: The baseline's capture of the job.
        relatives: The baseline's captures of the same case and dtype under other kernels.
        dtype: The variant's dtype.

    Returns:
        None when there is nothing to measure it from.
    """
    spreads = [_spread(capture, relative) for relative in relatives]
    known = [spread for spread in spreads if spread is not None]
    if not known:
        return None
    return Floor(
        max_abs=max(known), limit=LIMITS.get(dtype, LIMIT_16_BIT), source="eager against sdpa in the baseline's cell"
    )


def _spread(a: Capture, b: Capture) -> float | None:
    if a.outputs["logits"]["shape"] != b.outputs["logits"]["shape"] or a.tokens != b.tokens:
        return None
    first, second = (TensorFile(side.tensors).array("logits") for side in (a, b))
    mask = np.asarray(a.tokens.attention_mask) if a.tokens else None
    usable = mask if mask is not None and mask.shape == first.shape[:-1] else None
    return compare(first, second, usable).max_abs
