"""Shrink: the smallest model and input of a case that still show its difference.

Two captures of probes/shrink.py answer one question (`ask`): first the good cell's, which also writes down what each
reduced checkpoint holds, then the bad cell's, which reads it as the capture `good`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matrix import capture
from matrix.explain.script import reproducer
from matrix.explain.script.reduce import LAYERS, Candidate
from matrix.explain.script.reproducer import Seed, Stage, Subject
from matrix.tensorfile import TensorFile

FILES_LIMIT = 20_000
"""Characters of a checkpoint's small files that a script may hold."""

NUMBERS_LIMIT = 4_000_000
"""Weights that a script may make up: some seconds."""


_TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model"),
)


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What one cell saw of one candidate.

    Attributes:
        values: Logits or ids; None where there are none.
        error: Type and first line; None where it ran.
        nonfinite: How many values are no numbers.
        again: Whether a second load gave the same.
    """

    values: NDArray[np.float64] | None
    error: str | None
    nonfinite: int
    again: bool


@dataclass(frozen=True, kw_only=True)
class Shrunk:
    """One capture of probes/shrink.py.

    Attributes:
        weights: Per model, tensor → shape of its checkpoint; None where it cannot be made from a seed.
        lacking: Per model, why it could not be tried; None where it was.
        tried: (Model, input) → what came of it.
        called: Per model, file → first lines of the functions of remote code that ran.
    """

    weights: tuple[Mapping[str, tuple[int, ...]] | None, ...]
    lacking: tuple[str | None, ...]
    tried: Mapping[tuple[int, int], Tried]
    called: tuple[Mapping[str, tuple[int, ...]], ...]


def small_files(folder: Path, stage: Stage) -> dict[str, str] | None:
    """What a script needs of a checkpoint besides config and weights; None where that is too long or no text.

    Remote code and generation defaults, or the tokenizer's files where only the tokenizer is looked at.
    """
    names = (*_TOKENIZER, "config.json") if stage == "tokens" else ("generation_config.json",)
    paths = [*sorted(folder.glob("*.py")), *(folder / name for name in names)]
    try:
        files = {path.name: path.read_text(encoding="utf-8") for path in paths if path.is_file()}
    except UnicodeDecodeError:
        return None
    return files if sum(map(len, files.values())) <= FILES_LIMIT else None


def ask(
    subject: Subject, tried: Sequence[Candidate], files: Mapping[str, str], config: Mapping[str, Any]
) -> dict[str, Any]:
    """The question to both cells; the good one goes first, the bad one gets its capture as `good`.

    Args:
        subject: What is reproduced.
        tried: The candidates.
        files: The checkpoint's small files.
        config: The checkpoint's own config.
    """
    models: dict[int, list[Candidate]] = {}
    for one in sorted(tried, key=lambda one: (one.model, one.run)):
        models.setdefault(one.model, []).append(one)
    asked = [
        {"config": runs[0].config, "layers": runs[0].layers, "sizes": runs[0].sizes, "inputs": [r.inputs for r in runs]}
        for runs in models.values()
    ]
    further = {name: value for name, value in tried[0].inputs.items() if name != "attention_mask"}
    source = {
        "plain": reproducer.core(subject, further),
        "masked": reproducer.core(subject, {**further, "attention_mask": []}),
    }
    return {"source": source, "models": asked, "files": dict(files), "full": dict(config), "limit": NUMBERS_LIMIT}


def read(folder: Path) -> Shrunk | None:
    """Read one capture; None when there is no complete one.

    Raises:
        CaptureError: When it is torn, or written by a newer version.
    """
    found = capture.complete(folder)
    if found is None:
        return None
    taken, content = found
    models = content["models"]
    tensors = TensorFile(taken.tensors)
    return Shrunk(
        weights=tuple(_shapes(model["weights"]) for model in models),
        lacking=tuple(model["error"] for model in models),
        tried={
            (model, run): _tried(facts, tensors)
            for model, entry in enumerate(models)
            for run, facts in enumerate(entry["runs"])
        },
        called=tuple({file: tuple(lines) for file, lines in model["called"].items()} for model in models),
    )


def pick(
    tried: Sequence[Candidate],
    good: Shrunk,
    bad: Shrunk,
    *,
    subject: Subject,
    error: str | None = None,
    least: float = 0,
) -> Candidate | None:
    """The smallest candidate that shows the difference in the way that the case does.

    Args:
        tried: What was asked, smallest first.
        good: The good cell's capture; its side must work, repeat itself and hold numbers alone.
        bad: The bad cell's.
        subject: What is reproduced; under poisoned memory the bad side must hold values that are no numbers.
        error: The type of error that the bad side is known for; None where it runs.
        least: How far apart the logits must lie, relative to the largest good one: a case that drifts is not shown by
            a candidate that merely rounds.
    """
    for one in tried:
        place = (one.model, one.run)
        mine, other = good.tried.get(place), bad.tried.get(place)
        if mine and other and _is_shown(mine, other, subject=subject, error=error, least=least):
            return one
    return None


def seed(chosen: Candidate, good: Shrunk, files: Mapping[str, str]) -> Seed:
    """The checkpoint of a candidate that was picked."""
    return Seed(config=chosen.config, weights=good.weights[chosen.model] or {}, files=files)


def sentence(chosen: Candidate, config: Mapping[str, Any], inputs: Mapping[str, Any]) -> str:
    """What was made smaller.

    Args:
        chosen: The candidate.
        config: The checkpoint's own config.
        inputs: The case's own inputs.
    """
    before = sum(map(len, inputs.get("input_ids", ())))
    layers = next((config[key] for key in LAYERS if isinstance(config.get(key), int)), 0)
    said = [f"{chosen.layers} of {layers} layers"] if layers else []
    said += [f"{chosen.tokens} of {before} token{'s' * (before > 1)}"] if before else []
    said += {"tiny": ["small sizes"], "narrow": ["a small vocabulary and feed-forward network"]}.get(chosen.sizes, [])
    return f"Weights are made up; {', '.join(said)}." if said else "Weights are made up."


def _is_shown(good: Tried, bad: Tried, *, subject: Subject, error: str | None, least: float) -> bool:
    if good.error or good.nonfinite or not good.again:
        return False
    if error or bad.error:
        return (bad.error or "").partition(":")[0] == (error or "")
    if subject.poisoned:
        return bad.nonfinite > 0
    if good.values is None or bad.values is None:
        return False
    if good.values.shape != bad.values.shape:
        return True
    apart = np.abs(good.values - bad.values)
    # a value that is no number is as far away as can be
    far = np.where(np.isfinite(apart), apart, np.inf).max(initial=0.0)
    return bool(far > least * np.abs(good.values).max(initial=0.0))


def _tried(facts: Mapping[str, Any], tensors: TensorFile) -> Tried:
    values = tensors.array(facts["values"]) if facts["values"] else None
    return Tried(values=values, error=facts["error"], nonfinite=facts["nonfinite"], again=facts["again"])


def _shapes(weights: Mapping[str, Sequence[int]] | None) -> Mapping[str, tuple[int, ...]] | None:
    return {name: tuple(shape) for name, shape in weights.items()} if weights is not None else None
