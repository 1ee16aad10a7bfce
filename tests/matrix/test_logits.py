"""Every metric of two sides' logits agrees with its definition, row by row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from matrix.logits import MAX_FLIPS, MAX_POSITIONS, Flip, compare_logits


def _random(*shape: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def _kl(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The textbook sum, in long double where the machine has it."""
    p, q = (np.exp(x.astype(np.longdouble)) for x in (a, b))
    p, q = p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)
    return np.asarray(np.sum(p * np.log(p / q), -1))


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
    assert (difference.flips, difference.masked_only, difference.max_abs_by_position) == ((), False, (0, 0, 0))


def test_a_shift_of_a_row_is_centred_away() -> None:
    a = _random(1, 2, 20).astype(np.float64)
    difference = compare_logits(a, a + 3.0)
    assert difference.centred_max_abs == pytest.approx(0.0, abs=1e-14)
    assert difference.kl_max == pytest.approx(0.0, abs=1e-14)
    assert difference.max_abs_by_position == pytest.approx((3.0, 3.0))


def test_flips_name_tokens_and_margin() -> None:
    a, b = np.zeros((2, 2, 4)), np.zeros((2, 2, 4))
    a[1, 0], b[1, 0] = (0, 5, 3, 0), (0, 2, 3, 0)
    difference = compare_logits(a, b)
    assert difference.flips == (Flip(position=(1, 0), baseline_id=1, candidate_id=2, margin=2.0),)
    assert difference.argmax_agreement == 0.75
    assert difference.top5_overlap == 1.0  # a vocabulary of four


def test_flips_are_counted_beyond_the_list() -> None:
    a, b = np.tile([1.0, 0.0], (1, 600, 1)), np.tile([0.0, 1.0], (1, 600, 1))
    difference = compare_logits(a, b)
    assert (difference.flip_count, len(difference.flips)) == (600, MAX_FLIPS)
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


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_with_nan_or_inf(value: float) -> None:
    a = _random(1, 2, 8)
    b = a.copy()
    b[0, 1, a[0, 1].argmax()] = value
    difference = compare_logits(a, b)
    assert (difference.kl_max, difference.kl_mean, difference.centred_max_abs) == (math.inf,) * 3
    assert difference.max_abs_by_position == (0, math.inf)
    assert difference.flip_count == int(np.isnan(value))


def test_tokens_ruled_out_on_both_sides() -> None:
    a = np.array([[[0.0, 1.0, -np.inf]]])
    b = np.array([[[0.5, 1.0, -np.inf]]])
    assert compare_logits(a, b).kl_max == pytest.approx(float(_kl(a[..., :2], b[..., :2])[0, 0]))
    b[0, 0, 2] = 0.0
    assert math.isfinite(compare_logits(a, b).kl_max)
    assert compare_logits(b, a).kl_max == math.inf


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
