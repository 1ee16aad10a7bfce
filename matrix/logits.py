"""How far a model's logits lie from the baseline's, in the words of a language model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from matrix.totals import bits, magnitude

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    Row = NDArray[np.float64]

MAX_FLIPS: Final = 20
"""How many flips are listed; all are counted."""

MAX_POSITIONS: Final = 512
"""How many positions of the sequence get a maximum of their own."""

TOP: Final = 5


@dataclass(frozen=True, kw_only=True)
class Flip:
    """One position at which the two sides would pick another token.

    Attributes:
        position: (batch, seq).
        baseline_id: The baseline's argmax, the first one in case of a tie or NaN.
        candidate_id: The candidate's argmax. Equal to `baseline_id` only where a row holds NaN.
        margin: The baseline's best logit minus its second best: how firm its choice was. None where NaN or inf
            leaves it undefined.
    """

    position: tuple[int, int]
    baseline_id: int
    candidate_id: int
    margin: float | None


@dataclass(frozen=True, kw_only=True)
class LogitsDifference:
    """How two sides' logits differ over the positions that the mask keeps; nothing differs where it keeps none.

    A row is the vector of logits at one position. Rows with the same bits never differ, whatever they hold.

    Attributes:
        positions: Number of rows compared.
        kl_max: Largest Kullback-Leibler divergence KL(baseline‖candidate) of a row, in nats; inf where a row holds
            NaN or +inf, or where the candidate rules out (-inf) what the baseline allows.
        kl_mean: Mean over the rows, in nats.
        argmax_agreement: Share of rows with the same argmax, 0 to 1; a row with NaN disagrees.
        top5_overlap: Mean share of the baseline's five best tokens (or all, if fewer) among the candidate's, 0 to 1.
        flip_count: Number of rows whose argmax disagrees.
        flips: The first `MAX_FLIPS` of them.
        max_abs_by_position: Largest |baseline - candidate| at each of the first `MAX_POSITIONS` positions of the
            sequence, over the batch; 0 where all rows are masked.
        centred_max_abs: Largest |d - mean(d)| of a row, with d = baseline - candidate: what is left of the
            difference when a shift of the whole row, which softmax does not see, is taken out.
        masked_only: Whether bits differ, but only in rows that the mask leaves out.
    """

    positions: int
    kl_max: float
    kl_mean: float
    argmax_agreement: float
    top5_overlap: float
    flip_count: int
    flips: tuple[Flip, ...]
    max_abs_by_position: tuple[float, ...]
    centred_max_abs: float
    masked_only: bool


def compare_logits(baseline: ArrayLike, candidate: ArrayLike, mask: ArrayLike | None = None) -> LogitsDifference:
    """Compare logits row by row in float64; memory maps are never loaded as a whole.

    Args:
        baseline: Shape [batch, seq, vocab], or [batch, labels], which counts as seq = 1; any float type.
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
        for position, row_a, row_b in _differing_rows(a, b):
            tally.add(position, row_a, row_b, kept=bool(kept[position]))
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
    norm_p, norm_q = _log_sum_exp(baseline), _log_sum_exp(candidate)
    # Subtracting the logits before the normalisers keeps t exact where the logits nearly agree.
    t = (baseline - candidate) - (norm_p - norm_q)
    p = np.exp(baseline - norm_p)
    if np.max(np.abs(t)) < 1.0:
        return float(np.dot(p, t + np.expm1(-t)))
    kl = float(np.sum(np.where(p > 0.0, p * t, 0.0) + np.exp(candidate - norm_q) - p))
    return math.inf if math.isnan(kl) else max(kl, 0.0)


