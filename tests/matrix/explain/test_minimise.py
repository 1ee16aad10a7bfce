"""The search for a smallest set of parts: right, and in few trials."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest

from matrix.request import PROBES

Outcome = tuple[float | None, bool]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("probe_minimise", PROBES / "minimise.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


minimise: Any = _load()


class Bench:
    """A model in which some parts are wrong: each of them takes its share of the difference away."""

    def __init__(self, *faulty: str) -> None:
        self.faulty = set(faulty)
        self.trials: list[tuple[str, ...]] = []

    def restores(self, parts: Sequence[str]) -> Outcome:
        self.trials.append(tuple(parts))
        found = len(self.faulty & set(parts))
        return found / len(self.faulty), found == len(self.faulty)

    def smallest(self, units: Sequence[Sequence[str]], **limits: int) -> list[str]:
        found: list[str] = minimise.Search(self.restores, **limits).smallest(units, (1.0, True))
        return found


def units(count: int) -> list[list[str]]:
    return [[f"p{number}"] for number in range(count)]


def test_one_part_needs_no_trial() -> None:
    bench = Bench("p0")
    assert bench.smallest(units(1)) == ["p0"]
    assert bench.trials == []


def test_the_part_that_ranks_first_needs_one() -> None:
    bench = Bench("p0")
    assert bench.smallest(units(435)) == ["p0"]
    assert bench.trials == [("p0",)]


def test_a_part_of_low_rank_needs_a_logarithm() -> None:
    bench = Bench("p300")
    assert bench.smallest(units(435)) == ["p300"]
    assert len(bench.trials) <= 20


def test_a_unit_that_is_needed_whole_costs_a_bounded_proof() -> None:
    layers = [f"eps{layer}" for layer in range(64)]
    bench = Bench(*layers)
    assert bench.smallest([layers, ["other"]], proof=6) == layers
    assert len(bench.trials) <= 7


def test_one_layer_of_a_unit_is_found() -> None:
    bench = Bench("b")
    assert bench.smallest([["a", "b", "c", "d"]]) == ["b"]


@pytest.mark.parametrize("seed", range(20))
def test_any_set_is_found_where_parts_do_not_disturb_each_other(seed: int) -> None:
    draw = random.Random(seed)
    every = [f"p{number}" for number in range(draw.randint(1, 24))]
    wrong = draw.sample(every, draw.randint(1, min(4, len(every))))
    bench = Bench(*wrong)
    assert set(bench.smallest([[part] for part in every], limit=500, proof=500)) == set(wrong)
    assert len(bench.trials) == len({frozenset(trial) for trial in bench.trials})


def test_parts_that_cancel_each_other_leave_none_that_can_go() -> None:
    """More parts may restore less: then no prefix says anything, and the answer must still be enough."""
    enough = [{"a", "d"}, {"a", "b", "c", "d"}]

    def restores(parts: Sequence[str]) -> Outcome:
        return (1.0, True) if set(parts) in enough else (0.0, False)

    found = minimise.Search(restores).smallest([["a"], ["b"], ["c"], ["d"]], (1.0, True))
    assert set(found) in enough


def test_without_trials_the_smallest_set_so_far_is_kept() -> None:
    bench = Bench("p1", "p6")
    found = bench.smallest(units(8), limit=3)
    assert {"p1", "p6"} <= set(found)
    assert len(bench.trials) == 3


def test_a_share_that_is_not_all_is_kept_too() -> None:
    def restores(parts: Sequence[str]) -> Outcome:
        return 0.5 * ("p2" in parts), False

    found = minimise.Search(restores).smallest(units(4), (0.5, False))
    assert found == ["p2"]


@pytest.mark.parametrize(
    ("outcome", "whole", "good"),
    [
        ((1.0, True), (0.4, False), True),
        ((1.0, False), (1.0, True), False),  # as near as can be is not the same bits
        ((0.5, False), (0.5, False), True),
        ((0.4, False), (0.5, False), False),
        ((None, False), (0.5, False), False),
        ((None, False), (None, False), False),
    ],
)
def test_bits_count_more_than_any_share(outcome: Outcome, whole: Outcome, good: bool) -> None:  # noqa: FBT001
    assert minimise.as_good(outcome, whole) is good


def test_outputs_are_kept_up_to_the_last_that_matters() -> None:
    """A later output hides the earlier ones, so only the end of the list is cut."""
    outputs = ["first", "second", "dead", "dead too"]

    def restores(parts: Sequence[str]) -> Outcome:
        return (1.0, True) if "second" in parts else (0.3, False)

    assert minimise.Search(restores).prefix(outputs, (1.0, True)) == ["first", "second"]
    assert minimise.Search(restores).prefix(["second"], (1.0, True)) == ["second"]


def test_ddmin_leaves_nothing_that_can_go() -> None:
    wrong = {1, 7, 8}
    assert set(minimise.ddmin(list(range(12)), lambda chosen: wrong <= set(chosen))) == wrong
