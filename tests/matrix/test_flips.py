"""A flip names both picks and says how close the call was."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from matrix.flips import MAX_FLIPS, Flip, Picks, is_tie


def _picks(*pairs: tuple[list[float], list[float]]) -> Picks:
    picks = Picks()
    for seq, (a, b) in enumerate(pairs):
        picks.add((0, seq), np.array(a), np.array(b))
    return picks


def test_a_flip_names_both_tokens_and_both_margins() -> None:
    picks = _picks(([0, 5, 3, 0], [0, 2, 2.5, 0]))
    assert picks.flips == [
        Flip(position=(0, 0), baseline_id=1, candidate_id=2, margin=2.0, candidate_margin=0.5, gap=2.0)
    ]
    assert (picks.gaps, picks.missed_top, picks.strangers) == ([2.0], 0, 0)


def test_the_same_argmax_is_no_flip() -> None:
    assert _picks(([1, 2], [3, 9]), ([4], [5])).gaps == []


def test_two_logits_that_swap_within_reach_are_a_tie() -> None:
    flip = _picks(([1.0, 0.75], [0.75, 1.0])).flips[0]
    assert flip.is_tie(0.125)
    assert not flip.is_tie(0.12)
    assert not flip.is_tie(math.nan)


def test_a_third_token_from_below_is_no_tie_however_close_the_first_two() -> None:
    flip = _picks(([5.0, 4.999, 0.0], [5.0, 4.999, 6.0])).flips[0]
    assert flip.margin == pytest.approx(0.001)
    assert flip.gap == 5.0
    assert not flip.is_tie(1.0)
    assert flip.is_tie(2.5)


def test_an_exact_tie_is_one_without_any_reach() -> None:
    flip = _picks(([1.0, 1.0], [1.0, 1.5])).flips[0]
    assert (flip.margin, flip.gap) == (0.0, 0.0)
    assert flip.is_tie(0.0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nan_and_inf_leave_the_margin_undefined(value: float) -> None:
    flip = _picks(([value, 1.0, 2.0], [0.0, 1.0, 3.0])).flips[0]
    assert (flip.margin, flip.gap, flip.candidate_margin) == (None, None, 2.0)
    assert not flip.is_tie(math.inf)
    assert not is_tie(None, 1.0)


def test_a_token_that_the_baseline_rules_out_is_no_tie() -> None:
    flip = _picks(([1.0, -math.inf, 0.9], [1.0, 2.0, 0.9])).flips[0]
    assert (flip.gap, flip.is_tie(math.inf)) == (None, False)
    assert flip.margin == pytest.approx(0.1)


def test_nan_makes_strangers_even_where_the_argmax_is_the_same() -> None:
    picks = _picks(([math.nan, 1.0], [math.nan, 2.0]), ([1.0, 0.0], [math.nan, 2.0]))
    assert (len(picks.gaps), picks.strangers, picks.missed_top) == (2, 2, 2.0)
    assert picks.flips[0].baseline_id == picks.flips[0].candidate_id == 0


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("at", [0, 1])
def test_a_candidate_of_nan_or_inf_is_no_tie_however_close_the_baselines_call(value: float, at: int) -> None:
    candidate = [1.0, 1.0]
    candidate[at] = value
    picks = _picks(([1.0, 1.0], candidate))
    assert all(gap is None for gap in picks.gaps)
    assert [flip.margin for flip in picks.flips] == ([0.0] if math.isnan(value) or at else [])


def test_one_token_has_no_margin() -> None:
    flip = _picks(([math.nan], [1.0])).flips[0]
    assert (flip.margin, flip.candidate_margin, flip.gap) == (None, None, None)


def test_only_the_first_flips_are_listed() -> None:
    picks = _picks(*[([1.0, 0.0], [0.0, 1.0])] * (MAX_FLIPS + 5))
    assert (len(picks.flips), len(picks.gaps)) == (MAX_FLIPS, MAX_FLIPS + 5)
    assert picks.flips[-1] == replace(picks.flips[0], position=(0, MAX_FLIPS - 1))


def test_equal_logits_among_the_best_are_the_lowest_ids() -> None:
    a, b = [9.0, 1, 1, 1, 1, 1, 1], [9.0, 1, 1, 1, 1, 1, 2]
    # best five: 0 1 2 3 4 against 0 6 1 2 3
    assert _picks((a, b)).missed_top == pytest.approx(0.2)


def test_the_best_agree_with_sorting() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b = rng.integers(0, 6, (2, 12)).astype(np.float64)  # many ties
        picks = Picks()
        picks.add((0, 0), a, b)
        first, second = ({*np.argsort(-row, kind="stable")[:5].tolist()} for row in (a, b))
        assert picks.missed_top == pytest.approx(1 - len(first & second) / 5)
        assert len(picks.gaps) == (a.argmax() != b.argmax())
        inside = a[b.argmax()] >= np.sort(a)[-5] and b[a.argmax()] >= np.sort(b)[-5]
        assert picks.strangers == (not inside)
