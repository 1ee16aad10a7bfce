"""Comparing: two captures of the same job become one value that holds every difference, unjudged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

import numpy as np

from matrix.capture import Capture, TensorState
from matrix.logits import LogitsDifference, compare_logits
from matrix.metrics import Difference, compare, first_difference
from matrix.tensorfile import TensorFile

Kind = Literal["parameters", "buffers"]
Change = Literal["changed", "added", "removed", "renamed", "retied", "persistence"]

BOOKKEEPING = frozenset({"transformers_version", "_name_or_path", "dtype", "torch_dtype", "auto_map", "architectures"})
"""Config keys that say who wrote a config and from where; the dtype is compared on the parameters themselves."""


@dataclass(frozen=True, kw_only=True)
class TokenChange:
    """The first place where what the tokenizer made differs: which list, row and position, and each side's row."""

    list: str
    row: int
    position: int
    baseline: tuple[int, ...]
    candidate: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ConfigChange:
    """A config key that both sides have, with different values."""

    key: str
    baseline: Any
    candidate: Any


@dataclass(frozen=True, kw_only=True)
class StateChange:
    """A parameter or buffer that is not the same on both sides.

    Attributes:
        kind: Parameters or buffers.
        change: `renamed` has the same bytes under another name; `retied` shares its memory with another tensor;
            `persistence` is saved by one side only.
        baseline: The tensor on the baseline's side, or None.
        candidate: The tensor on the candidate's side, or None.
        difference: Metrics, where both sides' values were captured and have one shape.
    """

    kind: Kind
    change: Change
    baseline: TensorState | None
    candidate: TensorState | None
    difference: Difference | None = None

    @property
    def name(self) -> str:
        """The tensor's name, the baseline's where there are two."""
        side = self.baseline or self.candidate
        return side.name if side else ""


