"""One verdict per architecture and cell, what was expected, and what no checkpoint holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from matrix.sweep import tally
from matrix.sweep.answer import Seen
from tests.matrix.builders import tensor
from tests.matrix.sweep.judged import ONE, PADDED, SHORTER, judged

BIASED: dict[str, Any] = {
    "parameters": [tensor("model.weight"), tensor("lm_head.bias")],
    "loading": {"missing_keys": ["lm_head.bias"]},
}
"""A release that has one parameter more and does not find it."""


def test_an_architecture_has_the_worst_verdict_of_its_cases(tmp_path: Path) -> None:
    verdicts = judged(tmp_path, {(ONE, "2.0"): SHORTER})
    gone = [cell for cell in verdicts.plan.cells if cell.axes["transformers"] == "3.0"]
    seen = tally.seen([judged for judged in verdicts.judgements if judged.candidate.cell not in gone], gone)
    assert list(seen.values()) == ["removed", "drift"]


def test_an_architecture_that_agrees_everywhere_is_identical(tmp_path: Path) -> None:
    assert set(tally.seen(judged(tmp_path, {}).judgements, ()).values()) == {"identical"}


@pytest.mark.parametrize(("which", "failing"), [((PADDED, ONE), False), ((PADDED,), True)])
def test_a_cell_is_known_when_all_of_it_was_expected(tmp_path: Path, which: tuple[str, ...], failing: bool) -> None:  # noqa: FBT001 - a parameter
    known = [
        {"case": case, "cells": {"transformers": "2.0"}, "verdict": "drift", "reason": "as it should"} for case in which
    ]
    verdicts = judged(tmp_path, {(case, "2.0"): SHORTER for case in (PADDED, ONE)}, known=known)
    assert tally.known(verdicts.judgements) == (() if failing else ("transformers-2.0_torch-9.0",))


@pytest.mark.parametrize("baseline", ["1.0", "2.0"])
def test_a_parameter_that_the_author_does_not_have_is_unwritten(tmp_path: Path, baseline: str) -> None:
    seen = {(case, release): BIASED for case in (PADDED, ONE) for release in ("2.0", "3.0")}
    judgements = judged(tmp_path, seen, baseline=baseline).judgements
    assert tally.unwritten(judgements, "1.0") == ("lm_head.bias",)


@pytest.mark.parametrize(
    "old",
    [{"parameters": [tensor("model.weight"), tensor("lm_head.bias", alias="model.weight")]}, None],
    ids=["shared", "not loaded"],
)
def test_what_the_author_shares_or_was_never_seen_to_have_is_not_called_unwritten(
    tmp_path: Path, old: dict[str, Any] | None
) -> None:
    seen = {(ONE, "2.0"): BIASED, (ONE, "1.0"): old, (PADDED, "1.0"): old}
    assert tally.unwritten(judged(tmp_path, seen).judgements, "1.0") == ()


def test_a_parameter_that_may_have_been_renamed_is_not_called_unwritten(tmp_path: Path) -> None:
    renamed = {**BIASED, "loading": {"missing_keys": ["lm_head.bias"], "unexpected_keys": ["head.bias"]}}
    assert tally.unwritten(judged(tmp_path, {(ONE, "2.0"): renamed}).judgements, "1.0") == ()


def test_verdicts_are_ordered_by_what_they_ask_of_a_reader() -> None:
    order: list[Seen] = ["identical", "noise", "removed", "missing", "unstable", "drift", "error"]
    assert list(tally.SEVERITY) == order
