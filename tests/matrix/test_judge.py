"""A comparison gets a verdict, the stage and place where the difference starts, and one sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix import capture
from matrix.case import Case, Variant
from matrix.cell import Cell, CellStatus
from matrix.compare import compare_captures
from matrix.judge import Judgement, Side, expected, judge
from matrix.noise import Floor
from matrix.plan import Job
from matrix.spec import Known
from tests.matrix.builders import (
    IDS,
    LEFT_PADDED,
    LOGITS,
    captured,
    moved,
    small_spec,
    tensor,
    write_failed_capture,
)

JOB = Job(case=Case(name="tiny", checkpoint="tiny"), variant=Variant(attention="eager"))
BASELINE = Cell(axes={"transformers": "1.0", "torch": "9.0"})
CANDIDATE = Cell(axes={"transformers": "2.0", "torch": "9.0"})
FLOOR = Floor(max_abs=0.1, limit=2.0, source="eager against sdpa in the baseline's cell")


def _judge(
    folder: Path,
    baseline: dict[str, Any] | None = None,
    candidate: dict[str, Any] | None = None,
    floor: Floor | None = None,
) -> Judgement:
    """Judge two complete captures."""
    a, b = captured(folder / "a", **(baseline or {})), captured(folder / "b", **(candidate or {}))
    sides = [Side(cell=cell, status=s.status, reason=None, capture=s) for cell, s in ((BASELINE, a), (CANDIDATE, b))]
    return judge(JOB, sides[0], sides[1], compare_captures(a, b), floor)


def _verdict(judged: Judgement) -> tuple[str, str | None, str | None]:
    return judged.verdict, judged.stage, judged.where


def test_the_same_bits_are_identical(tmp_path: Path) -> None:
    judged = _judge(tmp_path)
    assert _verdict(judged) == ("identical", None, None)
    assert (judged.summary, judged.notes, judged.fails) == ("the same bits", (), False)


def test_a_difference_only_under_the_mask_is_identical_with_a_note(tmp_path: Path) -> None:
    hidden = {"tokens": LEFT_PADDED, "logits": moved(9, 0, 0, 0)}
    judged = _judge(tmp_path, {"tokens": LEFT_PADDED}, hidden)
    assert _verdict(judged) == ("identical", None, None)
    assert judged.summary == "the same bits at every position that the mask keeps"
    assert judged.notes == ("logits differ only at positions that the attention mask hides",)


def test_a_difference_at_the_logits_alone_is_drift_there(tmp_path: Path) -> None:
    judged = _judge(tmp_path, {}, {"logits": moved(-0.5)})
    assert _verdict(judged) == ("drift", "logits", "logits")
    assert judged.summary == "logits move by up to 0.5 and argmax agrees everywhere"
    assert judged.fails


def test_argmax_that_flips_is_counted(tmp_path: Path) -> None:
    summary = _judge(tmp_path, {}, {"logits": moved(99, 0, 0, 0)}).summary
    assert "argmax agrees at 0.667 of the positions" in summary


def test_tokens_come_first_whatever_else_differs(tmp_path: Path) -> None:
    other = {
        "tokens": {**IDS, "input_ids": [[5, 9, 7]]},
        "config": {"hidden_size": 8},
        "parameters": [tensor("model.weight", [9.0])],
        "logits": moved(1),
    }
    judged = _judge(tmp_path, {}, other)
    assert _verdict(judged) == ("drift", "tokens", "input_ids[0, 1]")
    assert "the tokenizer makes 3 input_ids starting [5, 9, 7] of the same text" in judged.summary


def test_other_tokens_are_drift_even_where_the_logits_are_the_same(tmp_path: Path) -> None:
    assert _judge(tmp_path, {}, {"tokens": {**IDS, "input_ids": [[5, 9, 7]]}}).verdict == "drift"


def test_a_config_value_is_the_cause_before_the_state(tmp_path: Path) -> None:
    other = {
        "config": {"hidden_size": 4, "rope": {"theta": 5.0}},
        "buffers": [tensor("inv_freq", [9.0])],
        "logits": moved(1),
    }
    judged = _judge(tmp_path, {"buffers": [tensor("inv_freq", [1.0])]}, other)
    assert _verdict(judged) == ("drift", "config", "rope.theta")
    assert judged.summary.startswith("rope.theta differs; logits move by up to 1")


@pytest.mark.parametrize("kind", ["parameters", "buffers"])
def test_state_that_changed_is_the_cause_before_the_logits(tmp_path: Path, kind: str) -> None:
    sides = {kind: [tensor("a"), tensor("b", [1.0])]}, {kind: [tensor("a"), tensor("b", [9.0])], "logits": moved(1)}
    judged = _judge(tmp_path, *sides)
    assert _verdict(judged) == ("drift", kind, "b")
    assert judged.summary.startswith("b differs; logits move")


def test_a_config_key_on_one_side_is_no_cause(tmp_path: Path) -> None:
    assert _judge(tmp_path, {}, {"config": {"new_in_5": 1}}).verdict == "identical"
    assert _judge(tmp_path, {}, {"config": {"new_in_5": 1}, "logits": moved(1)}).stage == "logits"


OLD = tensor("old")


@pytest.mark.parametrize(
    ("baseline", "candidate", "note"),
    [
        ([], [OLD], "buffers added: old"),
        ([OLD], [], "buffers removed: old"),
        ([OLD], [{**OLD, "name": "new"}], "buffers renamed (the same bytes): old"),
        ([OLD], [{**OLD, "alias": "twin"}], "buffers tied to another tensor: old"),
        ([OLD], [{**OLD, "persistent": False}], "buffers saved by one side only: old"),
        ([OLD], [tensor("old", [9.0])], "changed without any effect on the logits: old"),
    ],
)
def test_state_without_effect_is_identical_with_a_note(
    tmp_path: Path, baseline: list[Any], candidate: list[Any], note: str
) -> None:
    judged = _judge(tmp_path, {"buffers": baseline}, {"buffers": candidate})
    assert (judged.verdict, judged.notes) == ("identical", (note,))


def test_a_note_names_three_and_counts_the_rest(tmp_path: Path) -> None:
    added = {"buffers": [tensor(f"b{index}", [float(index)]) for index in range(5)]}
    assert _judge(tmp_path, {}, added).notes == ("buffers added: b0, b1, b2 and 2 more",)


@pytest.mark.parametrize(
    ("baseline", "candidate", "stage", "starts"),
    [
        ([], ["inv_freq"], "buffers", "loading leaves inv_freq as uninitialised memory"),
        ([], ["model.weight"], "parameters", "loading leaves model.weight"),
        (
            ["inv_freq"],
            [],
            "buffers",
            "loading leaves inv_freq as uninitialised memory in the baseline; in this load",
        ),
        (["inv_freq"], ["inv_freq"], "buffers", "loading leaves inv_freq as uninitialised memory in the baseline too"),
    ],
)
def test_uninitialised_memory_is_unstable_even_where_the_bits_agree(
    tmp_path: Path, baseline: list[str], candidate: list[str], stage: str, starts: str
) -> None:
    buffers = [tensor("inv_freq")]
    sides = [{"uninitialised": names, "buffers": buffers} for names in (baseline, candidate)]
    judged = _judge(tmp_path, sides[0], sides[1])
    assert _verdict(judged) == ("unstable", stage, (candidate or baseline)[0])
    assert judged.summary.startswith(starts)
    assert judged.summary.endswith(" the logits are the same")
    assert judged.fails


def test_a_failure_after_unwritten_memory_is_blamed_on_the_memory(tmp_path: Path) -> None:
    good = captured(tmp_path / "a")
    error = {"type": "IndexError", "message": "index out of range", "traceback": "…", "transient": False}
    facts = {"status": "probe_failed", "failed_stage": "logits", "error": error, "uninitialised": ["position_ids"]}
    bad = captured(tmp_path / "b", **facts)
    sides = [Side(cell=c, status=s.status, reason=None, capture=s) for c, s in ((BASELINE, good), (CANDIDATE, bad))]
    judged = judge(JOB, sides[0], sides[1], None, None)
    assert _verdict(judged) == ("unstable", "buffers", "position_ids")
    assert judged.summary.endswith("this load fails at logits: IndexError: index out of range")


def test_a_parameter_that_no_checkpoint_decides_is_the_cases_own_fault(tmp_path: Path) -> None:
    lacking = {"loading": {"missing_keys": ["model.weight"]}}
    drawn = {**lacking, "parameters": [tensor("model.weight", [5.0])], "logits": moved(-0.5)}
    judged = _judge(tmp_path, lacking, drawn)
    assert _verdict(judged) == ("unstable", "parameters", "model.weight")
    assert judged.summary.startswith("the checkpoint does not hold model.weight")


def test_a_parameter_that_only_the_candidate_misses_is_drift(tmp_path: Path) -> None:
    drawn = {"loading": {"missing_keys": ["model.weight"]}, "parameters": [tensor("model.weight", [5.0])]}
    judged = _judge(tmp_path, {}, {**drawn, "logits": moved(-0.5)})
    assert _verdict(judged) == ("drift", "load", "model.weight")


def test_an_axis_that_chooses_the_instruction_set_is_compared_all_the_same(tmp_path: Path) -> None:
    environment = {"cpu": "one CPU", "cpu_capability": "DEFAULT"}
    a, b = captured(tmp_path / "a"), captured(tmp_path / "b", environment=environment, logits=moved(-0.5))
    chosen = replace(BASELINE, environ={"ATEN_CPU_CAPABILITY": "default"})
    sides = [Side(cell=c, status=s.status, reason=None, capture=s) for c, s in ((BASELINE, a), (chosen, b))]
    assert judge(JOB, sides[0], sides[1], compare_captures(a, b), None).verdict == "drift"


def test_only_generation_differs(tmp_path: Path) -> None:
    judged = _judge(tmp_path, {"generated": [[1, 2]]}, {"generated": [[1, 3]]})
    assert _verdict(judged) == ("drift", "generation", "token 1")
    assert judged.summary == "the logits are the same, but greedy token 1 differs"


def test_logits_of_another_shape_are_drift(tmp_path: Path) -> None:
    judged = _judge(tmp_path, {}, {"logits": LOGITS[:, :, :3].copy()})
    assert _verdict(judged) == ("drift", "logits", "logits")
    assert judged.summary == "logits have the shape [1, 3, 3] instead of [1, 3, 4]"


@pytest.mark.parametrize("differs", [{}, {"logits": moved(1)}, {"tokens": {**IDS, "input_ids": [[1, 2, 3]]}}])
def test_captures_from_different_cpus_are_never_compared(tmp_path: Path, differs: dict[str, Any]) -> None:
    judged = _judge(tmp_path, {}, {"cpu": "another CPU", **differs})
    assert _verdict(judged) == ("missing", None, None)
    assert "different CPUs" in judged.summary


@pytest.mark.parametrize(("by", "verdict"), [(-0.1, "noise"), (-0.19, "noise"), (-0.3, "drift")])
def test_a_difference_within_the_limit_of_a_measured_floor_is_noise(tmp_path: Path, by: float, verdict: str) -> None:
    judged = _judge(tmp_path, {}, {"logits": moved(by)}, FLOOR)
    assert _verdict(judged) == (verdict, "logits", "logits")
    assert judged.floor is FLOOR
    assert "times the noise floor of 0.1 (eager against sdpa in the baseline's cell)" in judged.summary
    assert judged.fails is (verdict == "drift")


def test_without_a_floor_the_smallest_difference_is_drift(tmp_path: Path) -> None:
    assert _judge(tmp_path, {}, {"logits": moved(1e-6)}).verdict == "drift"


def test_a_floor_of_zero_explains_nothing(tmp_path: Path) -> None:
    floor = Floor(max_abs=0.0, limit=2.0, source="x")
    assert _judge(tmp_path, {}, {"logits": moved(1e-6)}, floor).verdict == "drift"


@pytest.mark.parametrize(
    ("baseline", "candidate", "stage"),
    [
        ({"buffers": [tensor("a", [1.0])]}, {"buffers": [tensor("a", [2.0])]}, "buffers"),
        ({}, {"parameters": [tensor("model.weight", [2.0])]}, "parameters"),
    ],
)
def test_a_small_difference_with_another_cause_than_rounding_is_no_noise(
    tmp_path: Path, baseline: dict[str, Any], candidate: dict[str, Any], stage: str
) -> None:
    judged = _judge(tmp_path, baseline, {**candidate, "logits": moved(-0.1)}, FLOOR)
    assert (judged.verdict, judged.stage) == ("drift", stage)


def test_a_config_value_is_never_waved_through_as_rounding(tmp_path: Path) -> None:
    judged = _judge(tmp_path, {}, {"config": {"hidden_size": 5}, "logits": moved(-0.1)}, FLOOR)
    assert _verdict(judged) == ("drift", "config", "hidden_size")


def test_other_bytes_that_this_input_does_not_reach_are_drift_all_the_same(tmp_path: Path) -> None:
    judged = _judge(tmp_path, {}, {"parameters": [tensor("model.weight", [5.0])]})
    assert _verdict(judged) == ("drift", "parameters", "model.weight")
    assert judged.summary == "model.weight differs; the logits are the same"


def test_a_buffer_of_another_layout_is_judged_by_the_logits(tmp_path: Path) -> None:
    old, new = {"buffers": [tensor("mask", [1.0])]}, {"buffers": [tensor("mask", [1.0, 1.0])]}
    judged = _judge(tmp_path, old, new)
    assert judged.verdict == "identical"
    assert judged.notes == ("changed without any effect on the logits: mask",)


def test_logits_of_another_dtype_are_not_the_same(tmp_path: Path) -> None:
    a, b = captured(tmp_path / "a"), captured(tmp_path / "b")
    narrow = replace(b, outputs={"logits": {**b.outputs["logits"], "dtype": "bfloat16", "sha256": "other"}})
    sides = [Side(cell=c, status=s.status, reason=None, capture=s) for c, s in ((BASELINE, a), (CANDIDATE, narrow))]
    judged = judge(JOB, sides[0], sides[1], compare_captures(a, narrow), None)
    assert _verdict(judged) == ("drift", "logits", "logits")
    assert judged.summary == "logits are bfloat16 instead of float32"


def test_a_parameter_that_goes_while_another_comes_is_the_cause(tmp_path: Path) -> None:
    other = {"parameters": [tensor("model.kernel", [7.0])], "logits": moved(-0.5)}
    assert _verdict(_judge(tmp_path, {}, other)) == ("drift", "parameters", "model.weight")


def test_a_crash_of_the_baseline_alone_is_an_error(tmp_path: Path) -> None:
    assert _verdict(_incomplete(tmp_path, "crashed", "captured"))[0] == "error"


def _side(cell: Cell, folder: Path, status: CellStatus, stage: str = "load") -> Side:
    if status == "captured":
        return Side(cell=cell, status=status, reason=None, capture=captured(folder))
    found = capture.read(write_failed_capture(folder, stage=stage)) if status == "probe_failed" else None
    return Side(cell=cell, status=status, reason=f"why it {status}", capture=found)


def _incomplete(folder: Path, baseline: CellStatus, candidate: CellStatus, stage: str = "load") -> Judgement:
    a, b = _side(BASELINE, folder / "a", baseline, stage), _side(CANDIDATE, folder / "b", candidate, stage)
    return judge(JOB, a, b, None, None)


@pytest.mark.parametrize(("stage", "shown"), [("load", "load"), ("logits", "logits"), ("state", "parameters")])
def test_a_candidate_that_fails_where_the_baseline_works_is_an_error_at_its_stage(
    tmp_path: Path, stage: str, shown: str
) -> None:
    judged = _incomplete(tmp_path, "captured", "probe_failed", stage)
    assert _verdict(judged) == ("error", shown, "ImportError")
    assert judged.summary == f"fails at {stage}: ImportError: no such name"


def test_a_baseline_that_fails_where_the_candidate_works_is_an_error_too(tmp_path: Path) -> None:
    judged = _incomplete(tmp_path, "probe_failed", "captured")
    assert _verdict(judged) == ("error", "load", "ImportError")
    assert judged.summary == "works here, while the baseline fails at load: ImportError: no such name"


@pytest.mark.parametrize("status", ["crashed", "timed_out"])
def test_a_candidate_that_takes_its_interpreter_down_is_an_error(tmp_path: Path, status: CellStatus) -> None:
    judged = _incomplete(tmp_path, "captured", status)
    assert (judged.verdict, judged.summary) == ("error", f"why it {status}")


@pytest.mark.parametrize(
    ("baseline", "candidate", "who"),
    [
        ("captured", "env_failed", "candidate has no capture (env_failed)"),
        ("captured", "not_run", "candidate has no capture (not_run)"),
        ("env_failed", "captured", "baseline has no capture (env_failed)"),
        ("probe_failed", "probe_failed", "baseline has no capture (probe_failed)"),
        ("env_failed", "env_failed", "baseline has no capture (env_failed)"),
    ],
)
def test_where_there_is_nothing_to_compare_the_verdict_is_missing_with_the_reason(
    tmp_path: Path, baseline: CellStatus, candidate: CellStatus, who: str
) -> None:
    judged = _incomplete(tmp_path, baseline, candidate)
    assert _verdict(judged) == ("missing", None, None)
    assert judged.summary.startswith(f"the {who}: why it ")
    assert judged.fails


KNOWN = {"case": "tiny", "cells": {"transformers": ">=2"}, "verdict": "drift", "reason": "so"}


def _known(folder: Path, **changes: Any) -> Known | None:  # noqa: ANN401 - what a known verdict may hold
    judged = _judge(folder, {}, {"logits": moved(1)})
    return expected(judged, small_spec(known=[{**KNOWN, **changes}])).known


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"cells": {}},
        {"cells": {"transformers": "2.0", "torch": "9.0"}},
        {"where": "logits"},
        {"variant": {"attention": "eager"}},
        {"variant": {"device": "cpu"}},
    ],
)
def test_a_known_verdict_fails_nothing(tmp_path: Path, changes: dict[str, Any]) -> None:
    known = _known(tmp_path, **changes)
    assert known
    assert known.reason == "so"


@pytest.mark.parametrize(
    "changes",
    [
        {"case": "other"},
        {"cells": {"transformers": ">2"}},
        {"verdict": "unstable"},
        {"where": "model.rotary_emb.inv_freq"},
        {"variant": {"attention": "sdpa"}},
        {"variant": {"dtype": "bfloat16"}},
    ],
)
def test_a_known_verdict_of_something_else_does_not_count(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert _known(tmp_path, **changes) is None


def test_a_known_change_of_tokens_does_not_excuse_a_model_that_changes_too(tmp_path: Path) -> None:
    other = {**IDS, "input_ids": [[9, 2, 3]]}
    tokens = _judge(tmp_path / "tokens", {}, {"tokens": other})
    known = replace(tokens, known=Known(**{**KNOWN, "where": "input_ids[0, 0]"}))
    assert not known.fails
    assert replace(known, same_ids=_judge(tmp_path / "model", {}, {"logits": moved(1)})).fails
    assert not replace(known, same_ids=_judge(tmp_path / "same")).fails
