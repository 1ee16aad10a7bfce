"""Swap: what a cell's model computes with a part of the other cell's model in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from matrix import capture
from matrix.capture import Capture

PartKind = Literal["tensor", "scalar", "class", "config", "attention", "dtype", "output"]
"""A state tensor; a plain attribute; a module without parameters; what a reload is asked for; a module's output."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Something that the two sides do not have in common, and that can be put from the one into the other.

    Attributes:
        kind: What it is.
        name: A tensor's or module's full name, `module.attribute`, a dotted config key; empty for attention and dtype.
        good: The good side's value where it is plain (a scalar, a config value, a class's qualified name).
        bad: The bad side's value where it is plain.
        nth: Of an output, which call of the module; None for every call.
    """

    kind: PartKind
    name: str = ""
    good: Any = None
    bad: Any = None
    nth: int | None = None

    @property
    def id(self) -> str:
        """Such as `tensor:model.rotary_emb.inv_freq`."""
        return f"{self.kind}:{self.name}" + ("" if self.nth is None else f"#{self.nth}")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One forward with parts of the other side.

    Attributes:
        parts: The ids of the parts that were put in.
        share: Of the difference between both sides' logits, how much is gone: 1 - |this - target| / |own - target|
            in the L2 norm over the positions that the mask keeps; negative where it grew; None where it could not run.
        identical: Whether the logits are the target's, bit for bit, wherever the mask lets the model look.
        max_abs: The largest difference that is left to the target's logits.
        error: Type and first line, where it could not run.
    """

    parts: tuple[str, ...]
    share: float | None
    identical: bool
    max_abs: float | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """One call of a module that was given the good side's inputs.

    Attributes:
        module: The module's name.
        nth: Which call of it.
        same: Whether it then made the good side's output, bit for bit.
        max_abs: The largest difference of the first output that differs; None where forms differ.
        l2_rel: Its L2 norm over the good output's.
        handed: Such as `model.layers.0(hidden_states)`: the argument of a module inside it in which the difference
            shows first, and which the two numbers are about; None where it shows in its own output.
    """

    module: str
    nth: int
    same: bool
    max_abs: float | None = None
    l2_rel: float | None = None
    handed: str | None = None


@dataclass(frozen=True, kw_only=True)
class Swap:
    """One capture of probes/swap.py.

    Attributes:
        capture: Its folder; tensors: `logits` (this side's own), `logits/best` (of the smallest set), and
            `part/<name>` for this side's own values of each tensor in that set.
        repeats: Whether two forwards of this side agree bit for bit.
        forwards: How many forwards it took.
        trials: In the order in which they were made.
        replayed: Every call that the good trace knows, in its order; empty where nothing was replayed.
        chosen: The smallest set of parts found that restores most, `output` parts included.
        control: A trial with a part that both sides have in common, which must change nothing; None without one.
    """

    capture: Capture
    repeats: bool
    forwards: int
    trials: tuple[Trial, ...]
    replayed: tuple[Replayed, ...]
    chosen: tuple[Part, ...]
    control: Trial | None

    @property
    def best(self) -> Trial | None:
        """The trial of the chosen set."""
        wanted = tuple(part.id for part in self.chosen)
        return next((trial for trial in reversed(self.trials) if trial.parts == wanted), None)


def read(folder: Path) -> Swap | None:
    """Read one swap; None when there is no complete one.

    Raises:
        CaptureError: When it is torn, or written by a newer version.
    """
    found = capture.complete(folder)
    if found is None:
        return None
    taken, content = found
    control = content["control"]
    return Swap(
        capture=taken,
        repeats=content["repeats"],
        forwards=content["forwards"],
        trials=tuple(map(_trial, content["trials"])),
        replayed=tuple(Replayed(**entry) for entry in content["replayed"]),
        chosen=tuple(Part(**entry) for entry in content["chosen"]),
        control=_trial(control) if control else None,
    )


def _trial(entry: dict[str, Any]) -> Trial:
    return Trial(**{**entry, "parts": tuple(entry["parts"])})
