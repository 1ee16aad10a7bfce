"""A run is a folder that can be read back, found, continued, and recognised as unchanged."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from matrix import run as runs
from matrix.errors import CaptureError, SpecError
from matrix.run import Run
from matrix.state import State
from tests.matrix.builders import small_spec

KEYS = {"transformers-1.0_torch-9.0": ["a"]}


def _written(state: State, run_id: str) -> Run:
    run = runs.new(state.runs, small_spec(), "matrix", ["--run-id", run_id], run_id)
    run.write()
    return run


def test_a_run_comes_back_as_written(state: State) -> None:
    case = {"name": "x", "checkpoint": "x", "inputs": {"pixels": {"shape": [1, 3], "seed": 0}, "ids": [[1]]}}
    made = runs.finished(runs.new(state.runs, small_spec(case=[case]), "matrix", ["--text", "a b"], None), KEYS)
    made.write()
    read = runs.read(made.folder)
    assert (read.spec.sha256, read.plan) == (made.spec.sha256, made.plan)
    assert replace(read, spec=made.spec) == made
    assert made.command == "nox -s matrix -- --text 'a b'"


def test_run_json_says_what_the_run_is(state: State) -> None:
    content = json.loads((_written(state, "mine").folder / "run.json").read_text())
    assert (content["schema"], content["id"], content["baseline"]) == (1, "mine", "transformers-1.0_torch-9.0")
    assert len(content["cells"]) == 3
    assert content["host"]["cores"] >= 1


@pytest.mark.parametrize("run_id", ["../up", "a/b", ".hidden", "a b", "latest"])
def test_an_id_that_is_no_name_for_a_run_is_refused(state: State, run_id: str) -> None:
    with pytest.raises(SpecError, match="--run-id is no name for a run"):
        runs.new(state.runs, small_spec(), "matrix", [], run_id)


def test_an_id_that_exists_is_continued_if_the_spec_is_the_same(state: State) -> None:
    first = _written(state, "mine")
    assert runs.new(state.runs, small_spec(), "matrix", ["other", "words"], "mine") == first
    with pytest.raises(SpecError, match="belongs to a run of another spec"):
        runs.new(state.runs, small_spec(schema=1, requirements=["einops"]), "matrix", [], "mine")


def test_the_newest_run_is_found_without_a_name(state: State) -> None:
    _written(state, "b")
    os.utime(_written(state, "a").folder / "run.json", (0, 0))
    assert runs.find(state.runs, None).id == "b"


def test_a_run_is_found_by_id_or_path(state: State) -> None:
    made = _written(state, "mine")
    assert runs.find(state.runs, "mine") == runs.find(state.runs, str(made.folder)) == made


def test_a_run_that_does_not_exist_is_refused_with_those_that_do(state: State) -> None:
    with pytest.raises(CaptureError, match=r"no such run\n.*no run yet\n.*nox -s matrix makes one"):
        runs.find(state.runs, None)
    _written(state, "mine")
    with pytest.raises(CaptureError, match=r"no such run\n.*given:   yours\n.*allowed: mine"):
        runs.find(state.runs, "yours")


def test_a_run_of_a_newer_version_is_refused(state: State) -> None:
    path = _written(state, "mine").folder / "run.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2', 1))
    with pytest.raises(CaptureError, match="newer version"):
        runs.read(path.parent)


def test_a_finished_run_is_unchanged_while_spec_keys_and_code_are(
    state: State, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = runs.finished(_written(state, "mine"), KEYS)
    run.write()
    assert runs.unchanged(state.runs, small_spec(), KEYS, None) == run
    assert runs.unchanged(state.runs, small_spec(), KEYS, "mine") == run
    assert runs.unchanged(state.runs, small_spec(), KEYS, "yours") is None
    assert runs.unchanged(state.runs, small_spec(requirements=["einops"]), KEYS, None) is None
    assert runs.unchanged(state.runs, small_spec(), {**KEYS, "more": ["b"]}, None) is None
    monkeypatch.setattr(runs, "ROOT", tmp_path)
    assert runs.unchanged(state.runs, small_spec(), KEYS, None) is None


def test_an_unfinished_run_or_one_that_could_go_better_is_never_unchanged(state: State) -> None:
    assert runs.unchanged(state.runs, small_spec(), KEYS, None) is None
    run = _written(state, "mine")
    assert runs.unchanged(state.runs, small_spec(), KEYS, None) is None
    runs.finished(run, None).write()
    assert runs.unchanged(state.runs, small_spec(), KEYS, None) is None
