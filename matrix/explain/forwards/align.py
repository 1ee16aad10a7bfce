"""Alignment: which call of one trace is the same call in the other, also where a release has renamed the module."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from matrix.capture import TensorState
from matrix.explain.anatomy import Anatomy
from matrix.explain.trace import Call, Piece, Trace

How = Literal["parameters", "output", "place"]
"""The same parameters; the same outputs; the same place among modules of the same class in an aligned parent."""

Key = tuple[str, int, int, Piece | None]
"""Module, which call of it, which piece of that name in it, and the piece's name."""

Marker = Callable[[str], tuple[Hashable | None, str]]
"""What a module is known by, and its class where that counts too."""


@dataclass(frozen=True, kw_only=True)
class Renamed:
    """A module that has another name on the other side, and how that was seen."""

    good: str
    bad: str
    how: How


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """Which calls of two traces belong together.

    Attributes:
        pairs: (good, bad), in the order in which the good side's calls start.
        renamed: Modules that were not aligned by their name.
        good_alone: Calls that only the good side makes, in their order.
        bad_alone: Calls that only the bad side makes, in their order.
    """

    pairs: tuple[tuple[Call, Call], ...]
    renamed: tuple[Renamed, ...]
    good_alone: tuple[Call, ...]
    bad_alone: tuple[Call, ...]


def align(good: Trace, bad: Trace, anatomies: tuple[Anatomy, Anatomy] | None = None) -> Alignment:
    """Pair the calls of two traces by name, and modules that one side does not have by what they hold and make.

    Args:
        good: The side that is taken as right.
        bad: The other side.
        anatomies: Of both sides; without them renamed modules are only known by their outputs.
    """
    renamed = _Renaming(good, bad, anatomies).found() if _lonely(good, bad) else ()
    new = {entry.good: entry.bad for entry in renamed}
    others = _keyed(bad)
    pairs = []
    for key, call in _keyed(good).items():
        other = others.get((new.get(key[0], key[0]), *key[1:]))
        if other is not None:
            pairs.append((call, other))
    return Alignment(
        pairs=tuple(pairs),
        renamed=renamed,
        good_alone=_without(good, {a.index for a, _ in pairs}),
        bad_alone=_without(bad, {b.index for _, b in pairs}),
    )


def _without(trace: Trace, paired: set[int]) -> tuple[Call, ...]:
    return tuple(call for call in trace.calls if call.index not in paired)


def _keyed(trace: Trace) -> dict[Key, Call]:
    """Every call by what the other side's has in common with it; a piece is counted within its call of the module."""
    by_index = {call.index: call for call in trace.calls}
    found = {}
    for call in trace.calls:
        owner = by_index[call.parent] if call.piece and call.parent is not None else call
        found[call.module, owner.nth, call.nth if call.piece else 0, call.piece] = call
    return found


def _lonely(good: Trace, bad: Trace) -> bool:
    """Whether each side calls a module that the other does not."""
    a, b = ({call.module for call in trace.calls} for trace in (good, bad))
    return bool(a - b) and bool(b - a)


class _Renaming:
    """Finds pairs of modules among those that only one side calls."""

    def __init__(self, good: Trace, bad: Trace, anatomies: tuple[Anatomy, Anatomy] | None) -> None:
        self.traces = (good, bad)
        self.anatomies = anatomies
        names = [tuple(dict.fromkeys(call.module for call in trace.calls)) for trace in self.traces]
        self.alone = [[name for name in names[0] if name not in set(names[1])]]
        self.alone.append([name for name in names[1] if name not in set(names[0])])
        self.pairs: dict[str, tuple[str, How]] = {}

    def found(self) -> tuple[Renamed, ...]:
        """Every pair, the surest evidence first, in the good side's order."""
        if self.anatomies:
            held = [_held(side.capture.parameters) for side in self.anatomies]
            self._match("parameters", lambda side, name: held[side].get(name))
        made = [_made(trace) for trace in self.traces]
        self._match("output", lambda side, name: made[side].get(name))
        if self.anatomies:
            classes = [{module.name: module.class_name for module in side.modules} for side in self.anatomies]
            while self._match("place", lambda side, name: self._place(classes, side, name)):
                pass
        order = [name for name in self.alone[0] if name in self.pairs]
        return tuple(Renamed(good=name, bad=self.pairs[name][0], how=self.pairs[name][1]) for name in order)

    def _match(self, how: How, mark: Callable[[int, str], Hashable | None]) -> bool:
        """Pair modules that bear the same mark, the first with the first; whether there were any.

        Where a mark fits several, as it does a wrapper and what it wraps, those of the same class go first.
        """
        taken = {bad for bad, _ in self.pairs.values()}
        sides = (
            [name for name in self.alone[0] if name not in self.pairs],
            [name for name in self.alone[1] if name not in taken],
        )
        before = len(self.pairs)
        for by_class in (True, False):
            groups = [_grouped(names, self._marker(mark, side, by_class=by_class)) for side, names in enumerate(sides)]
            for shared in groups[0].keys() & groups[1].keys():
                taken = {bad for bad, _ in self.pairs.values()}
                a = [name for name in groups[0][shared] if name not in self.pairs]
                b = [name for name in groups[1][shared] if name not in taken]
                self.pairs.update({x: (y, how) for x, y in zip(a, b, strict=False)})
        return len(self.pairs) > before

    def _marker(self, mark: Callable[[int, str], Hashable | None], side: int, *, by_class: bool) -> Marker:
        return lambda name: (mark(side, name), self._class(side, name) if by_class else "")

    def _class(self, side: int, name: str) -> str:
        module = self.anatomies[side].module(name) if self.anatomies else None
        return module.class_name if module else ""

    def _place(self, classes: list[dict[str, str]], side: int, name: str) -> Hashable | None:
        """The parent as the good side calls it, the class, and the how-manieth of that class the parent has."""
        parent = name.rpartition(".")[0]
        known = {bad: good for good, (bad, _) in self.pairs.items()} if side else {good: good for good in self.pairs}
        both = parent in classes[0] and parent in classes[1]
        above = known.get(parent, parent if both else None)
        kind = classes[side].get(name)
        if above is None or kind is None:
            return None
        return above, kind, [x for x in _children(classes[side], parent) if classes[side][x] == kind].index(name)


def _children(classes: Mapping[str, str], parent: str) -> list[str]:
    return [name for name in classes if name and name.rpartition(".")[0] == parent]


def _grouped(names: Iterable[str], key: Marker) -> dict[Hashable, list[str]]:
    groups: dict[Hashable, list[str]] = defaultdict(list)
    for name in names:
        mark = key(name)
        if mark[0] is not None:
            groups[mark].append(name)
    return groups


def _held(parameters: Iterable[TensorState]) -> dict[str, Hashable]:
    """Module → the digests of all parameters in it, in any order."""
    held: dict[str, list[str]] = defaultdict(list)
    for parameter in parameters:
        module = parameter.name
        while module:
            module = module.rpartition(".")[0]
            held[module].append(parameter.sha256)
    return {module: tuple(sorted(digests)) for module, digests in held.items()}


def _made(trace: Trace) -> dict[str, Hashable]:
    """Module → the digests of what each of its calls made first."""
    made: dict[str, list[str]] = defaultdict(list)
    for call in trace.calls:
        if call.piece is None and call.outputs:
            made[call.module].append(next(iter(call.outputs.values())).sha256)
    return {module: tuple(digests) for module, digests in made.items()}
