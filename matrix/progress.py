"""Progress: one line per cell while sessions run, with the case at work and the time it has taken."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import rich.console
import rich.progress

from matrix import outcome, request
from matrix.cell import Cell
from matrix.files import read_json
from matrix.run import Run

if TYPE_CHECKING:
    from typing_extensions import Self


class Silence:
    """What is shown when nobody watches."""

    def refresh(self) -> None:
        """Show nothing."""


class Progress:
    """A live display on standard error, fed by the event lines of the cells' harnesses."""

    def __init__(self, run: Run, cells: Sequence[Cell]) -> None:
        columns = ("{task.description}", rich.progress.BarColumn(bar_width=12), "{task.completed:.0f}/{task.total:.0f}")
        console = rich.console.Console(stderr=True)
        self._shown = rich.progress.Progress(
            *columns, rich.progress.TimeElapsedColumn(), "{task.fields[case]}", console=console, transient=True
        )
        self._rows = [self._row(run.cell(cell.id), cell) for cell in cells]

    def __enter__(self) -> Self:
        """Start the display."""
        self._shown.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the display away; the report's table follows."""
        self._shown.stop()

    def refresh(self) -> None:
        """Read every cell's new events."""
        for row, folder, waiting in self._rows:
            done, running = _events(folder, waiting)
            self._shown.update(row, completed=done, case=running)

    def _row(self, folder: Path, cell: Cell) -> tuple[rich.progress.TaskID, Path, set[str]]:
        jobs = read_json(folder / outcome.REQUEST, schema=request.SCHEMA)["jobs"]
        waiting = {job["id"] for job in jobs if not outcome.is_captured(job)}
        return self._shown.add_task(cell.title, total=len(waiting), case="environment"), folder, waiting


def _events(folder: Path, waiting: set[str]) -> tuple[int, str]:
    """How many of the captures that were waited for have ended, and what runs now."""
    if (folder / outcome.CELL).exists():
        return len(waiting), "done"
    path = folder / "events.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    events = [event for line in lines if (event := _event(line))]
    ended = sum(event["event"] == "end" and event["job"] in waiting for event in events)
    last = events[-1] if events else {"event": "start"}
    return ended, last["job"] if last["event"] in {"begin", "stage"} else "environment and imports"


def _event(line: str) -> dict[str, Any]:
    """One event; empty for a line that is being written or was torn by a kill."""
    try:
        return dict(json.loads(line))
    except ValueError:
        return {}
