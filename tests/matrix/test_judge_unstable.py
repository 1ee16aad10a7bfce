"""What a cell does not agree with itself about, no release changed: unstable, with where it starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix import capture
from matrix.capture import Capture
from matrix.compare import compare_captures
from matrix.judgement import Judgement, Side
from matrix.repeats import Repeat
from tests.matrix.builders import IDS, captured, looked, moved, tensor, write_failed_capture
from tests.matrix.judging import BASELINE, CANDIDATE, judge_sides, judged, side, verdict


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
    found = judged(tmp_path, sides[0], sides[1])
    assert verdict(found) == ("unstable", stage, (candidate or baseline)[0])
    assert found.summary.startswith(starts)
    assert found.summary.endswith(" the logits are the same")
    assert found.fails


def test_a_failure_after_unwritten_memory_is_blamed_on_the_memory(tmp_path: Path) -> None:
    good = captured(tmp_path / "a")
    error = {"type": "IndexError", "message": "index out of range", "traceback": "…", "transient": False}
    facts = {"status": "probe_failed", "failed_stage": "logits", "error": error, "uninitialised": ["position_ids"]}
    bad = captured(tmp_path / "b", **facts)
    found = judge_sides(side(BASELINE, good), side(CANDIDATE, bad))
    assert verdict(found) == ("unstable", "buffers", "position_ids")
    assert found.summary.endswith("this load fails at logits: IndexError: index out of range")


def test_a_parameter_that_no_checkpoint_decides_is_the_cases_own_fault(tmp_path: Path) -> None:
    lacking = {"loading": {"missing_keys": ["model.weight"]}}
    drawn = {**lacking, "parameters": [tensor("model.weight", [5.0])], "logits": moved(-0.5)}
    found = judged(tmp_path, lacking, drawn)
    assert verdict(found) == ("unstable", "parameters", "model.weight")
    assert found.summary.startswith("the checkpoint does not hold model.weight")


def _whose(of: str, repeat: Capture) -> tuple[Capture | None, Capture | None]:
    return (None, repeat) if of == "candidate" else (repeat, None)


@pytest.mark.parametrize(("of", "whose"), [("candidate", ""), ("baseline", " in the baseline")])
@pytest.mark.parametrize(
    ("again", "place", "text"),
    [
        (
            {"parameters": [tensor("model.weight", [7.0])]},
            ("parameters", "model.weight"),
            "give model.weight different",
        ),
        (
            {"logits": moved(0.5)},
            ("logits", "logits"),
            "two loads, in two processes, give logits that differ by",
        ),
        ({"tokens": {**IDS, "input_ids": [[5, 9, 7]]}}, ("tokens", "input_ids[0, 1]"), "the tokenizer makes other ids"),
    ],
)
def test_a_second_process_that_sees_something_else_is_unstable_even_where_the_sides_agree(
    tmp_path: Path, of: str, whose: str, again: dict[str, Any], place: tuple[str, str], text: str
) -> None:
    found = judged(tmp_path, repeats=_whose(of, captured(tmp_path / "again", **again)))
    assert verdict(found) == ("unstable", *place)
    assert text in found.summary
    assert found.summary.endswith(f"{whose}; in this load the logits are the same")
    assert found.fails


def test_a_second_forward_with_other_bits_is_unstable(tmp_path: Path) -> None:
    restless = {"tensors": {"logits/again": moved(0.25)}}
    found = judged(tmp_path, {}, {**restless, "logits": moved(-3)})
    assert verdict(found) == ("unstable", "logits", "logits")
    assert found.summary.startswith(
        "two forwards of one load differ by up to 3.25; in this load logits move by up to 3"
    )
    assert verdict(judged(tmp_path / "other", restless)) == ("unstable", "logits", "logits")


def test_a_repeat_that_agrees_changes_nothing(tmp_path: Path) -> None:
    again = captured(tmp_path / "again")
    assert judged(tmp_path, repeats=(again, again)).verdict == "identical"


def test_memory_that_was_never_written_is_named_before_what_it_does(tmp_path: Path) -> None:
    left = {"uninitialised": ["inv_freq"], "buffers": [tensor("inv_freq")]}
    found = judged(tmp_path, {}, left, repeats=(None, captured(tmp_path / "again", logits=moved(0.5))))
    assert verdict(found) == ("unstable", "buffers", "inv_freq")


def test_a_restless_side_is_never_blamed_on_a_release(tmp_path: Path) -> None:
    other = {"parameters": [tensor("model.weight", [9.0])], "logits": moved(1)}
    found = judged(tmp_path, {}, other, repeats=(None, captured(tmp_path / "again", **{**other, "logits": moved(2)})))
    assert verdict(found) == ("unstable", "logits", "logits")


def _torn(folder: Path, of: str, *, first_fails: bool, stage: str = "state", transient: bool = False) -> Judgement:
    """Judge two sides of which one fails in one process and works in another."""
    good = captured(folder / "good")
    bad = capture.read(write_failed_capture(folder / "bad", stage=stage, transient=transient))
    assert bad
    torn = (bad, good) if first_fails else (good, bad)
    a, b = (
        side(cell, *(torn if of == name else (good,)))
        for cell, name in ((BASELINE, "baseline"), (CANDIDATE, "candidate"))
    )
    return judge_sides(a, b, compare_captures(good, good) if a.captured and b.captured else None)


@pytest.mark.parametrize(("of", "whose"), [("candidate", ""), ("baseline", " in the baseline")])
@pytest.mark.parametrize("first_fails", [True, False])
def test_a_failure_in_one_process_only_is_unstable(tmp_path: Path, of: str, whose: str, first_fails: bool) -> None:  # noqa: FBT001
    found = _torn(tmp_path, of, first_fails=first_fails)
    assert verdict(found) == ("unstable", "parameters", "ImportError")
    assert found.summary == f"one load{whose} works and another fails at state: ImportError: no such name"


@pytest.mark.parametrize(("first_fails", "shown"), [(True, "error"), (False, "identical")])
def test_too_little_memory_in_one_process_says_nothing_about_the_model(
    tmp_path: Path,
    first_fails: bool,  # noqa: FBT001
    shown: str,
) -> None:
    assert _torn(tmp_path, "candidate", first_fails=first_fails, transient=True).verdict == shown


def test_a_failure_in_both_processes_is_an_error(tmp_path: Path) -> None:
    bad = capture.read(write_failed_capture(tmp_path / "bad"))
    assert bad
    assert judge_sides(side(BASELINE, captured(tmp_path / "a")), side(CANDIDATE, bad, bad)).verdict == "error"


def test_a_failed_generation_is_no_sign_of_unrest_since_a_second_load_generates_nothing(tmp_path: Path) -> None:
    found = _torn(tmp_path, "candidate", first_fails=True, stage="generation")
    assert verdict(found) == ("error", "generation", "ImportError")


@pytest.mark.parametrize("first_fails", [True, False])
def test_memory_that_was_never_written_is_named_before_the_load_that_fails_by_it(
    tmp_path: Path,
    first_fails: bool,  # noqa: FBT001
) -> None:
    left = {"uninitialised": ["ids"], "buffers": [tensor("ids")]}
    error = {"type": "IndexError", "message": "out of range", "traceback": "…", "transient": False}
    good = captured(tmp_path / "good")
    bad = captured(tmp_path / "bad", status="probe_failed", failed_stage="logits", error=error, **left)
    whole = captured(tmp_path / "whole", **left)
    torn = side(CANDIDATE, bad, good) if first_fails else side(CANDIDATE, whole, bad)
    found = judge_sides(side(BASELINE, good), torn, None if first_fails else compare_captures(good, whole))
    assert verdict(found) == ("unstable", "buffers", "ids")


def test_what_only_this_release_misses_is_unstable_from_the_load_on(tmp_path: Path) -> None:
    drawn = {"loading": {"missing_keys": ["model.weight"]}, "logits": moved(1)}
    again = captured(tmp_path / "again", **{**drawn, "parameters": [tensor("model.weight", [7.0])], "logits": moved(2)})
    other = {**drawn, "parameters": [tensor("model.weight", [5.0])]}
    assert verdict(judged(tmp_path, {}, other, repeats=(None, again))) == ("unstable", "load", "model.weight")


def test_only_a_baseline_that_is_unstable_is_at_fault(tmp_path: Path) -> None:
    again, restless = captured(tmp_path / "again"), {"tensors": {"logits/again": moved(0.25)}}
    left = {"uninitialised": ["inv_freq"], "buffers": [tensor("inv_freq")]}
    for name, facts in (("restless", restless), ("unwritten", left)):
        sides = [judged(tmp_path / name / str(index), *pair) for index, pair in enumerate(((facts, {}), ({}, facts)))]
        assert [(one.verdict, one.baseline_at_fault) for one in sides] == [("unstable", True), ("unstable", False)]
    assert _torn(tmp_path, "baseline", first_fails=True).baseline_at_fault
    assert not _torn(tmp_path, "candidate", first_fails=True).baseline_at_fault
    assert not judged(tmp_path, repeats=(again, again)).baseline_at_fault


def test_a_failure_of_another_kernel_is_no_sign_of_unrest(tmp_path: Path) -> None:
    sdpa, eager = captured(tmp_path / "sdpa"), captured(tmp_path / "eager")
    bad = capture.read(write_failed_capture(tmp_path / "bad", stage="logits"))
    assert bad
    for first in (bad, eager):
        torn = replace(side(CANDIDATE, sdpa), repeat=Repeat(first=first, second=bad, own=False))
        assert judge_sides(side(BASELINE, eager), torn, compare_captures(eager, sdpa)).verdict == "identical"
    torn = replace(side(CANDIDATE, bad), repeat=Repeat(first=eager, second=sdpa, own=False))
    assert judge_sides(side(BASELINE, eager), torn).verdict == "error"


def test_a_load_that_takes_the_interpreter_down_in_one_process_only_is_unrest(tmp_path: Path) -> None:
    good = captured(tmp_path / "good")
    down = Side(cell=CANDIDATE, status="crashed", reason="SIGSEGV", capture=None, stage="load")
    assert judge_sides(side(BASELINE, good), down).verdict == "error"
    torn = judge_sides(side(BASELINE, good), replace(down, repeat=Repeat(first=None, second=good)))
    assert (torn.verdict, torn.stage, torn.where) == ("unstable", "load", None)
    assert "one load works and another does not: SIGSEGV" in torn.summary
    late = replace(down, status="timed_out", repeat=Repeat(first=None, second=good))
    assert judge_sides(side(BASELINE, good), late).verdict == "error"


def _down(folder: Path, of: str, **facts: Any) -> Judgement:  # noqa: ANN401 - what a second load may be
    """Judge two equal sides, of which one's second load took the interpreter down."""
    good = captured(folder / "good")
    repeat = Repeat(**{"first": good, "second": None, "crashed": "SIGSEGV", **facts})
    a, b = (
        replace(side(cell, good), repeat=repeat if name == of else None)
        for cell, name in ((BASELINE, "baseline"), (CANDIDATE, "candidate"))
    )
    return judge_sides(a, b, compare_captures(good, good))


