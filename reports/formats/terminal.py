"""The terminal's summary: the headline and the matrix in 80 columns of plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import pandas as pd
from tabulate import tabulate

from matrix.judge import Verdict
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
    known = any(judged.known for judged in verdicts.judgements)
    parts = [
        textwrap.fill(one_line(headline(verdicts), limit=2000), WIDTH),
        *map(_plain, _folded(table, len(names.options))),
    ]
    return "\n\n".join([*parts, *(["* known"] if known else [])]) + "\n"


def _mark(verdict: Verdict, known: bool) -> str:  # noqa: FBT001 - the signature of tables.Mark
    return f"{verdict}*" if known else verdict


def _folded(table: pd.DataFrame, options: int) -> Iterator[pd.DataFrame]:
    """The table in pieces that fit the width, each with the columns that name its rows."""
    heads = list(table.columns[: 2 if options else 1])
    widths = {column: max(len(column), *table[column].map(len)) + _GAP for column in table.columns}
    room = WIDTH - sum(widths[head] for head in heads)
    piece: list[str] = []
    for column in table.columns[len(heads) :]:
        if piece and sum(widths[taken] for taken in piece) + widths[column] > room + _GAP:
            yield table[heads + piece]
            piece = []
        piece.append(column)
    yield table[heads + piece]


def _plain(table: pd.DataFrame) -> str:
    text = tabulate(table, headers="keys", tablefmt="simple", showindex=False, disable_numparse=True)
    return "\n".join(line.rstrip() for line in text.splitlines())