@dataclass(kw_only=True)
class _Tally:
    """Running totals over the rows whose bits differ; rows that do not are known to add nothing."""

    by_position: NDArray[np.float64]
    kl_max: float = 0.0
    kl_sum: float = 0.0
    missed_top: float = 0.0
    flip_count: int = 0
    flips: list[Flip] = field(default_factory=list)
    centred: float = 0.0
    differing_kept: int = 0
    differing_masked: int = 0

    def add(self, position: tuple[int, int], baseline: Row, candidate: Row, *, kept: bool) -> None:
        if not kept:
            self.differing_masked += 1
            return
        self.differing_kept += 1
        kl = divergence(baseline, candidate)
        self.kl_max, self.kl_sum = max(self.kl_max, kl), self.kl_sum + kl
        self.missed_top += 1.0 - _top_overlap(baseline, candidate)
        self._add_flip(position, baseline, candidate)
        self._add_distance(position[1], baseline, candidate)

    def _add_flip(self, position: tuple[int, int], baseline: Row, candidate: Row) -> None:
        a, b = int(baseline.argmax()), int(candidate.argmax())  # the first NaN, if there is one
        if a == b and not np.isnan(baseline[a]) and not np.isnan(candidate[b]):
            return
        self.flip_count += 1
        if len(self.flips) < MAX_FLIPS:
            self.flips.append(Flip(position=position, baseline_id=a, candidate_id=b, margin=_margin(baseline)))

    def _add_distance(self, seq: int, baseline: Row, candidate: Row) -> None:
        distance = float(magnitude(baseline, candidate).max())
        if seq < self.by_position.size:
            self.by_position[seq] = max(self.by_position[seq], distance)
        self.centred = max(self.centred, _centred(baseline, candidate) if math.isfinite(distance) else math.inf)


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


def _differing_rows(a: NDArray[Any], b: NDArray[Any]) -> Iterator[tuple[tuple[int, int], Row, Row]]:
    for batch in range(a.shape[0]):
        for seq in range(a.shape[1]):
            row_a, row_b = a[batch, seq].astype(np.float64), b[batch, seq].astype(np.float64)
            if not np.array_equal(bits(row_a), bits(row_b)):
                yield (batch, seq), row_a, row_b


def _log_sum_exp(row: Row) -> float:
    peak = float(row.max())
    return peak + math.log(float(np.sum(np.exp(row - peak)))) if math.isfinite(peak) else math.nan


def _top_overlap(baseline: Row, candidate: Row) -> float:
    size = min(TOP, baseline.size)
    return len(_top(baseline, size) & _top(candidate, size)) / size


def _top(row: Row, size: int) -> set[int]:
    """The ids of the `size` largest logits, of equal ones the lowest ids; none in a row with NaN."""
    if np.isnan(row).any():
        return set()
    threshold = np.partition(row, -size)[-size]
    above = np.flatnonzero(row > threshold).tolist()
    return {*above, *np.flatnonzero(row == threshold)[: size - len(above)].tolist()}


def _margin(row: Row) -> float | None:
    """The best logit minus the second best."""
    if row.size == 1:
        return None
    second, best = np.partition(row, -2)[-2:]
    margin = float(best - second)
    return margin if math.isfinite(margin) else None


def _centred(baseline: Row, candidate: Row) -> float:
    finite = np.isfinite(baseline) & np.isfinite(candidate)
    difference = baseline[finite] - candidate[finite]
    return float(np.abs(difference - difference.mean()).max()) if difference.size else 0.0


def _summary(tally: _Tally, positions: int) -> LogitsDifference:
    rows = max(positions, 1)
    return LogitsDifference(
        positions=positions,
        kl_max=tally.kl_max,
        kl_mean=tally.kl_sum / rows,
        argmax_agreement=1.0 - tally.flip_count / rows,
        top5_overlap=1.0 - tally.missed_top / rows,
        flip_count=tally.flip_count,
        flips=tuple(tally.flips),
        max_abs_by_position=tuple(tally.by_position.tolist()),
        centred_max_abs=tally.centred,
        masked_only=bool(tally.differing_masked and not tally.differing_kept),
    )
