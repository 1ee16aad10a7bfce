"""Repeats: whether one cell agrees with itself, over two loads in two processes and two forwards of one load."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from matrix.capture import Capture
from matrix.changes import Kind, changed_tokens
from matrix.evidence import Evidence
from matrix.metrics import compare
from matrix.model_outputs import LOGITS, called, names
from matrix.outputs import differing, kept, read, same_where_kept
from matrix.spec import Stage

AGAIN = "/again"
"""How the tensor's name ends that holds an output of a second forward, where it is not the first one's."""

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


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """A second load of a case's checkpoint in another process, from another random seed.

    Attributes:
        first: What the first process saw of the same input under the same variant; None when it left nothing.
        second: What the second process saw, complete or not; None when it went down.
        crashed: Why it went down.
        own: Whether it repeats the capture that is judged, kernel and threads included, and not that of another variant
            or input.
    """

    first: Capture | None
    second: Capture | None
    crashed: str | None = None
    own: bool = True

    @property
    def taken(self) -> Capture | None:
        """What the second process saw, if it is complete."""
        return self.second if self.second and self.second.status == "captured" else None

    @property
    def moved(self) -> bool:
        """Whether the two loads compute another main output."""
        if self.taken is None or self.first is None or self.first.status != "captured":
            return False
        return not same_where_kept(self.first, self.taken, self.first.output)


def disagreement(capture: Capture, repeat: Repeat | None, look: Evidence | None = None) -> Disagreement | None:
    """The earliest thing that differs between the loads of a case, or between two forwards of one.

    Args:
        capture: What is compared with other cells.
        repeat: The same case in the same dtype, loaded again; it may be of another variant, whose kernel or threads
            give other bits by right: then only the tensors are compared with the capture's.
        look: The closer look at the same job, one more load.

    Raises:
        CaptureError: When a tensor file is missing or torn.
    """
    return next(_found(capture, repeat, look), None)


def _found(capture: Capture, repeat: Repeat | None, look: Evidence | None) -> Iterator[Disagreement]:
    again = repeat.taken if repeat else None
    if repeat and again:
        yield from _tokens(repeat.first or capture, again)
        yield from _tensors(capture, again, repeat)
    for side in (capture, *([again] if repeat and again and repeat.own else [])):
        yield from _forwards(side)
    if repeat and again and repeat.own:
        # a pooler that the checkpoint lacks is drawn from another seed by right, and so is what comes out of it
        drawn = {*capture.missing_keys, *capture.mismatched_keys}
        unlike = (name for name in differing(capture, again) if name == capture.output or not drawn)
        yield from _outputs(capture, again, unlike, "two loads, in two processes, give")
    if look:
        yield from _outputs(capture, look.capture, differing(capture, look.capture), "one more load gives")


def _forwards(side: Capture) -> Iterator[Disagreement]:
    for name in names(side):
        stored = side.stored(name)
        if stored + AGAIN in side.outputs and (spread := _spread((side, stored), (side, stored + AGAIN), name)):
            what = "" if name == LOGITS else f" in {name}"
            text = f"two forwards of one load differ{what} by up to {spread:.3g}"
            yield Disagreement(stage="logits", where=name, text=text)


def _outputs(capture: Capture, again: Capture, unlike: Iterable[str], text: str) -> Iterator[Disagreement]:
    for name in unlike:
        spread = _spread((capture, capture.stored(name)), (again, again.stored(name)), name)
        said = f"{text} {called(name)} that differ by up to {spread:.3g}"
        yield Disagreement(stage="logits", where=name, text=said)


def _tokens(capture: Capture, again: Capture) -> Iterator[Disagreement]:
    if change := changed_tokens(capture, again):
        where = f"{change.list}[{change.row}, {change.position}]"
        yield Disagreement(stage="tokens", where=where, text="the tokenizer makes other ids in a second process")


def _tensors(capture: Capture, again: Capture, repeat: Repeat) -> Iterator[Disagreement]:
    # what the checkpoint lacks is drawn from another seed, which matters where the model computes with it
    drawn = {*capture.missing_keys, *capture.mismatched_keys}
    for kind in _KINDS:
        one, two = ({state.name: state.sha256 for state in getattr(side, kind)} for side in (capture, again))
        # another kernel may need other tensors
        names = {**one, **two} if repeat.own else [name for name in one if name in two]
        differing = [name for name in names if one.get(name) != two.get(name)]
        lacking = [name for name in differing if name in drawn]
        if lacking and repeat.moved:
            text = f"the checkpoint does not hold {', '.join(lacking[:3])}, which every load draws anew"
            yield Disagreement(stage=kind, where=lacking[0], text=text)
        for name in differing:
            if name not in drawn:
                what = f"give {name} different values" if name in one and name in two else f"do not both have {name}"
                text = f"two loads, in two processes, {what}"
                yield Disagreement(stage=kind, where=name, text=text)


def _spread(a: tuple[Capture, str], b: tuple[Capture, str], output: str) -> float:
    """The largest difference of two stored outputs where the mask lets the model look; infinite for other shapes."""
    first, second = (read(side, stored, output) for side, stored in (a, b))
    if first.shape != second.shape:
        return math.inf
    return compare(first, second, kept(a[0], first.shape, output)).max_abs
