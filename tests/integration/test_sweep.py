"""A sweep of two architectures on real releases: written by one, read by both, and gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.project import Project

pytestmark = [pytest.mark.integration]
TYPES = ["gpt2", "llama"]


@pytest.fixture(scope="module")
def spec(clone: Project) -> Path:
    """The releases that other tests use, and no case."""
    return clone.spec("sweep", ["4.57.6", "5.2.0"], {})


def _answer(clone: Project) -> dict[str, Any]:
    path = clone.folder / "reports" / "out" / "latest" / "sweep.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _captures(clone: Project) -> set[str]:
    return {path.name for path in (clone.folder / ".matrix" / "captures").iterdir()}


def test_two_architectures_are_written_once_and_agree_in_both_releases(clone: Project, spec: Path) -> None:
    call = clone.nox("-s", "sweep", "--", *TYPES, "--heads", "causal-lm", "--spec", str(spec))
    assert call.code == 0, call.text
    assert "Of 2 causal LMs, 2 were built and compared" in call.text
    answer = _answer(clone)
    seen = {found["type"]: list(found["seen"].values()) for found in answer["architectures"]}
    assert seen == {name: ["identical"] for name in TYPES}
    assert {found["author"] for found in answer["architectures"]} == {"4.57.6"}
    # nothing changed: the same answer, and not one capture more
    before = _captures(clone)
    again = clone.nox("-s", "sweep", "--", *TYPES, "--heads", "causal-lm", "--spec", str(spec))
    assert again.code == 0, again.text
    assert (_answer(clone), _captures(clone)) == (answer, before)


def test_a_case_of_a_sweep_is_an_ordinary_case(clone: Project, spec: Path) -> None:
    clone.nox("-s", "sweep", "--", *TYPES, "--heads", "causal-lm", "--spec", str(spec))
    found = _answer(clone)["architectures"][0]
    call = clone.matrix("--spec", str(clone.folder / found["spec"]), "--case", found["cases"][0])
    assert call.code == 0, call.text
    assert clone.verdicts() == {(found["cases"][0], "5.2.0"): "identical"}


def test_a_type_that_no_release_knows_is_refused_with_those_that_are_close(clone: Project, spec: Path) -> None:
    call = clone.nox("-s", "sweep", "--", "lama", "--heads", "causal-lm", "--spec", str(spec))
    assert call.code != 0
    assert "no selected release knows this model type" in call.text
    assert "llama" in call.text
