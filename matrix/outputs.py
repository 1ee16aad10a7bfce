"""Outputs: whether and how the logits of two captures differ, at the positions that count."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matrix.capture import Capture
from matrix.logits import LogitsDifference, compare_logits, row_blocks
from matrix.metrics import Difference, compare
from matrix.perplexity import Perplexity, perplexity
from matrix.tensorfile import TensorFile
from matrix.totals import bits

RANK = 3
"""Of logits with positions: [batch, sequence, vocabulary]."""

CAUSAL = ("ForCausalLM", "LMHeadModel")
"""How the names of classes end whose logits predict the next token."""


@dataclass(frozen=True, kw_only=True)
class OutputDifference:
    """How the logits differ.

    Attributes:
        values: Elementwise metrics over the positions that count.
        logits: Metrics of the distributions at those positions.
        last_only: Whether only the last position was compared, because the sides were given different ids.
        perplexity: (baseline's, candidate's) on the ids they were given; None where the model is no causal LM, the
            logits are not those of the ids, or the sides were given different ones.
    """

    values: Difference
    logits: LogitsDifference
    last_only: bool
    perplexity: tuple[Perplexity, Perplexity] | None


def compare_outputs(baseline: Capture, candidate: Capture, *, last_only: bool) -> OutputDifference | None:
    """Compare the logits of two captures; None when they are the same bits, which are then not read.

    Args:
        baseline: The capture that is taken as right.
        candidate: The capture that is compared with it.
        last_only: Whether only the last position has a counterpart, because the ids differ.

    Raises:
        CaptureError: When a tensor file is missing or torn.
    """
    if not last_only and _same_digest(baseline, candidate):
        return None
    sides = [_logits(side) for side in (baseline, candidate)]
    mask = None
    if last_only:
        # different ids have no common positions; what comes next is what the user sees
        sides = [_last(side, capture) for side, capture in zip(sides, (baseline, candidate), strict=True)]
    else:
        mask = kept(baseline, sides[0].shape)
    a, b = sides
    return OutputDifference(
        values=compare(a, b, mask),
        logits=compare_logits(a, b, mask),
        last_only=last_only,
        perplexity=None if last_only else _perplexities((baseline, a), (candidate, b), mask),
    )


def same_where_kept(baseline: Capture, candidate: Capture) -> bool:
    """Whether two captures' logits hold the same bits at every position that the baseline's mask keeps.

    Equal digests are not read; otherwise reading ends at the first block that differs, and rows under the mask are
    left out. Logits of another dtype or shape are never the same.

    Raises:
        CaptureError: When a tensor file is missing or torn.
    """
    if any(baseline.outputs["logits"][fact] != candidate.outputs["logits"][fact] for fact in ("dtype", "shape")):
        return False
    if _same_digest(baseline, candidate):
        return True
    a, b = _logits(baseline), _logits(candidate)
    mask = kept(baseline, a.shape)
    keep = np.ones(math.prod(a.shape[:-1]), np.bool_) if mask is None else mask.reshape(-1) != 0
    flat_a, flat_b = (bits(side).reshape(keep.size, a.shape[-1]) for side in (a, b))
    return all(_equal(flat_a[part], flat_b[part], keep[part]) for part in row_blocks(*flat_a.shape))


def rows(logits: NDArray[Any]) -> NDArray[Any]:
    """Logits as [batch, sequence, vocabulary] or [batch, labels]; of other ranks, all but the last axis are rows."""
    return logits if logits.ndim in {2, 3} else logits.reshape(1, -1, logits.shape[-1] if logits.ndim else 1)


def kept(capture: Capture, shape: tuple[int, ...]) -> NDArray[Any] | None:
    """The attention mask over logits of that shape; None where it says nothing about them.

    The mask of an encoder-decoder belongs to the encoder's input, and a mask that hides everything hides nothing.
    """
    if not capture.tokens or capture.config.get("is_encoder_decoder"):
        return None
    mask = np.asarray(capture.tokens.attention_mask)
    return mask if mask.shape == shape[:-1] and mask.any() else None


def _logits(capture: Capture) -> NDArray[Any]:
    return rows(TensorFile(capture.tensors).array("logits"))


def _same_digest(baseline: Capture, candidate: Capture) -> bool:
    return bool(baseline.outputs["logits"]["sha256"] == candidate.outputs["logits"]["sha256"])


def _equal(a: NDArray[Any], b: NDArray[Any], keep: NDArray[np.bool_]) -> bool:
    return np.array_equal(a, b) if keep.all() else np.array_equal(a[keep], b[keep])


def _perplexities(
    baseline: tuple[Capture, NDArray[Any]], candidate: tuple[Capture, NDArray[Any]], mask: NDArray[Any] | None
) -> tuple[Perplexity, Perplexity] | None:
    """Both sides' perplexity on their own ids, or None where either has none."""
    found = []
    for capture, logits in (baseline, candidate):
        ids = np.asarray(capture.tokens.input_ids if capture.tokens else ())
        if not capture.model_class.endswith(CAUSAL) or logits.ndim != RANK or ids.shape != logits.shape[:-1]:
            return None
        found.append(perplexity(logits, ids, mask))
    before, after = found
    return (before, after) if before and after else None


def _last(logits: NDArray[Any], capture: Capture) -> NDArray[Any]:
    """The logits that decide what comes next, [batch, 1, vocabulary]: at the last position that the mask keeps."""
    if logits.ndim != RANK:
        return logits
    mask = kept(capture, logits.shape)
    width = logits.shape[1]
    ends = np.full(logits.shape[0], width - 1) if mask is None else width - 1 - np.argmax(mask[:, ::-1], axis=1)
    last: NDArray[Any] = logits[np.arange(logits.shape[0]), ends][:, None]
    return last
