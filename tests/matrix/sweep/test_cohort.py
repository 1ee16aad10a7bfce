"""Who writes what, and in which cells it is compared."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from matrix.cell import Cell
from matrix.plan import plan
from matrix.spec import Spec
from matrix.sweep.cohort import Architecture, Cohort, cohorts
from matrix.sweep.roster import Roster
from tests.matrix.builders import small_spec
from tests.matrix.sweep.project import CAUSAL, roster

SPEC = small_spec(baseline={"transformers": "2.0", "torch": "9.0"})
KNOWS = {"1.0": "old both", "2.0": "both new", "3.0": "both newest"}
"""Release → the types it knows; `old` was removed before the baseline."""


def _rosters(spec: Spec, knows: Mapping[str, str]) -> dict[Cell, Roster]:
    said = {cell: knows.get(cell.axes["transformers"]) for cell in plan(spec).cells}
    return {cell: roster({CAUSAL: {name: [name] for name in names.split()}}) for cell, names in said.items() if names}


def _wanted(*types: str) -> list[Architecture]:
    return [Architecture(type=name, head="causal-lm") for name in types]


def _made(*types: str, knows: Mapping[str, str] = KNOWS, authors: tuple[str, ...] = ()) -> dict[str, Cohort]:
    found = cohorts(SPEC, _rosters(SPEC, knows), _wanted(*types), authors)
    return {one.type: cohort for cohort in found for one in cohort.architectures}


def _releases(cohort: Cohort) -> tuple[str, ...]:
    return cohort.spec.axes["transformers"].values


@pytest.mark.parametrize(
    ("kind", "author", "against", "releases"),
    [
        ("both", "1.0", "2.0", ("1.0", "2.0", "3.0")),
        ("old", "1.0", "1.0", ("1.0", "2.0", "3.0")),
        ("new", "2.0", "2.0", ("2.0", "3.0")),
        ("newest", "3.0", "3.0", ("3.0",)),
    ],
)
def test_the_oldest_release_that_knows_a_type_writes_it(
    kind: str, author: str, against: str, releases: tuple[str, ...]
) -> None:
    cohort = _made("both", "old", "new", "newest")[kind]
    assert (cohort.author, cohort.spec.baseline["transformers"], _releases(cohort)) == (author, against, releases)
    assert cohort.cell.axes == {"transformers": author, "torch": "9.0"}
    assert cohort.name == f"from-{author}-against-{against}"


def test_there_is_nothing_to_compare_in_one_cell() -> None:
    assert {name: cohort.compares for name, cohort in _made("both", "newest").items()} == {
        "both": True,
        "newest": False,
    }


def test_cells_whose_release_no_longer_knows_a_type_are_told_apart() -> None:
    cohort = _made("old")["old"]
    gone = {one.type: [cell.axes["transformers"] for cell in cells] for one, cells in cohort.removed.items()}
    assert gone == {"old": ["2.0", "3.0"]}
    assert _made("both")["both"].removed == {}


def test_a_release_that_could_not_say_writes_nothing_and_has_removed_nothing() -> None:
    cohort = _made("both", knows={"2.0": "both", "1.0": "both"}, authors=())["both"]
    assert (cohort.author, cohort.removed) == ("1.0", {})
    silent = _made("both", knows={"2.0": "both", "3.0": "both"})["both"]
    assert (silent.author, _releases(silent)) == ("2.0", ("2.0", "3.0"))


def test_only_the_authors_that_are_named_write() -> None:
    assert _made("both", "old", authors=("2.0", "3.0")).keys() == {"both"}
    assert _made("both", authors=("2.0", "3.0"))["both"].author == "2.0"


@pytest.mark.parametrize(
    ("tried", "author"), [((), "1.0"), (("1.0",), "2.0"), (("1.0", "2.0"), "3.0"), (("1.0", "2.0", "3.0"), "1.0")]
)
def test_what_one_release_cannot_write_is_the_next_ones(tried: tuple[str, ...], author: str) -> None:
    (both,) = _wanted("both")
    (cohort,) = cohorts(SPEC, _rosters(SPEC, KNOWS), [both], (), {both: tried})
    assert cohort.author == author


def test_the_author_writes_under_the_baselines_other_values() -> None:
    axes = {"transformers": {"values": ["1.0", "2.0"]}, "torch": {"values": ["8.0", "9.0"]}}
    spec = small_spec(axes=axes, baseline={"transformers": "2.0", "torch": "9.0"})
    (cohort,) = cohorts(spec, _rosters(spec, {"1.0": "both", "2.0": "both"}), _wanted("both"))
    assert cohort.cell.axes == {"transformers": "1.0", "torch": "9.0"}
    assert len(plan(cohort.spec).cells) == 4
