"""Comparing: two captures of the same job become one value that holds every difference, unjudged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from matrix.capture import Capture
from matrix.case import Option
from matrix.changes import (
    Change,
    ConfigChange,
    Contents,
    Kind,
    StateChange,
    TokenChange,
    changed_config,
    changed_state,
    changed_tokens,
)
from matrix.metrics import first_difference
from matrix.model_outputs import Unshared, unshared
from matrix.outputs import RANK, OutputDifference, compare_outputs, differing


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Everything that differs between two captures; an attribute that is empty or None differs in nothing.

    Attributes:
        tokens: The first difference of the ids or the mask.
        config: Keys with another value on either side, bookkeeping left out, and the attention implementation used.
        state: Parameters and buffers, in the model's order.
        uninitialised: (baseline's, candidate's) tensors whose memory the load never wrote.
        undetermined: Parameters that the checkpoint lacks on both sides, so that every load draws them anew.
        output: The output that the next four are of: the first that differs, the main one where none does.
        outputs: Metrics of that output; None when it has the same bits or no common shape.
        shapes: (baseline's, candidate's) shape of it where they have no common one.
        dtypes: (baseline's, candidate's) dtype of it where they have no common one.
        nonfinite: (baseline's, candidate's) numbers of it that are NaN or infinite.
        unshared: Outputs that only one side has.
        newly_missing: Parameters that only the candidate's load did not find in the checkpoint, or found to have
            another shape, and that differ.
        generation: Index of the first greedy token that differs.
        margin: How far the baseline's best score lay above its second best where greedy tokens part, the largest over
            the rows; None where it was not recorded.
        same_cpu: Whether both captures come from the same CPU with the same instruction set, and the same GPU if any.
    """

    tokens: TokenChange | None
    config: tuple[ConfigChange, ...]
    state: tuple[StateChange, ...]
    uninitialised: tuple[tuple[str, ...], tuple[str, ...]]
    undetermined: tuple[str, ...]
    output: str
    outputs: OutputDifference | None
    shapes: tuple[tuple[int, ...], tuple[int, ...]] | None
    dtypes: tuple[str, str] | None
    nonfinite: tuple[int, int]
    unshared: Unshared
    newly_missing: tuple[str, ...]
    generation: int | None
    margin: float | None
    same_cpu: bool

    def changes(self, kind: Kind, *which: Change) -> list[StateChange]:
        """Tensors of one kind that were changed (their bytes, dtype or shape), or changed in the ways named."""
        wanted = which or ("changed",)
        return [change for change in self.state if change.kind == kind and change.change in wanted]

    @property
    def unsettled(self) -> bool:
        """Whether something may be the cause that is no rounding: a config value, or parameters that came or went."""
        return bool(self.config or self.newly_missing or self.changes("parameters", "added", "removed"))

    @property
    def replaced(self) -> tuple[str, ...]:
        """Buffers of the baseline in whose place the candidate holds others of the same form, with other values."""
        forms = {(s.dtype, s.shape) for change in self.changes("buffers", "added") if (s := change.candidate)}
        gone = (change.baseline for change in self.changes("buffers", "removed"))
        return tuple(state.name for state in gone if state and (state.dtype, state.shape) in forms)

    @property
    def altered(self) -> bool:
        """Whether any tensor holds other values; a buffer that was only re-laid-out is judged by the logits."""
        buffers = [change for change in self.changes("buffers") if change.same_layout]
        return bool(self.changes("parameters") or buffers)


_PROCESSOR = ("cpu", "cpu_capability", "cuda")

_WANTED: Mapping[Option | None, str] = {"attention": "attention implementation"}
"""The config key that differs because an option does."""


