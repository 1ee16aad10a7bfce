"""Trace: what went into every module of one forward, and what came out, in the order in which they ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from matrix import capture
from matrix.capture import Capture

Piece = Literal["query", "key", "value", "mask", "scores", "weights", "context"]
"""A functional part of attention: after projection and rotary embedding, before the output projection."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A tensor that passed by.

    Attributes:
        dtype: torch's name, such as `bfloat16`.
        shape: Its shape.
        sha256: Digest of its bytes in its own dtype, row-major.
        stored: Its name in `file`; equal contents of one dtype and shape are stored once.
        file: The safetensors file inside the capture's folder.
    """

    dtype: str
    shape: tuple[int, ...]
    sha256: str
    stored: str
    file: str


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a module, or one functional piece inside it.

    Attributes:
        index: Position in the order in which calls start.
        parent: Index of the call it was made in; None for the model's own.
        module: The module's name.
        nth: How many calls of this module (or of this piece in this call of the module) came before.
        piece: The functional piece; None for the call of a module.
        inputs: Argument → tensor, by the names of the forward's signature; items of containers as `name.0`, `name.key`.
        scalars: Argument → value, of arguments that are bool, number, string or None.
        outputs: Position or key → tensor, in the order of the output's structure.
    """

    index: int
    parent: int | None
    module: str
    nth: int
    piece: Piece | None
    inputs: Mapping[str, Tensor]
    scalars: Mapping[str, Any]
    outputs: Mapping[str, Tensor]

    @property
    def id(self) -> tuple[str, int, str | None]:
        """What the same call is found by in another trace."""
        return self.module, self.nth, self.piece


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One capture of probes/trace.py.

    Attributes:
        capture: Its folder; `logits` are those of the forward with hooks.
        inert: Whether the logits with hooks are, bit for bit, those without.
        calls: In the order in which they start.
    """

    capture: Capture
    inert: bool
    calls: tuple[Call, ...]


def read(folder: Path) -> Trace | None:
    """Read one trace; None when there is no complete one.

    Raises:
        CaptureError: When it is torn, or written by a newer version.
    """
    found = capture.complete(folder)
    if found is None:
        return None
    taken, content = found
    return Trace(capture=taken, inert=content["inert"], calls=tuple(map(_call, content["calls"])))


def _call(entry: Mapping[str, Any]) -> Call:
    sides = {side: {name: _tensor(facts) for name, facts in entry[side].items()} for side in ("inputs", "outputs")}
    return Call(**{**entry, **sides})


def _tensor(facts: Mapping[str, Any]) -> Tensor:
    return Tensor(**{**facts, "shape": tuple(facts["shape"])})
