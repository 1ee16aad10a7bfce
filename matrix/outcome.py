"""Outcomes: what became of each task of a cell, and the files in the cell's folder that say so."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from matrix.cell import Cell, CellStatus
from matrix.environment import Lock
from matrix.files import link_tree, read_json, write_json
from matrix.plan import Take
from matrix.request import SCHEMA, Task

REQUEST = "request.json"
CELL = "cell.json"

_BEST_FIRST: tuple[CellStatus, ...] = (
    "captured",
    "env_failed",
    "timed_out",
    "crashed",
    "probe_failed",
    "skipped",
    "not_run",
)
"""A cell is what the best of its tasks is: one capture makes it worth a column."""


_BESIDE = tuple(f"@{take}" for take in get_args(Take) if take != "main")
"""What the ids of captures hold that are taken beside those that are compared (`Job.id`)."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one task: its status and, where it failed, one line that says why and the stage it was at.

    A `transient` failure, such as too little memory, may go better the next time.
    """

    id: str
    key: str
    status: CellStatus
    reason: str | None = None
    stage: str | None = None
    transient: bool = False

    @property
    def is_main(self) -> bool:
        """Whether it is about a capture that is compared, and not about a repeat of it or a closer look."""
        return not any(mark in self.id for mark in _BESIDE)


def ask(folder: Path, cell: Cell, lock: Lock, tasks: Sequence[Task], settled: Sequence[Outcome] = ()) -> bool:
    """Write a cell's request; True when every capture exists already, and the cell is then complete.

    Args:
        folder: The cell's folder inside the run.
        cell: The cell.
        lock: Its environment.
        tasks: What is to be captured now.
        settled: What became of earlier tasks of the same run, to stand beside these in cell.json.
    """
    asked = {
        **_head(cell),
        "environ": dict(cell.environ),
        "lock": {"path": str(lock.path), "digest": lock.digest},
        "jobs": [task.content for task in tasks],
        "settled": [asdict(outcome) for outcome in settled],
    }
    (folder / CELL).unlink(missing_ok=True)
    for task in tasks:
        # what an earlier start of this run showed must not stand in for a capture that fails now
        shutil.rmtree(folder / task.id, ignore_errors=True)
    write_json(folder / REQUEST, asked)
    if not all(is_captured(job) for job in asked["jobs"]):
        return False
    write(folder, asked, [adopt(folder, job) for job in asked["jobs"]], seconds=0.0)
    return True


def ask_nothing(folder: Path, cell: Cell, lock: Lock) -> None:
    """Write the request of a cell whose environment is to be built, and nothing else."""
    (folder / CELL).unlink(missing_ok=True)
    found = {"path": str(lock.path), "digest": lock.digest}
    write_json(folder / REQUEST, {**_head(cell), "environ": dict(cell.environ), "lock": found, "jobs": []})


def is_captured(job: Mapping[str, Any]) -> bool:
    """Whether a job's capture is on disk, whole."""
    return (Path(job["folder"]) / "response.json").exists()


def adopt(folder: Path, job: Mapping[str, Any]) -> Outcome:
    """Show a stored capture in the cell's folder and say what became of the job."""
    stored = Path(job["folder"])
    response = read_json(stored / "response.json", schema=SCHEMA)
    link_tree(stored, folder / job["id"])
    error = response.get("error")
    if error and error["transient"]:
        shutil.rmtree(stored, ignore_errors=True)
    reason = f"{response['failed_stage']}: {error['type']}: {error['message'].strip()}" if error else None
    stage = response.get("failed_stage")
    transient = bool(error and error["transient"])
    named = {"id": job["id"], "key": job["key"], "status": response["status"]}
    return Outcome(**named, reason=reason, stage=stage, transient=transient)


def write(folder: Path, asked: Mapping[str, Any], outcomes: Sequence[Outcome], seconds: float) -> None:
    """Write cell.json: one status for the cell, and one per task."""
    outcomes = [*(Outcome(**settled) for settled in asked.get("settled", ())), *outcomes]
    main = [outcome for outcome in outcomes if outcome.is_main]
    failed = [outcome for outcome in main if outcome.status != "captured"]
    reason = f"{len(failed)} of {len(main)} captures failed; the first: {failed[0].reason}" if failed else None
    content = {
        **{name: asked[name] for name in ("schema", "id", "axes")},
        "status": next((status for status in _BEST_FIRST if any(o.status == status for o in main)), "not_run"),
        "reason": reason,
        "seconds": round(seconds, 2),
        "lock": asked["lock"]["digest"],
        "jobs": [asdict(outcome) for outcome in outcomes],
    }
    write_json(folder / CELL, content)


def write_failure(folder: Path, cell: Cell, status: CellStatus, reason: str) -> None:
    """Write the cell.json of a cell that could not be started at all."""
    write_json(folder / CELL, {**_head(cell), "status": status, "reason": reason, "jobs": []})


def read(folder: Path) -> list[Outcome]:
    """The outcomes of one cell; none when it was never finished.

    Raises:
        CaptureError: When cell.json is unreadable.
    """
    if not (folder / CELL).exists():
        return []
    return [Outcome(**job) for job in read_json(folder / CELL, schema=SCHEMA)["jobs"]]


def _head(cell: Cell) -> dict[str, Any]:
    return {"schema": SCHEMA, "id": cell.id, "axes": dict(cell.axes)}
