"""A cell that does not agree with itself, over two processes and two forwards, says where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from matrix import capture
from matrix.repeats import Disagreement, Repeat, disagreement
from tests.matrix.builders import IDS, LEFT_PADDED, LOGITS, captured, looked, moved, tensor, write_failed_capture

PARAMETERS = {"parameters": [tensor("model.weight", [7.0])]}
BUFFERS = {"buffers": [tensor("inv_freq", [7.0])]}
TOKENS = {"tokens": {**IDS, "attention_mask": [[1, 1, 0]]}}
RESTLESS = {"tensors": {"logits/again": moved(0.25)}}
LACKING = {"loading": {"missing_keys": ["model.weight"]}}
MISMATCHED = {"loading": {"mismatched_keys": ["model.weight"]}}
Facts = dict[str, Any]


def _found(folder: Path, first: Facts, second: Facts | None, other: Facts | None = None) -> Disagreement | None:
    """What a capture with one buffer and its second load do not agree about.

    `other` is what the first process saw under the variant that was loaded again, where it is not the capture's.
    """
    common = {"buffers": [tensor("inv_freq", [1.0])]}
    seen = captured(folder / "first", **{**common, **first})
    if second is None:
        return disagreement(seen, None)
    beside = captured(folder / "other", **{**common, **other}) if other is not None else seen
    again = captured(folder / "again", **{**common, **second})
    return disagreement(seen, Repeat(first=beside, second=again, own=other is None))


def _place(found: Disagreement | None) -> tuple[str, str] | None:
    return (found.stage, found.where) if found else None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, None),
        ({}, {}),
        ({"generated": [[1]], "loading": {"unexpected_keys": ["a"]}}, {}),
        ({"tokens": LEFT_PADDED}, {"tokens": LEFT_PADDED, "logits": moved(9, 0, 0, 0)}),
        ({"tokens": LEFT_PADDED, "tensors": {"logits/again": moved(9, 0, 0, 0)}}, None),
        ({}, {"status": "probe_failed", "tokens": {}, "parameters": [], "logits": moved(1)}),
        (LACKING, {**LACKING, **PARAMETERS}),
    ],
)
def test_a_cell_that_agrees_with_itself_where_it_counts_is_at_rest(
    tmp_path: Path, first: Facts, second: Facts | None
) -> None:
    assert _found(tmp_path, first, second) is None


@pytest.mark.parametrize(
    ("first", "second", "place"),
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
    tmp_path: Path, first: Facts, second: Facts | None, place: tuple[str, str]
) -> None:
    assert _place(_found(tmp_path, first, second)) == place


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (RESTLESS, None, "two forwards of one load differ by up to 0.25"),
        ({}, {"logits": moved(-2)}, "two loads, in two processes, give logits that differ by up to 2"),
        ({}, {"logits": LOGITS[:, :2].copy()}, "two loads, in two processes, give logits that differ by up to inf"),
        ({}, {"logits": moved(float("nan"))}, "two loads, in two processes, give logits that differ by up to inf"),
        ({}, PARAMETERS, "two loads, in two processes, give model.weight different values"),
        ({}, TOKENS, "the tokenizer makes other ids in a second process"),
    ],
)
def test_the_sentence_says_what_happens(tmp_path: Path, first: Facts, second: Facts | None, text: str) -> None:
    found = _found(tmp_path, first, second)
    assert found
    assert found.text == text


@pytest.mark.parametrize("lacking", [LACKING, MISMATCHED])
def test_what_the_checkpoint_lacks_counts_where_the_model_computes_with_it(tmp_path: Path, lacking: Facts) -> None:
    found = _found(tmp_path, lacking, {**lacking, **PARAMETERS, "logits": moved(1)})
    assert _place(found) == ("parameters", "model.weight")
    assert found
    assert found.text == "the checkpoint does not hold model.weight, which every load draws anew"


def test_a_second_load_of_another_variant_is_compared_by_its_tensors_alone(tmp_path: Path) -> None:
    sdpa = {"logits": moved(1)}
    assert _found(tmp_path / "same", {}, sdpa, other=sdpa) is None
    # its own variant's two loads differ: that is said where that variant is judged
    assert _found(tmp_path / "moved", {}, {"logits": moved(2)}, other=sdpa) is None
    assert _place(_found(tmp_path / "buffers", {}, {**sdpa, **BUFFERS}, other=sdpa)) == ("buffers", "inv_freq")


@pytest.mark.parametrize(("by", "place"), [(1, None), (2, ("parameters", "model.weight"))])
def test_another_variant_tells_whether_the_model_computes_with_what_the_checkpoint_lacks(
    tmp_path: Path, by: float, place: tuple[str, str] | None
) -> None:
    again = {**LACKING, **PARAMETERS, "logits": moved(by)}
    assert _place(_found(tmp_path, LACKING, again, other={**LACKING, "logits": moved(1)})) == place


def test_a_first_load_that_failed_leaves_only_tensors_to_compare(tmp_path: Path) -> None:
    failed = capture.read(write_failed_capture(tmp_path / "failed"))
    first = captured(tmp_path / "a", **LACKING, buffers=[tensor("inv_freq", [1.0])])
    second = captured(tmp_path / "b", **LACKING, **BUFFERS)
    for beside in (None, failed):
        repeat = Repeat(first=beside, second=second, own=False)
        assert (repeat.taken, repeat.moved) == (second, False)
        assert _place(disagreement(first, repeat)) == ("buffers", "inv_freq")


def test_a_second_process_that_went_down_or_failed_leaves_nothing_to_compare(tmp_path: Path) -> None:
    seen, failed = captured(tmp_path / "a"), capture.read(write_failed_capture(tmp_path / "failed"))
    for repeat in (Repeat(first=seen, second=None, crashed="SIGSEGV"), Repeat(first=seen, second=failed)):
        assert (repeat.taken, repeat.moved, disagreement(seen, repeat)) == (None, False, None)


def test_a_tensor_that_only_one_of_two_loads_has_is_a_disagreement_unless_another_variant_needs_it(
    tmp_path: Path,
) -> None:
    late = {"buffers": [tensor("inv_freq", [1.0]), tensor("late")]}
    for index, sides in enumerate((({}, late), (late, {}))):
        assert _found(tmp_path / f"other {index}", *sides, other={}) is None
    found = _found(tmp_path, {}, late)
    assert _place(found) == ("buffers", "late")
    assert found
    assert found.text == "two loads, in two processes, do not both have late"


def test_the_second_process_runs_forward_twice_too(tmp_path: Path) -> None:
    again = {"tensors": {"logits/again": moved(0.5)}}
    assert _place(_found(tmp_path / "own", {}, again)) == ("logits", "logits")
    assert _found(tmp_path / "other", {}, again, other={}) is None


def test_a_closer_look_is_one_more_load_whose_logits_must_be_the_same(tmp_path: Path) -> None:
    seen, other = captured(tmp_path / "a"), looked(tmp_path / "b", logits=moved(-0.5))
    found = disagreement(seen, None, other)
    assert _place(found) == ("logits", "logits")
    assert found
    assert found.text == "one more load gives logits that differ by up to 0.5"
    for repeat in (None, Repeat(first=seen, second=seen), Repeat(first=seen, second=None, crashed="SIGSEGV")):
        assert disagreement(seen, repeat, looked(tmp_path / "same")) is None
        assert disagreement(seen, repeat, other) == found


def test_a_closer_look_counts_only_where_the_mask_lets_the_model_look(tmp_path: Path) -> None:
    seen = captured(tmp_path / "a", tokens=LEFT_PADDED)
    assert disagreement(seen, None, looked(tmp_path / "b", tokens=LEFT_PADDED, logits=moved(9, 0, 0, 0))) is None


def test_what_the_second_process_sees_comes_before_the_closer_look(tmp_path: Path) -> None:
    seen, again = captured(tmp_path / "a", buffers=[tensor("inv_freq")]), captured(tmp_path / "b", **BUFFERS)
    repeat = Repeat(first=seen, second=again)
    assert _place(disagreement(seen, repeat, looked(tmp_path / "c", logits=moved(1)))) == ("buffers", "inv_freq")


def test_a_further_output_that_is_not_the_same_again_is_named(tmp_path: Path) -> None:
    one = {"further": ["loss"], "tensors": {"output/loss": 1.0}}
    assert _found(tmp_path / "same", one, one) is None
    again = _found(tmp_path / "loads", one, {**one, "tensors": {"output/loss": 1.5}})
    assert _place(again) == ("logits", "loss")
    assert again
    assert "give values of loss that differ by up to 0.5" in again.text
    forwards = _found(tmp_path / "forwards", {**one, "tensors": {"output/loss": 1.0, "output/loss/again": 3.0}}, None)
    assert _place(forwards) == ("logits", "loss")
    assert forwards
    assert "two forwards of one load differ in loss by up to 2" in forwards.text


def test_a_further_output_of_what_the_checkpoint_lacks_may_be_drawn_anew(tmp_path: Path) -> None:
    pooled = {**LACKING, "further": ["pooler_output"]}
    again = {**pooled, **PARAMETERS, "tensors": {"output/pooler_output": [[2.0]]}}
    assert _found(tmp_path / "drawn", {**pooled, "tensors": {"output/pooler_output": [[1.0]]}}, again) is None
    moved_too = _found(tmp_path / "used", pooled | {"further": []}, {**again, "logits": moved(1), "further": []})
    assert moved_too
    assert moved_too.stage == "parameters"


def test_a_second_load_with_another_input_speaks_for_the_tensors_alone(tmp_path: Path) -> None:
    seen = captured(tmp_path / "seen")
    other = captured(tmp_path / "other", **TOKENS, logits=moved(1.0))
    again = captured(tmp_path / "again", **TOKENS, logits=moved(2.0))
    assert disagreement(seen, Repeat(first=other, second=again, own=False)) is None
    changed = captured(tmp_path / "changed", **TOKENS, **PARAMETERS)
    found = disagreement(seen, Repeat(first=other, second=changed, own=False))
    assert _place(found) == ("parameters", "model.weight")
