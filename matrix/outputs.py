"""Outputs: how the logits of two captures differ, at the positions that count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matrix.capture import Capture
from matrix.logits import LogitsDifference, compare_logits
from matrix.metrics import Difference, compare
from matrix.tensorfile import TensorFile

RANK = 3
"""Of logits with positions: [batch, sequence, vocabulary]."""


@dataclass(frozen=True, kw_only=True)
class OutputDifference:
    """How the logits differ.

    Attributes:
        values: Elementwise metrics over the positions that count.
        logits: Metrics of the distributions at those positions.
        last_only: Whether only the last position was compared, because the sides were given different ids.
    """

    values: Difference
    logits: LogitsDifference
    last_only: bool


def compare_outputs(baseline: Capture, candidate: Capture, *, last_only: bool) -> OutputDifference | None:
    """Compare the logits of two captures; None when they are the same bits, which are then not read.

    Args:
        baseline: The capture that is taken as right.
        candidate: The capture that is compared with it.
        last_only: Whether only the last position has a counterpart, because the ids differ.

    Raises:
        CaptureError: When a tensor file is missing or torn.
    """
    if not last_only and baseline.outputs["logits"]["sha256"] == candidate.outputs["logits"]["sha256"]:
        return None
    sides = [rows(TensorFile(side.tensors).array("logits")) for side in (baseline, candidate)]
    mask = None
    if last_only:
        # different ids have no common positions; what comes next is what the user sees
        sides = [_last(side, capture) for side, capture in zip(sides, (baseline, candidate), strict=True)]
    else:
        mask = kept(baseline, sides[0].shape)
    a, b = sides
    return OutputDifference(values=compare(a, b, mask), logits=compare_logits(a, b, mask), last_only=last_only)


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


def _last(logits: NDArray[Any], capture: Capture) -> NDArray[Any]:
    """The logits that decide what comes next, [batch, 1, vocabulary]: at the last position that the mask keeps."""
    if logits.ndim != RANK:
        return logits
    mask = kept(capture, logits.shape)
    width = logits.shape[1]
    ends = np.full(logits.shape[0], width - 1) if mask is None else width - 1 - np.argmax(mask[:, ::-1], axis=1)
    last: NDArray[Any] = logits[np.arange(logits.shape[0]), ends][:, None]
    return last
