"""Anatomy: what one cell's model is made of, and what it says to inputs of growing size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix import capture
from matrix.capture import Capture, TensorState


@dataclass(frozen=True, kw_only=True)
class ModuleFacts:
    """One module of a model.

    Attributes:
        name: Its full name; empty for the model itself.
        class_name: Such as `LlamaAttention`.
        python_module: Such as `transformers.models.llama.modeling_llama`.
        file: Of the class: relative to site-packages where it lies there, else as the interpreter has it.
        line: First line of the class; 0 where Python cannot tell.
        scalars: Plain attribute → bool, number, string, None or nested lists of them; a float that JSON has no number
            for, as its repr; a function, class or dtype as `{"function" | "class" | "dtype": its qualified name}`.
    """

    name: str
    class_name: str
    python_module: str
    file: str
    line: int
    scalars: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Rung:
    """What a model said to one input of the ladder.

    Attributes:
        logits: The tensor of the capture that holds them; None where it failed.
        error: Type and first line of the error; None where it worked.
        again: Whether a second forward gave the same bits.
    """

    logits: str | None = None
    error: str | None = None
    again: bool = True


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """One capture of probes/anatomy.py.

    Attributes:
        capture: Config, loading keys, uninitialised tensors, parameters and buffers, as the main probe records them.
        modules: In the model's order, the model itself first.
        plain: Tensors in plain attributes of modules, one level deep in lists and dicts, as buffers are described.
        kept: State tensor → the tensor of the capture that holds it whole, in its own dtype as far as numpy has one.
        generation_config: As a flat table; empty where the model has none.
        rungs: Name of the input → what the model said.
        site: The cell's site-packages.
    """

    capture: Capture
    modules: tuple[ModuleFacts, ...]
    plain: tuple[TensorState, ...]
    kept: Mapping[str, str]
    generation_config: Mapping[str, Any]
    rungs: Mapping[str, Rung]
    site: Path

    def module(self, name: str) -> ModuleFacts | None:
        """The module of that name."""
        return next((module for module in self.modules if module.name == name), None)


def read(folder: Path) -> Anatomy | None:
    """Read one anatomy; None when there is no complete one.

    Raises:
        CaptureError: When it is torn, or written by a newer version.
    """
    found = capture.complete(folder)
    if found is None:
        return None
    taken, content = found
    return Anatomy(
        capture=taken,
        modules=tuple(ModuleFacts(**facts) for facts in content["modules"]),
        plain=capture.states(content["plain"]),
        kept=content["kept"],
        generation_config=content["generation_config"],
        rungs={name: Rung(**facts) for name, facts in content["rungs"].items()},
        site=Path(content["site"]),
    )
