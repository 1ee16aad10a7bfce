"""Progress: one line per cell while sessions run, with the case at work and the time it has taken."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

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
        for row, folder in self._rows:
            done, running = _events(folder)
            self._shown.update(row, completed=done, case=running)

    def _row(self, folder: Path, cell: Cell) -> tuple[rich.progress.TaskID, Path]:
        jobs = read_json(folder / outcome.REQUEST, schema=request.SCHEMA)["jobs"]
        waiting = sum(not outcome.is_captured(job) for job in jobs)
        return self._shown.add_task(cell.title, total=waiting, case="environment"), folder


def _events(folder: Path) -> tuple[int, str]:
    """How many captures have ended, and what runs now."""
    if (folder / outcome.CELL).exists():
        return len(outcome.read(folder)), "done"
    path = folder / "events.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    events = [json.loads(line) for line in lines if line.endswith("}")]
    ended = sum(event["event"] == "end" for event in events)
    last = events[-1] if events else {"event": "start"}
    return ended, str(last.get("job", "imports")) if last["event"] == "begin" else "environment and imports"
