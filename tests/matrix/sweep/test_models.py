"""What is swept, and why something cannot be built."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix.errors import EXIT_NO_CAPTURE, NoCaptureError, SpecError
from matrix.outcome import Outcome
from matrix.sweep import models, options
from matrix.sweep.answer import Unbuilt
from tests.matrix.builders import write_failed_capture
from tests.matrix.sweep.project import KNOWS, Project, roster

ROSTERS = [roster(KNOWS[release]) for release in ("1.0", "2.0")]


def _names(*arguments: str) -> list[str]:
    return [one.name for one in models.wanted(options.parse(arguments), ROSTERS)]


def test_heads_come_one_after_the_other_with_the_types_that_any_release_has_for_them() -> None:
    assert _names() == ["old.causal-lm", "both.causal-lm", "new.causal-lm", "both.base"]
    assert _names("both", "--heads", "base") == ["both.base"]


def test_shards_part_the_types_whatever_their_heads() -> None:
    parts = [_names("--shard", f"{index}/2") for index in (1, 2)]
    assert parts == [["old.causal-lm", "new.causal-lm"], ["both.causal-lm", "both.base"]]


@pytest.mark.parametrize(
    ("arguments", "message", "allowed"),
    [
        (["boht"], "no selected release knows this model type", "both"),
        (["zzz"], "no selected release knows this model type", "one of 3 types"),
        (["new", "--heads", "base"], "nothing is left to sweep", ""),
        (["--shard", "9/9"], "nothing is left to sweep", ""),
    ],
)
def test_nothing_to_sweep_is_a_wrong_request(arguments: list[str], message: str, allowed: str) -> None:
    with pytest.raises(SpecError, match=message) as raised:
        _names(*arguments)
    assert allowed in str(raised.value)


def test_a_failure_of_the_author_is_told_by_its_first_line(tmp_path: Path) -> None:
    folder = write_failed_capture(tmp_path, stage="inputs", message="no such input\nand much more")
    assert models._unbuilt(folder, None) == Unbuilt(step="inputs", reason="ImportError: no such input")


def test_an_author_that_takes_the_interpreter_down_is_told_by_how_it_ended(tmp_path: Path) -> None:
    went = Outcome(id="x", key="k", status="crashed", reason="the interpreter ended with SIGSEGV", stage="model")
    reason = "crashed: the interpreter ended with SIGSEGV"
    assert models._unbuilt(tmp_path, went) == Unbuilt(step="model", reason=reason)
    assert models._unbuilt(tmp_path, None).reason == "it was never begun"


def test_where_no_release_can_say_what_it_knows_there_is_nothing_to_do(project: Project) -> None:
    # no wheel of either release: no environment, and so nobody to ask
    project.spec.write_text('schema = 1\n[axes.transformers]\nvalues = ["7.0", "8.0"]\n', encoding="utf-8")
    with pytest.raises(NoCaptureError, match="no release could say which architectures it knows") as raised:
        project.run()
    assert raised.value.exit_code == EXIT_NO_CAPTURE
    assert "transformers" in str(raised.value)
