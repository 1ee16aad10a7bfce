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
        for row, cell in self._rows:
            done, running = cell.seen()
            self._shown.update(row, completed=done, case=running)

    def _row(self, folder: Path, cell: Cell) -> tuple[rich.progress.TaskID, Following]:
        jobs = read_json(folder / outcome.REQUEST, schema=request.SCHEMA)["jobs"]
        waiting = {job["id"] for job in jobs if not outcome.is_captured(job)}
        row = self._shown.add_task(cell.title, total=len(waiting), case="environment")
        return row, Following(folder, waiting)


class Following:
    """One cell's event lines, each read once: a cell may write thousands.

    Args:
        folder: The cell's folder inside the run.
        waiting: Ids of the captures that are waited for.
    """

    def __init__(self, folder: Path, waiting: set[str]) -> None:
        self._folder = folder
        self._waiting = waiting
        self._offset = 0
        self._ended = 0
        self._running = "environment and imports"

    def seen(self) -> tuple[int, str]:
        """How many of the captures that were waited for have ended, and what runs now."""
        if (self._folder / outcome.CELL).exists():
            return len(self._waiting), "done"
        path = self._folder / "events.jsonl"
        if path.exists():
            with path.open("rb") as file:
                file.seek(self._offset)
                for line in file:
                    if line.endswith(b"\n"):
                        self._offset += len(line)
                        self._take(_event(line))
        return self._ended, self._running

    def _take(self, event: dict[str, Any]) -> None:
        if event:
            self._ended += event["event"] == "end" and event["job"] in self._waiting
            self._running = event["job"] if event["event"] in {"begin", "stage"} else "environment and imports"


def _event(line: bytes) -> dict[str, Any]:
    """One event; empty for a line that was torn by a kill."""
    try:
        return dict(json.loads(line))
    except ValueError:
        return {}
