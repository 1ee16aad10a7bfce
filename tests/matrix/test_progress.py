"""Progress is read from the event lines of the cells' harnesses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from matrix import outcome, progress
from matrix.files import write_json
from matrix.outcome import Outcome
from matrix.run import Run
from tests.matrix.builders import RunFolder, small_spec, write_capture

JOBS = ("tiny/eager", "tiny/sdpa")


class Cell:
    """One cell of a run with two jobs, of which the first may be captured already."""

    def __init__(self, tmp_path: Path) -> None:
        self.run: Run = RunFolder(tmp_path, small_spec()).run
        self.cell = self.run.plan.cells[0]
        self.folder = self.run.cell(self.cell.id)
        self.stored = [tmp_path / "store" / str(index) for index in range(len(JOBS))]
        jobs = [{"id": job, "folder": str(path)} for job, path in zip(JOBS, self.stored, strict=True)]
        write_json(self.folder / outcome.REQUEST, {"schema": 1, "jobs": jobs})

    def send(self, event: str, job: str = JOBS[0]) -> None:
        with (self.folder / "events.jsonl").open("a") as file:
            file.write(json.dumps({"event": event, "job": job}) + "\n")

    def finish(self) -> None:
        outcomes = [Outcome(id=job, key="key", status="captured") for job in JOBS]
        outcome.write(self.folder, {"schema": 1, "id": "x", "axes": {}, "lock": {"digest": ""}}, outcomes, 1.0)

    def row(self, shown: progress.Progress) -> tuple[float, float | None, Any]:
        shown.refresh()
        (task,) = shown._shown.tasks
        return task.completed, task.total, task.fields["case"]


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    return Cell(tmp_path)


def test_a_row_follows_the_events_of_its_cell(cell: Cell) -> None:
    with progress.Progress(cell.run, [cell.cell]) as shown:
        assert cell.row(shown) == (0, 2, "environment and imports")
        cell.send("begin")
        assert cell.row(shown) == (0, 2, JOBS[0])
        cell.send("end")
        cell.send("begin", JOBS[1])
        assert cell.row(shown) == (1, 2, JOBS[1])
        cell.finish()
        assert cell.row(shown) == (2, 2, "done")


def test_a_torn_line_is_read_when_it_is_whole(cell: Cell) -> None:
    cell.send("begin")
    with (cell.folder / "events.jsonl").open("a") as file:
        file.write('{"event": "en')
    with progress.Progress(cell.run, [cell.cell]) as shown:
        assert cell.row(shown)[0] == 0
        with (cell.folder / "events.jsonl").open("a") as file:
            file.write(f'd", "job": "{JOBS[0]}"}}\n')
        assert cell.row(shown)[0] == 1
        assert cell.row(shown)[0] == 1


def test_lines_that_were_read_are_not_read_again(cell: Cell) -> None:
    cell.send("begin")
    row = progress.Row(cell.folder, set(JOBS))
    row.read()
    path = cell.folder / "events.jsonl"
    path.write_bytes(b"x" * path.stat().st_size)
    cell.send("end")
    row.read()
    assert (row.ended, row.running) == (1, "environment and imports")


def test_what_was_captured_before_counts_neither_as_done_nor_as_to_do(cell: Cell) -> None:
    cell.send("begin")
    cell.send("end")
    write_capture(cell.stored[0])
    with progress.Progress(cell.run, [cell.cell]) as shown:
        assert cell.row(shown)[:2] == (0, 1)
        cell.send("begin", JOBS[1])
        cell.send("end", JOBS[1])
        assert cell.row(shown)[:2] == (1, 1)
        cell.finish()
        assert cell.row(shown)[:2] == (1, 1)


def test_nothing_is_shown_when_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    progress.Silence().refresh()
    assert capsys.readouterr() == ("", "")
