"""A whole run is judged from its folder alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from matrix import verdicts
from matrix.cell import CellStatus
from matrix.errors import CaptureError
from matrix.judgement import Judgement
from matrix.verdicts import Verdicts
from tests.matrix.builders import IDS, LOGITS, RunFolder, content, moved, small_spec, tensor

ONE, TWO, THREE = ("1.0", "9.0"), ("2.0", "9.0"), ("3.0", "9.0")
KNOWN = {"case": "tiny", "cells": {"transformers": ">=3"}, "verdict": "drift", "reason": "so"}
BUILDS = {"transformers": {"values": ["1.0", "2.0"]}, "torch": {"values": ["8.0", "9.0"]}}
KERNELS = {"attention": ["eager", "sdpa"]}
REPEAT, LOOK = "tiny/float32-eager@repeat", "tiny/float32-eager@evidence"
ROUNDED = 2.0**-9
"""Less than float32 may round logits of 11."""


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
    """Two releases × two builds, of which all but the baseline's own cell differ; a floor of 0.5 was measured there."""
    folder = (
        RunFolder(tmp_path, small_spec(axes=BUILDS)).capture(*ONE).evidence(*ONE, roundings={"2 threads": moved(-0.5)})
    )
    folder.capture("1.0", "8.0", logits=moved(-0.75)).capture(*TWO, logits=moved(-0.75))
    return folder.capture("2.0", "8.0", logits=moved(-3))


def test_a_floor_explains_a_difference_only_where_something_else_than_transformers_differs(tmp_path: Path) -> None:
    found = _judge(_grid(tmp_path))
    verdicts_of = {"/".join(judged.candidate.cell.axes.values()): judged.verdict for judged in found.judgements}
    assert verdicts_of == {"1.0/8.0": "noise", "2.0/9.0": "drift", "2.0/8.0": "drift"}
    assert "6 times the noise floor of 0.5 (2 threads)" in _of(found, "2.0", "8.0").summary


def test_float64_on_both_sides_proves_that_a_difference_is_rounding_or_that_it_is_not(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, small_spec()).capture(*ONE).evidence(*ONE, exact={"eager": LOGITS})
    for cell, left in ((TWO, LOGITS), (THREE, moved(-ROUNDED))):
        logits = moved(-ROUNDED)
        folder.capture(*cell, logits=logits).evidence(*cell, logits=logits, exact={"eager": left})
    found = _judge(folder)
    assert _shown(found) == {"2.0": "noise", "3.0": "drift"}
    assert "rounding changed: nothing of it is left in corrected float64" in _of(found, *TWO).summary


def test_a_closer_look_that_only_one_side_has_proves_nothing(folder: RunFolder) -> None:
    folder.evidence(*ONE, exact={"eager": LOGITS}).capture(*TWO, logits=moved(-1e-6))
    assert _of(_judge(folder), *TWO).verdict == "drift"


def test_parameters_that_were_fused_are_known_by_their_contents(folder: RunFolder) -> None:
    parts, whole = {"a.q": [1.0], "a.k": [2.0]}, {"a.qk": [1.0, 2.0]}
    for cell, values, name in ((ONE, parts, "good"), (TWO, whole, "bad")):
        state = {"parameters": [tensor(*item) for item in values.items()], "model_class": name}
        folder.capture(*cell, **state)
        folder.evidence(*cell, contents={name: content(value) for name, value in values.items()})
    judged = _of(_judge(folder), *TWO)
    assert (judged.verdict, judged.notes) == ("identical", ("parameters laid out anew (the same values): a.qk",))


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


def test_the_baselines_ids_have_a_closer_look_of_their_own(folder: RunFolder) -> None:
    again = "tiny/float32-eager@baseline-ids"
    folder.capture(*TWO, tokens={**IDS, "input_ids": [[9, 6, 7]]}, logits=moved(9))
    folder.capture(*TWO, job=again, logits=moved(-ROUNDED))
    folder.evidence(*TWO, job=again, logits=moved(-ROUNDED), exact={"eager": LOGITS})
    judged = _of(_judge(folder.evidence(*ONE, exact={"eager": LOGITS})), *TWO)
    assert judged.same_ids
    assert (judged.verdict, judged.rounding, judged.same_ids.verdict) == ("drift", None, "noise")


def test_a_repeat_that_sees_something_else_is_unstable_for_every_kernel_of_its_dtype(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, small_spec(variants=KERNELS))
    for kernel in KERNELS["attention"]:
        facts = {"job": f"tiny/float32-{kernel}", "attention": {"implementation": kernel}}
        folder.capture(*ONE, **facts).capture(*TWO, **facts).capture(*THREE, **facts)
    folder.repeat(*TWO, parameters=[tensor("model.weight", [7.0])]).repeat(*THREE, logits=moved(1))
    found = _judge(folder)
    shown = {
        (judged.candidate.cell.axes["transformers"], judged.job.variant.attention): judged.verdict
        for judged in found.judgements
    }
    assert shown == {
        ("2.0", "eager"): "unstable",
        ("2.0", "sdpa"): "unstable",
        ("3.0", "eager"): "unstable",
        ("3.0", "sdpa"): "identical",
    }


def test_a_repeat_that_fails_for_want_of_memory_changes_nothing(folder: RunFolder) -> None:
    folder.capture(*TWO).failed(*TWO, job=REPEAT, transient=True).capture(*THREE).failed(*THREE, job=REPEAT)
    assert _shown(_judge(folder)) == {"2.0": "identical", "3.0": "unstable"}


