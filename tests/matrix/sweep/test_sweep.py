"""A whole sweep over captures that are all there: what is compared, what is found, what is not done again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from matrix import run as runs
from matrix import spec as specs
from matrix.errors import EXIT_FOUND, EXIT_OK, NoCaptureError, SpecError
from matrix.sweep.answer import Answer, Found
from tests.matrix.builders import LOGITS, moved, tensor
from tests.matrix.sweep.project import Project

OLD, NEW = "transformers-1.0", "transformers-2.0"
OTHER = {"parameters": [tensor("model.weight", [7.0, 7.0])], "logits": moved(1.0)}
"""A parameter with other values: drift, for which no closer look is asked."""

SHORTER = {"logits": LOGITS[:, :2]}
"""Logits of another shape, likewise."""


def _found(answer: Answer, name: str) -> Found:
    return next(found for found in answer.architectures if found.name == name)


def test_what_both_releases_know_is_compared_and_the_rest_is_accounted_for(project: Project) -> None:
    project.capture()
    answer = project.run()
    assert [found.name for found in answer.architectures] == [
        "old.causal-lm",
        "both.causal-lm",
        "new.causal-lm",
        "both.base",
    ]
    seen = {found.name: (found.built, dict(found.seen)) for found in answer.architectures}
    assert seen == {
        "old.causal-lm": (True, {NEW: "removed"}),
        "both.causal-lm": (True, {NEW: "identical"}),
        "new.causal-lm": (False, {}),
        "both.base": (True, {NEW: "identical"}),
    }
    assert _found(answer, "new.causal-lm").author == "2.0"
    assert [dict(cell.knows) for cell in answer.cells] == [{"causal-lm": 2, "base": 1}] * 2
    assert answer.exit_code == EXIT_OK


def test_a_difference_names_where_it_starts(project: Project) -> None:
    project.capture(seen={(case, "2.0"): OTHER for case in ("both.causal-lm.padded", "both.causal-lm.one")})
    answer = project.run("both", "--heads", "causal-lm")
    difference = _found(answer, "both.causal-lm").difference
    assert difference
    assert (difference.verdict, difference.stage, difference.where) == ("drift", "parameters", "model.weight")
    assert (difference.case, difference.good, difference.bad) == ("both.causal-lm.padded", "1.0", "2.0")
    assert difference.max_abs == 1.0
    assert answer.exit_code == EXIT_FOUND


def test_a_difference_names_the_inputs_that_show_it(project: Project) -> None:
    project.capture(seen={("both.causal-lm.padded", "2.0"): SHORTER})
    difference = _found(project.run("both"), "both.causal-lm").difference
    assert difference
    assert (difference.stage, difference.max_abs) == ("logits", None)
    assert {(shown.input, shown.attention) for shown in difference.shown} == {("padded", "eager"), ("padded", "sdpa")}
    assert {shown.input for shown in difference.quiet} == {"one"}


def test_what_the_checkpoints_lack_and_were_given_is_told(project: Project) -> None:
    biased = {
        "parameters": [tensor("model.weight"), tensor("lm_head.bias")],
        "loading": {"missing_keys": ["lm_head.bias"]},
    }
    repaired = [{"folder": "checkpoint", "tied": None, "repaired": "without a.bias: it has other values"}]
    project.capture(
        seen={(case, "2.0"): biased for case in ("both.causal-lm.padded", "both.causal-lm.one")},
        written={"both.causal-lm": {"checkpoints": repaired}},
    )
    answer = project.run("both")
    found = _found(answer, "both.causal-lm")
    assert found.unwritten == ("lm_head.bias",)
    assert found.repaired == {"checkpoint": "without a.bias: it has other values"}
    assert (_found(answer, "both.base").unwritten, _found(answer, "both.base").repaired) == ((), {})


def test_what_cannot_be_built_is_a_reason_and_no_failure(project: Project) -> None:
    project.capture(written={"both.base": None})
    answer = project.run()
    found = _found(answer, "both.base")
    assert (found.built, found.unbuilt and found.unbuilt.step) == (False, "model")
    assert found.unbuilt
    assert found.unbuilt.reason == "ImportError: no such class"
    assert answer.exit_code == EXIT_OK


def test_an_architecture_without_any_of_the_kernels_is_not_built(project: Project) -> None:
    project.capture(written={"both.base": {"attention": ["eager"]}})
    found = _found(project.run("--attention", "sdpa"), "both.base")
    assert found.unbuilt
    assert found.unbuilt.step == "attention"


def test_nothing_at_all_is_no_answer(project: Project) -> None:
    project.capture("both", written={"both.base": None, "both.causal-lm": None})
    with pytest.raises(NoCaptureError, match="no architecture could be built"):
        project.run("both")


def test_a_type_that_no_release_knows_is_a_wrong_request(project: Project) -> None:
    project.capture()
    with pytest.raises(SpecError, match="no selected release knows this model type"):
        project.run("bot")


def test_the_same_command_goes_on_in_the_same_folder_and_judges_nothing_again(project: Project) -> None:
    project.capture()
    first = project.run()
    file = project.state.sweeps / first.id / "sweep.json"
    written = file.stat().st_mtime_ns
    assert project.run() == first
    for path in (project.state.sweeps / first.id).glob("cells/*/cell.json"):
        ids = [job["id"] for job in json.loads(path.read_text(encoding="utf-8"))["jobs"]]
        assert len(ids) == len(set(ids))
    assert file.stat().st_mtime_ns == written
    assert project.run("both").id != first.id


def test_each_cohort_is_an_ordinary_run_with_a_spec_to_go_on_with(project: Project) -> None:
    project.capture()
    answer = project.run()
    found = _found(answer, "both.causal-lm")
    assert found.spec
    spec = specs.read(Path(found.spec))
    assert set(found.cases) <= {case.name for case in spec.case}
    assert [exclusion.cases for exclusion in spec.exclude] == [("old.causal-lm.padded", "old.causal-lm.one")]
    run = runs.read(Path(found.spec).parent)
    assert run.spec.sha256 == spec.sha256
    assert run.plan.repeats
    assert len(run.plan.repeats) == 3  # one per checkpoint, whatever goes in


def test_the_same_captures_give_the_same_bytes(project: Project) -> None:
    project.capture(seen={("both.causal-lm.padded", "2.0"): SHORTER})
    one = project.run()
    other = project.run("--run-id", "again")
    assert other.architectures == tuple(_at(found, other.id, one.id) for found in one.architectures)


def _at(found: Found, new: str, old: str) -> Found:
    return Found(**{**vars(found), "spec": found.spec.replace(old, new) if found.spec else None})
