"""Search: which releases to look at next, and what those looked at so far say. Pure: marks in, positions out.

Releases are positions 0 … n-1, from the good end to the bad one. A *pair* is two neighbouring releases among those
that are decided, one of them good and one bad: somewhere between them the difference appears or disappears.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import Literal

Mark = Literal["good", "bad", "skip", "unsure"]
"""What a release says about the difference that is looked for: absent, present, cannot be tried, cannot be told."""

Marks = Mapping[int, Mark]

DECIDED: frozenset[Mark] = frozenset({"good", "bad"})

CHECKS = 2
"""How many releases are looked at beside the search, to see whether the difference comes and goes.

Each costs as much as a step of the search: more would double what a search of 45 releases takes."""


@dataclass(frozen=True, kw_only=True)
class Transition:
    """Where the difference appears (after a good release) or disappears (after a bad one).

    Attributes:
        last: The last position of the state before.
        first: The first position of the state after.
        between: Positions between them that say nothing: the change may be in any of them, too.
    """

    last: int
    first: int
    appears: bool
    between: tuple[int, ...] = ()


def closing(marks: Marks) -> int | None:
    """The position to look at next so that the first open change is closed in; None when all are."""
    middles = (_middle(_stretches(marks, low, high)) for low, high in _pairs(marks))
    return next((middle for middle in middles if middle is not None), None)


def due(marks: Marks, count: int, checks: int) -> tuple[int, ...]:
    """So many positions in the middles of the longest stretches between releases that agree.

    A search that only halves never sees a difference that comes and goes there.
    """
    seen: dict[int, Mark] = dict(marks)
    pairs = list(_pairs(marks))
    for _ in range(checks):
        found = _stretches(seen, 0, count - 1)
        outside = [(a, b) for a, b in found if not any(low < a and b < high for low, high in pairs)]
        if (middle := _middle(outside)) is None:
            break
        seen[middle] = "skip"
    return tuple(position for position in seen if position not in marks)


def batch(marks: Marks, count: int, checks: int) -> tuple[int, ...]:
    """What to look at next, side by side: the middle of an open change and one check; at the end all checks left."""
    middle = closing(marks)
    if middle is None:
        return due(marks, count, checks)
    return (middle, *due(marks, count, min(checks, 1)))


def ahead(marks: Marks, count: int, checks: int, running: Sequence[int]) -> tuple[int, ...]:
    """The positions that may be wanted once the middle that runs first is known, whichever way it turns out.

    Both next middles come first: they are what the search waits for, a check only runs beside them.
    """
    batches = []
    for mark in ("good", "bad"):
        # checks hardly ever surprise: each is taken to agree with the release before it
        then: dict[int, Mark] = {**marks, running[0]: mark}
        for position in running[1:]:
            then[position] = then[max(known for known in then if known < position)]
        batches.append(batch(then, count, checks))
    turns = zip_longest(*batches)
    return tuple(dict.fromkeys(position for turn in turns for position in turn if position is not None))


def transitions(marks: Marks) -> tuple[Transition, ...]:
    """Every change between neighbouring decided releases, in the order of the releases."""
    return tuple(
        Transition(
            last=low,
            first=high,
            appears=marks[high] == "bad",
            between=tuple(position for position in range(low + 1, high) if position in marks),
        )
        for low, high in _pairs(marks)
    )


def _pairs(marks: Marks) -> Iterator[tuple[int, int]]:
    decided = sorted(position for position, mark in marks.items() if mark in DECIDED)
    return ((low, high) for low, high in pairwise(decided) if marks[low] != marks[high])


def _middle(stretches: Sequence[tuple[int, int]]) -> int | None:
    """The middle of the longest stretch that nobody has looked at.

    Without skips that is plain bisection. Around a skipped release it moves on by half of what is left, not by one:
    releases that cannot be tried come in long rows.
    """
    if not stretches:
        return None
    first, last = max(stretches, key=lambda stretch: stretch[1] - stretch[0])
    return (first + last) // 2


def _stretches(marks: Marks, low: int, high: int) -> list[tuple[int, int]]:
    """First and last position of every run without a mark between two positions."""
    seen = [low, *sorted(position for position in marks if low < position < high), high]
    return [(a + 1, b - 1) for a, b in pairwise(seen) if b - a > 1]
