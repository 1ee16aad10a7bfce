"""A cell that does not agree with itself, over two processes and two forwards, says where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from matrix.repeats import Disagreement, disagreement
from tests.matrix.builders import IDS, LEFT_PADDED, LOGITS, captured, moved, tensor

PARAMETERS = {"parameters": [tensor("model.weight", [7.0])]}
BUFFERS = {"buffers": [tensor("inv_freq", [7.0])]}
TOKENS = {"tokens": {**IDS, "attention_mask": [[1, 1, 0]]}}
RESTLESS = {"tensors": {"logits/again": moved(0.25)}}


def _found(folder: Path, first: dict[str, Any], repeat: dict[str, Any] | None) -> Disagreement | None:
    """What a capture with one buffer and its repeat do not agree about."""
    common = {"buffers": [tensor("inv_freq", [1.0])]}
    again = captured(folder / "again", **{**common, **repeat}) if repeat is not None else None
    return disagreement(captured(folder / "first", **{**common, **first}), again)


def _place(found: Disagreement | None) -> tuple[str, str] | None:
    return (found.stage, found.where) if found else None


@pytest.mark.parametrize(
    ("first", "repeat"),
    [
        ({}, None),
        ({}, {}),
        ({"generated": [[1]], "loading": {"missing_keys": ["a"]}}, {}),
        ({"tokens": LEFT_PADDED}, {"tokens": LEFT_PADDED, "logits": moved(9, 0, 0, 0)}),
        ({"tokens": LEFT_PADDED, "tensors": {"logits/again": moved(9, 0, 0, 0)}}, None),
    ],
)
def test_a_cell_that_agrees_with_itself_where_it_counts_is_at_rest(
    tmp_path: Path, first: dict[str, Any], repeat: dict[str, Any] | None
) -> None:
    assert _found(tmp_path, first, repeat) is None


@pytest.mark.parametrize(
    ("first", "repeat", "place"),
    [
        ({}, TOKENS, ("tokens", "attention_mask[0, 2]")),
        ({}, PARAMETERS, ("parameters", "model.weight")),
        ({}, BUFFERS, ("buffers", "inv_freq")),
        (RESTLESS, None, ("logits", "logits")),
        (RESTLESS, {}, ("logits", "logits")),
        ({}, {"logits": moved(0.5)}, ("logits", "logits")),
        (RESTLESS, {**TOKENS, **PARAMETERS, **BUFFERS}, ("tokens", "attention_mask[0, 2]")),
        (RESTLESS, {**PARAMETERS, **BUFFERS}, ("parameters", "model.weight")),
        (RESTLESS, BUFFERS, ("buffers", "inv_freq")),
    ],
)
def test_the_earliest_thing_that_is_not_the_same_is_named(
    tmp_path: Path, first: dict[str, Any], repeat: dict[str, Any] | None, place: tuple[str, str]
) -> None:
    assert _place(_found(tmp_path, first, repeat)) == place


@pytest.mark.parametrize(
    ("first", "repeat", "text"),
    [
        (RESTLESS, None, "two forwards of one load differ by 0.25"),
        ({}, {"logits": moved(-2)}, "the logits of two loads differ by 2"),
        ({}, {"logits": LOGITS[:, :2].copy()}, "the logits of two loads differ by inf"),
        ({}, {"logits": moved(float("nan"))}, "the logits of two loads differ by inf"),
        ({}, PARAMETERS, "two loads, in two processes, give model.weight different values"),
        ({}, TOKENS, "the tokenizer makes other ids in a second process"),
    ],
)
def test_the_sentence_says_what_happens(
    tmp_path: Path, first: dict[str, Any], repeat: dict[str, Any] | None, text: str
) -> None:
    found = _found(tmp_path, first, repeat)
    assert found
    assert found.text == text


@pytest.mark.parametrize("other", [{"attention": {"implementation": "sdpa"}}, {"environment": {"threads": 4}}])
def test_a_repeat_under_another_kernel_or_number_of_threads_is_compared_by_its_state_alone(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    assert _found(tmp_path, {}, {**other, "logits": moved(1)}) is None
    assert _place(_found(tmp_path, {}, {**other, **BUFFERS, "logits": moved(1)})) == ("buffers", "inv_freq")
