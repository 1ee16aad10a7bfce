"""Numbers as text never make different things look equal."""

from __future__ import annotations

import math
import struct
from itertools import pairwise

import pytest

from reports import numbers


def _neighbours(start: float, count: int) -> list[float]:
    first = struct.unpack("I", struct.pack("f", start))[0]
    return [struct.unpack("f", struct.pack("I", first + step))[0] for step in range(count)]


@pytest.mark.parametrize("start", [1.0, 0.1, 1e-42, 1.5e38, 8388607.0, 3.1622776e-4])
def test_neighbouring_float32_values_never_print_equal(start: float) -> None:
    shown = [numbers.element(repr(value), "float32") for value in _neighbours(start, 200)]
    assert all(a != b for a, b in pairwise(shown))
    assert max(map(len, shown)) <= len("-1.23456789e-38")


def test_elements_are_as_short_as_their_dtype_allows() -> None:
    assert numbers.element("0.10000000149011612", "float32") == "0.1"
    assert numbers.element("0.10000000149011612", "float64") == "0.10000000149011612"
    assert numbers.element("1.0", "bfloat16") == "1"
    assert numbers.element("3", "int64") == "3"
    assert numbers.element("True", "bool") == "True"
    assert [numbers.element(value, "float32") for value in ("nan", "-inf")] == ["nan", "-inf"]
    assert float(numbers.element("3.4028234663852886e+38", "float32")) == pytest.approx(3.4028235e38)


@pytest.mark.parametrize("value", [5e-324, 1e-45, 1e-12, 0.0004, math.inf])
def test_a_difference_never_prints_as_zero(value: float) -> None:
    assert float(numbers.size(value)) != 0


def test_an_absent_number_is_no_number() -> None:
    assert numbers.size(None) == numbers.ABSENT
    assert numbers.size(12345) == "12345"


@pytest.mark.parametrize("distance", [1e-16, 3.1e-12, 4.9e-4, 9.99e-4, 1e-3, 0.0011])
def test_a_cosine_below_one_never_prints_as_one(distance: float) -> None:
    shown = numbers.cosine(1.0 - distance, distance)
    assert shown != "1"
    assert not shown.startswith("1.0")


def test_a_cosine_of_one_prints_as_one() -> None:
    assert numbers.cosine(1.0, 0.0) == "1"


def test_only_everything_is_100_percent_and_only_nothing_is_0_percent() -> None:
    assert numbers.share(1.0) == "100%"
    assert numbers.share(0.0) == "0%"
    assert numbers.share(0.99996) == "over 99.9%"
    assert numbers.share(0.00004) == "under 0.1%"
    assert numbers.share(0.25) == "25%"
    assert numbers.share(0.999) == "99.9%"


def test_two_values_get_the_digits_that_tell_them_apart() -> None:
    assert numbers.pair(1.0, 2.0) == ("1", "2")
    a, b = numbers.pair(1.0, 1.0 + 2**-23)
    assert a != b
    assert numbers.pair(None, 1.0) == (numbers.ABSENT, "1")


@pytest.mark.parametrize(
    ("exponent", "said"),
    [(0.0, "the same"), (1e-12, "+1e-10 %"), (-0.1, "-9.52 %"), (1e6, "+inf %"), (-50.0, "below -99.9 %")],
)
def test_growth_is_never_hidden_and_never_all(exponent: float, said: str) -> None:
    assert numbers.growth(exponent) == said


def test_a_value_is_never_written_as_the_limit_that_it_breaks() -> None:
    assert numbers.against(0.92, 2.0, within=True) == "0.92 (≤ 2)"
    assert numbers.against(2.0, 2.0, within=True) == "2 (≤ 2)"
    assert numbers.against(2.0004, 2.0, within=False) == "2.0004 (over 2)"
    assert numbers.against(math.inf, 2.0, within=False) == "inf (over 2)"
