"""Symptoms: what the looks have seen, as arrays in which signatures are looked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matrix.capture import Capture
from matrix.explain.anatomy import Anatomy
from matrix.explain.forwards.align import Alignment
from matrix.explain.forwards.divergence import Divergence
from matrix.explain.forwards.ladder import GIVEN, Lists
from matrix.explain.forwards.passed import Values
from matrix.explain.looks import Anatomies, Traces
from matrix.explain.signs.sides import Sides
from matrix.explain.signs.signatures import Symptoms
from matrix.explain.trace import Call, Piece, Tensor
from matrix.outputs import kept, rows
from matrix.tensorfile import TensorFile

_LENGTHS = ("sliding_window", "attention_chunk_size", "window_size", "local_attention", "max_window_layers")
"""Config keys that name a length at which attention ends."""


def symptoms(taken: Anatomies, traced: Traces, alignment: Alignment, place: Divergence | None) -> Symptoms:
    """Everything that signatures are looked for in.

    Args:
        taken: Both models, and what they say to every rung.
        traced: One forward of both.
        alignment: Of both forwards.
        place: Where they part; None where only what is between the modules differs.

    Raises:
        CaptureError: When a tensor file is missing or torn.
    """
    case = traced.job.case
    mask = np.asarray(case.attention_mask) if case.attention_mask else None
    read = _Arrays(Values(traced.good, traced.bad, mask), alignment, mask)
    return Symptoms(
        ladder=dict(_ladder(taken)),
        first=read.first(),
        output=read.output(place) if place else None,
        norm_input=read.given(place) if place and "norm" in _class(taken.good, place).lower() else None,
        class_name=_class(taken.good, place) if place else "",
        query=read.piece("query"),
        key=read.piece("key"),
        scores=read.piece("scores"),
        lengths=tuple(_lengths(taken.good.capture.config)),
        uninitialised=taken.bad.capture.uninitialised,
        dtype=traced.good.capture.outputs["logits"]["dtype"],
        same_in_float32=_same_in_float32(taken),
    )


class _Arrays:
    """Reads pairs of tensors of one aligned forward."""

    def __init__(self, values: Values, alignment: Alignment, mask: NDArray[Any] | None) -> None:
        self.values, self.alignment, self.mask = values, alignment, mask

    def sides(self, good: Tensor, bad: Tensor) -> Sides | None:
        """Both sides of one tensor; None where they have no common shape, or are no floats."""
        a, b = self.values.array(0, good), self.values.array(1, bad)
        if a.shape != b.shape or a.dtype.kind != "f" or b.dtype.kind != "f":
            return None
        return Sides(good=a, bad=b, mask=self.mask, dtype=good.dtype)

    def first(self) -> Sides | None:
        """The first tensor that differs, in the order in which calls start, what goes in before what comes out."""
        for good, bad in self.alignment.pairs:
            for name, tensor in good.inputs.items():
                other = bad.inputs.get(name)
                if other and self.values.verdict(name, (tensor, other)) == "differs":
                    return self.sides(tensor, other)
            if _has_calls_inside(good, self.alignment):
                continue
            for tensor, other in zip(good.outputs.values(), bad.outputs.values(), strict=False):
                if self.values.verdict(good.piece or "", (tensor, other)) == "differs":
                    return self.sides(tensor, other)
        return None

    def output(self, place: Divergence) -> Sides | None:
        """The first output of the first divergent call that differs."""
        name = place.outputs[0].name
        names = list(place.good.outputs)
        others = list(place.bad.outputs.values())
        other = place.bad.outputs.get(name) or others[min(names.index(name), len(others) - 1)]
        return self.sides(place.good.outputs[name], other)

    def given(self, place: Divergence) -> NDArray[Any] | None:
        """The first input of the first divergent call."""
        return next((self.values.array(0, tensor) for tensor in place.good.inputs.values()), None)

    def piece(self, piece: Piece) -> Sides | None:
        """One functional piece of the first attention that has it."""
        for good, bad in self.alignment.pairs:
            if good.piece == piece and good.outputs and bad.outputs:
                return self.sides(next(iter(good.outputs.values())), next(iter(bad.outputs.values())))
        return None


def _has_calls_inside(call: Call, alignment: Alignment) -> bool:
    return any(good.parent == call.index for good, _ in alignment.pairs)


def _class(side: Anatomy, place: Divergence) -> str:
    module = side.module(place.good.module)
    return module.class_name if module else ""


def _ladder(taken: Anatomies) -> Iterator[tuple[str, Sides]]:
    """Every rung's logits that both sides have."""
    for name, rung in taken.good.rungs.items():
        other = taken.bad.rungs.get(name)
        if rung.logits and other and other.logits:
            a, b = _logits(taken.good.capture, rung.logits), _logits(taken.bad.capture, other.logits)
            if a.shape == b.shape:
                mask = _mask(taken, name, a)
                dtype = taken.good.capture.outputs[rung.logits]["dtype"]
                yield name, Sides(good=a, bad=b, mask=mask, dtype=dtype)


def _logits(side: Capture, name: str) -> NDArray[Any]:
    return rows(TensorFile(side.tensors).array(name))


def _mask(taken: Anatomies, rung: str, logits: NDArray[Any]) -> NDArray[Any] | None:
    if rung == GIVEN:
        return kept(taken.good.capture, logits.shape)
    lists: Lists = taken.rungs[rung]
    mask = np.asarray(lists.get("attention_mask", ()))
    return mask if mask.shape == logits.shape[:-1] else None


def _lengths(config: Mapping[str, Any]) -> Iterator[int]:
    text = config.get("text_config")
    for table in (config, text if isinstance(text, Mapping) else {}):
        yield from (table[name] for name in _LENGTHS if isinstance(table.get(name), int) and table[name] > 0)


def _same_in_float32(taken: Anatomies) -> bool | None:
    """Whether the same case agrees in float32; None where it was not asked, or only agrees because nothing ran."""
    if taken.wide is None:
        return None
    good, bad = taken.wide
    shared = [name for name, rung in good.rungs.items() if rung.logits and name in bad.rungs and bad.rungs[name].logits]
    digests = [
        [side.capture.outputs[side.rungs[name].logits or ""]["sha256"] for side in (good, bad)] for name in shared
    ]
    return all(a == b for a, b in digests) if digests else None