@dataclass(frozen=True, kw_only=True)
class OutputDifference:
    """How the logits differ.

    Attributes:
        values: Elementwise metrics over the positions that count.
        logits: Metrics of the distributions at those positions.
        last_only: Whether only the last position was compared, because the sides were given different ids.
    """

    values: Difference
    logits: LogitsDifference
    last_only: bool


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Everything that differs between two captures; an attribute that is empty or None differs in nothing.

    Attributes:
        tokens: The first difference of the ids or the mask.
        config: Keys with another value on either side, bookkeeping left out, and the attention implementation used.
        config_keys: Keys that only one side has: (baseline's, candidate's).
        state: Parameters and buffers, in the model's order.
        uninitialised: (baseline's, candidate's) tensors whose memory the load never wrote.
        undetermined: Parameters that the checkpoint lacks on both sides, so that every load draws them anew.
        outputs: Metrics of the logits; None when they are the same bits or have no common shape.
        shapes: (baseline's, candidate's) shape of the logits where they have no common one.
        generation: Index of the first greedy token that differs.
        same_cpu: Whether both captures come from the same CPU with the same instruction set.
    """

    tokens: TokenChange | None
    config: tuple[ConfigChange, ...]
    config_keys: tuple[tuple[str, ...], tuple[str, ...]]
    state: tuple[StateChange, ...]
    uninitialised: tuple[tuple[str, ...], tuple[str, ...]]
    undetermined: tuple[str, ...]
    outputs: OutputDifference | None
    shapes: tuple[tuple[int, ...], tuple[int, ...]] | None
    generation: int | None
    same_cpu: bool

    def changes(self, kind: Kind) -> list[StateChange]:
        """Tensors of one kind whose bytes, dtype or shape changed; not those that were added, removed or renamed."""
        return [change for change in self.state if change.kind == kind and change.change == "changed"]


def compare_captures(baseline: Capture, candidate: Capture) -> Comparison:
    """Compare two complete captures, cheapest facts first; equal digests are never read.

    Raises:
        CaptureError: When a tensor file is missing or torn.
    """
    tokens = _tokens(baseline, candidate)
    a, b = shapes = tuple(baseline.outputs["logits"]["shape"]), tuple(candidate.outputs["logits"]["shape"])
    # other ids may well be more or fewer of them: the last position exists on both sides all the same
    comparable = a == b if tokens is None else (a[0], *a[2:]) == (b[0], *b[2:])
    config, config_keys = _config(baseline, candidate)
    return Comparison(
        tokens=tokens,
        config=config,
        config_keys=config_keys,
        state=tuple(_state(baseline, candidate)),
        uninitialised=(baseline.uninitialised, candidate.uninitialised),
        undetermined=tuple(sorted({*baseline.missing_keys} & {*candidate.missing_keys})),
        outputs=_outputs(baseline, candidate, last_only=tokens is not None) if comparable else None,
        shapes=None if comparable else shapes,
        generation=first_difference(baseline.generated, candidate.generated),
        same_cpu=all(baseline.environment[k] == candidate.environment[k] for k in ("cpu", "cpu_capability")),
    )


def _tokens(baseline: Capture, candidate: Capture) -> TokenChange | None:
    if baseline.tokens == candidate.tokens or not baseline.tokens or not candidate.tokens:
        return None
    a, b = baseline.tokens.lists, candidate.tokens.lists
    # the ids first: they come first in both
    for name, rows in a.items():
        for row, (old, new) in enumerate(zip_longest(rows, b.get(name, ()), fillvalue=())):
            position = first_difference(old, new)
            if position is not None:
                return TokenChange(list=name, row=row, position=position, baseline=old, candidate=new)
    # a list that only the candidate's tokenizer makes goes into the model too
    name = next(name for name in b if name not in a)
    return TokenChange(list=name, row=0, position=0, baseline=(), candidate=b[name][0])


def _config(
    baseline: Capture, candidate: Capture
) -> tuple[tuple[ConfigChange, ...], tuple[tuple[str, ...], tuple[str, ...]]]:
    a, b = (_flat({**side.config, "attention implementation": side.attention}) for side in (baseline, candidate))
    changed = tuple(
        ConfigChange(key=key, baseline=a[key], candidate=b[key]) for key in a if key in b and a[key] != b[key]
    )
    return changed, (tuple(sorted(a.keys() - b.keys())), tuple(sorted(b.keys() - a.keys())))


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested configs as dotted keys, without bookkeeping."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if key in BOOKKEEPING:
            continue
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return flat


def _state(baseline: Capture, candidate: Capture) -> Iterator[StateChange]:
    yield from _state_of("parameters", baseline, candidate)
    yield from _state_of("buffers", baseline, candidate)


def _state_of(kind: Kind, baseline: Capture, candidate: Capture) -> Iterator[StateChange]:
    a = {state.name: state for state in getattr(baseline, kind)}
    b = {state.name: state for state in getattr(candidate, kind)}
    new: dict[tuple[str, tuple[int, ...]], list[TensorState]] = {}
    for name, state in b.items():
        if name not in a:
            new.setdefault((state.sha256, state.shape), []).append(state)
    moved: set[str] = set()
    for name, old in a.items():
        if name in b:
            yield from _pair(kind, old, b[name], baseline, candidate)
        elif twins := new.get((old.sha256, old.shape)):
            moved.add(twins[0].name)
            yield StateChange(kind=kind, change="renamed", baseline=old, candidate=twins.pop(0))
        else:
            yield StateChange(kind=kind, change="removed", baseline=old, candidate=None)
    for name, state in b.items():
        if name not in a and name not in moved:
            yield StateChange(kind=kind, change="added", baseline=None, candidate=state)


def _pair(kind: Kind, a: TensorState, b: TensorState, baseline: Capture, candidate: Capture) -> Iterator[StateChange]:
    if (a.sha256, a.dtype, a.shape) != (b.sha256, b.dtype, b.shape):
        difference = _values(a, b, baseline, candidate)
        yield StateChange(kind=kind, change="changed", baseline=a, candidate=b, difference=difference)
    elif a.alias != b.alias:
        yield StateChange(kind=kind, change="retied", baseline=a, candidate=b)
    elif a.persistent != b.persistent:
        yield StateChange(kind=kind, change="persistence", baseline=a, candidate=b)


def _values(a: TensorState, b: TensorState, baseline: Capture, candidate: Capture) -> Difference | None:
    stored = f"buffer/{a.name}"
    if stored not in baseline.outputs or stored not in candidate.outputs or a.shape != b.shape:
        return None
    return compare(TensorFile(baseline.tensors).array(stored), TensorFile(candidate.tensors).array(stored))


def _outputs(baseline: Capture, candidate: Capture, *, last_only: bool) -> OutputDifference | None:
    if not last_only and baseline.outputs["logits"]["sha256"] == candidate.outputs["logits"]["sha256"]:
        return None
    a, b = (TensorFile(side.tensors).array("logits") for side in (baseline, candidate))
    mask = None
    if last_only:
        # different ids have no common positions; what comes next is what the user sees
        a, b = a[:, -1:], b[:, -1:]
    elif baseline.tokens and np.shape(baseline.tokens.attention_mask) == a.shape[:-1]:
        mask = np.asarray(baseline.tokens.attention_mask)
    return OutputDifference(values=compare(a, b, mask), logits=compare_logits(a, b, mask), last_only=last_only)
