"""Tokenization: what one tokenizer made of the tricky strings, read from disk into frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from matrix import capture
from matrix.capture import Capture
from matrix.files import read_json
from matrix.request import SCHEMA

Kind = Literal[
    "vocabulary",
    "special tokens",
    "ids",
    "ids with special tokens",
    "tokens",
    "offsets",
    "masks",
    "token types",
    "decode",
    "decode without special tokens",
    "round trip",
    "pairs",
    "batches",
    "chat template",
    "chat ids",
    "state",
]
"""What is asked of a tokenizer, in the order in which one thing follows from the other."""

_NAMELESS: tuple[Kind, ...] = ("vocabulary", "special tokens", "chat template", "state")
"""Kinds of which a place names no item: it would be another one in every case."""

Value = Any
"""A JSON value, lists as tuples."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing that was asked of a tokenizer, and what came of it.

    Attributes:
        kind: What was asked.
        name: The string's stable short name; empty for the vocabulary and the state.
        text: The string.
        value: The answer; None where there is none, or an error.
        error: Type and message of what was raised instead.
    """

    kind: Kind
    name: str
    text: str
    value: Value = None
    error: str | None = None

    @property
    def place(self) -> str:
        """Such as `ids of "leading-space"`, or `vocabulary`: the same in every run."""
        return self.kind if self.kind in _NAMELESS else f'{self.kind} of "{self.name}"'


@dataclass(frozen=True, kw_only=True)
class Tokenization:
    """One capture of probes/tokenizer.py.

    Attributes:
        capture: Its folder, environment and cost.
        items: Everything that was asked, in the order of the probe.
        settings: What the tokenizer says of itself: class, is_fast, sides, model_max_length.
        added: Id of an added token → its content and flags.
        backend: Part of the Rust tokenizer → its JSON text (`merges`: a digest); empty for a slow one.
        direct: String → the ids that tokenizer.json gives without transformers; empty where there is no such file.
    """

    capture: Capture
    items: tuple[Item, ...]
    settings: Mapping[str, Value]
    added: Mapping[int, Mapping[str, Value]]
    backend: Mapping[str, str]
    direct: Mapping[str, Value]


def read(folder: Path) -> Tokenization | None:
    """Read one capture; None when there is no complete one.

    Raises:
        CaptureError: When it is torn, or written by a newer version.
    """
    found = capture.complete(folder)
    if found is None:
        return None
    taken, content = found
    facts = content["tokenizer"]
    return Tokenization(
        capture=taken,
        items=tuple(Item(**{**entry, "value": _frozen(entry.get("value"))}) for entry in facts["items"]),
        settings=_frozen(facts["settings"]),
        added={entry["id"]: _without(entry, "id") for entry in facts["added"]},
        backend=facts["backend"] or {},
        direct={name: _frozen(answer.get("value")) for name, answer in (facts["direct"] or {}).items()},
    )


def vocabulary(side: Tokenization) -> frozenset[tuple[str, int]]:
    """Every token with its id.

    Raises:
        CaptureError: When the file is missing or torn.
    """
    content = read_json(side.capture.folder / "vocabulary.json", schema=SCHEMA)
    return frozenset((token, place) for token, place in content["tokens"])


def _without(entry: Mapping[str, Value], key: str) -> dict[str, Value]:
    return {name: value for name, value in entry.items() if name != key}


def _frozen(value: Value) -> Value:
    """Lists become tuples, in tables too."""
    if isinstance(value, list):
        return tuple(_frozen(entry) for entry in value)
    return {key: _frozen(entry) for key, entry in value.items()} if isinstance(value, dict) else value
