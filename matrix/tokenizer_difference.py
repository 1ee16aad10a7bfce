"""Tokenizer difference: every place where two tokenizers do not agree, unjudged.

docs/tokenizer.md says what counts as a difference, what only as a note, and why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import get_args

from matrix.tokenization import Item, Kind, Tokenization, Value, vocabulary
from matrix.wording import some

_ORDER: tuple[Kind, ...] = get_args(Kind)
_OPTIONAL: tuple[Kind, ...] = ("offsets", "token types")
"""Kinds that a tokenizer may leave out: slow ones have no offsets, and a list that holds nothing but zeros is the
default of every model that reads it."""

Tokens = tuple[tuple[str, int], ...]
"""Tokens of a vocabulary with their ids, by id."""


@dataclass(frozen=True, kw_only=True)
class ItemChange:
    """One thing that two tokenizers do not answer alike."""

    baseline: Item
    candidate: Item

    @property
    def kind(self) -> Kind:
        """What was asked."""
        return self.baseline.kind

    @property
    def position(self) -> int:
        """The first element that differs, of two lists or strings; 0 of anything else."""
        a, b = self.baseline.value, self.candidate.value
        if not isinstance(a, tuple | str) or type(a) is not type(b):
            return 0
        return next((place for place, (one, two) in enumerate(zip_longest(a, b)) if one != two), 0)


@dataclass(frozen=True, kw_only=True)
class TokenizerDifference:
    """Everything in which two tokenizers differ.

    Attributes:
        changes: The items whose answers differ, in causal order.
        asked: Kind → how many items both sides were asked.
        notes: What differs without being a difference.
        tokens: Tokens of the vocabulary that are not the same on both sides: (baseline's only, candidate's only), each
            with its id; read only where the vocabularies differ.
    """

    changes: tuple[ItemChange, ...]
    asked: Mapping[Kind, int]
    notes: tuple[str, ...]
    tokens: tuple[Tokens, Tokens] = ((), ())

    @property
    def by_kind(self) -> dict[Kind, int]:
        """How many items of each kind differ, the kinds in causal order."""
        kinds = [change.kind for change in self.changes]
        return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}


def compare(baseline: Tokenization, candidate: Tokenization) -> TokenizerDifference:
    """Compare two tokenizers item by item; an item that only one side was asked is none.

    Items are made of a tokenizer's own special tokens: where those differ, the special tokens themselves say so.

    Raises:
        CaptureError: When the vocabularies differ and one of them cannot be read.
    """
    pairs = list(_pairs(baseline, candidate))
    changes = [ItemChange(baseline=a, candidate=b) for a, b in pairs if _differ(a, b)]
    changes.sort(key=lambda change: _ORDER.index(change.kind))
    kinds = [item.kind for item, _ in pairs]
    return TokenizerDifference(
        changes=tuple(changes),
        asked={kind: kinds.count(kind) for kind in _ORDER if kind in kinds},
        notes=tuple(_notes(baseline, candidate, pairs)),
        tokens=_tokens(baseline, candidate) if changes and changes[0].kind == "vocabulary" else ((), ()),
    )


def _pairs(baseline: Tokenization, candidate: Tokenization) -> Iterator[tuple[Item, Item]]:
    others = {(item.kind, item.name): item for item in candidate.items}
    for item in baseline.items:
        if other := others.get((item.kind, item.name)):
            yield item, other


def _differ(a: Item, b: Item) -> bool:
    """Whether two answers differ; what both sides refuse is the same, in whatever words."""
    if a.error or b.error:
        return not (a.error and b.error)
    if a.kind in _OPTIONAL and (a.value is None or b.value is None):
        return a.kind != "offsets" and _any(a.value or b.value)
    if isinstance(a.value, dict) and isinstance(b.value, dict):
        return _told(a.value, b.value) != _told(b.value, a.value)
    return bool(a.value != b.value)


def _told(value: Mapping[str, Value], other: Mapping[str, Value]) -> dict[str, Value]:
    """The lists of one side, without those of zeros that the other does not make."""
    return {name: rows for name, rows in value.items() if name in other or _any(rows)}


def _any(rows: Value) -> bool:
    return any(map(_any, rows)) if isinstance(rows, tuple) else bool(rows)


def _notes(baseline: Tokenization, candidate: Tokenization, pairs: list[tuple[Item, Item]]) -> Iterator[str]:
    """What is only bookkeeping."""
    a, b = baseline.settings, candidate.settings
    for name in a:
        if name in b and a[name] != b[name]:
            yield f"the tokenizer's {name} is {b[name]!r}, the baseline's {a[name]!r}"
    for kind in _OPTIONAL:
        lacking = [side for side, place in (("baseline", 0), ("candidate", 1)) if _lacks(pairs, kind, place)]
        if len(lacking) == 1:
            yield f"only the {'candidate' if lacking[0] == 'baseline' else 'baseline'}'s tokenizer makes {kind}"
    flags = [token["content"] for place, token in baseline.added.items() if candidate.added.get(place, token) != token]
    if flags:
        yield f"flags of added tokens differ: {some(flags)}"
    if parts := [name for name in baseline.backend if candidate.backend.get(name, "") != baseline.backend[name]]:
        yield f"the Rust tokenizer is built in another way: {some(parts)}"
    if direct := changed_directly(baseline, candidate):
        yield f"tokenizer.json gives other ids without transformers too: {some(direct)}"


def changed_directly(baseline: Tokenization, candidate: Tokenization) -> list[str]:
    """Strings of which tokenizer.json gives other ids by itself: the tokenizers package differs."""
    return [name for name, ids in baseline.direct.items() if name in candidate.direct and candidate.direct[name] != ids]


def _lacks(pairs: list[tuple[Item, Item]], kind: Kind, place: int) -> bool:
    values = [pair[place].value for pair in pairs if pair[place].kind == kind]
    return all(value is None for value in values)


def _tokens(baseline: Tokenization, candidate: Tokenization) -> tuple[Tokens, Tokens]:
    one, two = vocabulary(baseline), vocabulary(candidate)
    return _by_id(one - two), _by_id(two - one)


def _by_id(tokens: frozenset[tuple[str, int]]) -> Tokens:
    return tuple(sorted(tokens, key=lambda token: (token[1], token[0])))
