"""The perplexity of a text agrees with its definition, for every next token that the mask keeps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from matrix.perplexity import Perplexity, log_sum_exp, perplexity


def _naive(logits: np.ndarray[Any, Any], ids: np.ndarray[Any, Any], mask: np.ndarray[Any, Any]) -> list[float]:
    """The loss of every predicted token."""
    x = logits.astype(np.float64)
    logs = x - np.log(np.exp(x).sum(-1, keepdims=True))
    batch, seq = ids.shape
    return [
        -logs[row, at, ids[row, at + 1]]
        for row in range(batch)
        for at in range(seq - 1)
        if mask[row, at] and mask[row, at + 1]
    ]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_random_logits_against_the_definition(dtype: type[np.floating[Any]]) -> None:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((3, 8, 20)).astype(dtype)
    ids, mask = rng.integers(0, 20, (3, 8)), rng.random((3, 8)) < 0.8
    losses = _naive(logits, ids, mask)
    found = perplexity(logits, ids, mask)
    assert found
    assert found.tokens == len(losses)
    assert found.mean_nll == pytest.approx(np.mean(losses), rel=1e-12)
    assert found.value == pytest.approx(np.exp(np.mean(losses)), rel=1e-12)


def test_a_uniform_guess_costs_the_whole_vocabulary() -> None:
    found = perplexity(np.zeros((1, 3, 8)), [[1, 2, 3]])
    assert found
    assert (found.tokens, found.mean_nll) == (2, pytest.approx(math.log(8)))
    assert found.value == pytest.approx(8)


def test_by_hand() -> None:
    # after token 0, token 1 with odds 3 to 1; the last position predicts nothing that is known
    found = perplexity([[[0.0, math.log(3)], [50.0, 0.0]]], [[0, 1]])
    assert found
    assert found.value == pytest.approx(4 / 3)


def test_a_shift_of_a_row_changes_nothing() -> None:
    logits = np.random.default_rng(0).standard_normal((1, 4, 9))
    a, b = perplexity(logits, [[1, 2, 3, 4]]), perplexity(logits + 1000.0, [[1, 2, 3, 4]])
    assert a
    assert b
    assert a.value == pytest.approx(b.value, rel=1e-10)


def test_padding_neither_predicts_nor_is_predicted() -> None:
    logits = np.zeros((1, 4, 2))
    logits[0, 0] = logits[0, 1] = np.nan
    ids = [[99, 0, 1, 1]]
    found = perplexity(logits, ids, [[0, 0, 1, 1]])
    assert found
    assert (found.tokens, found.value) == (1, pytest.approx(2))
    assert perplexity(logits, ids, [[1, 0, 1, 0]]) is None


@pytest.mark.parametrize("shape", [(1, 1, 5), (0, 4, 5), (2, 0, 5)])
def test_nothing_is_predicted(shape: tuple[int, ...]) -> None:
    assert perplexity(np.zeros(shape), np.zeros(shape[:-1], int)) is None


def test_everything_masked() -> None:
    assert perplexity(np.zeros((1, 3, 5)), np.zeros((1, 3), int), np.zeros((1, 3))) is None


@pytest.mark.parametrize("token", [-1, 2])
def test_a_token_outside_of_the_vocabulary_has_no_probability(token: int) -> None:
    assert perplexity(np.zeros((1, 2, 2)), [[0, token]]) is None
    assert perplexity(np.zeros((1, 2, 2)), [[token, 0]])  # predicts, but is not predicted


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("at", [0, 1])
def test_nan_and_inf_cost_everything(value: float, at: int) -> None:
    logits = np.zeros((1, 3, 2))
    logits[0, 0, at] = value
    assert perplexity(logits, [[0, 1, 0]]) == Perplexity(tokens=2, mean_nll=math.inf, value=math.inf)


def test_a_token_ruled_out() -> None:
    logits = np.zeros((1, 2, 3))
    logits[0, 0, 2] = -np.inf
    allowed, ruled_out = perplexity(logits, [[0, 1]]), perplexity(logits, [[0, 2]])
    assert allowed
    assert ruled_out
    assert (allowed.value, ruled_out.value) == (pytest.approx(2), math.inf)


def test_a_hopeless_guess_overflows_to_inf() -> None:
    found = perplexity([[[0.0, 5000.0], [0.0, 0.0]]], [[1, 0]])
    assert found == Perplexity(tokens=1, mean_nll=5000.0, value=math.inf)


def test_a_vocabulary_of_one_token_is_certain() -> None:
    assert perplexity(np.full((1, 2, 1), 7.0), [[0, 0]]) == Perplexity(tokens=1, mean_nll=0.0, value=1.0)


def test_shapes_that_do_not_fit_are_refused() -> None:
    for logits, ids, mask in (((2, 3), (2,), None), ((1, 2, 3), (1, 3), None), ((1, 2, 3), (1, 2), (1, 3))):
        with pytest.raises(ValueError, match="need ids"):
            perplexity(np.zeros(logits), np.zeros(ids, int), None if mask is None else np.ones(mask))


def test_the_normaliser() -> None:
    assert log_sum_exp(np.array([1000.0, 1000.0])) == pytest.approx(1000 + math.log(2))
    assert math.isnan(log_sum_exp(np.array([0.0, np.inf])))
    assert math.isnan(log_sum_exp(np.array([-np.inf])))
