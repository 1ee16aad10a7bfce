"""Divergence: the first call that is given the same and makes something else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from matrix.explain.forwards.align import Alignment
from matrix.explain.forwards.passed import Distance, Values, Verdict
from matrix.explain.trace import Call, Tensor, Trace

Pair = tuple[Call, Call]


@dataclass(frozen=True, kw_only=True)
class Changed:
    """One output that is not the same on both sides.

    Attributes:
        name: The good side's position or key of it.
        distance: How far apart both are, where the mask lets the model look.
    """

    name: str
    distance: Distance


@dataclass(frozen=True, kw_only=True)
class Later:
    """A module call whose outputs differ.

    Attributes:
        module: The good side's name of it.
        nth: Which call of it.
        max_abs: The largest difference of its first output that differs.
        l2_rel: That output's relative difference.
    """

    module: str
    nth: int
    max_abs: float
    l2_rel: float


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """Where two traces part: the innermost first call that makes other outputs from the same inputs.

    Where no module inside fits, it is the code between them that differs: the call is then that of the module that
    holds this code, and its own inputs are the same.

    Attributes:
        good: The call on the good side; of a functional piece of attention where `piece` is set.
        bad: The call on the bad side.
        outputs: The outputs that differ, in their order.
        same_inputs: The inputs that are the same, by name.
        notes: What cannot be compared or need not matter: other forms, and what one side lacks.
        by_position: Of the first output that differs, the largest |difference| at each position of the sequence, over
            all rows; empty without such an axis.
        later: Every aligned module call whose outputs differ, in execution order: how the difference grows.
    """

    good: Call
    bad: Call
    outputs: tuple[Changed, ...]
    same_inputs: tuple[str, ...]
    notes: tuple[str, ...]
    by_position: tuple[float, ...]
    later: tuple[Later, ...]


def first(good: Trace, bad: Trace, alignment: Alignment, mask: NDArray[Any] | None = None) -> Divergence | None:
    """Descend from the model's own call to where the difference starts; None where the model's outputs are the same.

    Args:
        good: The side that is taken as right.
        bad: The other side, given the same input.
        alignment: Of both.
        mask: [batch, sequence], 0 where a position does not count; None where all do.

    Raises:
        CaptureError: When a tensor file is missing or torn.
    """
    return _Search(Values(good, bad, mask), alignment).run()


@dataclass(frozen=True, kw_only=True)
class _Compared:
    """What became of the tensors that two calls have in common, and what only one has."""

    verdicts: Mapping[str, Verdict]
    tensors: Mapping[str, tuple[Tensor, Tensor]]
    alone: tuple[str, ...]

    def names(self, verdict: Verdict) -> tuple[str, ...]:
        return tuple(name for name, found in self.verdicts.items() if found == verdict)


class _Search:
    """One search; every comparison is made once."""

    def __init__(self, values: Values, alignment: Alignment) -> None:
        self.values = values
        self.alignment = alignment
        self._inputs: dict[int, _Compared] = {}
        self._outputs: dict[int, _Compared] = {}
        parents = {a.parent for a in (*alignment.good_alone, *(good for good, _ in alignment.pairs))}
        renamed = {entry.good for entry in alignment.renamed}
        self.new_leaves = {a.index for a, _ in alignment.pairs if a.module in renamed and a.index not in parents}

    def run(self) -> Divergence | None:
        pair = next((pair for pair in self.alignment.pairs if pair[0].parent is None), None)
        if pair is None or not self.changed(pair):
            return None
        notes: list[str] = []
        while inner := self.inside(pair, notes):
            pair = inner
            notes = []
        return self.describe(pair, tuple(notes))

    def inside(self, pair: Pair, notes: list[str]) -> Pair | None:
        """The first call inside another one that makes something else of the same; None where the code between does.

        What is given something else after everything before it was the same shows that the code between differs.
        """
        for child in self.children(pair):
            if not self.changed(child):
                continue
            other = self.inputs(child).names("differs")
            if not other:
                return child
            notes.append(f"{_name(child[0])} is given another {', '.join(other)}")
            return None
        return None

    def children(self, pair: Pair) -> Iterator[Pair]:
        """The aligned calls inside a call, also where only one side makes them there, in execution order."""
        good, bad = pair
        for a, b in self.alignment.pairs:
            if a.index > good.index and b.index > bad.index and (a.parent == good.index or b.parent == bad.index):
                yield a, b

    def changed(self, pair: Pair) -> bool:
        return bool(self.outputs(pair).names("differs"))

    def inputs(self, pair: Pair) -> _Compared:
        good, bad = pair
        if good.index not in self._inputs:
            shared = {name: (good.inputs[name], bad.inputs[name]) for name in good.inputs if name in bad.inputs}
            alone = [f"only the good side has the input {name}" for name in good.inputs if name not in shared]
            alone += [f"only the bad side has the input {name}" for name in bad.inputs if name not in shared]
            self._inputs[good.index] = self.compared(shared, alone, None)
        return self._inputs[good.index]

    def outputs(self, pair: Pair) -> _Compared:
        good, bad = pair
        if good.index not in self._outputs:
            shared = _matched(good.outputs, bad.outputs)
            more = len(good.outputs) - len(bad.outputs)
            alone = [f"the {'good' if more > 0 else 'bad'} side has {abs(more)} more outputs"] if more else []
            if (
                more and good.index in self.new_leaves
            ):  # another interface: what stands first need not be the same thing
                shared = {}
            self._outputs[good.index] = self.compared(shared, alone, good.piece)
            if good.piece == "scores" and self.same_weights(pair):
                self._outputs[good.index] = self.compared({}, alone, None)
        return self._outputs[good.index]

    def same_weights(self, pair: Pair) -> bool:
        """Whether the softmax made the same of both scores: then they differ by what it takes no notice of."""
        after = [other for other in self.children_of_parent(pair) if other[0].piece == "weights"]
        return bool(after) and not self.changed(after[0])

    def children_of_parent(self, pair: Pair) -> Iterator[Pair]:
        good, _ = pair
        return ((a, b) for a, b in self.alignment.pairs if a.parent == good.parent and a.index > good.index)

    def compared(self, shared: Mapping[str, tuple[Tensor, Tensor]], alone: list[str], piece: str | None) -> _Compared:
        verdicts = {name: self.values.verdict(piece or name, tensors) for name, tensors in shared.items()}
        return _Compared(verdicts=verdicts, tensors=shared, alone=tuple(alone))

    def describe(self, pair: Pair, notes: tuple[str, ...]) -> Divergence:
        good, bad = pair
        inputs, outputs = self.inputs(pair), self.outputs(pair)
        differing = outputs.names("differs")
        return Divergence(
            good=good,
            bad=bad,
            outputs=tuple(Changed(name=name, distance=self.apart(good, outputs, name)) for name in differing),
            same_inputs=inputs.names("same"),
            notes=(*notes, *_forms("input", inputs), *_forms("output", outputs), *_scalars(pair)),
            by_position=self.values.by_position(good, outputs.tensors[differing[0]]),
            later=tuple(self.later()),
        )

    def later(self) -> Iterator[Later]:
        for pair in self.alignment.pairs:
            good = pair[0]
            if good.piece is None and self.changed(pair):
                outputs = self.outputs(pair)
                apart = self.apart(good, outputs, outputs.names("differs")[0])
                yield Later(module=good.module, nth=good.nth, max_abs=apart.max_abs, l2_rel=apart.l2_rel)

    def apart(self, call: Call, outputs: _Compared, name: str) -> Distance:
        return self.values.distance(call.piece or name, outputs.tensors[name])


def _name(call: Call) -> str:
    return f"{call.module or 'the model'}{' ' + call.piece if call.piece else ''}"


def _matched(good: Mapping[str, Tensor], bad: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Outputs in pairs: by key where both sides have keys, else by position; a release may return a bare tensor."""
    keyed = [all(not name[:1].isdigit() for name in side) for side in (good, bad)]
    if all(keyed):
        return {name: (good[name], bad[name]) for name in good if name in bad}
    return {name: (a, b) for (name, a), b in zip(good.items(), bad.values(), strict=False)}


def _forms(what: str, found: _Compared) -> Iterator[str]:
    """What cannot be compared, in words."""
    for name in found.names("other form"):
        a, b = found.tensors[name]
        yield f"{what} {name} is {a.dtype} {list(a.shape)} on the good side, {b.dtype} {list(b.shape)} on the bad side"
    yield from found.alone


def _scalars(pair: Pair) -> Iterator[str]:
    good, bad = pair
    for name, value in good.scalars.items():
        if name in bad.scalars and bad.scalars[name] != value:
            yield f"argument {name} is {value!r} on the good side, {bad.scalars[name]!r} on the bad side"
