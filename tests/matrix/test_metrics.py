"""Every metric of two tensors agrees with a plain float64 reference and has an answer for NaN, inf and -0.0."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from matrix.metrics import Difference, compare, first_difference

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

BLOCK = (1 << 19) // 4
"""Float32 elements in one block."""


def _random(shape: int | tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def _check(difference: Difference, a: NDArray[Any], b: NDArray[Any]) -> None:
    """Compare with the definitions, in long double where the machine has it."""
    x, y = a.astype(np.longdouble).ravel(), b.astype(np.longdouble).ravel()
    d, norm_x, norm_y = x - y, np.sqrt(np.sum(x * x)), np.sqrt(np.sum(y * y))
    assert difference.elements == a.size
    assert difference.differing == np.count_nonzero(x != y)
    assert difference.max_abs == np.abs(d).max()
    assert difference.max_abs_at == np.unravel_index(np.abs(d).argmax(), a.shape)
    assert (difference.baseline_value, difference.candidate_value) == (
        a[difference.max_abs_at].item(),
        b[difference.max_abs_at].item(),
    )
    assert difference.rmse == pytest.approx(float(np.sqrt(np.mean(d * d))), rel=1e-6)
    assert difference.l2_rel == pytest.approx(float(np.sqrt(np.sum(d * d)) / norm_x), rel=1e-6)
    true = np.sum((x / norm_x - y / norm_y) ** 2) / 2
    resolution = 1e-7 * float(np.sum(d * d) / (norm_x * norm_y))
    assert difference.one_minus_cosine == pytest.approx(float(true), rel=1e-6, abs=resolution)
    assert difference.cosine == pytest.approx(1 - float(true), abs=1e-7)


@pytest.mark.parametrize("size", [1, 2, 511, 512, 513, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 777])
@pytest.mark.parametrize("noise", [1e-6, 1.0])
def test_sizes_around_blocks_and_segments(size: int, noise: float) -> None:
    a = _random(size)
    b = a + np.float32(noise) * _random(size, 1)
    _check(compare(a, b), a, b)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "i1", "u1", "i4", "u8", "i8"])
def test_types(dtype: str) -> None:
    a = (10 * np.abs(_random((70, 30)))).astype(dtype)
    b = (10 * np.abs(_random((70, 30), 1))).astype(dtype)
    _check(compare(a, b), a, b)


def test_constant_tensors_do_not_add_up_a_bias() -> None:
    a = np.full(3 * BLOCK, 1.1, np.float32)
    b = np.full(3 * BLOCK, 1.3, np.float32)
    difference = compare(a, b)
    assert difference.rmse == pytest.approx(float(b[0]) - float(a[0]), rel=1e-6)
    assert difference.l2_rel == pytest.approx(float(b[0]) / float(a[0]) - 1, rel=1e-6)
    assert difference.one_minus_cosine < 1e-15


def test_tiny_angles_are_resolved() -> None:
    a = _random(BLOCK)
    b = a + np.float32(2.5e-6) * _random(BLOCK, 1)
    difference = compare(a, b)
    assert 2.5e-12 < difference.one_minus_cosine < 4e-12
    _check(difference, a, b)


def test_opposite_and_scaled_vectors() -> None:
    a = _random(1000)
    assert compare(a, -a).cosine == -1.0
    assert compare(a, 2 * a).one_minus_cosine == pytest.approx(0.0, abs=1e-12)
    assert compare(a, np.zeros_like(a)).one_minus_cosine == 1.0


def test_zero_baseline_has_an_infinite_relative_error() -> None:
    difference = compare(np.zeros(4), np.ones(4))
    assert (difference.l2_rel, difference.rmse, difference.cosine) == (math.inf, 1.0, 0.0)


@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (2, BLOCK)])
def test_equal_arrays(shape: tuple[int, ...]) -> None:
    a = np.asarray(_random(shape))
    difference = compare(a, a.copy())
    assert (difference.elements, difference.differing, difference.max_abs, difference.max_abs_at) == (
        a.size,
        0,
        0,
        None,
    )
    assert (difference.rmse, difference.l2_rel, difference.cosine, difference.one_minus_cosine) == (0, 0, 1, 0)


def test_a_scalar_has_an_empty_coordinate() -> None:
    assert compare(np.float32(1), np.float32(2)).max_abs_at == ()


def test_one_ulp_is_seen() -> None:
    a = _random((3, BLOCK))
    b = a.copy()
    b[2, 5] = np.nextafter(b[2, 5], np.float32(9))
    difference = compare(a, b)
    assert (difference.differing, difference.max_abs_at) == (1, (2, 5))
    assert difference.max_abs == float(b[2, 5]) - float(a[2, 5])


def test_values_rounded_to_bfloat16() -> None:
    a = _random(5000)
    b = (a.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    _check(compare(a, b), a, b)


def test_negative_zero_differs_in_bits_only() -> None:
    for a, b in ((0.0, -0.0), (-0.0, 0.0)):
        difference = compare(np.array([a, 1], np.float32), np.array([b, 1], np.float32))
        assert (difference.differing, difference.max_abs, difference.max_abs_at) == (1, 0.0, None)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("pair", [(np.nan, 1), (1, np.nan), (np.inf, 1), (np.inf, -np.inf), (np.inf, np.nan)])
def test_one_sided_nan_and_inf_are_infinitely_far(dtype: str, pair: tuple[float, float]) -> None:
    a = _random(2 * BLOCK).astype(dtype)
    b = a.copy()
    b[7] += 1
    a[BLOCK + 3], b[BLOCK + 3] = pair
    difference = compare(a, b)
    assert (difference.max_abs, difference.max_abs_at, difference.differing) == (math.inf, (BLOCK + 3,), 2)
    np.testing.assert_equal((difference.baseline_value, difference.candidate_value), pair)
    assert difference.nonfinite_baseline == (not math.isfinite(pair[0]))
    assert difference.nonfinite_candidate == (not math.isfinite(pair[1]))
    rest = float(b[7]) - float(a[7])
    assert difference.rmse == pytest.approx(rest / math.sqrt(2 * BLOCK - 1), rel=1e-6)


def test_nan_and_inf_on_both_sides_are_no_difference() -> None:
    a = np.array([1, np.nan, np.inf, -np.inf], np.float32)
    difference = compare(a, a.copy())
    assert (difference.differing, difference.max_abs, difference.l2_rel, difference.cosine) == (0, 0, 0, 1)
    assert (difference.nonfinite_baseline, difference.nonfinite_candidate) == (3, 3)


def test_nan_of_other_bits_differs_in_bits_only() -> None:
    a = np.array([0x7FC00000], np.uint32).view(np.float32)
    b = np.array([0x7FC00001], np.uint32).view(np.float32)
    difference = compare(a, b)
    assert (difference.differing, difference.max_abs) == (1, 0.0)


def test_nothing_finite_on_both_sides() -> None:
    difference = compare(np.full(4, np.nan, np.float32), np.ones(4, np.float32))
    assert (difference.rmse, difference.l2_rel, difference.cosine) == (math.inf, math.inf, 0.0)


@pytest.mark.parametrize("scale", [3e38, 1e30, 1e-30, 1e-40])
def test_squares_beyond_float32(scale: float) -> None:
    a = np.array([scale, -scale, scale / 2], np.float32)
    b = np.array([scale, scale, scale / 4], np.float32)
    _check(compare(a, b), a, b)


def test_wide_integers_are_exact() -> None:
    low, high = -(2**63), 2**63 - 1
    difference = compare(np.array([low, 2**53]), np.array([high, 2**53 + 1]))
    assert (difference.max_abs, difference.differing) == (high - low, 2)
    assert compare(np.array([2**53]), np.array([2**53 + 1])).max_abs == 1


def test_booleans() -> None:
    difference = compare(np.array([True, False]), np.array([True, True]))
    assert (difference.max_abs, difference.baseline_value, difference.candidate_value) == (1, 0, 1)


def test_other_types_meet_in_the_wider_one() -> None:
    a = _random(100)
    assert compare(a, a.astype(np.float64)).differing == 0


def test_views_that_are_not_contiguous() -> None:
    a, b = _random((40, 60)), _random((40, 60), 1)
    _check(compare(a.T, b.T), a.T, b.T)
    _check(compare(a[::-2, ::3], b[::-2, ::3]), a[::-2, ::3], b[::-2, ::3])


def test_memory_maps_at_odd_addresses(tmp_path: Path) -> None:
    a = _random(BLOCK + 9)
    (tmp_path / "a").write_bytes(b"?" + a.tobytes())
    mapped = np.memmap(tmp_path / "a", dtype=np.float32, mode="r", offset=1)
    b = a + np.float32(1e-5)
    _check(compare(mapped, b), a, b)


def test_a_mask_leaves_elements_out() -> None:
    a, b = _random((2, 4, 8)), _random((2, 4, 8), 1)
    mask = np.array([[0, 1, 1, 0], [1, 0, 0, 1]])
    b[mask == 0] = np.nan
    difference = compare(a, b, mask)
    plain = compare(a[mask == 1], b[mask == 1])
    at = difference.max_abs_at
    assert at is not None
    assert mask[at[:2]] == 1
    assert (difference.elements, difference.max_abs) == (32, plain.max_abs)
    assert difference.rmse == pytest.approx(plain.rmse)
    assert difference.nonfinite_candidate == 0
    assert compare(a, b, np.zeros((2, 4))).elements == 0


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        compare(np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match="mask"):
        compare(np.ones((3, 4)), np.ones((3, 4)), np.ones(4))
    with pytest.raises(TypeError, match="complex"):
        compare(np.ones(3, np.complex64), np.ones(3, np.complex64))


@pytest.mark.parametrize(
    ("baseline", "candidate", "step"),
    [
        ([1, 2, 3], [1, 2, 3], None),
        ([1, 2, 3], [1, 9, 3], 1),
        ([1, 2], [1, 2, 3], 2),
        ([], [], None),
        ([], [5], 0),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]], None),
        ([[1, 2], [3, 4]], [[1, 9], [8, 4]], 0),
        ([[1, 2]], [[1, 2], [3]], 0),
    ],
)
def test_first_difference(baseline: Sequence[int], candidate: Sequence[int], step: int | None) -> None:
    assert first_difference(baseline, candidate) == step
