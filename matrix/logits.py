"""How far a model's logits lie from the baseline's, in the words of a language model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matrix.flips import Flip, Picks, Row, is_tie
from matrix.perplexity import log_sum_exp
from matrix.totals import bits, magnitude

MAX_POSITIONS: Final = 512
"""How many positions of the sequence get a maximum of their own."""

BLOCK_ELEMENTS: Final = 1 << 16
"""Logits that are looked at together: in float64 they stay in a core's cache."""


@dataclass(frozen=True, kw_only=True)
class LogitsDifference:
    """How two sides' logits differ over the positions that the mask keeps; nothing differs where it keeps none.

    A row is the vector of logits at one position. Rows with the same bits never differ, whatever they hold.

    Attributes:
        positions: Number of rows compared.
        kl_max: Largest Kullback-Leibler divergence KL(baseline‖candidate) of a row, in nats; inf where a row holds
            NaN or +inf, or where the candidate rules out (-inf) what the baseline allows.
        kl_mean: Mean over the rows, in nats.
        log_softmax_max_abs: Largest |log softmax(baseline) - log softmax(candidate)| of a token, in nats; no shift of a
            row changes it, so TransformerLens compares it in modes that shift logits. A token ruled out (-inf) on both
            sides counts 0, on one side inf; inf where a row holds NaN or +inf.
        argmax_agreement: Share of rows with the same argmax, 0 to 1; a row with NaN disagrees.
        top5_overlap: Mean share of the baseline's five best tokens (or all, if fewer) among the candidate's, 0 to 1.
        mutual_top5: Share of rows in which each side's argmax is among the other's five best, 0 to 1: what vLLM's
            `check_logprobs_close` demands of the first token that differs. A logit that equals the fifth best is
            among them; a row with NaN is not mutual.
        flip_count: Number of rows whose argmax disagrees.
        flips: The first `MAX_FLIPS` of them.
        flip_gaps: `Flip.gap` of every one of them, in the order of the rows.
        max_abs_by_position: Largest |baseline - candidate| at each of the first `MAX_POSITIONS` positions of the
            sequence, over the batch; 0 where all rows are masked.
        centred_max_abs: Largest |d - mean(d)| of a row, with d = baseline - candidate: what is left of the
            difference when a shift of the whole row, which softmax does not see, is taken out. inf where NaN or inf
            stands on one side only.
        centred_l2_rel: ‖C(baseline) - C(candidate)‖ / ‖C(baseline)‖ over all rows, with C(row) = row - mean(row), of
            finite elements: the relative L2 of what softmax sees. inf where `centred_max_abs` is, or where every row
            of the baseline is constant and a candidate's is not.
        masked_only: Whether bits differ, but only in rows that the mask leaves out.
    """

    positions: int
    kl_max: float
    kl_mean: float
    log_softmax_max_abs: float
    argmax_agreement: float
    top5_overlap: float
    mutual_top5: float
    flip_count: int
    flips: tuple[Flip, ...]
    flip_gaps: tuple[float | None, ...] = field(repr=False)
    max_abs_by_position: tuple[float, ...]
    centred_max_abs: float
    centred_l2_rel: float
    masked_only: bool

    def ties(self, reach: float) -> int:
        """How many of all flips are ties: see `Flip.is_tie`."""
        return sum(is_tie(gap, reach) for gap in self.flip_gaps)


def compare_logits(baseline: ArrayLike, candidate: ArrayLike, mask: ArrayLike | None = None) -> LogitsDifference:
    """Compare logits row by row in float64; memory maps are never loaded as a whole.

    Args:
        baseline: Shape [batch, seq, vocab], or [batch, labels], which counts as seq = 1; any float of up to 64 bits.
        candidate: The same shape.
        mask: Shape [batch, seq], or [batch] where seq is 1; rows under 0 are left out. None keeps all.

    Raises:
        ValueError: The shapes differ or are not those above, or the vocabulary is empty.
    """
    a, b = _cube(np.asarray(baseline)), _cube(np.asarray(candidate))
    if a.shape != b.shape:
        message = f"logits of one shape are needed, not {a.shape} and {b.shape}"
        raise ValueError(message)
    kept = _kept(mask, a.shape[:2])
    tally = _Tally(by_position=np.zeros(min(a.shape[1], MAX_POSITIONS)))
    with np.errstate(all="ignore"):  # NaN, inf and overflow are what is looked for
        _add_blocks(tally, a, b, kept.reshape(-1))
    return _summary(tally, int(np.count_nonzero(kept)))


