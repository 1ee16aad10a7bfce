"""Where a side has no complete capture, the verdict says whose fault it is, or that nothing can be said."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix import capture
from matrix.cell import Cell, CellStatus
from matrix.judgement import Judgement, Side
from tests.matrix.builders import captured, write_failed_capture
from tests.matrix.judging import BASELINE, CANDIDATE, judge_sides, verdict


def test_a_crash_of_the_baseline_alone_is_an_error(tmp_path: Path) -> None:
    assert verdict(_incomplete(tmp_path, "crashed", "captured"))[0] == "error"


def _side(cell: Cell, folder: Path, status: CellStatus, stage: str = "load") -> Side:
    if status == "captured":
        return Side(cell=cell, status=status, reason=None, capture=captured(folder))
    found = capture.read(write_failed_capture(folder, stage=stage)) if status == "probe_failed" else None
    return Side(cell=cell, status=status, reason=f"why it {status}", capture=found)


def _incomplete(folder: Path, baseline: CellStatus, candidate: CellStatus, stage: str = "load") -> Judgement:
    a, b = _side(BASELINE, folder / "a", baseline, stage), _side(CANDIDATE, folder / "b", candidate, stage)
    return judge_sides(a, b)


@pytest.mark.parametrize(("stage", "shown"), [("load", "load"), ("logits", "logits"), ("state", "parameters")])
def test_a_candidate_that_fails_where_the_baseline_works_is_an_error_at_its_stage(
    tmp_path: Path, stage: str, shown: str
) -> None:
    found = _incomplete(tmp_path, "captured", "probe_failed", stage)
    assert verdict(found) == ("error", shown, "ImportError")
    assert found.summary == f"fails at {stage}: ImportError: no such name"


def test_a_baseline_that_fails_where_the_candidate_works_is_an_error_too(tmp_path: Path) -> None:
    found = _incomplete(tmp_path, "probe_failed", "captured")
    assert verdict(found) == ("error", "load", "ImportError")
    assert found.summary == "works here, while the baseline fails at load: ImportError: no such name"


@pytest.mark.parametrize("status", ["crashed", "timed_out"])
def test_a_candidate_that_takes_its_interpreter_down_is_an_error(tmp_path: Path, status: CellStatus) -> None:
    found = _incomplete(tmp_path, "captured", status)
    assert (found.verdict, found.summary) == ("error", f"why it {status}")


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
    found = _incomplete(tmp_path, baseline, candidate)
    assert verdict(found) == ("missing", None, None)
    assert found.summary.startswith(f"the {who}: why it ")
    assert found.fails
