"""Progress: one line per cell while sessions run, with the case at work and the time it has taken."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
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


_STARTING = "environment and imports"


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
        for task, row in self._rows:
            row.read()
            self._shown.update(task, completed=row.ended, case=row.running)

    def _row(self, folder: Path, cell: Cell) -> tuple[rich.progress.TaskID, Row]:
        jobs = read_json(folder / outcome.REQUEST, schema=request.SCHEMA)["jobs"]
        waiting = {job["id"] for job in jobs if not outcome.is_captured(job)}
        task = self._shown.add_task(cell.title, total=len(waiting), case="environment")
        return task, Row(folder, waiting)


class Row:
    """How far one cell is: reads only what its harness has added to the event lines since the last look.

    Attributes:
        waiting: The captures that are waited for.
        ended: How many of them have ended.
        running: What runs now.
    """

    def __init__(self, folder: Path, waiting: set[str]) -> None:
        self.waiting = waiting
        self.ended = 0
        self.running = _STARTING
        self._folder = folder
        self._offset = 0

    def read(self) -> None:
        """Take in what is new; a line that is being written is read when it is whole."""
        if (self._folder / outcome.CELL).exists():
            self.ended, self.running = len(self.waiting), "done"
            return
        path = self._folder / "events.jsonl"
        if not path.exists() or path.stat().st_size <= self._offset:
            return
        with path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                # a process that was killed may have torn its last line
                with contextlib.suppress(ValueError):
                    self._take(json.loads(line))

    def _take(self, event: Mapping[str, Any]) -> None:
        self.ended += event["event"] == "end" and event["job"] in self.waiting
        self.running = event["job"] if event["event"] in {"begin", "stage"} else _STARTING