def divergence(baseline: Row, candidate: Row) -> float:
    """The Kullback-Leibler divergence of the softmax of two rows of logits, in nats; inf where it is undefined.

    KL(p‖q) = Σ p log(p/q) (Kullback & Leibler 1951, "On Information and Sufficiency"), here as the equal sum
    Σ p t - p + q with t = log(p/q): no term is negative, so nothing cancels between terms and rounding noise of
    1e-7 in the logits is resolved (KL near 1e-14). Within a term, q - p = p expm1(-t) keeps small t exact.

    Args:
        baseline: Shape [vocab], float64; -inf is a token of probability 0.
        candidate: Shape [vocab], float64.
    """
    return _compare_softmax(baseline, candidate)[0]


@dataclass(kw_only=True)
class _Tally:
    """Running totals; of rows whose bits agree, only `squares` takes notice."""

    by_position: NDArray[np.float64]
    picks: Picks = field(default_factory=Picks)
    kl_max: float = 0.0
    kl_sum: float = 0.0
    log_softmax: float = 0.0
    centred: float = 0.0
    difference_squares: float = 0.0
    squares: float = 0.0
    differing_kept: int = 0
    differing_masked: int = 0

    def add(self, position: tuple[int, int], baseline: Row, candidate: Row) -> None:
        self.differing_kept += 1
        kl, log_softmax = _compare_softmax(baseline, candidate)
        self.kl_max, self.kl_sum = max(self.kl_max, kl), self.kl_sum + kl
        self.log_softmax = max(self.log_softmax, log_softmax)
        self.picks.add(position, baseline, candidate)
        distance, centred, squares = _distances(baseline, candidate)
        if position[1] < self.by_position.size:
            self.by_position[position[1]] = max(self.by_position[position[1]], distance)
        self.centred = max(self.centred, centred)
        self.difference_squares += squares


def _cube(logits: NDArray[Any]) -> NDArray[Any]:
    cube = logits[:, np.newaxis, :] if logits.ndim == len(("batch", "labels")) else logits
    if cube.ndim != len(("batch", "seq", "vocab")) or not cube.shape[-1]:
        message = f"logits have the shape [batch, seq, vocab] or [batch, labels], not {logits.shape}"
        raise ValueError(message)
    return cube