def compare_captures(
    baseline: Capture,
    candidate: Capture,
    *,
    same_ids: bool = False,
    within: Option | None = None,
    contents: Contents = ({}, {}),
    output: str | None = None,
) -> Comparison:
    """Compare two complete captures, cheapest facts first; equal digests are never read.

    Args:
        baseline: The capture that is taken as right.
        candidate: The capture that is compared with it.
        same_ids: Whether the candidate was given the baseline's ids, so that no tokenizer is to be compared.
        within: The option that differs on purpose, between two variants of one cell.
        contents: (baseline's, candidate's) digests of values as multisets, where a closer look took them.
        output: The output to compare, by the baseline's name; the first that differs when None.

    Raises:
        CaptureError: When a tensor file is missing or torn.
    """
    tokens = None if same_ids else changed_tokens(baseline, candidate)
    other_ids = tokens is not None and tokens.list == "input_ids"
    name = output or _first(baseline, candidate, other_ids=other_ids)
    facts = [side.outputs[side.stored(name)] for side in (baseline, candidate)]
    a, b = shapes = tuple(facts[0]["shape"]), tuple(facts[1]["shape"])
    # other ids may well be more or fewer of them: the last position exists on both sides all the same
    comparable = (a[0], *a[2:]) == (b[0], *b[2:]) if other_ids and len(a) == len(b) == RANK else a == b
    dtypes = facts[0]["dtype"], facts[1]["dtype"]
    state = tuple(changed_state(baseline, candidate, contents))
    step = first_difference(baseline.generated, candidate.generated)
    return Comparison(
        tokens=tokens,
        config=tuple(change for change in changed_config(baseline, candidate) if change.key != _WANTED.get(within)),
        state=tuple(change for change in state if not (within == "dtype" and _is_cast(change))),
        uninitialised=(baseline.uninitialised, candidate.uninitialised),
        undetermined=tuple(sorted({*baseline.missing_keys} & {*candidate.missing_keys})),
        output=name,
        outputs=compare_outputs(baseline, candidate, name, last_only=other_ids) if comparable else None,
        shapes=None if comparable else shapes,
        dtypes=None if dtypes[0] == dtypes[1] or within == "dtype" else dtypes,
        nonfinite=(_nonfinite(facts[0]), _nonfinite(facts[1])),
        unshared=unshared(baseline, candidate),
        newly_missing=_newly_missing(baseline, candidate, state),
        generation=step,
        margin=_margin(baseline, candidate),
        same_cpu=all(baseline.environment.get(k) == candidate.environment.get(k) for k in _PROCESSOR),
    )


def _is_cast(change: StateChange) -> bool:
    """Whether a parameter only has another dtype: corrected float64 tells whether its values were rounded as asked."""
    a, b = change.baseline, change.candidate
    return change.kind == "parameters" and bool(a and b and a.shape == b.shape and a.dtype != b.dtype)


def _margin(baseline: Capture, candidate: Capture) -> float | None:
    """The largest of the baseline's margins where a row's tokens part: all of them must be ties."""
    rows = list(zip_longest(baseline.generated, candidate.generated, baseline.margins, fillvalue=()))
    found = [(first_difference(a, b), margins) for a, b, margins in rows]
    parting = [(step, margins) for step, margins in found if step is not None]
    if any(step >= len(margins) for step, margins in parting):
        return None
    return max((margins[step] for step, margins in parting), default=None)


def _first(baseline: Capture, candidate: Capture, *, other_ids: bool) -> str:
    """The first output that differs; the main one where none does, or where the ids differ and so must all of them."""
    return baseline.output if other_ids else next(differing(baseline, candidate), baseline.output)


def _nonfinite(facts: Mapping[str, Any]) -> int:
    elements: int = math.prod(facts["shape"])
    finite: int = facts.get("finite", elements)
    return elements - finite


def _newly_missing(baseline: Capture, candidate: Capture, state: tuple[StateChange, ...]) -> tuple[str, ...]:
    lost = {*candidate.missing_keys, *candidate.mismatched_keys} - {*baseline.missing_keys, *baseline.mismatched_keys}
    moved = {change.name for change in state if change.change in {"changed", "added", "removed"}}
    return tuple(sorted(lost & moved))
