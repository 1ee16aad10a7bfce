"""Tokenizers: what two tokenizers do not answer alike, as data frames of text."""

from __future__ import annotations

import pandas as pd

from matrix.tokenization import Item
from matrix.tokenizer_difference import ItemChange, TokenizerDifference
from matrix.tokenizer_wording import shown, sides
from reports.differences import Difference
from reports.frames import frame
from reports.names import Names, count

MAX_ITEMS = 25
"""Rows of the table; of each kind at least one is shown, the first."""


def differing(difference: Difference) -> TokenizerDifference | None:
    """What differs in the first cell that shows it; None where no tokenizer was compared."""
    return difference.first.tokenizer


def items(names: Names, difference: Difference) -> pd.DataFrame:
    """The first differing items with both sides' answers, the first of every kind among them."""
    found = differing(difference)
    if found is None:
        return frame([])
    good, bad = names.sides(difference.first)
    return frame([_row(change, good, bad) for change in chosen(found)])


def chosen(found: TokenizerDifference) -> list[ItemChange]:
    """The first of every kind, then the first of all, in causal order."""
    firsts = {change.kind: index for index, change in reversed(list(enumerate(found.changes)))}
    kept = {*firsts.values()}
    for index in range(len(found.changes)):
        if len(kept) >= MAX_ITEMS:
            break
        kept.add(index)
    return [found.changes[index] for index in sorted(kept)]


def left_out(found: TokenizerDifference) -> tuple[str, ...]:
    """How many differing items the table does not show."""
    more = len(found.changes) - len(chosen(found))
    return (f"{count(more, 'more answer')} left out.",) if more else ()


def counted(found: TokenizerDifference) -> pd.DataFrame:
    """How many items of each kind differ."""
    return frame([{"kind": k, "differ": str(n), "of": str(found.asked[k])} for k, n in found.by_kind.items()])


def _row(change: ItemChange, good: str, bad: str) -> dict[str, str]:
    one, other = sides(change)
    item = change.baseline
    return {"item": _place(item), "text": shown(item.text) if item.text else "", good: one, bad: other}


def _place(item: Item) -> str:
    return item.place if not item.name or item.name in item.place else f"{item.place}: {item.name}"
