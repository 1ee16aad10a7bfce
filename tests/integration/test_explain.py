"""`nox -s explain` on two real releases: the founding story, a fault in code, a tokenizer, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.project import Call, Project

pytestmark = [pytest.mark.integration]
ENDS = ("--good", "4.57.6", "--bad", "5.2.0")
STORY = ("remote-code-rope", "--attention", "eager", "--run-id", "the-story")


def explain(clone: Project, *arguments: str) -> Call:
    return clone.nox("-s", "explain", "--", *ENDS, *arguments)


def latest(clone: Project) -> Path:
    return clone.folder / "reports" / "out" / "latest"


def answer(clone: Project) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((latest(clone) / "explain.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def story(clone: Project) -> dict[str, Any]:
    call = explain(clone, *STORY)
    assert call.code == 0, call.text
    return answer(clone)


def test_the_founding_story_is_told_and_proven_in_one_command(story: dict[str, Any]) -> None:
    assert (story["schema"], story["verdict"], story["stage"]) == (1, "unstable", "buffers")
    place = story["place"]
    assert (place["step"]["module"], place["good"]["class_name"], place["bad"]["file"]) == (
        "model.rotary_emb",
        "RotaryEmbedding",
        "modeling_minnow.py",
    )
    assert place["by_position"][0] == 0 < place["by_position"][1]
    assert story["inert"] is True
    assert story["shown"]["tried"]["one token"] == "the same"
    cause = story["cause"]
    assert [part["name"] for part in cause["parts"]] == ["model.rotary_emb.inv_freq"]
    assert (cause["kind"], cause["share"], cause["sufficient"], cause["necessary"]) == ("state", 1.0, True, True)
    assert cause["control"] is True
    assert cause["forwards"] <= 10
    assert [step["module"] for step in story["replay"]["faulty"]] == ["model.rotary_emb"]
    assert [found["key"] for found in story["signatures"]] == ["uninitialised"]
    assert any("torch.empty_like" in piece["diff"] for piece in story["changes"])
    assert story["owner"]["project"] == "the model's repository"
    assert [one["project"] for one in story["owner"]["also"]] == ["transformers"]


def test_the_script_shows_it_under_each_release_by_itself(
    clone: Project, story: dict[str, Any], tmp_path: Path
) -> None:
    assert not story["reproducer"]["needs_checkpoint"]
    script = tmp_path / "repro.py"
    script.write_text(story["reproducer"]["text"], encoding="utf-8")
    seen = {}
    for release in ("4.57.6", "5.2.0"):
        name = f"cell-transformers-{release.replace('.', '-')}_torch-2-13-0"
        python = clone.folder / ".nox" / name / "bin" / "python"
        command = [str(python), "-I", str(script), "--here", "--save", str(tmp_path / "seen.json")]
        subprocess.run(command, check=True, cwd=tmp_path, env={**os.environ, "HF_HUB_OFFLINE": "1"})
        seen[release] = json.loads((tmp_path / "seen.json").read_text())
    good, bad = seen["4.57.6"], seen["5.2.0"]
    assert good["digest"] == story["reproducer"]["good"]["digest"] != bad["digest"]
    assert all(value == value for value in good["values"])  # noqa: PLR0124 - not NaN
    assert any(value != value for value in bad["values"])  # noqa: PLR0124 - NaN


def test_the_bug_report_fits_and_names_both_environments(clone: Project, story: dict[str, Any]) -> None:
    assert story
    text = (latest(clone) / "issue.md").read_text(encoding="utf-8")
    assert len(text) < 65_536
    assert "- `transformers` version: 4.57.6" in text
    assert "- `transformers` version: 5.2.0" in text
    assert "model.rotary_emb.inv_freq" in text
    assert str(clone.folder) not in text


def test_the_same_command_again_takes_nothing_anew(clone: Project, story: dict[str, Any]) -> None:
    log = clone.folder / ".matrix" / "searches" / "the-story" / "nox.log"
    before = log.stat().st_mtime_ns
    call = explain(clone, *STORY, "--json")
    assert call.code == 0, call.text
    assert log.stat().st_mtime_ns == before
    assert answer(clone)["cause"] == story["cause"]
    assert '"schema": 1' in call.text


def test_a_fault_in_code_is_placed_proven_and_not_blamed_on_state(clone: Project) -> None:
    call = explain(clone, "gelu-tanh", "--spec", "tests/corpus/releases.toml")
    assert call.code == 0, call.text
    found = answer(clone)
    assert found["place"]["step"]["module"] == "model.layers.0.mlp"
    assert {step["module"] for step in found["replay"]["faulty"]} == {"model.layers.0.mlp", "model.layers.1.mlp"}
    assert (found["cause"]["kind"], found["cause"]["sufficient"], found["cause"]["necessary"]) == ("code", True, True)


def test_ends_that_do_not_differ_are_refused(clone: Project) -> None:
    call = explain(clone, "llama-tiny", "--attention", "eager")
    assert call.code == 2
    assert "do not differ" in call.text
    assert "Traceback" not in call.text
