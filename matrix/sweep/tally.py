"""The tally: everything that was judged about one architecture becomes one verdict per cell, and what was not seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from matrix.cell import Cell
from matrix.judgement import Judgement
from matrix.sweep.answer import QUIET, SEVERITY, Seen
from matrix.sweep.cohort import AXIS


def seen(judgements: Iterable[Judgement], removed: Iterable[Cell]) -> dict[str, Seen]:
    """Cell id → the worst verdict there, or that its release does not know the type."""
    worst: dict[str, Seen] = {cell.id: "removed" for cell in removed}
    for judged in judgements:
        cell = judged.candidate.cell.id
        worst[cell] = max(worst.get(cell, judged.verdict), judged.verdict, key=SEVERITY.index)
    return worst


def known(judgements: Sequence[Judgement]) -> tuple[str, ...]:
    """The cells where something is not quiet, and all of it was expected."""
    loud = [judged for judged in judgements if judged.verdict not in QUIET]
    failing = {judged.candidate.cell.id for judged in loud if judged.fails}
    return tuple(dict.fromkeys(cell for judged in loud if (cell := judged.candidate.cell.id) not in failing))


def unwritten(judgements: Iterable[Judgement], author: str) -> tuple[str, ...]:
    """Parameters that the loads of other releases miss, and that the author's own model does not have.

    A load that also finds tensors it does not know is left out: they may be the same ones under other names.

    Args:
        judgements: Of one architecture.
        author: The release that wrote its checkpoints.

    Returns:
        Sorted names; nothing for a checkpoint that its author's cell did not load.
    """
    own: dict[str, set[str]] = {}
    missed: dict[str, set[str]] = {}
    for judged in judgements:
        checkpoint = judged.job.case.checkpoint
        for side in (judged.baseline, judged.candidate):
            if side.captured and side.cell.axes[AXIS] == author:
                own.setdefault(checkpoint, set()).update(state.name for state in side.captured.parameters)
            elif side.captured and not side.captured.loading.get("unexpected_keys"):
                missed.setdefault(checkpoint, set()).update(side.captured.missing_keys)
    return tuple(sorted({name for one, names in missed.items() if one in own for name in names - own[one]}))
