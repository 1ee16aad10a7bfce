"""Warnings: what some cells say of a case while others do not."""

from __future__ import annotations

from matrix.plan import Job
from matrix.verdicts import Verdicts
from reports import captures, tables
from reports.escape import one_line
from reports.names import Names, listing

MAX_WARNINGS = 5
MAX_CHARACTERS = 200


def warned(verdicts: Verdicts, names: Names, case: str) -> tuple[list[tuple[str, str]], int]:
    """The first messages that not every cell gives, each with the cells that give it, and how many more there are."""
    partial: dict[str, list[str]] = {}
    for job in verdicts.plan.jobs:
        for line, cells in _partial(verdicts, names, job).items() if job.case.name == case else ():
            partial.setdefault(line, []).extend(cells)
    said = [(listing(cells), line) for line, cells in partial.items()]
    return said[:MAX_WARNINGS], max(0, len(said) - MAX_WARNINGS)


def _partial(verdicts: Verdicts, names: Names, job: Job) -> dict[str, list[str]]:
    """Of one job: message → the cells that give it, where others captured the same without it."""
    found = captures.of(verdicts, job)
    cells: dict[str, list[str]] = {}
    for report in tables.in_order(verdicts):
        said = found[report.cell.id].warnings if report.cell.id in found else ()
        for line in dict.fromkeys(one_line(message, limit=MAX_CHARACTERS) for message in said):
            cells.setdefault(line, []).append(names.cell(report.cell))
    return {line: told for line, told in cells.items() if len(told) < len(found)}
