"""Cause: what two swaps prove: the part that restores the good side, and that reproduces the bad one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from matrix.explain.swap import Part, PartKind, Swap, Trial

CauseKind = Literal["state", "attribute", "config", "attention", "dtype", "code", "unknown"]

_KINDS: dict[PartKind, CauseKind] = {
    "tensor": "state",
    "scalar": "attribute",
    "class": "attribute",
    "config": "config",
    "attention": "attention",
    "dtype": "dtype",
    "output": "code",
}

_SHOWN = 3
_NEARLY = 0.9999
"""A share that is not the whole is never shown as 100 %."""


@dataclass(frozen=True, kw_only=True)
class Cause:
    """What makes the difference, and how far that is proven.

    Attributes:
        kind: What has to be swapped: state, a plain attribute, a config value, the attention kernel, the dtype, or the
            output of a module, which is code; `unknown` when nothing that could be swapped restores anything.
        parts: The smallest set that restores most.
        share: Of the difference between the two sides' logits, how much putting the good parts into the bad side
            removes (L2 norm over the positions that count); None where nothing could be swapped.
        left: The largest difference that is then left to the good side's logits.
        sufficient: Whether the good side's logits come back bit for bit.
        necessary: Whether the bad parts in the good side give the bad side's logits bit for bit.
        injected: The same share for that: how much of the way to the bad side's logits the bad parts go.
        control: Whether swapping a part that both sides have in common changed nothing; None without such a part.
        forwards: How many forwards both swaps took.
        trials: What was tried in the bad side, in order.
        sentence: All of it in words.
    """

    kind: CauseKind
    parts: tuple[Part, ...]
    share: float | None
    left: float | None
    sufficient: bool
    necessary: bool
    injected: float | None
    control: bool | None
    forwards: int
    trials: tuple[Trial, ...]
    sentence: str

    @property
    def proven(self) -> bool:
        """Whether the parts are both sufficient and necessary, and no control says that any swap changes something."""
        return self.sufficient and self.necessary and self.control is not False


def weigh(restored: Swap, injected: Swap | None, good: str, bad: str) -> Cause:
    """What the swaps prove.

    Args:
        restored: The good parts in the bad side.
        injected: The bad parts in the good side; None where there was no set to inject.
        good: The good side's name, such as `4.57.6`.
        bad: The bad side's.
    """
    best, back = restored.best, injected.best if injected else None
    kinds = {_KINDS[part.kind] for part in restored.chosen}
    kind: CauseKind = kinds.pop() if len(kinds) == 1 else "code" if "code" in kinds else "state" if kinds else "unknown"
    controls = [swap.control for swap in (restored, injected) if swap and swap.control]
    cause = Cause(
        kind=kind if best and (best.share or 0) > 0 else "unknown",
        parts=restored.chosen,
        share=best.share if best else None,
        left=best.max_abs if best else None,
        sufficient=bool(best and best.identical),
        necessary=bool(back and back.identical),
        injected=back.share if back else None,
        control=all(trial.share == 0 for trial in controls) if controls else None,
        forwards=restored.forwards + (injected.forwards if injected else 0),
        trials=restored.trials,
        sentence="",
    )
    return replace(cause, sentence=sentence(cause, good, bad))


def sentence(cause: Cause, good: str, bad: str) -> str:
    """The proof in one sentence."""
    if cause.kind == "unknown":
        tried = f"{len(cause.trials)} swaps" if cause.trials else "no part could be swapped"
        return f"no part that the two sides do not have in common restores the difference ({tried})"
    what = named(cause.parts)
    left = "bit-identical" if cause.sufficient else f"{cause.left or 0:.3g} is left"
    share = percent(cause.share, whole=cause.sufficient)
    restores = f"swapping {what} from {good} into {bad} restores {share} of the difference ({left})"
    back = f"swapping {'it' if len(cause.parts) == 1 else 'them'} from {bad} into {good}"
    if cause.necessary:
        return f"{restores}; {back} gives {bad}'s logits bit for bit"
    if cause.injected is None:
        return restores
    return f"{restores}; {back} goes {percent(cause.injected, whole=False)} of the way to {bad}'s logits"


def named(parts: Sequence[Part]) -> str:
    """The parts' names, as code."""
    outputs = all(part.kind == "output" for part in parts)
    names = [_code(part.name) if outputs else name_of(part) for part in parts]
    more = [f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    listed = [*names[:_SHOWN], *more]
    joined = f"{', '.join(listed[:-1])} and {listed[-1]}" if len(listed) > 1 else "".join(listed)
    return f"the output{'s' if len(names) > 1 else ''} of {joined}" if outputs else joined


def name_of(part: Part) -> str:
    """What is swapped, in words."""
    match part.kind:
        case "attention":
            return "the attention kernel"
        case "dtype":
            return "the dtype"
        case "config":
            return f"the config value `{part.name}`"
        case "output":
            return f"the output of {_code(part.name)}"
        case "class":
            return f"the class of `{part.name}`"
        case _:
            return f"`{part.name}`"


def _code(name: str) -> str:
    return f"`{name}`" if name else "the model"


def percent(share: float | None, *, whole: bool) -> str:
    """A share in per cent; 100 only where nothing is left."""
    if whole:
        return "100 %"
    return "an unknown share" if share is None else f"{100 * min(share, _NEARLY):.4g} %"
