"""A judged run is scored against the truth that its spec states."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix import verdicts
from matrix.errors import SpecError
from matrix.judgement import Verdict
from matrix.spec import Known
from tests.corpus import __main__ as command
from tests.corpus.score import Row, Score, Share, score, total
from tests.matrix.builders import RunFolder, moved, small_spec, tensor

ONE, TWO, THREE = ("1.0", "9.0"), ("2.0", "9.0"), ("3.0", "9.0")
BUILDS = {"transformers": {"values": ["1.0", "2.0"]}, "torch": {"values": ["8.0", "9.0"]}}
OTHER = [{"name": name, "checkpoint": "tiny", "input_ids": [[5, 6, 7]]} for name in ("tiny", "other")]


def _known(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - what an entry may hold
    entry = {"case": "tiny", "cells": {"transformers": "3.0"}, "verdict": "drift", "reason": "so"}
    return {**entry, **changes}


def _folder(path: Path, *known: dict[str, Any], **changes: Any) -> RunFolder:  # noqa: ANN401 - what a spec may hold
    """A run whose baseline has a capture."""
    return RunFolder(path, small_spec(known=list(known), **changes)).capture(*ONE)


def _score(folder: RunFolder) -> Score:
    return score("small", verdicts.judge_run(folder.run))


def test_a_truth_that_is_told_exactly_counts_once_per_comparison_and_once_per_case(tmp_path: Path) -> None:
    folder = _folder(tmp_path, _known(cells={"transformers": ">=2"})).capture(*TWO, logits=moved(1))
    scored = _score(folder.capture(*THREE, logits=moved(1)))
    assert (scored.recall.comparisons, scored.recall.cases) == (Share(hits=2, total=2), Share(hits=1, total=1))
    assert scored.false_alarms.comparisons == Share(hits=0, total=0)
    assert (scored.passes, scored.complete) == (True, True)


def test_a_case_is_found_only_when_all_of_it_is(tmp_path: Path) -> None:
    folder = _folder(tmp_path, _known(cells={"transformers": ">=2"})).capture(*TWO)
    scored = _score(folder.capture(*THREE, logits=moved(1)))
    assert (scored.recall.comparisons, scored.recall.cases) == (Share(hits=1, total=2), Share(hits=0, total=1))
    assert not scored.passes


def test_another_verdict_than_the_truths_is_noticed_and_not_recalled(tmp_path: Path) -> None:
    scored = _score(_folder(tmp_path, _known(verdict="error")).capture(*TWO).capture(*THREE, logits=moved(1)))
    assert (scored.recall.comparisons.hits, scored.noticed.comparisons.hits) == (0, 1)
    assert not scored.passes


def test_what_no_truth_speaks_of_is_a_false_alarm(tmp_path: Path) -> None:
    scored = _score(_folder(tmp_path, _known()).capture(*TWO, logits=moved(1)).capture(*THREE, logits=moved(1)))
    assert scored.false_alarms.comparisons == Share(hits=1, total=1)
    assert [row.cell for row in scored.rows if row.false_alarm] == ["2.0"]
    assert (scored.recall.comparisons.rate, scored.passes) == (1, False)


def test_stage_and_place_count_only_where_the_truth_states_them(tmp_path: Path) -> None:
    entries = [_known(cells={"transformers": "2.0"}, stage="config", where="logits"), _known()]
    scored = _score(_folder(tmp_path, *entries).capture(*TWO, logits=moved(1)).capture(*THREE, logits=moved(1)))
    assert scored.stage.comparisons == Share(hits=0, total=1)
    assert scored.where.comparisons == Share(hits=1, total=1)
    assert scored.passes


def test_nearly_every_place_must_be_right(tmp_path: Path) -> None:
    scored = _score(_folder(tmp_path, _known(where="head")).capture(*TWO).capture(*THREE, logits=moved(1)))
    assert (scored.recall.comparisons.rate, scored.where.comparisons.rate, scored.passes) == (1, 0, False)


def test_a_missing_comparison_is_no_false_alarm_and_makes_the_score_incomplete(tmp_path: Path) -> None:
    scored = _score(_folder(tmp_path, _known()).env_failed(*TWO).capture(*THREE, logits=moved(1)))
    assert [row.cell for row in scored.missing] == ["2.0"]
    assert (scored.false_alarms.comparisons.hits, scored.complete) == (0, False)
    assert command.exit_code(scored) == 3


def test_a_missing_truth_is_not_recalled(tmp_path: Path) -> None:
    scored = _score(_folder(tmp_path, _known()).capture(*TWO).env_failed(*THREE))
    assert (scored.recall.comparisons, scored.complete) == (Share(hits=0, total=1), False)


def test_missing_may_be_the_truth(tmp_path: Path) -> None:
    scored = _score(_folder(tmp_path, _known(verdict="missing")).capture(*TWO).env_failed(*THREE))
    assert (scored.recall.comparisons, scored.complete) == (Share(hits=1, total=1), True)
    assert scored.starts == ()


def test_a_truth_that_no_comparison_answers_makes_the_score_incomplete(tmp_path: Path) -> None:
    folder = _folder(tmp_path, _known(variant={"dtype": "bfloat16"}), _known(case="other"))
    scored = _score(folder.capture(*TWO).capture(*THREE))
    assert [(spec, entry.case) for spec, entry in scored.idle] == [("small", "tiny")]
    assert not scored.complete


def test_a_comparison_has_one_truth(tmp_path: Path) -> None:
    folder = _folder(tmp_path, _known(), _known(verdict="error")).capture(*TWO).capture(*THREE)
    with pytest.raises(SpecError, match="two \\[\\[known\\]\\] entries speak of one comparison"):
        _score(folder)


def test_the_first_bad_release_is_the_first_that_the_truth_speaks_of(tmp_path: Path) -> None:
    folder = _folder(tmp_path, _known(cells={"transformers": ">=2"})).capture(*TWO, logits=moved(1))
    scored = _score(folder.capture(*THREE, logits=moved(1)))
    assert [(start.truth, start.found) for start in scored.starts] == [("2.0", "2.0")]
    assert scored.first_bad.cases == Share(hits=1, total=1)


def test_a_first_bad_release_that_no_finding_names_is_wrong(tmp_path: Path) -> None:
    scored = _score(_folder(tmp_path, _known(cells={"transformers": ">=2"})).capture(*TWO).capture(*THREE))
    assert [(start.truth, start.found) for start in scored.starts] == [("2.0", None)]


def test_older_releases_are_walked_from_the_baseline_too(tmp_path: Path) -> None:
    baseline = {"transformers": "3.0", "torch": "9.0"}
    folder = _folder(tmp_path, _known(cells={"transformers": "<3"}), baseline=baseline)
    folder._outcomes.clear()
    folder.capture(*ONE, logits=moved(1)).capture(*TWO, logits=moved(1))
    assert [start.truth for start in _score(folder.capture(*THREE)).starts] == ["2.0"]


def test_a_truth_about_the_baseline_too_starts_nowhere(tmp_path: Path) -> None:
    folder = _folder(tmp_path, _known(cells={})).capture(*TWO, logits=moved(1)).capture(*THREE, logits=moved(1))
    assert _score(folder).starts == ()


def _row(verdict: Verdict, *cell: str, folder: RunFolder) -> Row:
    """A comparison with the baseline whose truth is noise."""
    judged = next(
        judged
        for judged in verdicts.judge_run(folder.run).judgements
        if tuple(judged.candidate.cell.axes.values()) == cell
    )
    truth = Known(case="tiny", cells={}, verdict="noise", reason="rounding")
    return Row(spec="small", cell="", judged=replace(judged, verdict=verdict), truth=truth)


@pytest.fixture
def grid(tmp_path: Path) -> RunFolder:
    """Two releases × two builds."""
    return _folder(tmp_path, axes=BUILDS).capture("1.0", "8.0").capture(*TWO).capture("2.0", "8.0")


def test_noise_is_told_as_noise(grid: RunFolder) -> None:
    scored = Score(rows=(_row("noise", "1.0", "8.0", folder=grid),))
    assert (scored.noise.comparisons, scored.recall.comparisons) == (Share(hits=1, total=1), Share(hits=0, total=0))
    assert scored.passes


def test_noise_told_as_drift_is_a_miss_and_a_false_alarm(grid: RunFolder) -> None:
    scored = Score(rows=(_row("drift", "1.0", "8.0", folder=grid),))
    assert (scored.noise.comparisons.hits, scored.false_alarms.comparisons.hits) == (0, 1)
    assert not scored.passes


def test_another_build_may_move_no_bits_on_this_machine(grid: RunFolder) -> None:
    scored = Score(rows=(_row("identical", "1.0", "8.0", folder=grid),))
    assert (len(scored.unmoved), scored.noise.comparisons, scored.passes) == (1, Share(hits=0, total=0), True)


def test_two_releases_that_round_otherwise_do_so_everywhere(grid: RunFolder) -> None:
    scored = Score(rows=(_row("identical", *TWO, folder=grid),))
    assert (scored.unmoved, scored.noise.comparisons) == ((), Share(hits=0, total=1))
    assert not scored.passes


def test_scores_of_several_specs_add_up_and_keep_their_cases_apart(tmp_path: Path) -> None:
    folder = _folder(tmp_path, _known()).capture(*TWO).capture(*THREE, logits=moved(1))
    judged = verdicts.judge_run(folder.run)
    whole = total([score("one", judged), score("two", judged), Score(lost=(("three", "no capture"),))])
    assert (whole.recall.cases, whole.complete) == (Share(hits=2, total=2), False)


def test_the_output_names_every_disagreement_and_nothing_else(tmp_path: Path) -> None:
    folder = _folder(tmp_path, _known(stage="logits")).capture(*TWO, buffers=[tensor("b")], uninitialised=["b"])
    scored = _score(folder.capture(*THREE))
    lines = command.disagreements(scored).splitlines()[2:]
    assert [line.split() for line in lines[:2]] == [
        ["small/tiny", "float32-eager", "2.0", "quiet", "unstable", "·", "buffers", "·", "b"],
        ["small/tiny", "float32-eager", "3.0", "drift", "·", "logits", "identical"],
    ]
    assert lines[2:] == ["small/tiny float32-eager: first bad 3.0, tool 2.0"]


def test_nothing_is_said_about_a_spec_where_tool_and_truth_agree(tmp_path: Path) -> None:
    scored = _score(_folder(tmp_path, _known()).capture(*TWO).capture(*THREE, logits=moved(1)))
    assert command.disagreements(scored) == ""
    assert "recall: exactly this verdict           1 of 1 (100 %)  1 of 1 (100 %)" in command.summary(scored)


def test_the_table_has_one_row_per_case(tmp_path: Path) -> None:
    folder = _folder(tmp_path, _known(where="logits", link="https://a.example"), case=OTHER)
    for cell in (ONE, TWO, THREE):
        folder.capture(*cell, job="other/float32-eager")
    text = command.case_table(_score(folder.capture(*TWO).capture(*THREE, logits=moved(1))))
    assert [line.split() for line in text.splitlines()[2:]] == [
        ["small/tiny", "3.0", "drift", "logits", "3.0", "https://a.example", "drift"],
        ["small/other", "2.0,", "3.0", "quiet", "identical"],
    ]


def test_a_case_that_no_spec_has_is_a_wrong_request() -> None:
    with pytest.raises(SpecError, match="there is no such case"):
        command.choose(["capability"], ["no-such-case"])


def test_a_spec_that_does_not_exist_is_a_wrong_request_and_the_others_are_named() -> None:
    with pytest.raises(SpecError, match="there is no such spec") as caught:
        command.choose(["no-such-spec"], [])
    assert "capability" in str(caught.value)


def test_other_torch_builds_run_only_when_asked_for() -> None:
    default, everything = command.choose([], []), command.choose([], [], others=True)
    assert {path.stem for path in everything} - {path.stem for path in default} == {"torch"}
    assert [path.stem for path in command.choose(["torch"], ["gpt2-tiny"])] == ["torch"]


def test_variants_of_one_cell_have_truths_of_their_own(tmp_path: Path) -> None:
    known = _known(cells={}, variant={"attention": "sdpa"}, verdict="error", within="attention")
    kernels = {"variants": {"attention": ["eager", "sdpa"]}, "within": ["attention"]}
    folder = _folder(tmp_path, known, **kernels)
    for cell in (TWO, THREE):
        folder.capture(*cell)
    for cell in (ONE, TWO, THREE):
        folder.capture(*cell, job="tiny/float32-sdpa")
    scored = _score(folder)
    assert [(row.variant, row.cell) for row in scored.rows if row.positive] == [
        ("float32-sdpa against float32-eager", cell) for cell in ("1.0", "2.0", "3.0")
    ]
    assert (scored.starts, scored.idle) == ((), ())