def _kept(mask: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    if mask is None:
        return np.ones(shape, np.bool_)
    kept: NDArray[np.bool_] = np.asarray(mask) != 0
    if shape not in {kept.shape, (*kept.shape, 1)}:
        message = f"a mask of shape {kept.shape} does not fit logits of [batch, seq] {shape}"
        raise ValueError(message)
    return kept.reshape(shape)


def _add_blocks(tally: _Tally, a: NDArray[Any], b: NDArray[Any], kept: NDArray[np.bool_]) -> None:
    """Feed all rows in order; those that differ one by one, all that are kept to the norm of the baseline."""
    width, vocab = a.shape[1:]
    flat_a, flat_b = a.reshape(-1, vocab), b.reshape(-1, vocab)
    for part in row_blocks(kept.size, vocab):
        keep, rows = kept[part], flat_a[part]
        differing = np.flatnonzero(_differs(rows, flat_b[part]))
        for row in differing[keep[differing]] + part.start:
            pair = flat_a[row].astype(np.float64), flat_b[row].astype(np.float64)
            tally.add((int(row) // width, int(row) % width), *pair)
        tally.differing_masked += int(np.count_nonzero(~keep[differing]))
        tally.squares += _centred_squares(rows if keep.all() else rows[keep])


def row_blocks(rows: int, width: int) -> Iterator[slice]:
    """Slices of consecutive rows that together hold about `BLOCK_ELEMENTS` elements, or one row if that is longer."""
    step = max(1, BLOCK_ELEMENTS // max(1, width))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def _differs(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows hold other bits, compared as float64 where the types differ."""
    if a.dtype != b.dtype:
        a, b = a.astype(np.float64), b.astype(np.float64)
    differs: NDArray[np.bool_] = (bits(a) != bits(b)).any(-1)
    return differs


def _compare_softmax(baseline: Row, candidate: Row) -> tuple[float, float]:
    """`divergence`, and the largest difference of the logarithms; both inf where they are undefined."""
    norm_p, norm_q = log_sum_exp(baseline), log_sum_exp(candidate)
    # Subtracting the logits before the normalisers keeps t exact where the logits nearly agree.
    t = (baseline - candidate) - (norm_p - norm_q)
    p = np.exp(baseline - norm_p)
    largest = float(np.abs(t).max())
    if largest < 1.0:
        return float(np.dot(p, t + np.expm1(-t))), largest
    kl = float(np.sum(np.where(p > 0.0, p * t, 0.0) + np.exp(candidate - norm_q) - p))
    ruled_out = (baseline == -np.inf) & (candidate == -np.inf)
    largest = float(np.abs(np.where(ruled_out, 0.0, t)).max())
    return math.inf if math.isnan(kl) else max(kl, 0.0), math.inf if math.isnan(largest) else largest


def _distances(baseline: Row, candidate: Row) -> tuple[float, float, float]:
    """Of d = baseline - candidate: max |d|, max |d - mean(d)| and Σ (d - mean(d))²; see `magnitude` for NaN and inf."""
    d = baseline - candidate
    distance = float(np.abs(d).max())
    if not math.isfinite(distance):
        distance = float(magnitude(baseline, candidate).max())
        d = d[np.isfinite(d)]
    if not math.isfinite(distance):
        return math.inf, math.inf, math.inf
    if d.size:
        d -= d.mean()
    return distance, float(np.abs(d).max(initial=0.0)), float(np.dot(d, d))


def _centred_squares(rows: NDArray[Any]) -> float:
    """Σ (x - mean)² over the finite elements of [rows, vocab], each row with its own mean."""
    x = rows.astype(np.float64)
    x -= x.mean(-1, keepdims=True)
    squares = float(np.vdot(x, x))
    return squares if math.isfinite(squares) else sum(_finite_squares(row.astype(np.float64)) for row in rows)


def _finite_squares(row: Row) -> float:
    finite = row[np.isfinite(row)]
    return float(np.sum((finite - finite.mean()) ** 2)) if finite.size else 0.0


def _ratio(difference_squares: float, squares: float) -> float:
    """A norm relative to another from their squares; 0 where nothing differs, inf relative to 0."""
    if squares:
        return math.sqrt(difference_squares / squares)
    return math.inf if difference_squares else 0.0


def _summary(tally: _Tally, positions: int) -> LogitsDifference:
    rows, picks = max(positions, 1), tally.picks
    return LogitsDifference(
        positions=positions,
        kl_max=tally.kl_max,
        kl_mean=tally.kl_sum / rows,
        log_softmax_max_abs=tally.log_softmax,
        argmax_agreement=1.0 - len(picks.gaps) / rows,
        top5_overlap=1.0 - picks.missed_top / rows,
        mutual_top5=1.0 - picks.strangers / rows,
        flip_count=len(picks.gaps),
        flips=tuple(picks.flips),
        flip_gaps=tuple(picks.gaps),
        max_abs_by_position=tuple(tally.by_position.tolist()),
        centred_max_abs=tally.centred,
        centred_l2_rel=_ratio(tally.difference_squares, tally.squares),
        masked_only=bool(tally.differing_masked and not tally.differing_kept),
    )
