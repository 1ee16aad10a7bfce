"""Outputs: whether and how an output of two captures differs, at the positions that count."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matrix.capture import Capture
from matrix.logits import LogitsDifference, compare_logits, row_blocks
from matrix.metrics import Difference, compare
from matrix.model_outputs import LOGITS, is_per_position, is_scores, shared
from matrix.perplexity import Perplexity, perplexity
from matrix.tensorfile import TensorFile
from matrix.totals import bits

RANK = 3
"""Of logits with positions: [batch, sequence, vocabulary]."""

CAUSAL = ("ForCausalLM", "LMHeadModel")
"""How the names of classes end whose logits predict the next token."""


@dataclass(frozen=True, kw_only=True)
class OutputDifference:
    """How one output differs.

    Attributes:
        values: Elementwise metrics over the positions that count.
        logits: Metrics of the distributions at those positions; None where the output is none: hidden states, a loss.
        masked_only: Whether bits differ, but only at positions that the mask leaves out.
        last_only: Whether only the last position was compared, because the sides were given different ids.
        perplexity: (baseline's, candidate's) on the ids they were given; None where the model is no causal LM, the
            logits are not those of the ids, or the sides were given different ones.
    """

    values: Difference
    logits: LogitsDifference | None
    masked_only: bool
    last_only: bool
    perplexity: tuple[Perplexity, Perplexity] | None


def compare_outputs(
    baseline: Capture, candidate: Capture, output: str = LOGITS, *, last_only: bool
) -> OutputDifference | None:
    """Compare an output of two captures; None when it has the same bits, which are then not read.

    Args:
        baseline: The capture that is taken as right.
        candidate: The capture that is compared with it.
        output: Which one, by the baseline's name.
        last_only: Whether only the last position has a counterpart, because the ids differ.

    Raises:
        CaptureError: When a tensor file is missing or torn.
    """
    if not last_only and _same_digest(baseline, candidate, output):
        return None
    sides = [read(side, side.stored(output), output) for side in (baseline, candidate)]
    mask = None
    if last_only:
        # different ids have no common positions; what comes next is what the user sees
        sides = [_last(side, capture) for side, capture in zip(sides, (baseline, candidate), strict=True)]
    else:
        mask = kept(baseline, sides[0].shape, output)
    a, b = sides
    values, scores = compare(a, b, mask), is_scores(output) and a.ndim in {RANK - 1, RANK}
    return OutputDifference(
        values=values,
        logits=compare_logits(a, b, mask) if scores else None,
        masked_only=mask is not None and a.dtype == b.dtype and not values.differing,
        last_only=last_only,
        perplexity=_perplexities((baseline, a), (candidate, b), mask) if scores and not last_only else None,
    )


def differing(baseline: Capture, candidate: Capture) -> Iterator[str]:
    """The outputs that both sides have and that are not the same at every position that counts, in order.

    Raises:
        CaptureError: When a tensor file is missing or torn.
    """
    return (name for name in shared(baseline, candidate) if not same_where_kept(baseline, candidate, name))


def same_where_kept(baseline: Capture, candidate: Capture, output: str = LOGITS) -> bool:
    """Whether an output of two captures holds the same bits at every position that the baseline's mask keeps.

    Equal digests are not read; otherwise reading ends at the first block that differs, and rows under the mask are
    left out. Outputs of another dtype or shape are never the same.

    Raises:
        CaptureError: When a tensor file is missing or torn.
    """
    one, other = baseline.outputs[baseline.stored(output)], candidate.outputs[candidate.stored(output)]
    if any(one[fact] != other[fact] for fact in ("dtype", "shape")):
        return False
    if one["sha256"] == other["sha256"]:
        return True
    a, b = (read(side, side.stored(output), output) for side in (baseline, candidate))
    mask = kept(baseline, a.shape, output)
    keep = np.ones(math.prod(a.shape[:-1]), np.bool_) if mask is None else mask.reshape(-1) != 0
    flat_a, flat_b = (bits(side).reshape(keep.size, a.shape[-1]) for side in (a, b))
    return all(_equal(flat_a[part], flat_b[part], keep[part]) for part in row_blocks(*flat_a.shape))


def read(capture: Capture, stored: str, output: str = LOGITS) -> NDArray[Any]:
    """A stored tensor that holds an output, as `rows` has it.

    Raises:
        CaptureError: When the tensor file is missing or torn.
    """
    return rows(TensorFile(capture.tensors).array(stored), output)


def rows(values: NDArray[Any], output: str = LOGITS) -> NDArray[Any]:
    """An output as [batch, sequence, vocabulary] or [batch, labels]; of other ranks, all but the last axis are rows."""
    if is_per_position(output):
        return values[..., np.newaxis]
    return values if values.ndim in {2, 3} else values.reshape(1, -1, values.shape[-1] if values.ndim else 1)


def kept(capture: Capture, shape: tuple[int, ...], output: str = LOGITS) -> NDArray[Any] | None:
    """The attention mask over an output of that shape; None where it says nothing about it.

    The mask of an encoder-decoder belongs to the encoder's input, and a mask that hides everything hides nothing. A
    causal LM may be the decoder alone of what its config describes.
    """
    whole = capture.config.get("is_encoder_decoder") and not capture.model_class.endswith(CAUSAL)
    if not capture.tokens or (whole and not output.startswith("encoder_")):
        return None
    mask = np.asarray(capture.tokens.attention_mask)
    return mask if mask.shape == shape[:-1] and mask.any() else None


def _same_digest(baseline: Capture, candidate: Capture, output: str) -> bool:
    one, other = (side.outputs[side.stored(output)]["sha256"] for side in (baseline, candidate))
    return bool(one == other)


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
