"""Steps: one release after the other goes into its cell, while the next ones' environments are already built."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING

from matrix import engine, outcome, sessions, verdicts
from matrix.cell import Cell
from matrix.engine import Work
from matrix.environment import Lock
from matrix.judgement import Judgement
from matrix.run import Run

if TYPE_CHECKING:
    from typing_extensions import Self

_AHEAD = 2
"""Environments that are built at a time beside the step that runs: both ways that it may turn out."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What was seen of one release.

    Attributes:
        judged: The release against the good end.
        seconds: Wall time until it was known; releases that were looked at together share it.
    """

    judged: Judgement
    seconds: float


class Steps:
    """Takes captures of one axis's values, and builds environments ahead.

    Args:
        run: Where captures are shown.
        work: The spec of one case, with sources; locks are resolved as they are needed.
    """

    def __init__(self, run: Run, work: Work) -> None:
        self._run = run
        # the engine would forget the baseline's captures again at every step
        self._work = replace(work, options=replace(work.options, fresh=False))
        self._ahead: dict[str, Future[None]] = {}
        self._pool = ThreadPoolExecutor(max_workers=_AHEAD)
        self._stop = threading.Event()
        self._fresh = work.options.fresh
        self._forgotten: set[str] = set()

    def __enter__(self) -> Self:
        """Start nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Begin no further environment; those that are being built are finished for the next time, unless we stop."""
        if error is not None:
            self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def work(self) -> Work:
        """The spec and the plan."""
        return self._work

    def narrow(self, work: Work) -> None:
        """Go on with other jobs in the same cells."""
        self._run = replace(self._run, spec=work.spec)
        self._work = replace(self._work, spec=work.spec, plan=work.plan)

    def lock(self, cell: Cell, lock: Lock) -> None:
        """Give a cell an environment that no index has."""
        self._work = replace(self._work, locks={**self._work.locks, cell.id: lock})

    def take(self, cells: Sequence[Cell], *, repeats: bool) -> dict[str, list[Taken]]:
        """Capture and judge every job of the plan in these cells.

        Args:
            cells: The cells; the baseline's may be among them.
            repeats: Whether everything is loaded a second time, in a process of its own.

        Returns:
            Cell id → one entry per job, none for the baseline's.

        Raises:
            MatrixError: When a file of the run is torn.
        """
        start = time.monotonic()
        self._settle(cells)
        self._work = engine.with_locks(self._work, [cell for cell in cells if cell.id not in self._work.locks])
        plan = self._work.plan
        self._discard(cells)
        engine.complete(self._run, self._work, cells, None if repeats else plan.jobs)
        candidates = [cell for cell in cells if cell != plan.baseline]
        judged = {cell.id: [verdicts.judge_cell(self._run, cell, job) for job in plan.jobs] for cell in candidates}
        seconds = round(time.monotonic() - start, 2)
        return {name: [Taken(judged=one, seconds=seconds) for one in found] for name, found in judged.items()}

    def prepare(self, cells: Iterable[Cell]) -> None:
        """Begin to build the environments of cells that are likely next, and no more those that were and are not."""
        cells = list(cells)
        for name in self._ahead.keys() - {cell.id for cell in cells}:
            if self._ahead[name].cancel():
                del self._ahead[name]
        for cell in cells:
            if cell.id not in self._ahead and cell.id not in self._work.locks:
                self._ahead[cell.id] = self._pool.submit(self._build, cell)

    def _build(self, cell: Cell) -> None:
        """Resolve and sync one environment; whatever goes wrong is said by the step that needs it."""
        # an id of its own: the step that needs the cell writes into the run's
        ahead = replace(self._run, folder=self._run.folder / "ahead" / cell.id)
        found = engine.lock([cell], self._work.state)[cell.id]
        if not isinstance(found, Lock) or self._is_captured(cell, found):
            return
        ahead.write()
        outcome.ask_nothing(ahead.cell(cell.id), cell, found)
        sessions.drive(ahead, [cell], 1, watched=False, stop=self._stop)

    def _is_captured(self, cell: Cell, lock: Lock) -> bool:
        work = replace(self._work, locks={cell.id: lock})
        return all(outcome.is_captured(task.content) for task in work.tasks(cell, work.plan.jobs))

    def _settle(self, cells: Sequence[Cell]) -> None:
        """Wait for environments that are being built: two sessions must not make the same one."""
        for cell in cells:
            future = self._ahead.pop(cell.id, None)
            if future and not future.cancel():
                wait([future])

    def _discard(self, cells: Sequence[Cell]) -> None:
        """With --fresh, forget what earlier runs captured in a cell, once."""
        for cell in cells if self._fresh else ():
            if cell.id not in self._forgotten:
                self._forgotten.add(cell.id)
                plan = self._work.plan
                closer = [replace(job, take="evidence") for job in plan.jobs]
                engine.discard([self._work.tasks(cell, [*plan.loads(cell), *closer])])
