"""Sessions: the engine drives the cells' nox sessions, several at a time, and shows how far they are."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from matrix import outcome, progress
from matrix.cell import Cell, CellStatus
from matrix.environment import NOX_VARIABLE
from matrix.run import RUN_VARIABLE, Run
from matrix.state import ROOT

_POLL_SECONDS = 0.05
_LOOK_SECONDS = 0.25
"""How often it is looked whether nox has ended, and how often a person is shown how far the cells are."""


def drive(
    run: Run, cells: Sequence[Cell], jobs: int, *, watched: bool = True, stop: threading.Event | None = None
) -> None:
    """Run the cells' sessions; a cell that leaves no cell.json gets one that says so.

    Args:
        run: Where the cells' requests lie.
        cells: The cells.
        jobs: How many at a time.
        watched: Whether a person is shown how far they are.
        stop: Ends the sessions when it is set: a thread gets no KeyboardInterrupt.
    """
    if not cells:
        return
    log = run.folder / "nox.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            _command(cells, jobs),
            env={**os.environ, RUN_VARIABLE: str(run.folder)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            with _shown(run, cells, watched=watched) as shown:
                shown_at = time.monotonic() - _LOOK_SECONDS
                while process.poll() is None and not (stop and stop.is_set()):
                    if time.monotonic() - shown_at >= _LOOK_SECONDS:
                        shown.refresh()
                        shown_at = time.monotonic()
                    time.sleep(_POLL_SECONDS)
                shown.refresh()
        finally:
            # nox passes it on to its sessions; a no-op when it has ended
            process.terminate()
            process.wait()
    for cell in cells:
        if not (run.cell(cell.id) / outcome.CELL).exists():
            status, reason = _reason(cell, log.read_text(encoding="utf-8", errors="replace"))
            outcome.write_failure(run.cell(cell.id), cell, status, reason)


def _command(cells: Sequence[Cell], jobs: int) -> list[str]:
    python = os.environ.get(NOX_VARIABLE, sys.executable)
    names = [f"cell({cell.id})" for cell in cells]
    return [python, "-m", "nox", "-f", str(ROOT / "noxfile.py"), "-j", str(jobs), "--non-interactive", "-s", *names]


def _shown(run: Run, cells: Sequence[Cell], *, watched: bool) -> AbstractContextManager[Any]:
    shown = watched and sys.stderr.isatty()
    return progress.Progress(run, cells) if shown else nullcontext(progress.Silence())


def _reason(cell: Cell, log: str) -> tuple[CellStatus, str]:
    """What nox wrote about a session that never came to its end: no interpreter, or its last line."""
    lines = [line.strip() for line in log.splitlines() if cell.id in line or "rror" in line]
    if any(cell.id in line and "interpreter" in line and "not found" in line for line in lines):
        return "env_failed", f"there is no Python {cell.python} on this machine: install it, or drop it from the axis"
    return "not_run", f"nox did not run the session: {lines[-1][:300]}" if lines else "nox did not run the session"
