"""A whole run is judged from its folder alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix import verdicts
from matrix.errors import CaptureError
from matrix.judge import Judgement
from matrix.verdicts import Verdicts
from tests.matrix.builders import IDS, RunFolder, moved, small_spec, tensor

ONE, TWO, THREE = ("1.0", "9.0"), ("2.0", "9.0"), ("3.0", "9.0")
KNOWN = {"case": "tiny", "cells": {"transformers": ">=3"}, "verdict": "drift", "reason": "so"}
BUILDS = {"transformers": {"values": ["1.0", "2.0"]}, "torch": {"values": ["8.0", "9.0"]}}
KERNELS = {"attention": ["eager", "sdpa"]}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """Three releases, of which the first has a capture."""
    return RunFolder(tmp_path, small_spec(known=[KNOWN])).capture(*ONE)


def _judge(folder: RunFolder) -> Verdicts:
    return verdicts.judge_run(folder.run)


def _shown(found: Verdicts) -> dict[str, str]:
    return {judged.candidate.cell.axes["transformers"]: judged.verdict for judged in found.judgements}


def _of(found: Verdicts, *values: str, variant: str = "float32-eager") -> Judgement:
    return next(
        judged
        for judged in found.judgements
        if tuple(judged.candidate.cell.axes.values()) == values and judged.job.variant.id == variant
    )


def test_every_candidate_of_every_job_has_one_verdict(folder: RunFolder) -> None:
    found = _judge(folder.capture(*TWO).capture(*THREE))
    assert _shown(found) == {"2.0": "identical", "3.0": "identical"}
    assert ([cell.status for cell in found.cells], found.findings) == (["captured"] * 3, ())
    assert not found.fails


def test_a_difference_is_found_and_fails_the_run(folder: RunFolder) -> None:
    found = _judge(folder.capture(*TWO, logits=moved(1)).capture(*THREE))
    assert _shown(found) == {"2.0": "drift", "3.0": "identical"}
    assert found.fails
    assert [finding.first_bad for finding in found.findings] == ["2.0"]


def test_a_known_difference_fails_nothing_and_is_not_stale(folder: RunFolder) -> None:
    found = _judge(folder.capture(*TWO).capture(*THREE, logits=moved(1)))
    assert _shown(found)["3.0"] == "drift"
    assert (found.fails, found.stale) == (False, ())


def test_a_known_difference_that_is_gone_is_stale(folder: RunFolder) -> None:
    found = _judge(folder.capture(*TWO).capture(*THREE))
    assert [stale.known.reason for stale in found.stale] == ["so"]
    assert [cell.split("_")[0] for stale in found.stale for cell in stale.cells] == ["transformers-3.0"]


def test_a_known_difference_of_another_case_is_not_stale(tmp_path: Path) -> None:
    spec = small_spec(known=[{**KNOWN, "case": "other"}])
    found = _judge(RunFolder(tmp_path, spec).capture(*ONE).capture(*TWO).capture(*THREE))
    assert found.stale == ()


def test_a_known_difference_in_cells_without_a_capture_is_not_stale(folder: RunFolder) -> None:
    assert _judge(folder.capture(*TWO).env_failed(*THREE)).stale == ()


def test_a_failed_environment_is_missing_with_its_reason_never_green_or_drift(folder: RunFolder) -> None:
    found = _judge(folder.env_failed(*TWO, reason="no such release").capture(*THREE))
    judged = _of(found, *TWO)
    assert judged.verdict == "missing"
    assert judged.summary == "the candidate has no capture (env_failed): no such release"
    assert found.fails
    assert found.cells[1].status == "env_failed"


def test_a_cell_that_was_never_reached_is_missing_and_says_so(folder: RunFolder) -> None:
    found = _judge(folder.capture(*TWO))
    assert _of(found, *THREE).summary == (
        "the candidate has no capture (not_run): the run was stopped before this cell"
    )


def test_without_the_baseline_everything_is_missing(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, small_spec()).env_failed(*ONE).capture(*TWO).capture(*THREE)
    assert set(_shown(_judge(folder)).values()) == {"missing"}


@pytest.mark.parametrize(("one", "two", "verdict"), [(0, 1, "error"), (1, 0, "error"), (1, 1, "missing")])
def test_a_probe_that_fails_on_one_side_is_an_error(tmp_path: Path, one: int, two: int, verdict: str) -> None:
    folder = RunFolder(tmp_path, small_spec())
    for cell, fails in ((ONE, one), (TWO, two)):
        folder = folder.failed(*cell) if fails else folder.capture(*cell)
    assert _of(_judge(folder), *TWO).verdict == verdict


@pytest.mark.parametrize("status", ["crashed", "timed_out"])
def test_a_crash_or_a_timeout_is_an_error_with_its_reason(folder: RunFolder, status: str) -> None:
    judged = _of(_judge(folder.outcome(*TWO, status=status, reason="ended with SIGSEGV")), *TWO)  # type: ignore[arg-type]
    assert (judged.verdict, judged.summary) == ("error", "ended with SIGSEGV")


def test_a_crash_is_an_error_even_where_an_older_capture_lies(folder: RunFolder) -> None:
    folder.capture(*TWO)
    folder._outcomes.clear()
    assert _of(_judge(folder.outcome(*TWO, status="crashed", reason="SIGSEGV")), *TWO).verdict == "error"


def test_excluded_cells_are_listed_but_not_judged(tmp_path: Path) -> None:
    spec = small_spec(exclude=[{"cells": {"transformers": "2.0"}, "reason": "too old"}])
    found = _judge(RunFolder(tmp_path, spec).capture(*ONE).capture(*THREE))
    assert list(_shown(found)) == ["3.0"]
    assert [(cell.status, cell.reason) for cell in found.cells][-1] == ("skipped", "too old")


def test_a_torn_file_is_named(folder: RunFolder) -> None:
    folder.capture(*TWO)
    (folder.run.cell(folder.cell(*TWO).id) / "cell.json").write_text("{")
    with pytest.raises(CaptureError, match=r"transformers-2\.0_torch-9\.0/cell\.json"):
        _judge(folder)


def _grid(tmp_path: Path) -> RunFolder:
    """Two releases × two builds; the baseline's two kernels lie 0.5 apart."""
    folder = RunFolder(tmp_path, small_spec(axes=BUILDS, variants=KERNELS))
    return folder.capture(*ONE).capture(*ONE, job="tiny/float32-sdpa", logits=moved(-0.5))


