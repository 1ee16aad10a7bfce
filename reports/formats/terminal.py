"""The terminal's summary: the headline and the matrix in 80 columns of plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import pandas as pd
from tabulate import tabulate

from matrix.judgement import Verdict
from matrix.verdicts import Verdicts
from reports import tables
from reports.escape import one_line
from reports.headline import headline
from reports.names import names_of

FILE = "report.txt"
WIDTH = 80
_GAP = 2


def render(verdicts: Verdicts) -> str:
    """The headline, the matrix, and what its marks mean; words only, so that it can be read aloud and searched."""
    names = names_of(verdicts)
    table = tables.matrix(verdicts, names, _mark)
    shared = tables.shared_variants(table)
    pieces = _folded(table.drop(columns="variant") if shared else table, heads=1 if shared else 2)
    inside = tables.within(verdicts, names, _mark)
    legend = [f"Every verdict holds for {shared}."] if shared else []
    legend += [f"{row.cell} ({row.status}): {row.reason}" for row in tables.cells(verdicts, names).itertuples()]
    legend += ["* known"] if any(judged.known for judged in (*verdicts.judgements, *verdicts.within)) else []
    parts = [_filled(headline(verdicts)), *map(_plain, pieces)]
    parts += ["Within a cell:", *map(_plain, _folded(inside, heads=2))] if not inside.empty else []
    parts += [_filled(line) for line in legend]
    return "\n\n".join(parts) + "\n"


def _mark(verdict: Verdict, known: bool) -> str:  # noqa: FBT001 - the signature of tables.Mark
    return f"{verdict}*" if known else verdict


def _filled(text: str) -> str:
    return textwrap.fill(one_line(text, limit=2000), WIDTH)


def _folded(table: pd.DataFrame, *, heads: int) -> Iterator[dict[str, list[str]]]:
    """The table in pieces that fit the width, each with the columns that name its rows."""
    # a cell's axes stand below each other: columns are scarcer than lines
    columns = {str(name).replace(" · ", "\n"): list(table[name]) for name in table.columns}
    widths = {name: _width(name, values) for name, values in columns.items()}
    first, rest = list(columns)[:heads], list(columns)[heads:]
    piece = list(first)
    for name in rest:
        if len(piece) > heads and sum(widths[taken] for taken in [*piece, name]) - _GAP > WIDTH:
            yield {taken: columns[taken] for taken in piece}
            piece = list(first)
        piece.append(name)
    yield {taken: columns[taken] for taken in piece}


def _width(name: str, values: list[str]) -> int:
    """What tabulate makes of a column: a head has two characters of room, and so has the gap to the next column."""
    return max(_GAP + max(map(len, name.split("\n"))), *map(len, values)) + _GAP


def _plain(columns: dict[str, list[str]]) -> str:
    text = tabulate(columns, headers="keys", tablefmt="simple", disable_numparse=True)
    return "\n".join(line.rstrip() for line in text.splitlines())