@pytest.mark.parametrize(("of", "whose"), [("candidate", ""), ("baseline", " in the baseline")])
def test_a_second_load_that_takes_the_interpreter_down_is_unrest(tmp_path: Path, of: str, whose: str) -> None:
    found = _down(tmp_path, of)
    assert verdict(found) == ("unstable", None, None)
    assert found.summary == f"one load{whose} works and another does not: SIGSEGV"
    assert (found.fails, found.baseline_at_fault) == (True, bool(whose))
    assert _down(tmp_path / "other variant", of, own=False).verdict == "identical"


def test_where_both_loads_take_the_interpreter_down_the_model_is_at_fault(tmp_path: Path) -> None:
    repeat = Repeat(first=None, second=None, crashed="SIGSEGV")
    down = Side(cell=CANDIDATE, status="crashed", reason="SIGSEGV", capture=None, repeat=repeat)
    assert judge_sides(side(BASELINE, captured(tmp_path)), down).verdict == "error"


@pytest.mark.parametrize(
    ("restless", "whose", "at_fault"),
    [
        (("candidate",), "", False),
        (("baseline",), " in the baseline", True),
        (("baseline", "candidate"), " in the baseline too", True),
    ],
)
def test_it_is_said_which_sides_are_at_unrest(
    tmp_path: Path,
    restless: tuple[str, ...],
    whose: str,
    at_fault: bool,  # noqa: FBT001
) -> None:
    facts = [
        {"tensors": {"logits/again": moved(0.25)}} if name in restless else {} for name in ("baseline", "candidate")
    ]
    found = judged(tmp_path, *facts)
    assert (found.verdict, found.baseline_at_fault) == ("unstable", at_fault)
    assert (
        found.summary == f"two forwards of one load differ by up to 0.25{whose}; in this load the logits are the same"
    )


@pytest.mark.parametrize(("of", "whose"), [("candidate", ""), ("baseline", " in the baseline")])
def test_a_closer_look_that_sees_other_logits_is_unrest(tmp_path: Path, of: str, whose: str) -> None:
    good, look = captured(tmp_path / "good"), looked(tmp_path / "look", logits=moved(-0.5))
    a, b = (
        replace(side(cell, good), look=look if name == of else looked(tmp_path / name))
        for cell, name in ((BASELINE, "baseline"), (CANDIDATE, "candidate"))
    )
    found = judge_sides(a, b, compare_captures(good, good))
    assert verdict(found) == ("unstable", "logits", "logits")
    assert found.summary.startswith(f"one more load gives logits that differ by up to 0.5{whose}; in this load")
