"""One verdict per architecture and cell, and the one difference that is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from matrix.sweep import tally
from matrix.sweep.answer import Difference, Seen
from matrix.verdicts import Verdicts, judge_run
from tests.matrix.builders import LOGITS, RunFolder, moved, small_spec, tensor

ONE, PADDED = "x.causal-lm.one", "x.causal-lm.padded"
SHORTER: dict[str, Any] = {"logits": LOGITS[:, :2]}
OTHER: dict[str, Any] = {"parameters": [tensor("model.weight", [7.0])], "logits": moved(1.0)}
CASES = [{"name": name, "checkpoint": name, "input_ids": [[5]]} for name in (PADDED, ONE)]
RELEASES = ("1.0", "2.0", "3.0")


def _judged(folder: Path, seen: dict[tuple[str, str], dict[str, Any]], baseline: str = "1.0", **spec: Any) -> Verdicts:  # noqa: ANN401 - as in TOML
    made = RunFolder(folder, small_spec(case=CASES, baseline={"transformers": baseline, "torch": "9.0"}, **spec))
    for release in RELEASES:
        for case in (PADDED, ONE):
            made.capture(release, "9.0", job=f"{case}/float32-eager", **seen.get((case, release), {}))
    return judge_run(made.run)


def _difference(verdicts: Verdicts) -> Difference:
    found = tally.difference(verdicts.judgements, verdicts)
    assert found
    return found


def test_an_architecture_has_the_worst_verdict_of_its_cases(tmp_path: Path) -> None:
    verdicts = _judged(tmp_path, {(ONE, "2.0"): SHORTER})
    gone = [cell for cell in verdicts.plan.cells if cell.axes["transformers"] == "3.0"]
    seen = tally.seen([judged for judged in verdicts.judgements if judged.candidate.cell not in gone], gone)
    assert list(seen.values()) == ["removed", "drift"]


def test_quiet_architectures_have_no_difference(tmp_path: Path) -> None:
    verdicts = _judged(tmp_path, {})
    assert tally.difference(verdicts.judgements, verdicts) is None
    assert set(tally.seen(verdicts.judgements, ()).values()) == {"identical"}


def test_the_first_bad_cell_is_the_next_newer_one(tmp_path: Path) -> None:
    verdicts = _judged(tmp_path, {(ONE, release): SHORTER for release in ("1.0", "3.0")}, baseline="2.0")
    found = _difference(verdicts)
    assert (found.cell, found.good, found.bad) == ("transformers-3.0_torch-9.0", "2.0", "3.0")


def test_older_cells_count_where_no_newer_one_is_bad(tmp_path: Path) -> None:
    found = _difference(_judged(tmp_path, {(ONE, "1.0"): SHORTER}, baseline="2.0"))
    assert (found.good, found.bad) == ("2.0", "1.0")


def test_the_case_that_shows_it_most_is_named_with_its_distance(tmp_path: Path) -> None:
    seen = {(PADDED, "2.0"): OTHER, (ONE, "2.0"): {**OTHER, "logits": moved(3.0)}}
    found = _difference(_judged(tmp_path, seen))
    assert (found.case, found.max_abs, found.axis) == (ONE, 3.0, "transformers")
    assert found.l2_rel is not None
    assert (len(found.shown), found.quiet) == (2, ())


@pytest.mark.parametrize(("which", "failing"), [((PADDED, ONE), False), ((PADDED,), True)])
def test_a_cell_is_known_when_all_of_it_was_expected(tmp_path: Path, which: tuple[str, ...], failing: bool) -> None:  # noqa: FBT001 - a parameter
    known = [
        {"case": case, "cells": {"transformers": "2.0"}, "verdict": "drift", "reason": "as it should"} for case in which
    ]
    seen = {(case, "2.0"): SHORTER for case in (PADDED, ONE)}
    verdicts = _judged(tmp_path, seen, known=known)
    assert tally.known(verdicts.judgements) == (() if failing else ("transformers-2.0_torch-9.0",))


def test_verdicts_are_ordered_by_what_they_ask_of_a_reader() -> None:
    order: list[Seen] = ["identical", "noise", "removed", "missing", "unstable", "drift", "error"]
    assert list(tally.SEVERITY) == order
