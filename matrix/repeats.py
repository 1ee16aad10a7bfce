"""Repeats: whether one cell agrees with itself, over two loads in two processes and two forwards of one load."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from matrix.capture import Capture
from matrix.changes import Kind, changed_tokens
from matrix.metrics import compare
from matrix.outputs import kept, rows, same_where_kept
from matrix.spec import Stage
from matrix.tensorfile import TensorFile

AGAIN = "logits/again"
"""The tensor that holds the logits of a second forward, where they are not the first one's."""

_KINDS: tuple[Kind, ...] = ("parameters", "buffers")


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """Where one cell does not agree with itself.

    Attributes:
        stage: The earliest stage that differs.
        where: The tensor or position.
        text: What happens, as the end of a sentence about a cell.
    """

    stage: Stage
    where: str
    text: str


def disagreement(first: Capture, repeat: Capture | None) -> Disagreement | None:
    """The earliest thing that differs between a capture and its repeat, or between its two forwards.

    Args:
        first: The capture that is compared with others.
        repeat: The same case loaded in another process, under the same dtype; logits are compared only where its
            attention kernel and threads are the same too.

    Raises:
        CaptureError: When a tensor file is missing or torn.
    """
    return next(_found(first, repeat), None)


def _found(first: Capture, repeat: Capture | None) -> Iterator[Disagreement]:
    if repeat:
        yield from _between_loads(first, repeat)
    if AGAIN in first.outputs and (spread := _spread(first, "logits", first, AGAIN)):
        yield Disagreement(stage="logits", where="logits", text=f"two forwards of one load differ by {spread:.3g}")
    # other kernels give other bits by right
    alike = repeat and (first.attention, _threads(first)) == (repeat.attention, _threads(repeat))
    if repeat and alike and not same_where_kept(first, repeat):
        spread = _spread(first, "logits", repeat, "logits")
        yield Disagreement(stage="logits", where="logits", text=f"the logits of two loads differ by {spread:.3g}")


def _between_loads(first: Capture, repeat: Capture) -> Iterator[Disagreement]:
    if change := changed_tokens(first, repeat):
        where = f"{change.list}[{change.row}, {change.position}]"
        yield Disagreement(stage="tokens", where=where, text="the tokenizer makes other ids in a second process")
    for kind in _KINDS:
        again = {state.name: state for state in getattr(repeat, kind)}
        for state in getattr(first, kind):
            if state.name in again and again[state.name].sha256 != state.sha256:
                text = f"two loads, in two processes, give {state.name} different values"
                yield Disagreement(stage=kind, where=state.name, text=text)


def _spread(a: Capture, one: str, b: Capture, other: str) -> float:
    """The largest difference where the mask lets the model look; infinite where the shapes differ."""
    first, second = rows(TensorFile(a.tensors).array(one)), rows(TensorFile(b.tensors).array(other))
    if first.shape != second.shape:
        return math.inf
    return compare(first, second, kept(a, first.shape)).max_abs


def _threads(side: Capture) -> object:
    return side.environment.get("threads")
