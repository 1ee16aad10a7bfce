"""Every metric of two sides' logits agrees with its definition, row by row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from matrix.flips import MAX_FLIPS
from matrix.logits import BLOCK_ELEMENTS, MAX_POSITIONS, compare_logits, divergence, row_blocks


def _random(*shape: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def _kl(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The textbook sum, in long double where the machine has it."""
    p, q = (np.exp(x.astype(np.longdouble)) for x in (a, b))
    p, q = p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)
    return np.asarray(np.sum(p * np.log(p / q), -1))


def _log_softmax(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    x = x.astype(np.longdouble)
    return np.asarray(x - np.log(np.exp(x).sum(-1, keepdims=True)))


def _centred(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    x = x.astype(np.float64)
    return np.asarray(x - x.mean(-1, keepdims=True))


@pytest.mark.parametrize("noise", [1e-3, 1.0, 10.0])
def test_random_logits_against_the_definitions(noise: float) -> None:
    a = _random(2, 7, 50)
    b = a + np.float32(noise) * _random(2, 7, 50, seed=1)
    difference = compare_logits(a, b)
    kl, d = _kl(a, b), a.astype(np.float64) - b
    top = np.argsort(a, -1)[..., -5:], np.argsort(b, -1)[..., -5:]
    overlap = [len({*x} & {*y}) / 5 for x, y in zip(*(t.reshape(-1, 5).tolist() for t in top), strict=True)]
    assert difference.positions == 14
    assert difference.kl_max == pytest.approx(float(kl.max()), rel=1e-7)
    assert difference.kl_mean == pytest.approx(float(kl.mean()), rel=1e-7)
    assert difference.argmax_agreement == pytest.approx(np.mean(a.argmax(-1) == b.argmax(-1)))
    assert difference.top5_overlap == pytest.approx(np.mean(overlap))
    np.testing.assert_array_equal(difference.max_abs_by_position, np.abs(d).max((0, 2)))
    assert difference.centred_max_abs == pytest.approx(np.abs(d - d.mean(-1, keepdims=True)).max())
    relative = np.linalg.norm(_centred(a) - _centred(b)) / np.linalg.norm(_centred(a))
    assert difference.centred_l2_rel == pytest.approx(float(relative), rel=1e-12)
    log_ratio = np.abs(_log_softmax(a) - _log_softmax(b)).max()
    assert difference.log_softmax_max_abs == pytest.approx(float(log_ratio), rel=1e-9)
    assert difference.kl_max == max(divergence(x, y) for x, y in zip(*_rows64(a, b), strict=True))


def _rows64(*sides: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    return [side.reshape(-1, side.shape[-1]).astype(np.float64) for side in sides]


@pytest.mark.parametrize("noise", [0.3, 3.0])
def test_mutual_top_5_against_sorting(noise: float) -> None:
    a = _random(1, 200, 30)
    b = a + np.float32(noise) * _random(1, 200, 30, seed=1)
    mutual = [
        y.argmax() in np.argsort(x)[-5:] and x.argmax() in np.argsort(y)[-5:] for x, y in zip(a[0], b[0], strict=True)
    ]
    found = compare_logits(a, b).mutual_top5
    assert found == pytest.approx(np.mean(mutual), abs=1e-12)
    assert found < 1


def test_one_side_alone_is_not_mutual() -> None:
    a = np.array([[9.0, 5, 4, 3, 2, 1, 0]])
    b = np.array([[0.0, 9, 8, 7, 6, 5, 4]])
    assert compare_logits(a, b).mutual_top5 == 0  # the candidate's best is the baseline's second; not the reverse
    assert compare_logits(b, a).mutual_top5 == 0


def test_a_logit_that_equals_the_fifth_best_is_among_the_best() -> None:
    a = np.array([[9.0, 1, 1, 1, 1, 1, 1]])
    b = np.array([[9.0, 1, 1, 1, 1, 1, 10]])
    assert compare_logits(a, b).mutual_top5 == compare_logits(b, a).mutual_top5 == 1


def test_rows_that_agree_count_in_the_norm_of_the_baseline() -> None:
    a = np.array([[[1.0, -1.0], [3.0, -3.0], [100.0, -100.0]]])
    b = a.copy()
    b[0, 0] = 2.0, -2.0
    mask = np.array([[1, 1, 0]])
    # squares: baseline 2 + 18, difference 2
    assert compare_logits(a, b, mask).centred_l2_rel == pytest.approx(math.sqrt(2 / 20))


def test_many_blocks_are_as_one() -> None:
    a = _random(3, 50, 1000)
    b = a.copy()
    b[1, 7], b[2, 49, 3] = _random(1000, seed=1), 9.0
    mask = np.random.default_rng(2).random((3, 50)) < 0.7
    mask[1, 7] = mask[2, 49] = True
    difference = compare_logits(a, b, mask)
    relative = np.linalg.norm((_centred(a) - _centred(b))[mask]) / np.linalg.norm(_centred(a)[mask])
    assert a.size > 2 * BLOCK_ELEMENTS
    assert difference.centred_l2_rel == pytest.approx(float(relative), rel=1e-12)
    assert difference.positions == np.count_nonzero(mask)
    assert [flip.position for flip in difference.flips] == [(1, 7), (2, 49)]
    np.testing.assert_allclose(difference.max_abs_by_position, np.abs(a.astype(float) - b).max((0, 2)))


@pytest.mark.parametrize(("rows", "width"), [(0, 5), (7, 1), (3, BLOCK_ELEMENTS), (5, BLOCK_ELEMENTS // 2), (4, 0)])
def test_blocks_hold_every_row_once(rows: int, width: int) -> None:
    parts = list(row_blocks(rows, width))
    assert [row for part in parts for row in range(part.start, part.stop)] == list(range(rows))
    assert all((part.stop - part.start) * width <= BLOCK_ELEMENTS for part in parts)


def test_a_constant_row_has_no_relative_distance() -> None:
    a = np.full((1, 2), 0.5)
    assert compare_logits(a, a + 1).centred_l2_rel == 0
    assert compare_logits(a, np.array([[0.0, 1.0]])).centred_l2_rel == math.inf


def test_rounding_noise_is_resolved() -> None:
    a = _random(1, 1, 1000).astype(np.float64)
    d = 1e-7 * _random(1, 1, 1000, seed=1)
    p = np.exp(a) / np.exp(a).sum()
    variance = float(np.sum(p * d * d) - np.sum(p * d) ** 2)  # KL is half of it, to second order
    assert compare_logits(a, a + d).kl_max == pytest.approx(variance / 2, rel=1e-5)


def test_equal_logits() -> None:
    a = _random(2, 3, 9)
    a[0, 0, 0] = np.nan
    difference = compare_logits(a, a.copy())
    assert (difference.kl_max, difference.argmax_agreement, difference.top5_overlap) == (0, 1, 1)
    assert (difference.mutual_top5, difference.log_softmax_max_abs, difference.centred_l2_rel) == (1, 0, 0)
    assert (difference.flips, difference.masked_only, difference.max_abs_by_position) == ((), False, (0, 0, 0))


def test_a_shift_of_a_row_is_centred_away() -> None:
    a = _random(1, 2, 20).astype(np.float64)
    difference = compare_logits(a, a + 3.0)
    assert difference.centred_max_abs == pytest.approx(0.0, abs=1e-14)
    assert difference.centred_l2_rel == pytest.approx(0.0, abs=1e-14)
    assert difference.log_softmax_max_abs == pytest.approx(0.0, abs=1e-14)
    assert difference.kl_max == pytest.approx(0.0, abs=1e-14)
    assert difference.max_abs_by_position == pytest.approx((3.0, 3.0))


def test_flips_are_counted_beyond_the_list() -> None:
    a, b = np.tile([1.0, 0.0], (1, 600, 1)), np.tile([0.0, 1.0], (1, 600, 1))
    a[0, 500] = 0.25, 0.0
    difference = compare_logits(a, b)
    assert (difference.flip_count, len(difference.flips)) == (600, MAX_FLIPS)
    assert (difference.ties(0.1), difference.ties(0.125), difference.ties(0.5)) == (0, 1, 600)
    assert "flip_gaps" not in repr(difference)
    assert len(difference.max_abs_by_position) == MAX_POSITIONS


def test_only_masked_rows_differ() -> None:
    a = _random(2, 3, 10)
    b, mask = a.copy(), np.array([[0, 1, 1], [1, 1, 1]])
    b[0, 0] = np.nan
    difference = compare_logits(a, b, mask)
    assert difference.masked_only
    assert (difference.positions, difference.kl_max, difference.argmax_agreement) == (5, 0, 1)
    b[1, 1, 1] += 1
    difference = compare_logits(a, b, mask)
    assert not difference.masked_only
    assert difference.max_abs_by_position == pytest.approx((0, 1, 0), abs=1e-6)


def test_everything_masked() -> None:
    difference = compare_logits(_random(1, 2, 3), _random(1, 2, 3, seed=1), np.zeros((1, 2)))
    assert (difference.positions, difference.kl_mean, difference.argmax_agreement) == (0, 0, 1)
    assert (difference.mutual_top5, difference.centred_l2_rel, difference.masked_only) == (1, 0, True)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_with_nan_or_inf(value: float) -> None:
    a = _random(1, 2, 8)
    b = a.copy()
    b[0, 1, a[0, 1].argmax()] = value
    difference = compare_logits(a, b)
    assert (difference.kl_max, difference.kl_mean, difference.centred_max_abs) == (math.inf,) * 3
    assert (difference.centred_l2_rel, difference.log_softmax_max_abs) == (math.inf,) * 2
    assert difference.mutual_top5 == (0.5 if np.isnan(value) else 1)
    assert difference.max_abs_by_position == (0, math.inf)
    assert difference.flip_count == int(np.isnan(value))


def test_tokens_ruled_out_on_both_sides() -> None:
    a = np.array([[[0.0, 1.0, -np.inf]]])
    b = np.array([[[0.5, 1.0, -np.inf]]])
    assert compare_logits(a, b).kl_max == pytest.approx(float(_kl(a[..., :2], b[..., :2])[0, 0]))
    b[0, 0, 2] = 0.0
    assert math.isfinite(compare_logits(a, b).kl_max)
    assert compare_logits(b, a).kl_max == compare_logits(a, b).log_softmax_max_abs == math.inf


def test_what_is_ruled_out_on_both_sides_does_not_count() -> None:
    a, b = _random(1, 3, 9), _random(1, 3, 9, seed=1)
    b[0, 1] = a[0, 1]
    short = compare_logits(a[..., :7], b[..., :7])
    a[..., 7:] = b[..., 7:] = -np.inf
    difference = compare_logits(a, b)
    assert difference.centred_l2_rel == pytest.approx(short.centred_l2_rel, rel=1e-12)
    assert difference.centred_max_abs == pytest.approx(short.centred_max_abs, rel=1e-12)
    assert difference.log_softmax_max_abs == pytest.approx(short.log_softmax_max_abs, rel=1e-12)


def test_rows_of_nothing_finite() -> None:
    a, b = np.full((2, 2), -np.inf), np.full((2, 2), -np.inf)
    assert compare_logits(a, b).centred_l2_rel == 0
    b[1] = np.nan
    difference = compare_logits(a, b)
    assert (difference.kl_max, difference.log_softmax_max_abs, difference.centred_l2_rel) == (math.inf,) * 3


def test_nan_on_both_sides_leaves_the_finite_elements_comparable() -> None:
    a, b = np.array([[np.nan, 1.0, -1.0]]), np.array([[np.nan, 2.0, -2.0]])
    difference = compare_logits(a, b)
    assert (difference.centred_max_abs, difference.centred_l2_rel) == (1, 1)
    assert (difference.log_softmax_max_abs, difference.flip_gaps) == (math.inf, (None,))
    assert difference.ties(math.inf) == 0


def test_a_vocabulary_of_one_token_leaves_no_choice() -> None:
    difference = compare_logits(np.array([[1.0]]), np.array([[7.0]]))
    assert (difference.argmax_agreement, difference.mutual_top5, difference.flip_count) == (1, 1, 0)
    assert (difference.kl_max, difference.log_softmax_max_abs, difference.centred_l2_rel) == (0, 0, 0)


def test_two_tokens_by_hand() -> None:
    difference = compare_logits(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
    assert difference.log_softmax_max_abs == pytest.approx(1)  # log p: -0.3133 and -1.3133, swapped
    assert difference.kl_max == pytest.approx(math.tanh(0.5))
    assert (difference.centred_l2_rel, difference.mutual_top5, difference.flip_gaps) == (2, 1, (1.0,))


def test_halves_are_compared_by_their_values_with_floats() -> None:
    a = _random(1, 4, 9).astype(np.float16)
    assert compare_logits(a, a.astype(np.float32)).kl_max == 0
    assert not compare_logits(a, a.astype(np.float32)).masked_only
    assert compare_logits(a, a.astype(np.float32) + np.float32(1e-5)).max_abs_by_position[0] > 0


def test_labels_count_as_one_position() -> None:
    a, b = _random(3, 2), _random(3, 2, seed=1)
    assert compare_logits(a, b) == compare_logits(a[:, None], b[:, None], np.ones(3))


def test_ties_pick_the_lowest_ids() -> None:
    a = np.zeros((1, 1, 9))
    b = a.copy()
    b[0, 0, 8] = -1.0
    assert compare_logits(a, b).top5_overlap == 1.0


def test_what_are_no_logits_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        compare_logits(np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match="one shape"):
        compare_logits(np.ones((1, 2, 3)), np.ones((1, 3, 3)))
    with pytest.raises(ValueError, match="mask"):
        compare_logits(np.ones((1, 2, 3)), np.ones((1, 2, 3)), np.ones((1, 3)))
