"""The search against every truth of a small range: boundaries, skips, verdicts that cannot be told, comebacks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import pytest

from matrix.bisect import search
from matrix.bisect.search import Mark, Transition

Truth = Sequence[Mark]


def run(truth: Truth, checks: int) -> tuple[dict[int, Mark], list[tuple[int, ...]]]:
    """Look at releases as a bisection does, until nothing more is wanted."""
    marks: dict[int, Mark] = {0: truth[0], len(truth) - 1: truth[-1]}
    batches = []
    while batch := search.batch(marks, len(truth), checks):
        assert not marks.keys() & {*batch}, "nothing is looked at twice"
        checks -= len(batch) - (search.closing(marks) is not None)
        marks.update({position: truth[position] for position in batch})
        batches.append(batch)
    return marks, batches


@pytest.mark.parametrize("checks", [0, 2, 99])
@pytest.mark.parametrize("count", range(2, 18))
def test_every_boundary_is_found(count: int, checks: int) -> None:
    for first in range(1, count):
        truth: list[Mark] = ["good" if position < first else "bad" for position in range(count)]
        marks, _ = run(truth, checks)
        assert search.transitions(marks) == (Transition(last=first - 1, first=first, appears=True),)


@pytest.mark.parametrize("count", [3, 8, 45, 300])
def test_without_skips_it_takes_no_more_steps_than_halving(count: int) -> None:
    for first in range(1, count):
        truth: list[Mark] = ["good" if position < first else "bad" for position in range(count)]
        _, batches = run(truth, 0)
        assert len(batches) <= math.ceil(math.log2(count - 1))


@pytest.mark.parametrize("silent", ["skip", "unsure"])
@pytest.mark.parametrize("count", range(3, 10))
def test_whatever_cannot_be_tried_the_answer_holds_the_truth_and_nothing_that_was_ruled_out(
    count: int, silent: Mark
) -> None:
    for first in range(1, count):
        for silenced in _subsets(range(1, count - 1)):
            truth: list[Mark] = ["good" if position < first else "bad" for position in range(count)]
            for position in silenced:
                truth[position] = silent
            marks, _ = run(truth, 0)
            (found,) = search.transitions(marks)
            # the range is as small as what can be tried allows
            assert found.last == max(p for p in range(first) if truth[p] == "good")
            assert found.first == min(p for p in range(first, count) if truth[p] == "bad")
            assert found.between == tuple(range(found.last + 1, found.first))


def test_a_long_row_of_skips_is_left_in_halves_and_not_one_by_one() -> None:
    truth: list[Mark] = ["good"] * 5 + ["skip"] * 40 + ["good"] * 40 + ["bad"] * 5
    marks, _ = run(truth, 0)
    assert search.transitions(marks) == (Transition(last=84, first=85, appears=True),)
    assert len(marks) < 15


@pytest.mark.parametrize("count", range(2, 11))
def test_with_every_release_looked_at_every_comeback_is_told(count: int) -> None:
    for inside in itertools.product(("good", "bad"), repeat=count - 2):
        truth: list[Mark] = ["good", *inside, "bad"]
        marks, _ = run(truth, count)
        assert len(marks) == count
        changes = [p for p in range(1, count) if truth[p] != truth[p - 1]]
        assert [found.first for found in search.transitions(marks)] == changes
        assert [found.appears for found in search.transitions(marks)] == [truth[p] == "bad" for p in changes]


@pytest.mark.parametrize("count", range(2, 11))
def test_whatever_the_truth_is_every_change_that_is_told_is_one(count: int) -> None:
    for inside in itertools.product(("good", "bad", "skip"), repeat=count - 2):
        truth: list[Mark] = ["good", *inside, "bad"]
        marks, _ = run(truth, 2)
        found = search.transitions(marks)
        assert len(found) % 2 == 1
        for change in found:
            assert truth[change.first] == ("bad" if change.appears else "good")
            assert truth[change.last] == ("good" if change.appears else "bad")
            assert change.between == tuple(range(change.last + 1, change.first))
            assert {truth[p] for p in change.between} <= {"skip"}


def test_a_long_comeback_is_seen_by_the_checks() -> None:
    truth: list[Mark] = ["good"] * 10 + ["bad"] * 20 + ["good"] * 10 + ["bad"] * 20
    marks, _ = run(truth, 4)
    assert [(t.first, t.appears) for t in search.transitions(marks)] == [(10, True), (30, False), (40, True)]


def test_checks_lie_in_the_longest_stretches_and_never_inside_an_open_change() -> None:
    marks: dict[int, Mark] = {0: "good", 4: "good", 20: "bad", 50: "bad", 60: "bad"}
    assert search.due(marks, 61, 1) == (35,)
    assert search.due(marks, 61, 3) == (35, 27, 42)
    assert not {*search.due(marks, 61, 99)} & {*range(5, 20)}


def test_there_are_no_more_checks_than_releases() -> None:
    assert search.due({0: "good", 1: "bad"}, 2, 5) == ()
    assert search.due({0: "good", 1: "good", 3: "bad"}, 4, 5) == ()


@pytest.mark.parametrize("count", range(4, 40))
def test_what_is_built_ahead_holds_the_next_step_whichever_way_this_one_turns_out(count: int) -> None:
    for first in range(1, count):
        truth: list[Mark] = ["good" if position < first else "bad" for position in range(count)]
        marks: dict[int, Mark] = {0: "good", count - 1: "bad"}
        while (middle := search.closing(marks)) is not None:
            ahead = search.ahead(marks, count, 0, (middle,))
            assert len(ahead) <= 2
            marks[middle] = truth[middle]
            assert (after := search.closing(marks)) is None or after in ahead


def test_what_the_search_waits_for_is_built_before_what_runs_beside_it() -> None:
    marks: dict[int, Mark] = {0: "good", 30: "bad", 60: "bad"}
    ahead = search.ahead(marks, 61, 1, (15,))
    assert set(ahead[:2]) == {search.closing({**marks, 15: mark}) for mark in ("good", "bad")}
    assert len(ahead) > 2


def _subsets(positions: range) -> itertools.chain[tuple[int, ...]]:
    chosen: Callable[[int], itertools.combinations[int]] = lambda size: itertools.combinations(positions, size)  # noqa: E731
    return itertools.chain.from_iterable(map(chosen, range(len(positions) + 1)))
