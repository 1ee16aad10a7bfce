"""What the tests of tokenizers share: captures of probes/tokenizer.py, written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matrix import tokenization
from matrix.tokenization import Tokenization
from tests.matrix.builders import RunFolder, small_spec, write_capture

CASE = {"name": "tok", "checkpoint": "tok", "probe": "tokenizer"}
JOB = "tok/tokenizer"
VOCABULARY = {"a": 0, "b": 1, "c": 2}
SETTINGS = {"class": "TinyTokenizerFast", "is_fast": True, "model_max_length": 64, "padding_side": "right"}


def item(kind: str, name: str, value: Any = None, *, text: str = "text", error: str | None = None) -> dict[str, Any]:  # noqa: ANN401
    """One answer as the probe writes it."""
    return {"kind": kind, "name": name, "text": text, **({"error": error} if error else {"value": value})}


def of_text(name: str, ids: Sequence[int], *, text: str = "text", decode: str = "text") -> list[dict[str, Any]]:
    """What is asked of one string, in the probe's order."""
    return [
        item("ids", name, list(ids), text=text),
        item("ids with special tokens", name, [7, *ids], text=text),
        item("offsets", name, [[i, i + 1] for i in range(len(ids))], text=text),
        item("token types", name, [0] * len(ids), text=text),
        item("decode", name, decode, text=text),
    ]


def facts(
    items: Sequence[Mapping[str, Any]] = (),
    *,
    settings: Mapping[str, Any] | None = None,
    vocabulary: Mapping[str, int] | None = None,
    **further: Any,  # noqa: ANN401 - what a tokenizer's facts may hold
) -> dict[str, Any]:
    """A tokenizer's facts; the vocabulary's digest is the vocabulary itself."""
    whole = item("vocabulary", "", {"size": 3, "sha256": json.dumps(vocabulary or VOCABULARY)}, text="")
    content = {"added": [], "backend": None, "direct": None, **further}
    return {
        "settings": {**SETTINGS, **(settings or {})},
        "items": [whole, *(items or of_text("plain", [0, 1]))],
        **content,
    }


def write(folder: Path, found: Mapping[str, Any], vocabulary: Mapping[str, int] = VOCABULARY) -> Path:
    """Write a complete capture of a tokenizer."""
    write_capture(folder, tokenizer=found, tokens=None)
    content = {"schema": 1, "tokens": list(vocabulary.items())}
    (folder / "vocabulary.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def tokenized(folder: Path, found: Mapping[str, Any], vocabulary: Mapping[str, int] = VOCABULARY) -> Tokenization:
    """Write a capture of a tokenizer and read it back."""
    taken = tokenization.read(write(folder, found, vocabulary))
    assert taken
    return taken


def run(folder: Path, *found: Mapping[str, Any]) -> RunFolder:
    """A run of releases 1.0, 2.0, …: each with a capture and a second load that agrees with it."""
    made = RunFolder(folder, small_spec(case=[CASE]))
    for release, content in enumerate(found, 1):
        for mark in ("", "@repeat"):
            write(made.run.cell(made.cell(f"{release}.0", "9.0").id) / f"{JOB}{mark}", content)
            made.outcome(f"{release}.0", "9.0", job=f"{JOB}{mark}", status="captured")
    return made
