"""What a release says about the difference that is looked for, from judgements made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from matrix.bisect import predicate
from matrix.bisect.predicate import Predicate
from matrix.judgement import Judgement
from matrix.verdicts import judge_cell
from tests.matrix.builders import LOGITS, RunFolder, moved, small_spec, tensor

DRIFT = {"logits": moved(3), "parameters": [tensor("model.weight", [9.0, 9.0])]}
CONFIG = {"logits": moved(3), "config": {"hidden_size": 4, "rope": {"theta": 5.0}}}
UNWRITTEN = {"logits": moved(1), "uninitialised": ["model.inv_freq"], "buffers": [tensor("model.inv_freq")]}


def _judged(folder: Path, **facts: Any) -> Judgement:  # noqa: ANN401 - as in a response
    made = RunFolder(folder, small_spec()).capture("1.0", "9.0").evidence("1.0", "9.0")
    if facts.get("stage"):
        made.failed("2.0", "9.0", stage=facts["stage"])
    else:
        made.capture("2.0", "9.0", **facts).evidence("2.0", "9.0", logits=facts.get("logits", LOGITS))
    return judge_cell(made.run, made.cell("2.0", "9.0"), made.run.plan.jobs[0])


def test_the_bad_end_decides_what_is_looked_for(tmp_path: Path) -> None:
    found = {
        name: predicate.like(_judged(tmp_path / name, **facts))
        for name, facts in {"drift": DRIFT, "memory": UNWRITTEN, "error": {"stage": "load"}}.items()
    }
    assert found == {
        "drift": Predicate(verdict="drift", stage="parameters"),
        "memory": Predicate(verdict="unstable", stage="buffers", uninitialised=True),
        "error": Predicate(verdict="error", stage="load", where="ImportError"),
    }


@pytest.mark.parametrize(
    ("wanted", "facts", "mark", "why"),
    [
        (Predicate(verdict="drift", stage="parameters"), DRIFT, "bad", None),
        (Predicate(verdict="drift", stage="parameters"), {}, "good", None),
        # another difference
        (Predicate(verdict="drift", stage="parameters"), CONFIG, "good", "another difference"),
        (Predicate(verdict="drift", stage="logits"), CONFIG, "skip", "hidden by another difference"),
        (Predicate(verdict="drift", stage="tokens"), CONFIG, "good", "another difference"),
        (Predicate(verdict="error", stage="load"), DRIFT, "good", "another difference"),
        # it loads: that its memory is never written is another matter
        (Predicate(verdict="error", stage="load", where="ImportError"), UNWRITTEN, "good", "another difference"),
        # what is looked for beside another, earlier one
        (Predicate(verdict="drift", stage="parameters"), {**DRIFT, **CONFIG}, "bad", None),
        (Predicate(where="model.weight"), {**DRIFT, **CONFIG}, "bad", None),
        (Predicate(where="model.bias"), DRIFT, "good", "another difference"),
        # rounding cannot be seen beside more
        (Predicate(verdict="noise"), CONFIG, "skip", "hidden by another difference"),
        (Predicate(verdict="noise"), {}, "good", None),
        # failures
        (Predicate(verdict="drift", stage="parameters"), {"stage": "load"}, "skip", "fails for another reason"),
        (Predicate(verdict="error", stage="load", where="ImportError"), {"stage": "load"}, "bad", None),
        (Predicate(verdict="error", stage="logits"), {"stage": "load"}, "skip", "fails for another reason"),
        # memory that was never written
        (Predicate(uninitialised=True), UNWRITTEN, "bad", None),
        (Predicate(uninitialised=True), DRIFT, "good", "another difference"),
        (Predicate(uninitialised=True), {"stage": "load"}, "skip", "fails for another reason"),
        (Predicate(where="model.inv_freq"), UNWRITTEN, "bad", None),
        (Predicate(verdict="drift", stage="parameters"), UNWRITTEN, "unsure", "does not agree with itself"),
    ],
)
def test_what_a_release_says(
    tmp_path: Path, wanted: Predicate, facts: dict[str, Any], mark: str, why: str | None
) -> None:
    reading = predicate.read(wanted, _judged(tmp_path, **facts))
    assert reading.mark == mark
    assert (reading.why or "").startswith(why or "")
    assert bool(reading.why) == bool(why)


def test_a_release_without_an_environment_is_skipped_with_the_reason(tmp_path: Path) -> None:
    made = RunFolder(tmp_path, small_spec()).capture("1.0", "9.0").env_failed("2.0", "9.0", reason="no such wheel")
    judged = judge_cell(made.run, made.cell("2.0", "9.0"), made.run.plan.jobs[0])
    reading = predicate.read(Predicate(verdict="drift"), judged)
    assert reading.mark == "skip"
    assert "no such wheel" in (reading.why or "")
