"""A comparison gets a verdict, the stage and place where the difference starts, and one sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix.compare import compare_captures
from tests.matrix.builders import IDS, LEFT_PADDED, LOGITS, captured, moved, tensor
from tests.matrix.judging import BASELINE, CANDIDATE, judge_sides, judged, side, verdict


def test_the_same_bits_are_identical(tmp_path: Path) -> None:
    found = judged(tmp_path)
    assert verdict(found) == ("identical", None, None)
    assert (found.summary, found.notes, found.fails) == ("the same bits", (), False)


def test_a_difference_only_under_the_mask_is_identical_with_a_note(tmp_path: Path) -> None:
    hidden = {"tokens": LEFT_PADDED, "logits": moved(9, 0, 0, 0)}
    found = judged(tmp_path, {"tokens": LEFT_PADDED}, hidden)
    assert verdict(found) == ("identical", None, None)
    assert found.summary == "the same bits at every position that the mask keeps"
    assert found.notes == ("logits differ only at positions that the attention mask hides",)


def test_a_difference_at_the_logits_alone_is_drift_there(tmp_path: Path) -> None:
    found = judged(tmp_path, {}, {"logits": moved(-0.5)})
    assert verdict(found) == ("drift", "logits", "logits")
    assert found.summary == "logits move by up to 0.5 and argmax agrees everywhere"
    assert found.fails


def test_argmax_that_flips_is_counted(tmp_path: Path) -> None:
    summary = judged(tmp_path, {}, {"logits": moved(99, 0, 0, 0)}).summary
    assert "argmax agrees at 0.667 of the positions" in summary


def test_tokens_come_first_whatever_else_differs(tmp_path: Path) -> None:
    other = {
        "tokens": {**IDS, "input_ids": [[5, 9, 7]]},
        "config": {"hidden_size": 8},
        "parameters": [tensor("model.weight", [9.0])],
        "logits": moved(1),
    }
    found = judged(tmp_path, {}, other)
    assert verdict(found) == ("drift", "tokens", "input_ids[0, 1]")
    assert "the tokenizer makes 3 input_ids starting [5, 9, 7] of the same text" in found.summary


def test_other_tokens_are_drift_even_where_the_logits_are_the_same(tmp_path: Path) -> None:
    assert judged(tmp_path, {}, {"tokens": {**IDS, "input_ids": [[5, 9, 7]]}}).verdict == "drift"


def test_a_config_value_is_the_cause_before_the_state(tmp_path: Path) -> None:
    other = {
        "config": {"hidden_size": 4, "rope": {"theta": 5.0}},
        "buffers": [tensor("inv_freq", [9.0])],
        "logits": moved(1),
    }
    found = judged(tmp_path, {"buffers": [tensor("inv_freq", [1.0])]}, other)
    assert verdict(found) == ("drift", "config", "rope.theta")
    assert found.summary.startswith("rope.theta differs; logits move by up to 1")


@pytest.mark.parametrize("kind", ["parameters", "buffers"])
def test_state_that_changed_is_the_cause_before_the_logits(tmp_path: Path, kind: str) -> None:
    sides = {kind: [tensor("a"), tensor("b", [1.0])]}, {kind: [tensor("a"), tensor("b", [9.0])], "logits": moved(1)}
    found = judged(tmp_path, *sides)
    assert verdict(found) == ("drift", kind, "b")
    assert found.summary.startswith("b differs; logits move")


def test_a_config_key_on_one_side_is_no_cause(tmp_path: Path) -> None:
    assert judged(tmp_path, {}, {"config": {"new_in_5": 1}}).verdict == "identical"
    assert judged(tmp_path, {}, {"config": {"new_in_5": 1}, "logits": moved(1)}).stage == "logits"


OLD, TWIN = tensor("old"), tensor("twin")


@pytest.mark.parametrize(
    ("baseline", "candidate", "note"),
    [
        ([], [OLD], "buffers added: old"),
        ([OLD], [], "buffers removed: old"),
        ([OLD], [{**OLD, "name": "new"}], "buffers renamed (the same bytes): old"),
        ([OLD, TWIN], [OLD, {**TWIN, "alias": "old"}], "buffers tied to other tensors: old, twin"),
        ([OLD], [{**OLD, "persistent": False}], "buffers saved by one side only: old"),
        ([OLD], [tensor("old", [9.0])], "changed without any effect on the logits: old"),
    ],
)
def test_state_without_effect_is_identical_with_a_note(
    tmp_path: Path, baseline: list[Any], candidate: list[Any], note: str
) -> None:
    found = judged(tmp_path, {"buffers": baseline}, {"buffers": candidate})
    assert (found.verdict, found.notes) == ("identical", (note,))


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("kind", ["parameters", "buffers"])
@pytest.mark.parametrize(
    ("baseline", "candidate", "said"),
    [
        ([tensor("a", [1.0, 2.0])], [tensor("a", [NAN, 2.0])], True),
        ([tensor("a", [1.0, INF])], [tensor("a", [INF, -INF])], True),
        ([tensor("a", [1.0])], [tensor("a", [1.0, INF])], True),
        ([], [tensor("a", [NAN])], True),
        ([tensor("a", [1.0, INF])], [tensor("a", [NAN, 1.0])], False),
        ([tensor("a", [NAN, INF])], [tensor("a", [1.0, INF])], False),
        ([tensor("a", [NAN])], [], False),
    ],
)
def test_a_tensor_that_holds_more_nan_or_infinity_than_the_baselines_is_noted(
    tmp_path: Path,
    kind: str,
    baseline: list[Any],
    candidate: list[Any],
    said: bool,  # noqa: FBT001
) -> None:
    found = judged(tmp_path, {kind: baseline}, {kind: candidate, "logits": moved(1)})
    assert ("holds NaN or infinity that the baseline's does not: a" in found.notes) is said


def test_a_note_names_three_and_counts_the_rest(tmp_path: Path) -> None:
    added = {"buffers": [tensor(f"b{index}", [float(index)]) for index in range(5)]}
    assert judged(tmp_path, {}, added).notes == ("buffers added: b0, b1, b2 and 2 more",)


def test_a_parameter_that_only_the_candidate_misses_is_drift(tmp_path: Path) -> None:
    drawn = {"loading": {"missing_keys": ["model.weight"]}, "parameters": [tensor("model.weight", [5.0])]}
    found = judged(tmp_path, {}, {**drawn, "logits": moved(-0.5)})
    assert verdict(found) == ("drift", "load", "model.weight")


def test_an_axis_that_chooses_the_instruction_set_is_compared_all_the_same(tmp_path: Path) -> None:
    environment = {"cpu": "one CPU", "cpu_capability": "DEFAULT"}
    a, b = captured(tmp_path / "a"), captured(tmp_path / "b", environment=environment, logits=moved(-0.5))
    chosen = replace(BASELINE, environ={"ATEN_CPU_CAPABILITY": "default"})
    assert judge_sides(side(BASELINE, a), side(chosen, b), compare_captures(a, b)).verdict == "drift"


def test_only_generation_differs(tmp_path: Path) -> None:
    found = judged(tmp_path, {"generated": [[1, 2]]}, {"generated": [[1, 3]]})
    assert verdict(found) == ("drift", "generation", "token 1")
    assert found.summary == "the logits are the same, but greedy token 1 differs"


def test_logits_of_another_shape_are_drift(tmp_path: Path) -> None:
    found = judged(tmp_path, {}, {"logits": LOGITS[:, :, :3].copy()})
    assert verdict(found) == ("drift", "logits", "logits")
    assert found.summary == "logits have the shape [1, 3, 3] instead of [1, 3, 4]"


@pytest.mark.parametrize("differs", [{}, {"logits": moved(1)}, {"tokens": {**IDS, "input_ids": [[1, 2, 3]]}}])
def test_captures_from_different_cpus_are_never_compared(tmp_path: Path, differs: dict[str, Any]) -> None:
    found = judged(tmp_path, {}, {"cpu": "another CPU", **differs})
    assert verdict(found) == ("missing", None, None)
    assert "different CPUs" in found.summary


def test_other_bytes_that_this_input_does_not_reach_are_drift_all_the_same(tmp_path: Path) -> None:
    found = judged(tmp_path, {}, {"parameters": [tensor("model.weight", [5.0])]})
    assert verdict(found) == ("drift", "parameters", "model.weight")
    assert found.summary == "model.weight differs; the logits are the same"


def test_a_buffer_of_another_layout_is_judged_by_the_logits(tmp_path: Path) -> None:
    old, new = {"buffers": [tensor("mask", [1.0])]}, {"buffers": [tensor("mask", [1.0, 1.0])]}
    found = judged(tmp_path, old, new)
    assert found.verdict == "identical"
    assert found.notes == ("changed without any effect on the logits: mask",)


def test_a_buffer_that_was_too_large_to_keep_is_drift_by_its_digest_and_the_notes_say_so(tmp_path: Path) -> None:
    old, new = ({"buffers": [{**tensor("mask", [value]), "kept": False}]} for value in (1.0, 2.0))
    found = judged(tmp_path, old, new)
    assert (found.verdict, found.stage, found.where) == ("drift", "buffers", "mask")
    assert "too large to keep, so compared by digest alone: mask" in found.notes
    assert found.comparison
    assert found.comparison.changes("buffers")[0].difference is None


def test_logits_of_another_dtype_are_not_the_same(tmp_path: Path) -> None:
    a, b = captured(tmp_path / "a"), captured(tmp_path / "b")
    narrow = replace(b, outputs={"logits": {**b.outputs["logits"], "dtype": "bfloat16", "sha256": "other"}})
    found = judge_sides(side(BASELINE, a), side(CANDIDATE, narrow), compare_captures(a, narrow))
    assert verdict(found) == ("drift", "logits", "logits")
    assert found.summary == "logits are bfloat16 instead of float32"


def test_a_buffer_in_whose_place_another_of_its_form_comes_is_the_cause_where_the_logits_move(tmp_path: Path) -> None:
    sides = {"buffers": [tensor("slopes", [1.0])]}, {"buffers": [tensor("bias", [9.0])]}
    found = judged(tmp_path / "moved", sides[0], {**sides[1], "logits": moved(1)})
    assert verdict(found) == ("drift", "buffers", "slopes")
    assert judged(tmp_path / "same", *sides).verdict == "identical"
    wider = {"buffers": [tensor("bias", [9.0, 9.0])], "logits": moved(1)}
    assert verdict(judged(tmp_path / "wider", sides[0], wider)) == ("drift", "logits", "logits")


def test_a_parameter_that_goes_while_another_comes_is_the_cause(tmp_path: Path) -> None:
    other = {"parameters": [tensor("model.kernel", [7.0])], "logits": moved(-0.5)}
    assert verdict(judged(tmp_path, {}, other)) == ("drift", "parameters", "model.weight")
