"""Perplexity: how well a causal model predicts the very text that it was given."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, kw_only=True)
class Perplexity:
    """How well the logits predict each next token (https://huggingface.co/docs/transformers/perplexity).

    Attributes:
        tokens: Number of tokens that were predicted.
        mean_nll: Mean negative log likelihood, -Σ log softmax(logits[i])[ids[i + 1]] / `tokens`, in nats per token; inf
            where a token is ruled out (-inf) or the logits that predict it hold NaN or +inf.
        value: exp(`mean_nll`), the perplexity: 1 for certainty, the size of the vocabulary for a uniform guess.
    """

    tokens: int
    mean_nll: float
    value: float


def perplexity(logits: ArrayLike, ids: ArrayLike, mask: ArrayLike | None = None) -> Perplexity | None:
    """The perplexity of a causal model on its own input: position i predicts token i + 1 of the same row.

    It reads row by row in float64; memory maps are never loaded as a whole.

    Args:
        logits: Shape [batch, seq, vocab]; any float type.
        ids: Shape [batch, seq], integers: the tokens that went in.
        mask: Shape [batch, seq]; a prediction counts where both its position and its token are not under 0. None
            keeps all.

    Returns:
        None where no token is predicted, or one that counts is outside of the vocabulary.

    Raises:
        ValueError: The shapes are not those above.
    """
    scores, tokens = np.asarray(logits), np.asarray(ids)
    kept = np.ones(tokens.shape, np.bool_) if mask is None else np.asarray(mask) != 0
    if scores.ndim != len(("batch", "seq", "vocab")) or not scores.shape[:-1] == tokens.shape == kept.shape:
        message = f"logits of {scores.shape} need ids and a mask of [batch, seq], not {tokens.shape} and {kept.shape}"
        raise ValueError(message)
    at = np.argwhere(kept[:, :-1] & kept[:, 1:])
    targets = tokens[at[:, 0], at[:, 1] + 1]
    if not targets.size or targets.min() < 0 or targets.max() >= scores.shape[-1]:
        return None
    with np.errstate(all="ignore"):  # NaN and inf have an answer
        mean = math.fsum(_losses(scores, at, targets)) / targets.size
    return Perplexity(tokens=targets.size, mean_nll=mean, value=_exp(mean))


def log_sum_exp(row: NDArray[np.float64]) -> float:
    """The normaliser of log softmax, log Σ exp(logit), without overflow; NaN where the largest logit is not finite.

    Args:
        row: Shape [vocab], float64, at least one.
    """
    peak = float(row.max())
    return peak + math.log(float(np.sum(np.exp(row - peak)))) if math.isfinite(peak) else math.nan


def _losses(logits: NDArray[Any], at: NDArray[np.intp], targets: NDArray[Any]) -> Iterator[float]:
    """-log softmax(row)[target] of each row, in nats; never NaN."""
    for (batch, seq), target in zip(at, targets, strict=True):
        row = logits[batch, seq].astype(np.float64)
        loss = log_sum_exp(row) - float(row[target])
        yield math.inf if math.isnan(loss) else loss


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
