"""Logits are compared at the positions that count, whatever their rank."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from matrix.errors import CaptureError
from matrix.logits import BLOCK_ELEMENTS
from matrix.outputs import compare_outputs, differing, kept, rows, same_where_kept
from tests.matrix.builders import LEFT_PADDED, LOGITS, captured, moved

RIGHT_PADDED = {"input_ids": [[7, 8, 0]], "attention_mask": [[1, 1, 0]]}
SPOKEN = {"input_ids": [[3, 2, 1]], "attention_mask": [[1, 1, 1]]}
"""Ids within the vocabulary of `LOGITS`."""


def test_the_same_bits_are_not_read(tmp_path: Path) -> None:
    a, b = captured(tmp_path / "a"), captured(tmp_path / "b")
    b.tensors.unlink()
    assert compare_outputs(a, b, last_only=False) is None


@pytest.mark.parametrize("shape", [(), (4,), (2, 3, 4, 5)])
def test_logits_of_any_rank_are_rows_of_their_last_axis(shape: tuple[int, ...]) -> None:
    assert rows(np.zeros(shape)).shape == (1, int(np.prod(shape[:-1], dtype=int)), shape[-1] if shape else 1)


def test_feature_maps_are_compared_too(tmp_path: Path) -> None:
    maps = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    a, b = captured(tmp_path / "a", logits=maps), captured(tmp_path / "b", logits=maps + np.float32(0.5))
    found = compare_outputs(a, b, last_only=False)
    assert found
    assert found.values.max_abs == 0.5


def test_an_encoder_decoders_mask_says_nothing_about_its_logits(tmp_path: Path) -> None:
    facts = {"tokens": LEFT_PADDED, "config": {"is_encoder_decoder": True}}
    capture = captured(tmp_path / "whole", **facts, model_class="TinyForConditionalGeneration")
    assert kept(capture, LOGITS.shape) is None
    # the decoder alone, loaded from the config of the whole
    assert kept(captured(tmp_path / "decoder", **facts), LOGITS.shape) is not None
    assert kept(replace(capture, config={}), LOGITS.shape) is not None


def test_a_mask_that_hides_everything_hides_nothing(tmp_path: Path) -> None:
    hidden = {**LEFT_PADDED, "attention_mask": np.zeros(LOGITS.shape[:2], int).tolist()}
    assert kept(captured(tmp_path, tokens=hidden), LOGITS.shape) is None


def test_with_other_ids_the_last_position_that_is_no_padding_counts(tmp_path: Path) -> None:
    a = captured(tmp_path / "a", tokens=RIGHT_PADDED)
    b = captured(tmp_path / "b", tokens={**RIGHT_PADDED, "input_ids": [[9, 8, 0]]}, logits=moved(0.5, 0, 2, 0))
    found = compare_outputs(a, b, last_only=True)
    assert found
    assert found.values.max_abs == 0
    assert found.values.elements == LOGITS.shape[-1]


def test_labels_have_no_last_position(tmp_path: Path) -> None:
    labels = np.array([[1.0, 2.0, 3.0]], np.float32)
    a, b = captured(tmp_path / "a", logits=labels), captured(tmp_path / "b", logits=labels[:, ::-1].copy())
    found = compare_outputs(a, b, last_only=True)
    assert found
    assert found.logits.argmax_agreement == 0


def test_a_causal_model_has_a_perplexity_on_either_side(tmp_path: Path) -> None:
    a = captured(tmp_path / "a", tokens=SPOKEN)
    b = captured(tmp_path / "b", tokens=SPOKEN, logits=moved(1.0, 0, 1, 1), model_class="GPT2LMHeadModel")
    found = compare_outputs(a, b, last_only=False)
    assert found
    assert found.perplexity
    before, after = found.perplexity
    # rows are k, k + 1, k + 2, k + 3: token 2 costs 1 more than token 3, token 1 costs 2 more
    best = math.log(1 + math.exp(-1) + math.exp(-2) + math.exp(-3))
    assert (before.tokens, before.mean_nll) == (2, pytest.approx(best + 1.5))
    raised = math.log(1 + 2 * math.exp(-1) + math.exp(-3))
    assert (after.tokens, after.mean_nll) == (2, pytest.approx((best + 1 + raised + 1) / 2))


def test_the_mask_decides_which_tokens_are_predicted(tmp_path: Path) -> None:
    padded = {**SPOKEN, "attention_mask": [[0, 1, 1]]}
    sides = [captured(tmp_path / str(by), tokens=padded, logits=moved(by)) for by in (0.0, 1.0)]
    found = compare_outputs(*sides, last_only=False)
    assert found
    assert found.perplexity
    assert [side.tokens for side in found.perplexity] == [1, 1]


@pytest.mark.parametrize(
    "facts",
    [
        {"model_class": "TinyForMaskedLM"},
        {"model_class": ""},
        {"tokens": None},
        {"tokens": {"input_ids": [[1, 2]], "attention_mask": [[1, 1]]}},
        {"tokens": {"input_ids": [[1, 2, 4]], "attention_mask": [[1, 1, 1]]}},
    ],
)
def test_what_is_no_causal_model_on_its_own_text_has_no_perplexity(tmp_path: Path, facts: dict[str, object]) -> None:
    a = captured(tmp_path / "a", tokens=SPOKEN)
    b = captured(tmp_path / "b", **{"tokens": SPOKEN, "logits": moved(1.0), **facts})
    for sides in ((a, b), (b, a)):
        found = compare_outputs(*sides, last_only=False)
        assert found
        assert found.perplexity is None


def test_with_other_ids_there_is_no_common_text(tmp_path: Path) -> None:
    a, b = captured(tmp_path / "a", tokens=SPOKEN), captured(tmp_path / "b", tokens=SPOKEN, logits=moved(1.0))
    found = compare_outputs(a, b, last_only=True)
    assert found
    assert found.perplexity is None


def test_labels_and_feature_maps_have_no_perplexity(tmp_path: Path) -> None:
    for logits in (np.zeros((3, 4), np.float32), np.zeros((1, 3, 2, 4), np.float32)):
        a = captured(tmp_path / "a", tokens=SPOKEN, logits=logits)
        b = captured(tmp_path / "b", tokens=SPOKEN, logits=logits + np.float32(1))
        found = compare_outputs(a, b, last_only=False)
        assert found
        assert found.perplexity is None


def test_equal_digests_are_the_same_unread(tmp_path: Path) -> None:
    a, b = captured(tmp_path / "a"), captured(tmp_path / "b")
    a.tensors.unlink()
    assert same_where_kept(a, b)


def test_another_dtype_or_shape_is_another_output_unread(tmp_path: Path) -> None:
    a = captured(tmp_path / "a")
    for number, logits in enumerate((LOGITS.astype(np.float64), LOGITS[:, :2], LOGITS.reshape(3, 1, 4))):
        b = captured(tmp_path / str(number), logits=logits)
        b.tensors.unlink()
        assert not same_where_kept(a, b)


@pytest.mark.parametrize(("at", "same"), [((0, 0, 1), True), ((0, 1, 1), False), ((0, 2, 3), False)])
def test_only_what_the_mask_keeps_has_to_be_the_same(tmp_path: Path, at: tuple[int, ...], same: bool) -> None:  # noqa: FBT001
    a = captured(tmp_path / "a", tokens=LEFT_PADDED)
    b = captured(tmp_path / "b", tokens=LEFT_PADDED, logits=moved(0.5, *at))
    assert same_where_kept(a, b) is same
    assert not same_where_kept(replace(a, tokens=None), b)


def test_bits_are_compared_and_not_values(tmp_path: Path) -> None:
    nan, zero, minus = (np.full((1, 3, 4), value, np.float32) for value in (np.nan, 0.0, -0.0))
    nan2 = nan.copy()
    nan2[0, 0, 0] = 1.0  # under the mask
    a, b = (captured(tmp_path / name, tokens=LEFT_PADDED, logits=x) for name, x in (("a", nan), ("b", nan2)))
    assert same_where_kept(a, b)
    assert not same_where_kept(captured(tmp_path / "c", logits=zero), captured(tmp_path / "d", logits=minus))


@pytest.mark.parametrize("shape", [(2, BLOCK_ELEMENTS // 4, 7), (3, 5), (2, 3, 4, 5), (4,)])
def test_a_difference_in_the_last_element_is_found(tmp_path: Path, shape: tuple[int, ...]) -> None:
    x = np.zeros(shape, np.float32)
    y = x.copy()
    y.reshape(-1)[-1] = 1.0
    assert not same_where_kept(captured(tmp_path / "a", logits=x), captured(tmp_path / "b", logits=y))


def test_a_torn_tensor_file_is_reported(tmp_path: Path) -> None:
    a, b = captured(tmp_path / "a"), captured(tmp_path / "b", logits=moved(1.0))
    b.tensors.unlink()
    with pytest.raises(CaptureError):
        same_where_kept(a, b)


POOLED = {"further": ["pooler_output"], "output": "last_hidden_state"}


def _pooled(*values: float) -> dict[str, list[list[float]]]:
    return {"output/pooler_output": [list(values)]}


def test_the_outputs_that_differ_are_named_in_order(tmp_path: Path) -> None:
    a = captured(tmp_path / "a", **POOLED, tensors=_pooled(1, 2))
    assert list(differing(a, captured(tmp_path / "b", **POOLED, tensors=_pooled(1, 2)))) == []
    assert list(differing(a, captured(tmp_path / "c", **POOLED, tensors=_pooled(1, 3)))) == ["pooler_output"]
    both = captured(tmp_path / "d", **POOLED, tensors=_pooled(1, 3), logits=moved(1))
    assert list(differing(a, both)) == ["last_hidden_state", "pooler_output"]


def test_metrics_of_logits_are_only_taken_of_logits(tmp_path: Path) -> None:
    a = captured(tmp_path / "a", **POOLED, tensors=_pooled(1, 2))
    b = captured(tmp_path / "b", **POOLED, tensors=_pooled(1, 3), logits=moved(1))
    for name in ("last_hidden_state", "pooler_output"):
        found = compare_outputs(a, b, name, last_only=False)
        assert found
        assert (found.values.max_abs, found.logits, found.perplexity) == (1, None, None)
    logits = compare_outputs(captured(tmp_path / "c"), captured(tmp_path / "d", logits=moved(1)), last_only=False)
    assert logits
    assert logits.logits


def test_the_mask_of_an_encoder_decoder_hides_positions_of_the_encoders_output(tmp_path: Path) -> None:
    facts = {"tokens": LEFT_PADDED, "config": {"is_encoder_decoder": True}, "further": ["encoder_last_hidden_state"]}
    a = captured(tmp_path / "a", **facts, tensors={"output/encoder_last_hidden_state": LOGITS})
    b = captured(tmp_path / "b", **facts, tensors={"output/encoder_last_hidden_state": moved(1, 0, 0, 0)})
    assert list(differing(a, b)) == []
    found = compare_outputs(a, b, "encoder_last_hidden_state", last_only=False)
    assert found
    assert found.masked_only


def test_one_number_for_each_position_is_masked_by_position(tmp_path: Path) -> None:
    facts = {"tokens": LEFT_PADDED, "output": "start_logits"}
    a = captured(tmp_path / "a", **facts, logits=np.float32([[1, 2, 3]]))
    assert list(differing(a, captured(tmp_path / "b", **facts, logits=np.float32([[9, 2, 3]])))) == []
    assert list(differing(a, captured(tmp_path / "c", **facts, logits=np.float32([[1, 9, 3]])))) == ["start_logits"]