def test_a_repeat_that_crashed_is_not_read_from_an_older_run(folder: RunFolder) -> None:
    folder.capture(*TWO).repeat(*TWO, logits=moved(1))
    folder._outcomes.clear()
    judged = _of(_judge(folder.capture(*TWO).outcome(*TWO, job=REPEAT, status="crashed", reason="SIGSEGV")), *TWO)
    assert (judged.verdict, judged.stage, judged.summary) == (
        "unstable",
        None,
        "one load works and another does not: SIGSEGV",
    )


def test_a_repeat_that_crashed_concerns_the_variant_that_was_repeated_alone(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, small_spec(axes=BUILDS, variants=KERNELS))
    for kernel in KERNELS["attention"]:
        folder.capture(*ONE, job=f"tiny/float32-{kernel}").capture(*TWO, job=f"tiny/float32-{kernel}")
    found = _judge(folder.outcome(*TWO, job=REPEAT, status="crashed"))
    verdicts_of = {kernel: _of(found, *TWO, variant=f"float32-{kernel}").verdict for kernel in KERNELS["attention"]}
    assert verdicts_of == {"eager": "unstable", "sdpa": "identical"}
    assert _of(found, *TWO).summary.endswith("another does not: crashed")


@pytest.mark.parametrize(
    ("job", "status", "fails"),
    [(REPEAT, "crashed", True), (REPEAT, "timed_out", False), (LOOK, "crashed", False), (LOOK, "timed_out", False)],
)
def test_of_what_fails_in_the_baseline_beside_its_captures_only_a_repeat_that_crashed_fails_a_run(
    folder: RunFolder,
    job: str,
    status: CellStatus,
    fails: bool,  # noqa: FBT001
) -> None:
    folder.capture(*TWO).capture(*THREE, logits=moved(1))
    found = _judge(folder.outcome(*ONE, job=job, status=status, reason="SIGSEGV"))
    assert found.fails is fails
    assert {judged.baseline_at_fault for judged in found.judgements} == {fails}


@pytest.mark.parametrize(("cell", "unstable"), [(ONE, {"2.0", "3.0"}), (TWO, {"2.0"})])
def test_a_closer_look_that_sees_other_logits_makes_its_cell_unstable(
    folder: RunFolder, cell: tuple[str, str], unstable: set[str]
) -> None:
    folder.capture(*TWO, logits=moved(1)).capture(*THREE, logits=moved(1)).evidence(*cell, logits=moved(-0.5))
    assert {release for release, shown in _shown(_judge(folder)).items() if shown == "unstable"} == unstable


def test_a_baseline_without_a_capture_fails_a_run(tmp_path: Path) -> None:
    case = {"case": "tiny", "cells": {}, "verdict": "missing", "reason": "so"}
    folder = RunFolder(tmp_path, small_spec(known=[case])).outcome(*ONE, status="crashed").repeat(*ONE)
    assert _judge(folder.env_failed(*TWO).env_failed(*THREE)).fails


def _with_loss(folder: RunFolder, cell: tuple[str, str], loss: float, exact: float | None = None, **facts: Any) -> None:  # noqa: ANN401 - what a response may hold
    """A capture with a loss, and a closer look that tells of its float64 where there is one."""
    folder.capture(*cell, further=["loss"], tensors={"output/loss": loss}, **facts)
    if exact is not None:
        ways = {"loss": {"roundings": {}, "exact": {"eager": "exact/eager/loss"}}}
        logits = facts.get("logits", LOGITS)
        stored = {"output/loss": loss, "exact/eager/loss": exact}
        folder.evidence(*cell, logits=logits, exact={"eager": LOGITS}, further=["loss"], elsewhere=ways, tensors=stored)


def test_a_further_output_is_judged_where_the_main_one_is_the_same(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, small_spec())
    for cell, loss in ((ONE, 1.0), (TWO, 1.0), (THREE, 1.5)):
        _with_loss(folder, cell, loss)
    found = _judge(folder)
    assert _shown(found) == {"2.0": "identical", "3.0": "drift"}
    judged = _of(found, *THREE)
    assert (judged.stage, judged.where, judged.summary) == ("logits", "loss", "values of loss move by up to 0.5")
    assert "first at the output loss" in found.findings[0].sentence


def test_noise_of_the_main_output_hides_no_drift_of_a_further_one(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, small_spec())
    _with_loss(folder, ONE, 1.0, 1.0)
    _with_loss(folder, TWO, 1.0 + 2.0**-20, 1.0, logits=moved(-ROUNDED))
    _with_loss(folder, THREE, 1.5, 1.5, logits=moved(-ROUNDED))
    found = _judge(folder)
    assert _shown(found) == {"2.0": "noise", "3.0": "drift"}
    assert [_of(found, *cell).where for cell in (TWO, THREE)] == ["logits", "loss"]


def test_an_output_that_only_one_side_returns_is_a_note(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, small_spec()).capture(*ONE).capture(*TWO, output="scores")
    _with_loss(folder, THREE, 1.0)
    found = _judge(folder)
    assert _shown(found) == {"2.0": "identical", "3.0": "identical"}
    assert _of(found, *TWO).notes == ("the main output is called scores, the baseline's logits",)
    assert _of(found, *THREE).notes == ("outputs returned here alone: loss",)
