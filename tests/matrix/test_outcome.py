"""A cell's folder says what was asked and what became of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from matrix import outcome
from matrix.cell import Cell, CellStatus
from matrix.errors import CaptureError
from matrix.files import read_json
from matrix.outcome import Outcome
from tests.matrix.builders import write_capture, write_failed_capture

CELL = Cell(axes={"transformers": "1.0"})
ASKED = {"schema": 1, "id": CELL.id, "axes": dict(CELL.axes), "lock": {"digest": "lock"}}


def _outcome(status: CellStatus, reason: str | None = None) -> Outcome:
    return Outcome(id=status, key="key", status=status, reason=reason)


def test_outcomes_come_back_as_written(tmp_path: Path) -> None:
    failed = Outcome(id="a/b", key="key", status="probe_failed", reason="no", stage="load", transient=True)
    outcomes = [_outcome("captured"), _outcome("crashed", "boom"), failed]
    outcome.write(tmp_path, ASKED, outcomes, 1.2345)
    assert outcome.read(tmp_path) == outcomes
    assert read_json(tmp_path / outcome.CELL, schema=1)["seconds"] == 1.23


def test_an_outcome_of_an_older_run_may_not_say_whether_it_would_pass(tmp_path: Path) -> None:
    (tmp_path / outcome.CELL).write_text('{"schema": 1, "jobs": [{"id": "a/b", "key": "k", "status": "captured"}]}')
    assert [done.transient for done in outcome.read(tmp_path)] == [False]


def test_a_cell_that_was_never_finished_has_no_outcomes(tmp_path: Path) -> None:
    assert outcome.read(tmp_path) == []


def test_a_cell_that_could_not_start_has_a_status_and_a_reason(tmp_path: Path) -> None:
    outcome.write_failure(tmp_path, CELL, "env_failed", "no such release")
    content = read_json(tmp_path / outcome.CELL, schema=1)
    assert (content["status"], content["reason"], content["jobs"]) == ("env_failed", "no such release", [])
    assert outcome.read(tmp_path) == []


@pytest.mark.parametrize(
    ("statuses", "cell"),
    [
        (["crashed", "captured"], "captured"),
        (["probe_failed", "crashed"], "crashed"),
        (["crashed", "timed_out"], "timed_out"),
        (["not_run"], "not_run"),
        ([], "not_run"),
    ],
)
def test_one_capture_makes_a_cell_captured(tmp_path: Path, statuses: list[CellStatus], cell: CellStatus) -> None:
    outcome.write(tmp_path, ASKED, [_outcome(status) for status in statuses], 0)
    assert read_json(tmp_path / outcome.CELL, schema=1)["status"] == cell


def test_every_status_has_a_rank() -> None:
    assert set(outcome._BEST_FIRST) == set(get_args(CellStatus))


def test_a_torn_cell_is_refused(tmp_path: Path) -> None:
    (tmp_path / outcome.CELL).write_text('{"schema": 1, "jo')
    with pytest.raises(CaptureError, match=r"cell\.json"):
        outcome.read(tmp_path)


def _job(tmp_path: Path) -> dict[str, str]:
    return {"id": "tiny/float32-eager", "key": "key", "folder": str(tmp_path / "store" / "key")}


def test_a_stored_capture_is_shown_in_the_cells_folder(tmp_path: Path) -> None:
    job = _job(tmp_path)
    assert not outcome.is_captured(job)
    stored = write_capture(Path(job["folder"]))
    assert outcome.is_captured(job)
    done = outcome.adopt(tmp_path / "cell", job)
    assert (done.status, done.transient) == ("captured", False)
    shown = tmp_path / "cell" / job["id"] / "tensors.safetensors"
    assert shown.samefile(stored / "tensors.safetensors")


@pytest.mark.parametrize(("transient", "kept"), [(True, False), (False, True)])
def test_a_failure_is_kept_unless_it_may_pass(tmp_path: Path, transient: bool, kept: bool) -> None:  # noqa: FBT001
    job = _job(tmp_path)
    write_failed_capture(Path(job["folder"]), transient=transient)
    done = outcome.adopt(tmp_path / "cell", job)
    assert (done.status, done.reason) == ("probe_failed", "load: ImportError: no such name\nmore")
    assert (done.stage, done.transient) == ("load", transient)
    assert outcome.is_captured(job) is kept
    assert (tmp_path / "cell" / job["id"] / "response.json").exists()


@pytest.mark.parametrize("beside", ["a/b@repeat", "a/b@evidence", "a/b@baseline-ids@evidence"])
def test_a_cell_is_what_its_main_captures_are(tmp_path: Path, beside: str) -> None:
    asked = {"schema": 1, "id": "cell", "axes": {}, "lock": {"digest": "lock"}}

    def written(main: CellStatus, other: CellStatus) -> tuple[str, str | None]:
        found = [Outcome(id="a/b", key="k", status=main, reason="main")]
        found.append(Outcome(id=beside, key="k", status=other, reason="beside"))
        outcome.write(tmp_path, asked, found, 1.0)
        content = json.loads((tmp_path / outcome.CELL).read_text())
        return content["status"], content["reason"]

    assert written("captured", "crashed") == ("captured", None)
    assert written("crashed", "captured") == ("crashed", "1 of 1 captures failed; the first: main")
