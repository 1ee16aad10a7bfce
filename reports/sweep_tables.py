"""The tables of a sweep: counts per head and cell, what differs and since when, what was not built or is not seen."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from matrix.sweep.answer import QUIET, Answer, Found, Seen
from reports import numbers, sweep_words
from reports.frames import frame, without_empty
from reports.names import SYMBOLS, listing

_COUNTED: tuple[Seen, ...] = ("identical", "noise", "drift", "unstable", "error", "missing", "removed")
_ALL = 100_000


def counts(answer: Answer) -> pd.DataFrame:
    """One row per head and cell that is compared with another: how many architectures have which worst verdict."""
    cells = sweep_words.labels(answer)
    rows = []
    for head in answer.heads:
        for cell, name in cells.items():
            own = [found for found in answer.architectures if found.head == head and cell in found.seen]
            number = Counter(found.seen[cell] for found in own)
            if number:
                said: dict[str, str] = {verdict: str(number[verdict] or "") for verdict in _COUNTED}
                rows.append({"head": head, "cell": name, "compared": str(number.total() - number["removed"]), **said})
    return without_empty(frame(rows))


def differing(answer: Answer) -> pd.DataFrame:
    """One row per architecture that is loud somewhere: the verdict of every cell."""
    cells = sweep_words.labels(answer)
    return frame(
        [
            {"architecture": found.name, **{name: _cell(found, cell) for cell, name in cells.items()}}
            for found in sweep_words.loud(answer)
        ]
    )


def changes(answer: Answer) -> pd.DataFrame:
    """One row per change of an architecture: the cell that shows it first, its numbers, and what shows it."""
    cells = sweep_words.labels(answer)
    rows = [
        {
            "architecture": found.name,
            "first in": cells[change.cell],
            "verdict": _marked(change.verdict, is_known=change.known is not None),
            "stage": change.stage or "",
            "where": change.where or "",
            "largest difference": numbers.size(change.max_abs),
            "relative L2": numbers.size(change.l2_rel),
            "shows": sweep_words.shows(change),
        }
        for found, change in sweep_words.changes(answer)
    ]
    return frame(rows)


def noisy(answer: Answer) -> pd.DataFrame:
    """Cell → the architectures that agree there up to rounding and differ nowhere."""
    quiet = [found for found in answer.architectures if found.seen and {*found.seen.values()} <= {*QUIET, "removed"}]
    return _listed(answer, quiet, "noise")


def removed(answer: Answer) -> pd.DataFrame:
    """Cell → the architectures that its release no longer knows."""
    return _listed(answer, answer.architectures, "removed")


def unbuilt(answer: Answer) -> pd.DataFrame:
    """What could not be built, one row per equal reason."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for found in answer.architectures:
        if found.unbuilt:
            key = (found.author or "", found.unbuilt.step, found.unbuilt.reason)
            groups.setdefault(key, []).append(found.name)
    rows = [
        {"author": author, "step": step, "reason": reason, "architectures": listing(names, limit=_ALL)}
        for (author, step, reason), names in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]
    return frame(rows)


def alone(answer: Answer) -> pd.DataFrame:
    """What only one cell knows, so that there is nothing to compare; or no release that may write."""
    groups: dict[str, list[str]] = {}
    for found in answer.architectures:
        if not found.built and not found.unbuilt:
            reason = f"only {found.author} knows it" if found.author else "no release that may write it knows it"
            groups.setdefault(reason, []).append(found.name)
    return frame([{"reason": why, "architectures": listing(names, limit=_ALL)} for why, names in groups.items()])


def inert(answer: Answer) -> pd.DataFrame:
    """Parameters that no output of a checkpoint depends on: a change of them would not be seen in the outputs."""
    rows = [
        {"architecture": found.name, "tensors": str(len(found.inert)), "names": listing(found.inert)}
        for found in answer.architectures
        if found.inert
    ]
    return frame(rows)


def unwritten(answer: Answer) -> pd.DataFrame:
    """Parameters that no checkpoint holds, because the release that wrote it does not have them and others do."""
    rows = [
        {"architecture": found.name, "author": found.author or "", "names": listing(found.unwritten)}
        for found in answer.architectures
        if found.unwritten
    ]
    return frame(rows)


def repaired(answer: Answer) -> pd.DataFrame:
    """What an author does not load as it wrote it, one row per equal words."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for found in answer.architectures:
        for checkpoint, words in found.repaired.items():
            groups.setdefault((found.author or "", checkpoint, words), []).append(found.name)
    rows = [
        {"author": author, "file": checkpoint, "as it was written": words, "architectures": listing(names, limit=_ALL)}
        for (author, checkpoint, words), names in groups.items()
    ]
    return frame(rows)


def cells(answer: Answer) -> pd.DataFrame:
    """Cells that could not say which types they know, and why."""
    labels = sweep_words.labels(answer)
    return frame(
        [
            {"cell": labels[cell.id], "status": cell.status, "reason": cell.reason or numbers.ABSENT}
            for cell in answer.cells
            if cell.status != "captured"
        ]
    )


def _listed(answer: Answer, architectures: tuple[Found, ...] | list[Found], verdict: Seen) -> pd.DataFrame:
    rows = []
    for cell, name in sweep_words.labels(answer).items():
        if own := [found.name for found in architectures if found.seen.get(cell) == verdict]:
            rows.append({"cell": name, "number": str(len(own)), "architectures": listing(own, limit=_ALL)})
    return frame(rows)


def _cell(found: Found, cell: str) -> str:
    if cell == found.baseline:
        return "baseline"
    verdict = found.seen.get(cell)
    if verdict is None:
        return numbers.ABSENT
    return _marked(verdict, is_known=cell in found.known)


def _marked(verdict: Seen, *, is_known: bool) -> str:
    mark = "removed" if verdict == "removed" else f"{SYMBOLS[verdict]} {verdict}"
    return f"{mark} (known)" if is_known else mark