def test_rounding_explains_a_difference_only_where_another_axis_than_transformers_differs(tmp_path: Path) -> None:
    folder = _grid(tmp_path).capture("1.0", "8.0", logits=moved(-0.75)).capture(*TWO, logits=moved(-0.75))
    found = _judge(folder.capture("2.0", "8.0", logits=moved(-3)))
    same_release = _of(found, "1.0", "8.0")
    assert (same_release.verdict, same_release.floor and same_release.floor.max_abs) == ("noise", 0.5)
    assert (_of(found, *TWO).verdict, _of(found, *TWO).floor) == ("drift", None)
    beyond = _of(found, "2.0", "8.0")
    assert beyond.verdict == "drift"
    assert "times the noise floor of 0.5" in beyond.summary


def test_without_a_second_kernel_nothing_is_noise(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, small_spec(axes=BUILDS)).capture(*ONE).capture("1.0", "8.0", logits=moved(-1e-6))
    assert _of(_judge(folder), "1.0", "8.0").verdict == "drift"


def test_with_the_baselines_ids_the_model_is_judged_apart_from_its_tokenizer(folder: RunFolder) -> None:
    other = {**IDS, "input_ids": [[9, 6, 7]]}
    folder.capture(*TWO, tokens=other, logits=moved(1))
    found = _judge(folder.capture(*TWO, job="tiny/float32-eager@baseline-ids"))
    judged = _of(found, *TWO)
    assert (judged.verdict, judged.stage) == ("drift", "tokens")
    assert judged.same_ids
    assert judged.same_ids.verdict == "identical"
    assert _of(found, *THREE).same_ids is None


def test_uninitialised_memory_is_unstable_and_starts_a_finding(folder: RunFolder) -> None:
    buffers = [tensor("inv_freq", persistent=False)]
    found = _judge(folder.capture(*TWO, buffers=buffers, uninitialised=["inv_freq"]))
    assert (_of(found, *TWO).verdict, _of(found, *TWO).where) == ("unstable", "inv_freq")
    assert "is unstable, first at the buffers (inv_freq)" in found.findings[0].sentence
