"""Every change of one architecture is told once, from the baseline outwards, with numbers of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from matrix.sweep.answer import Difference
from matrix.sweep.differences import differences
from tests.matrix.builders import moved, tensor
from tests.matrix.sweep.judged import ONE, OTHER, PADDED, SHORTER, Facts, judged

FURTHER = {**OTHER, "logits": moved(3.0)}
BIAS = {"parameters": [tensor("model.weight"), tensor("model.bias")], "logits": moved(2.0)}
ELSEWHERE = {"cpu": "another CPU"}
"""Nothing that could be compared: missing."""

FOUR = ("1.0", "2.0", "3.0", "4.0")


def _told(folder: Path, seen: Mapping[tuple[str, ...], Facts], **options: Any) -> tuple[Difference, ...]:  # noqa: ANN401 - as `judged` takes them
    verdicts = judged(folder, seen, **options)
    return differences(verdicts.judgements, verdicts)


def _ends(told: tuple[Difference, ...]) -> list[tuple[str, str]]:
    return [(change.good, change.bad) for change in told]


def test_quiet_architectures_have_no_difference(tmp_path: Path) -> None:
    assert _told(tmp_path, {}) == ()


def test_the_first_bad_cell_is_the_next_newer_one(tmp_path: Path) -> None:
    told = _told(tmp_path, {(ONE, release): SHORTER for release in ("1.0", "3.0")}, baseline="2.0")
    assert told[0].cell == "transformers-3.0_torch-9.0"
    assert _ends(told) == [("2.0", "3.0"), ("2.0", "1.0")]


def test_older_cells_count_where_no_newer_one_is_bad(tmp_path: Path) -> None:
    assert _ends(_told(tmp_path, {(ONE, "1.0"): SHORTER}, baseline="2.0")) == [("2.0", "1.0")]


def test_the_case_that_shows_it_most_is_named_with_its_distance(tmp_path: Path) -> None:
    (found,) = _told(tmp_path, {(PADDED, "2.0"): OTHER, (ONE, "2.0"): FURTHER})
    assert (found.case, found.max_abs, found.axis) == (ONE, 3.0, "transformers")
    assert found.l2_rel is not None
    assert (len(found.shown), found.quiet) == (2, ())


def test_what_goes_on_as_it_was_is_one_change_whatever_its_size(tmp_path: Path) -> None:
    assert _ends(_told(tmp_path, {(ONE, "2.0"): OTHER, (ONE, "3.0"): FURTHER})) == [("1.0", "2.0")]


def test_another_place_is_another_change_against_the_baseline(tmp_path: Path) -> None:
    told = _told(tmp_path, {(ONE, "2.0"): OTHER, (ONE, "3.0"): BIAS})
    assert [(change.where, change.max_abs) for change in told] == [("model.weight", 1.0), ("model.bias", 2.0)]
    assert _ends(told) == [("1.0", "2.0"), ("1.0", "3.0")]


def test_a_failure_that_becomes_a_drift_is_two_changes(tmp_path: Path) -> None:
    told = _told(tmp_path, {(ONE, "2.0"): None, (ONE, "3.0"): OTHER})
    assert [(change.verdict, change.max_abs) for change in told] == [("error", None), ("drift", 1.0)]


def test_an_input_that_shows_it_later_is_a_change_of_its_own_since_the_cell_before(tmp_path: Path) -> None:
    first, second = _told(tmp_path, {(PADDED, "2.0"): FURTHER, (PADDED, "3.0"): FURTHER, (ONE, "3.0"): OTHER})
    assert (first.case, [shown.input for shown in first.shown]) == (PADDED, ["padded"])
    # the padded row moves further, but that is no news
    assert (second.case, second.max_abs, second.good, second.bad) == (ONE, 1.0, "2.0", "3.0")
    assert {shown.input for shown in second.shown} == {"padded", "one"}


def test_what_agreed_in_between_has_changed_again(tmp_path: Path) -> None:
    told = _told(tmp_path, {(ONE, "2.0"): OTHER, (ONE, "4.0"): OTHER}, releases=FOUR)
    assert _ends(told) == [("1.0", "2.0"), ("3.0", "4.0")]


@pytest.mark.parametrize(
    ("later", "places"), [(OTHER, ["model.weight", None]), (BIAS, ["model.weight", None, "model.bias"])]
)
def test_the_walk_goes_on_over_what_could_not_be_compared(tmp_path: Path, later: Facts, places: list[str]) -> None:
    lost = {(case, release): ELSEWHERE for case in (PADDED, ONE) for release in ("3.0", "4.0")}
    seen = {(ONE, "2.0"): OTHER, **lost, (ONE, "5.0"): later}
    assert [change.where for change in _told(tmp_path, seen, releases=(*FOUR, "5.0"))] == places


def test_another_axis_does_not_tell_a_change_again(tmp_path: Path) -> None:
    both = {(ONE, release, torch): OTHER for release in ("2.0", "3.0") for torch in ("9.0", "9.1")}
    assert _ends(_told(tmp_path, both, torch=("9.0", "9.1"))) == [("1.0", "2.0")]


def test_what_only_two_axes_together_show_is_a_change(tmp_path: Path) -> None:
    (found,) = _told(tmp_path, {(ONE, "3.0", "9.1"): OTHER}, torch=("9.0", "9.1"))
    assert (found.cell, found.axis, found.good, found.bad) == (
        "transformers-3.0_torch-9.1",
        "transformers",
        "1.0",
        "3.0",
    )
