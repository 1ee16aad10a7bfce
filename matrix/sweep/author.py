"""Authors: what a release wrote when it was asked for a checkpoint of one architecture (probes/author.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix import capture
from matrix.capture import Rows


@dataclass(frozen=True, kw_only=True)
class Input:
    """One input that the architecture was seen to accept; the fields are a case's.

    Attributes:
        name: `one`, `short`, `padded` or `plain`.
        input_ids: [batch, sequence]; empty where the model takes none.
        attention_mask: Of the same shape, or empty.
        inputs: Further inputs by name: nested lists, or a shape and a seed.
    """

    name: str
    input_ids: Rows
    attention_mask: Rows
    inputs: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One folder of weights.

    Attributes:
        folder: What from_pretrained is given.
        tied: Whether the output embeddings are the input's; None where that is no question.
        repaired: What the author does not load as it wrote it, where it was given more than it wrote; None elsewhere.
    """

    folder: Path
    tied: bool | None
    repaired: str | None


@dataclass(frozen=True, kw_only=True)
class Authored:
    """One architecture's checkpoints.

    Attributes:
        auto_class: What loads it: the head's Auto class, or the model class itself where that one cannot.
        model_class: The class that was built.
        elements: How many numbers the parameters hold.
        attention: Kernels that the release accepts and that ran.
        inputs: What goes in.
        inert: Parameters that these checkpoints cannot show: the outputs do not depend on them for any of the inputs.
        checkpoints: The folders, the one that the config asks for first.
    """

    auto_class: str
    model_class: str
    elements: int
    attention: tuple[str, ...]
    inputs: tuple[Input, ...]
    inert: tuple[str, ...]
    checkpoints: tuple[Checkpoint, ...]


def read(folder: Path) -> Authored | None:
    """Read what was authored; None when nothing could be.

    Args:
        folder: The capture's, which holds the checkpoints.

    Raises:
        CaptureError: When it is torn, or written by a newer version.
    """
    facts = capture.facts(folder)
    if facts is None:
        return None
    return Authored(
        auto_class=facts["auto_class"],
        model_class=facts["model_class"],
        elements=int(facts["elements"]),
        attention=tuple(facts["attention"]),
        inputs=tuple(_input(given) for given in facts["inputs"]),
        inert=tuple(facts["inert"]),
        checkpoints=tuple(
            Checkpoint(folder=folder / made["folder"], tied=made["tied"], repaired=made.get("repaired"))
            for made in facts["checkpoints"]
        ),
    )


def _input(given: Mapping[str, Any]) -> Input:
    ids, mask = (tuple(map(tuple, given.get(name) or ())) for name in ("input_ids", "attention_mask"))
    return Input(name=given["name"], input_ids=ids, attention_mask=mask, inputs=given.get("inputs") or {})
