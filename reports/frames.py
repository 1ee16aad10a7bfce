"""Frames: data frames of text, and how they become tables on GitHub."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
from tabulate import tabulate

from reports.escape import Markdown, text
from reports.names import listing

_LISTED = ("variant", "cell")


def frame(content: Mapping[str, Sequence[str]] | Sequence[Mapping[str, str]]) -> pd.DataFrame:
    """A frame from columns or from rows."""
    made: pd.DataFrame = pd.DataFrame(content, dtype="object")
    return made


def without_empty(table: pd.DataFrame) -> pd.DataFrame:
    """The table without the columns in which no row says anything."""
    filled: pd.DataFrame = table[[column for column in table.columns if (table[column] != "").any()]]
    return filled


def merged(rows: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Rows that differ only in their `cell` and `variant` as one row that lists both."""
    groups: dict[tuple[tuple[str, str], ...], list[Mapping[str, str]]] = {}
    for row in rows:
        groups.setdefault(tuple(item for item in row.items() if item[0] not in _LISTED), []).append(row)
    return [
        {name: listing(row[name] for row in found) if name in _LISTED else found[0][name] for name in found[0]}
        for found in groups.values()
    ]


def markdown(table: pd.DataFrame) -> Markdown:
    """A GitHub table, escaped where it is not Markdown already; nothing for a table without rows."""
    if table.empty:
        return Markdown("")
    safe = {text(column): [_safe(value) for value in table[column]] for column in table.columns}
    # disable_numparse: "2.10" is a version, not 2.1
    return Markdown(tabulate(safe, headers="keys", tablefmt="pipe", disable_numparse=True))


def _safe(value: object) -> Markdown:
    return value if isinstance(value, Markdown) else text(value)
