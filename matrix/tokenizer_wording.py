"""Tokenizer wording: a difference of two tokenizers as the sentence that a verdict is made of."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from matrix.tokenization import Item
from matrix.tokenizer_difference import ItemChange, TokenizerDifference, Tokens

_BEFORE, _AFTER = 2, 6
"""How many elements of a list are shown around the first that differs; strings get four times as many."""

_SHOWN = 48


def drift(difference: TokenizerDifference) -> str:
    """What differs first, and how much else does."""
    first = difference.changes[0]
    what = _vocabulary(difference.tokens) if first.kind == "vocabulary" else _first(first)
    counts = (f"{kind} ({found} of {difference.asked[kind]})" for kind, found in difference.by_kind.items())
    return f"{what}; what differs: {', '.join(counts)}"


def sides(change: ItemChange) -> tuple[str, str]:
    """Both sides' answers around the first place that differs, the baseline's first; every string is escaped."""
    return _answer(change.baseline, change.position), _answer(change.candidate, change.position)


def shown(text: str, limit: int = _SHOWN) -> str:
    """A string as Python writes it in ASCII: what is invisible, combines or turns text around shows.

    So do runs of spaces, which Markdown would make one of.
    """
    written = re.sub(r" {2,}|(?<=^') | (?='$)", lambda found: r"\x20" * len(found[0]), ascii(text[:limit]))
    return written + ("" if len(text) <= limit else " …")


def _first(change: ItemChange) -> str:
    good, bad = sides(change)
    item = change.baseline
    said = f"special tokens, {item.name}" if change.kind == "special tokens" else item.place
    of = f" ({shown(item.text)})" if item.text else ""
    place = f" from place {change.position} on" if change.position else ""
    return f"{said}{of}: {bad}, the baseline's {good}{place}"


def _vocabulary(tokens: tuple[Tokens, Tokens]) -> str:
    only = [f"{len(side)} only {where}{_some(side)}" for side, where in zip(tokens, _SIDES, strict=True) if side]
    return f"the vocabularies are not the same: of their tokens {' and '.join(only) or 'none'} differ"


_SIDES = ("in the baseline", "here")


def _some(tokens: Tokens) -> str:
    return (
        f" ({', '.join(f'{shown(token)}: {place}' for token, place in tokens[:3])}{', …' if len(tokens) > 3 else ''})"  # noqa: PLR2004
    )


def _answer(item: Item, position: int) -> str:
    if item.error:
        return textwrap.shorten(item.error, 120, placeholder=" …")
    return _value(item.value, position)


def _value(value: object, position: int) -> str:
    if isinstance(value, str):
        start = max(0, position - 4 * _BEFORE)
        return ("… " if start else "") + shown(value[start:])
    if isinstance(value, tuple):
        start = max(0, position - _BEFORE)
        return f"[{', '.join(_elements(value, start, position + _AFTER))}]"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_value(entry, 0)}" for name, entry in value.items())
    return str(value)


def _elements(value: tuple[object, ...], start: int, end: int) -> Iterator[str]:
    if start:
        yield "…"
    yield from (_value(entry, 0) if isinstance(entry, tuple) else ascii(entry) for entry in value[start:end])
    if len(value) > end:
        yield "…"
