"""A case says what is loaded and what goes in; contradictions are refused before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from matrix.case import UNCHANGED, Case, Variant, Variants
from matrix.errors import SpecError

CHAT = (({"role": "user", "content": "hello"},),)


def _refusal(**values: Any) -> str:  # noqa: ANN401 - what a case may hold
    with pytest.raises(SpecError) as caught:
        Case(**{"name": "tiny", "checkpoint": "tiny", **values})
    return str(caught.value)


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        (Variant(), "float32-default"),
        (Variant(dtype="bfloat16", attention="sdpa"), "bfloat16-sdpa"),
        (Variant(device="cuda:0", threads=4), "float32-default-cuda0-threads4"),
        (Variant(attention="eager", cache="off"), "float32-eager-cache-off"),
    ],
)
def test_a_variant_is_named_after_what_is_not_the_default(variant: Variant, name: str) -> None:
    assert variant.id == name


def test_variants_expand_to_every_combination_in_the_written_order() -> None:
    expanded = Variants(dtype=("float32", "bfloat16"), attention=("sdpa", "eager")).expand()
    assert [variant.id for variant in expanded] == ["float32-sdpa", "float32-eager", "bfloat16-sdpa", "bfloat16-eager"]


def test_no_variants_are_one_default_variant() -> None:
    assert UNCHANGED.expand() == (Variant(),)


def test_overrides_replace_only_what_they_name() -> None:
    base = Variants(dtype=("float32",), attention=("eager", "sdpa"))
    assert Variants(attention=("default",)).over(base) == Variants(dtype=("float32",), attention=("default",))
    assert UNCHANGED.over(base) == base


@pytest.mark.parametrize("name", ["", "a/b", "../up", ".hidden", "with space", "ünïcode"])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    assert "no file name" in _refusal(name=name)


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"text": ("a",), "input_ids": ((1,),)}, "both text and input_ids"),
        ({"text": ("a",), "attention_mask": ((1,),)}, "text and an attention_mask"),
        ({"input_ids": ((1, 2),), "attention_mask": ((1,),)}, "attention_mask of another shape"),
        ({"attention_mask": ((1,),)}, "attention_mask of another shape"),
        ({"input_ids": ((1, 2), (3,))}, "rows of different lengths"),
        ({"generate": -1}, "negative number of tokens or seconds"),
        ({"timeout": 0}, "negative number of tokens or seconds"),
        ({"text": ("a",), "chat": CHAT}, "both text and chat"),
        ({"chat": CHAT, "attention_mask": ((1,),)}, "chat and an attention_mask"),
        ({"chat": (({"role": "user"},),)}, "a message without role or content"),
        ({"input_ids": ((1,),), "padding": "left"}, "input_ids and padding"),
        ({"loss": True, "inputs": {"labels": [1]}}, "both loss and labels in inputs"),
        ({"inputs": {"pixel_values": [1.0]}, "forward": {"pixel_values": [1.0]}}, "an input in forward"),
    ],
)
def test_inputs_that_contradict_each_other_are_refused(values: dict[str, object], what: str) -> None:
    message = _refusal(**values)
    assert what in message
    assert "case 'tiny'" in message


def test_a_case_that_looks_at_the_tokenizer_alone_needs_no_checkpoint_but_something_to_look_at() -> None:
    assert Case(name="tok", probe="tokenizer", tokenizer="tok").checkpoint == ""
    assert "lacks the key 'checkpoint'" in _refusal(checkpoint="", probe="tokenizer")
    assert "lacks the key 'checkpoint'" in _refusal(checkpoint="", tokenizer="tok")


def test_what_only_a_model_reads_is_refused_where_there_is_none() -> None:
    said = _refusal(probe="tokenizer", input_ids=((1,),), generate=4)
    assert "input_ids, generate" in said
    assert "text and chat" in said
