"""Orientation: what others call usual, shown beside a measured floor; no verdict ever uses it.

TransformerLens' guide says how far apart two implementations of one model usually lie after a single forward
(https://github.com/TransformerLensOrg/TransformerLens/blob/4cd36aaeb5dad931d085bd5d46a12b402fe15272/docs/source/content/debugging_numerical_divergence.md,
lines 95 to 97): below 5e-5 in float32 with eager attention, below 5e-4 in float32 with sdpa, whose reductions differ,
and below 1e-2 in bfloat16 with eager attention. It says nothing about other dtypes and kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

TRANSFORMER_LENS: Mapping[tuple[str, str], float] = MappingProxyType(
    {("float32", "eager"): 5e-5, ("float32", "sdpa"): 5e-4, ("bfloat16", "eager"): 1e-2}
)
"""(dtype, attention kernel) → the largest absolute difference of logits that is usual."""


def usual(dtype: str, kernel: str | None) -> float | None:
    """What TransformerLens calls usual; None where its guide says nothing."""
    return TRANSFORMER_LENS.get((dtype, kernel or ""))
