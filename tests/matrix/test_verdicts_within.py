"""Variants of one cell are judged against each other, beside the cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matrix import verdicts
from matrix.judgement import Judgement
from matrix.verdicts import Verdicts
from tests.matrix.builders import LOGITS, RunFolder, moved, small_spec, tensor

ONE, TWO = ("1.0", "9.0"), ("2.0", "9.0")
SDPA, NARROW = "tiny/float32-sdpa", "tiny/bfloat16-eager"
KNOWN = {"case": "tiny", "cells": {"transformers": "2.0"}, "verdict": "noise", "reason": "so", "within": "attention"}
ROUNDED = 2.0**-9
"""Less than float32 may round logits of 11."""
RELEASES = {"transformers": {"values": ["1.0", "2.0"]}, "torch": {"values": ["9.0"]}}


def _kernels(path: Path, *known: dict[str, Any]) -> RunFolder:
    """Two releases, whose eager captures agree, and with sdpa in the first."""
    spec = small_spec(axes=RELEASES, variants={"attention": ["eager", "sdpa"]}, within=["attention"], known=list(known))
    folder = RunFolder(path, spec).capture(*ONE).capture(*TWO)
    return folder.capture(*ONE, job=SDPA, attention={"implementation": "sdpa"})


def _sdpa(folder: RunFolder, *, by: float = 0.0, left: float | None = None) -> Verdicts:
    """Give the second release sdpa too, so far from eager; `left` of it remains in float64."""
    folder.capture(*TWO, job=SDPA, logits=moved(-by), attention={"implementation": "sdpa"})
    if left is not None:
        folder.evidence(*TWO, exact={"eager": LOGITS})
        exact = {"sdpa": LOGITS + np.float64(left)}
        folder.evidence(*TWO, job=SDPA, kernel="sdpa", logits=moved(-by), exact=exact)
    return verdicts.judge_run(folder.run)


def _within(found: Verdicts) -> dict[str, str]:
    return {judged.candidate.cell.axes["transformers"]: judged.verdict for judged in found.within}


def _of(found: Verdicts, release: str = "2.0") -> Judgement:
    return next(judged for judged in found.within if judged.candidate.cell.axes["transformers"] == release)


def test_a_kernel_is_compared_with_the_first_one_inside_each_cell(tmp_path: Path) -> None:
    found = _sdpa(_kernels(tmp_path))
    assert _within(found) == {"1.0": "identical", "2.0": "identical"}
    judged = _of(found)
    assert judged.against
    assert (judged.within, judged.job.id, judged.against.id) == ("attention", SDPA, "tiny/float32-eager")
    assert judged.baseline.cell == judged.candidate.cell
    assert not found.fails


@pytest.mark.parametrize(("left", "shown"), [(0.0, "noise"), (ROUNDED, "drift")])
def test_a_kernel_that_computes_something_else_fails_a_run(tmp_path: Path, left: float, shown: str) -> None:
    found = _sdpa(_kernels(tmp_path), by=ROUNDED, left=left)
    assert (_within(found)["2.0"], found.fails) == (shown, True)
    assert [judged.verdict for judged in found.judgements] == ["identical", "drift"]


def test_only_cells_start_a_finding(tmp_path: Path) -> None:
    folder = _kernels(tmp_path).capture(*ONE, job=SDPA, attention={"implementation": "sdpa"}, logits=moved(-0.5))
    found = _sdpa(folder, by=0.5, left=0.5)
    assert (_within(found), found.findings) == ({"1.0": "drift", "2.0": "drift"}, ())
    assert {judged.verdict for judged in found.judgements} == {"identical"}
    assert found.fails


def test_a_floor_counts_between_two_kernels(tmp_path: Path) -> None:
    folder = _kernels(tmp_path).evidence(*TWO, roundings={"sdpa": moved(-0.75), "2 threads": moved(-0.25)})
    assert _within(_sdpa(folder, by=0.5))["2.0"] == "noise"
    # the other kernel is no rounding as long as float64 does not say so
    assert _within(_sdpa(folder, by=0.625))["2.0"] == "drift"


def test_a_known_noise_that_is_noise_is_not_stale(tmp_path: Path) -> None:
    found = _sdpa(_kernels(tmp_path, KNOWN), by=ROUNDED, left=0.0)
    assert _of(found).known
    assert found.stale == ()


def test_a_known_noise_that_is_identical_now_is_stale(tmp_path: Path) -> None:
    (stale,) = _sdpa(_kernels(tmp_path, KNOWN)).stale
    assert (stale.known.within, stale.cells) == ("attention", ("transformers-2.0_torch-9.0",))


def test_what_is_known_within_a_cell_says_nothing_about_cells_and_the_reverse(tmp_path: Path) -> None:
    drift = {"case": "tiny", "cells": {"transformers": "2.0"}, "verdict": "drift", "reason": "so"}
    entries = [{**drift, "variant": {"attention": "sdpa"}}, {**drift, "within": "attention"}]
    folder = _kernels(tmp_path, *entries)
    folder.capture(*ONE, job=SDPA, attention={"implementation": "sdpa"}, logits=moved(0.25))
    found = _sdpa(folder, by=0.5, left=0.5)
    across = next(judged for judged in found.judgements if judged.job.id == SDPA)
    assert (across.known and across.known.within, _of(found).known and _of(found).known.within) == (None, "attention")
    assert [judged.fails for judged in (across, _of(found))] == [False, False]


def _dtypes(path: Path, left: Any = LOGITS, **through: Any) -> dict[str, str]:  # noqa: ANN401 - what a response may hold
    """The verdicts on bfloat16 against float32 in two releases, of which the second has so much left in float64."""
    spec = small_spec(
        axes=RELEASES, variants={"dtype": ["float32", "bfloat16"], "attention": ["eager"]}, within=["dtype"]
    )
    narrow = [{**tensor("model.weight"), "dtype": "bfloat16", "sha256": "narrow"}]
    folder = RunFolder(path, spec)
    for cell, wide, facts in ((ONE, LOGITS, {}), (TWO, left, through)):
        folder.capture(*cell).capture(*cell, job=NARROW, parameters=narrow, logits=moved(-0.5))
        folder.evidence(*cell, through="bfloat16-eager", **{"exact": {"eager": LOGITS}, **facts})
        folder.evidence(*cell, exact={"eager": moved(9)})
        folder.evidence(*cell, job=NARROW, logits=moved(-0.5), exact={"eager": wide}, dtype="bfloat16")
    found = verdicts.judge_run(folder.run)
    return {release: f"{shown} {_of(found, release).where}" for release, shown in _within(found).items()}


def test_two_dtypes_are_compared_through_the_coarser_ones_parameters(tmp_path: Path) -> None:
    assert _dtypes(tmp_path, moved(-0.5)) == {"1.0": "noise logits", "2.0": "drift logits"}


def test_parameters_that_the_coarser_load_does_not_round_as_asked_are_drift(tmp_path: Path) -> None:
    assert _dtypes(tmp_path, misrounded=["model.weight"]) == {"1.0": "noise logits", "2.0": "drift model.weight"}


def test_two_dtypes_of_which_one_does_not_run_in_float64_are_drift(tmp_path: Path) -> None:
    assert _dtypes(tmp_path, exact={}) == {"1.0": "noise logits", "2.0": "drift logits"}
