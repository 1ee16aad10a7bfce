"""Patterns hold for the real thing, and not for what only looks like it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from matrix.explain.signs import curves, patterns
from matrix.explain.signs.sides import Sides
from tests.matrix.explain.signs import tiny
from tests.matrix.explain.signs.tiny import (
    DIM,
    MASK,
    Array,
    Model,
    forward,
    ids,
    ladder,
    noisy,
    pair,
    rms_norm,
    rounded,
)

PLAIN = forward(Model(), ids(12, 2))


def _sides(good: Array, bad: Array, dtype: str = "float32", mask: Array | None = None) -> Sides:
    return Sides(good=good, bad=bad, mask=mask, dtype=dtype)


def _scaled(by: float) -> Array:
    return (PLAIN.residual * np.float32(by)).astype(np.float32)


# ---- Positions


@pytest.mark.parametrize("change", [{"base": 5000.0}, {"score_scale": 1 / DIM}, {"score_cap": 1.0}])
def test_what_acts_between_positions_leaves_the_first_of_every_row(change: dict[str, Any]) -> None:
    assert patterns.exact_first(pair("logits", **change)) == 22
    assert patterns.exact_first(pair("logits", ids(12), MASK, **change)) == 7


@pytest.mark.parametrize(
    "change", [{"embed_scale": 2.0}, {"final_cap": 9.0}, {"window": 6}, {"window": 1}, {"bias": 0.1}]
)
def test_what_acts_elsewhere_does_not(change: dict[str, Any]) -> None:
    found = patterns.exact_first(pair("logits", **change))
    # a window of one token leaves nothing but the first position alone
    assert found == (22 if change == {"window": 1} else None)


def test_two_positions_are_no_pattern() -> None:
    assert patterns.exact_first(pair("logits", ids(2), base=5000.0)) is None
    assert patterns.exact_first(pair("logits", ids(1), base=5000.0)) is None
    assert patterns.exact_first(_sides(PLAIN.logits, PLAIN.logits)) is None


def test_a_rotation_keeps_lengths_and_a_scale_does_not() -> None:
    turned = pair("query", base=5000.0)
    assert patterns.rotated(turned)
    assert patterns.exact_first(turned) == 22
    assert patterns.rotated(pair("query", offset=1))
    assert patterns.exact_first(pair("query", offset=1)) is None
    assert not patterns.rotated(_sides(turned.good, turned.bad * np.float32(1.001)))


@pytest.mark.parametrize("n", [3, 6, 10])
def test_a_window_shows_beyond_its_length(n: int) -> None:
    rungs = ladder(window=n)
    assert patterns.window(rungs.values()) is not None
    assert patterns.window(rungs.values())[0] == n  # type: ignore[index]


def test_one_input_shows_a_window_only_where_the_config_names_it() -> None:
    alone = [pair("logits", ids(12), window=6)]
    assert patterns.window(alone) is None
    assert patterns.window(alone, {4096}) is None
    assert patterns.window(alone, {6}) == (6, 1)
    # the same tokens twice are one input
    assert patterns.window([*alone, pair("logits", ids(12), window=6)]) is None


def test_a_token_that_is_read_otherwise_is_no_window() -> None:
    tokens = ids(12, 2)
    token = int(tokens[0, 5])
    assert patterns.window([pair("logits", tokens, broken_token=token)]) is None
    assert patterns.window([pair("logits", tokens[:1], broken_token=token)], {6}) is None
    assert patterns.window([pair("logits", tokens, base=5000.0)]) is None


def test_a_last_position_that_differs_is_no_window() -> None:
    assert patterns.window(ladder(window=11).values(), {11}) is None


def test_a_row_that_is_exact_beyond_speaks_against_a_window() -> None:
    seen = pair("logits", ids(12, 3), window=6)
    seen.bad[1] = seen.good[1]
    seen.bad[2, 8] = seen.good[2, 8]
    assert patterns.window([seen]) is None


def test_only_padded_rows_differ_where_the_mask_is_ignored() -> None:
    assert patterns.only_padded(ladder(masked=False).values()) == (2, 2)


def test_a_shorter_row_without_padding_proves_nothing() -> None:
    rungs = ladder(masked=False)
    assert patterns.only_padded([rungs["short"], rungs["left-padded"]]) is None
    assert patterns.only_padded([rungs["left-padded"]]) is None


@pytest.mark.parametrize("change", [{"base": 5000.0}, {"window": 6}, {}])
def test_what_differs_without_padding_too_is_not_the_padding(change: dict[str, Any]) -> None:
    assert patterns.only_padded(ladder(**change).values()) is None


def test_under_the_mask_nothing_counts() -> None:
    bad = PLAIN.logits[:1].copy()
    bad[:, :4] += 1
    sides = _sides(PLAIN.logits[:1], bad, mask=MASK)
    assert not sides.moved.any()
    assert patterns.only_padded([sides, _sides(PLAIN.logits, PLAIN.logits)]) is None


# ---- Values


@pytest.mark.parametrize("factor", [4.0, 0.3, -1.0, 1.0001])
def test_one_factor_over_all_elements(factor: float) -> None:
    found = patterns.ratio(_sides(PLAIN.residual, _scaled(factor)))
    assert found
    assert found[0] == pytest.approx(factor, rel=1e-6)
    assert found[1] < 8 * 2**-24


def test_a_factor_in_bfloat16() -> None:
    good = rounded(PLAIN.residual)
    found = patterns.ratio(_sides(good, rounded(good * np.float32(55.4256)), "bfloat16"))
    assert found
    assert found[0] == pytest.approx(55.4256, rel=2**-8)


def test_what_is_no_factor() -> None:
    good = PLAIN.residual
    one_off = _scaled(4.0)
    one_off[0, 3, 2] *= np.float32(1.001)
    gone = _scaled(4.0)
    gone[0, 3, 2] = 0
    for bad in (good, noisy(good), one_off, gone, good + np.float32(0.1), pair("residual", centred=True).bad):
        assert patterns.ratio(_sides(good, bad)) is None
    # too few, or all one number, are a coincidence
    assert patterns.ratio(_sides(good[:1, :1, :8], _scaled(4.0)[:1, :1, :8])) is None
    assert patterns.ratio(_sides(np.ones((1, 4, 8)), np.full((1, 4, 8), 2.0))) is None


def test_a_factor_of_scores_passes_over_what_is_ruled_out() -> None:
    sides = pair("scores", score_scale=1 / DIM)
    found = patterns.ratio(sides)
    assert found
    assert found[0] == pytest.approx(DIM**-0.5)
    for filler in (-np.inf, np.float32(np.finfo(np.float32).min)):
        good, bad = (np.where(side < -1e30, filler, side) for side in (sides.good, sides.bad))
        assert patterns.ratio(_sides(good, bad)) == found


def test_a_mean_that_is_subtracted_shifts_each_token() -> None:
    found = patterns.shift(pair("residual", centred=True))
    assert found
    assert found[0] == "centring"


def test_a_bias_shifts_every_token_alike() -> None:
    found = patterns.shift(pair("residual", bias=0.5))
    assert found == ("bias", pytest.approx(8.0, rel=1e-5))


def test_what_is_no_shift() -> None:
    good = PLAIN.residual
    one_off = good + np.float32(0.5)
    one_off[0, 3, 2] += np.float32(0.001)
    for bad in (good, noisy(good), one_off, _scaled(2.0), good + np.float32(2**-22), good * np.nan):
        assert patterns.shift(_sides(good, bad)) is None
    # one token is off by some vector, whatever happened to it
    assert patterns.shift(_sides(good[:1, :1], (good[:1, :1] + np.arange(16)))) is None
    assert patterns.shift(_sides(np.ones((2, 12, 16)), np.ones((2, 12, 16)) * 2)) is None


# ---- Curves


@pytest.mark.parametrize("c", [2.0, 5.0, 30.0, 100.0])
def test_a_softcap_is_found_with_its_constant(c: float) -> None:
    lacks = curves.cap(pair("logits", good={"final_cap": c}, final_cap=0.0))
    adds = curves.cap(pair("logits", final_cap=c))
    assert lacks == (pytest.approx(c, rel=1e-3), True)
    assert adds == (pytest.approx(c, rel=1e-3), False)


def test_a_softcap_of_scores_passes_over_what_is_ruled_out() -> None:
    found = curves.cap(pair("scores", good={"score_cap": 1.0}, score_cap=0.0))
    assert found == (pytest.approx(1.0, rel=1e-4), True)


@pytest.mark.parametrize(
    "bent",
    [
        lambda x: np.clip(x, -5, 5),
        lambda x: 5 * x / np.sqrt(25 + x * x),
        lambda x: 5 * np.arctan(x / 5),
        lambda x: x * np.float32(0.9),
        lambda x: x + np.float32(0.1),
        noisy,
        lambda x: x,
        lambda x: np.where(np.abs(x) > 5, np.nan, x),
        lambda x: 5 * np.tanh(x / 5) + np.float32(1e-3),
    ],
)
def test_what_saturates_in_another_way_is_no_softcap(bent: Any) -> None:  # noqa: ANN401 - a function of an array
    bad = bent(PLAIN.logits).astype(np.float32)
    assert curves.cap(_sides(PLAIN.logits, bad)) is None
    assert curves.cap(_sides(bad, PLAIN.logits)) is None


def test_a_softcap_in_bfloat16_has_to_bend_visibly() -> None:
    logits = rounded(PLAIN.logits)
    size = float(np.abs(logits).max())
    for c, seen in ((size / 3, True), (size * 20, False)):
        capped = rounded(np.float32(c) * np.tanh(logits / np.float32(c)))
        assert (curves.cap(_sides(capped, logits, "bfloat16")) is not None) is seen


@pytest.mark.parametrize(("good", "bad"), [(1e-6, 1e-5), (1e-5, 1e-6), (1e-6, 1e-3), (1e-2, 1e-5)])
def test_an_epsilon_is_told_from_the_inputs_mean_square(good: float, bad: float) -> None:
    weight = np.random.default_rng(0).normal(size=16).astype(np.float32)
    given = PLAIN.residual
    output = _sides(rms_norm(given, good) * weight, rms_norm(given, bad) * weight)
    found = curves.epsilon(output, given, centred=False)
    assert found
    assert found.difference == pytest.approx(bad - good, rel=0.02)
    assert found.at_smallest > found.at_largest
    assert found.known in {None, (good, bad)}


def test_a_layer_norms_epsilon_follows_the_variance() -> None:
    given = PLAIN.residual + np.float32(0.3)
    middle = given - given.mean(axis=-1, keepdims=True)
    output = _sides(rms_norm(middle, 1e-5), rms_norm(middle, 1e-3))
    assert curves.epsilon(output, given, centred=True)
    assert curves.epsilon(output, given, centred=False) is None


def test_what_is_no_epsilon() -> None:
    given = PLAIN.residual
    good = rms_norm(given, 1e-6)
    by_token = np.linspace(0.9, 1.1, 24, dtype=np.float32).reshape(2, 12, 1)
    one_off = rms_norm(given, 1e-3)
    one_off[0, 3, 2] *= np.float32(1.001)
    centred = given - given.mean(axis=-1, keepdims=True)
    for bad in (good, noisy(good), good * np.float32(2), good * by_token, one_off, rms_norm(centred, 1e-6)):
        assert curves.epsilon(_sides(good, bad.astype(np.float32)), given, centred=False) is None
    # tokens that are all of one size do not show what the ratio depends on
    flat = rms_norm(given, 0)
    same = _sides(rms_norm(flat, 1e-6), rms_norm(flat, 1e-3))
    assert curves.epsilon(same, flat, centred=False) is None


# ---- Losses


def test_tokens_that_hold_nothing_but_nan_or_zero_are_lost() -> None:
    for filler, name in ((np.nan, "NaN or infinity"), (np.inf, "NaN or infinity"), (0.0, "zero")):
        bad = PLAIN.logits.copy()
        bad[0, 2:5] = filler
        assert patterns.lost(_sides(PLAIN.logits, bad)) == (name, 3, 24)
        # on both sides it is how the model is
        assert patterns.lost(_sides(bad, bad)) is None
        bad[0, :, 0] = 1
        assert patterns.lost(_sides(PLAIN.logits, bad)) is None


def test_a_tensor_without_positions_has_one() -> None:
    sides = _sides(np.arange(32.0).reshape(2, 16), 2 * np.arange(32.0).reshape(2, 16))
    assert sides.moved.shape == (2, 1)
    assert patterns.ratio(sides) == (2.0, 0.0)


def test_a_mask_of_another_shape_says_nothing() -> None:
    assert _sides(PLAIN.logits, PLAIN.logits, mask=np.zeros((2, 12))).kept.all()
    assert _sides(PLAIN.logits, PLAIN.logits, mask=np.zeros((2, 5))).kept.all()
    assert math.isclose(_sides(PLAIN.logits, PLAIN.logits, "bfloat16").roundoff, 2**-8)
    assert tiny.GIVEN.shape == (2, 12)
