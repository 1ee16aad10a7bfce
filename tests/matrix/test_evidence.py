"""A closer look is asked for on both sides of a difference that it can explain, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matrix import evidence
from matrix.errors import CaptureError
from matrix.plan import Job
from tests.matrix.builders import (
    IDS,
    LEFT_PADDED,
    LOGITS,
    RunFolder,
    looked,
    moved,
    small_spec,
    tensor,
    write_evidence,
    write_failed_capture,
)

ONE, TWO, THREE = ("1.0", "9.0"), ("2.0", "9.0"), ("3.0", "9.0")
JOB = "tiny/float32-eager"
BOTH = {"1.0": [f"{JOB}@evidence"], "2.0": [f"{JOB}@evidence"]}
TEXT = [{"name": "tiny", "checkpoint": "tiny", "text": ["hello"]}]
OTHER_IDS = {**IDS, "input_ids": [[9, 6, 7]]}


def _folder(path: Path, **changes: Any) -> RunFolder:  # noqa: ANN401 - what a spec may hold
    return RunFolder(path, small_spec(**changes))


def _jobs(folder: RunFolder) -> dict[str, list[Job]]:
    asked = evidence.wanted(folder.run, folder.run.plan.cells)
    return {cell.axes["transformers"]: jobs for cell, jobs in asked.items()}


def _wanted(folder: RunFolder) -> dict[str, list[str]]:
    """What each release must look at again."""
    return {release: [job.id for job in jobs] for release, jobs in _jobs(folder).items()}


@pytest.mark.parametrize(
    ("baseline", "candidate"),
    [
        pytest.param({}, {}, id="identical"),
        pytest.param({"tokens": LEFT_PADDED}, {"tokens": LEFT_PADDED, "logits": moved(9, 0, 0, 0)}, id="masked only"),
        pytest.param({}, {"logits": moved(1), "uninitialised": ["w"]}, id="uninitialised"),
        pytest.param({"uninitialised": ["w"]}, {"logits": moved(1)}, id="uninitialised baseline"),
        pytest.param({}, {"logits": moved(1), "tokens": OTHER_IDS}, id="other ids"),
        pytest.param({}, {"logits": LOGITS[:, :, :3].copy()}, id="another shape"),
        pytest.param({}, {"config": {"hidden_size": 5}}, id="config alone"),
        pytest.param({}, {"parameters": [tensor("model.weight", [8.0, 9.0])]}, id="other bytes alone"),
        pytest.param({}, {"parameters": [tensor("model.weight", [8.0, 9.0])], "logits": moved(1)}, id="other bytes"),
        pytest.param({}, {"parameters": [tensor("other")]}, id="renamed parameters"),
        pytest.param({}, {"buffers": [tensor("new")]}, id="buffers"),
    ],
)
def test_nothing_is_asked_for_where_bits_agree_or_nothing_could_be_explained(
    tmp_path: Path, baseline: dict[str, Any], candidate: dict[str, Any]
) -> None:
    assert _wanted(_folder(tmp_path).capture(*ONE, **baseline).capture(*TWO, **candidate)) == {}


@pytest.mark.parametrize(
    ("baseline", "candidate"),
    [
        pytest.param({}, {"logits": moved(1)}, id="logits"),
        pytest.param({}, {"logits": LOGITS.astype(np.float64)}, id="another dtype"),
        pytest.param({"generated": [[1, 2]]}, {"generated": [[1, 3]]}, id="greedy tokens"),
        pytest.param({}, {"parameters": [tensor("other")], "logits": moved(1)}, id="renamed parameters and logits"),
        pytest.param({}, {"parameters": [tensor("other", [8.0, 9.0])]}, id="another parameter"),
        pytest.param({}, {"parameters": [tensor("model.weight"), tensor("copy")]}, id="one more of the same bytes"),
        pytest.param({}, {"parameters": [tensor("model.weight", [[1.0, 2.0]])]}, id="shapes of parameters"),
        pytest.param({}, {"logits": moved(1), "tokens": {**IDS, "token_type_ids": [[0, 0, 0]]}}, id="other lists"),
    ],
)
def test_both_sides_look_again_where_bits_or_what_the_parameters_hold_differ(
    tmp_path: Path, baseline: dict[str, Any], candidate: dict[str, Any]
) -> None:
    assert _wanted(_folder(tmp_path).capture(*ONE, **baseline).capture(*TWO, **candidate)) == BOTH


def test_the_baseline_looks_once_whoever_differs_from_it(tmp_path: Path) -> None:
    folder = _folder(tmp_path).capture(*ONE).capture(*TWO, logits=moved(1)).capture(*THREE, logits=moved(2))
    assert _wanted(folder) == {**BOTH, "3.0": [f"{JOB}@evidence"]}


def test_nothing_is_asked_for_where_a_capture_is_missing_or_failed(tmp_path: Path) -> None:
    folder = _folder(tmp_path).failed(*TWO).capture(*THREE, logits=moved(1))
    assert _wanted(folder) == {}
    assert _wanted(folder.capture(*ONE)) == {"1.0": BOTH["1.0"], "3.0": BOTH["2.0"]}


def test_with_other_ids_the_candidate_looks_at_the_baselines(tmp_path: Path) -> None:
    folder = _folder(tmp_path, case=TEXT).capture(*ONE).capture(*TWO, tokens=OTHER_IDS, logits=moved(1))
    folder.capture(*TWO, job=f"{JOB}@baseline-ids", logits=moved(0.5))
    assert _wanted(folder) == {"1.0": [f"{JOB}@evidence"], "2.0": [f"{JOB}@baseline-ids@evidence"]}
    (own,), (theirs,) = _jobs(folder).values()
    assert (own.case.text, theirs.case.text, theirs.case.input_ids) == (("hello",), (), ((5, 6, 7),))


def test_a_model_that_agrees_or_fails_on_the_baselines_ids_needs_no_closer_look(tmp_path: Path) -> None:
    folder = _folder(tmp_path, case=TEXT).capture(*ONE)
    folder.capture(*TWO, tokens=OTHER_IDS, logits=moved(1)).capture(*TWO, job=f"{JOB}@baseline-ids")
    folder.capture(*THREE, tokens=OTHER_IDS, logits=moved(1)).failed(*THREE, job=f"{JOB}@baseline-ids")
    assert _wanted(folder) == {}


NARROW = {"parameters": [{**tensor("model.weight"), "dtype": "bfloat16", "sha256": "narrow"}], "logits": moved(1)}


@pytest.mark.parametrize(
    ("dtypes", "fine", "coarse"),
    [(["float32", "bfloat16"], {}, NARROW), (["bfloat16", "float32"], {}, NARROW)],
)
def test_between_two_dtypes_the_finer_side_looks_through_the_coarser(
    tmp_path: Path, dtypes: list[str], fine: dict[str, Any], coarse: dict[str, Any]
) -> None:
    folder = _folder(tmp_path, within=["dtype"], variants={"dtype": dtypes, "attention": ["eager"]})
    folder.capture(*ONE, **fine).capture(*ONE, job="tiny/bfloat16-eager", **coarse)
    (looks,) = _wanted(folder).values()
    assert sorted(looks) == ["tiny/bfloat16-eager@evidence", f"{JOB}@evidence@through-bfloat16-eager"]


def test_between_two_dtypes_other_values_are_no_reason_not_to_look(tmp_path: Path) -> None:
    folder = _folder(tmp_path, within=["dtype"], variants={"dtype": ["float32", "bfloat16"], "attention": ["eager"]})
    other = {"parameters": [tensor("model.weight", [8.0, 9.0])], "logits": moved(1)}
    (looks,) = _wanted(folder.capture(*ONE).capture(*ONE, job="tiny/bfloat16-eager", **other)).values()
    assert len(looks) == 2


def test_between_two_kernels_both_sides_look_at_themselves(tmp_path: Path) -> None:
    folder = _folder(tmp_path, within=["attention"], variants={"attention": ["eager", "sdpa"]})
    folder.capture(*TWO).capture(*TWO, job="tiny/float32-sdpa", logits=moved(1))
    assert _wanted(folder) == {"2.0": [f"{JOB}@evidence", "tiny/float32-sdpa@evidence"]}


def test_a_closer_look_is_read_whole(tmp_path: Path) -> None:
    facts: dict[str, Any] = {
        "dtype": "bfloat16",
        "kernel": "sdpa",
        "escaped": {"sdpa": {"aten::bmm": 1}},
        "lacking": {"eager": "ValueError: no"},
        "contents": {"model.weight": "0123456789abcdef"},
    }
    roundings = {"2 threads": moved(1), "eager": None}
    read = evidence.read(write_evidence(tmp_path, roundings=roundings, exact={"sdpa": LOGITS}, **facts))
    assert read
    assert {name: getattr(read, name) for name in facts} == facts
    assert (read.roundings, read.misrounded) == ({"2 threads": "rounding/2 threads", "eager": None}, ())
    assert read.exact == {"sdpa": "exact/sdpa"}
    assert [read.capture.outputs[name]["dtype"] for name in ("logits", "exact/sdpa")] == ["float32", "float64"]


def test_what_a_coarser_load_does_not_round_as_asked_is_read(tmp_path: Path) -> None:
    assert looked(tmp_path, misrounded=["model.weight", "bias"]).misrounded == ("model.weight", "bias")


def test_a_closer_look_that_failed_or_was_never_taken_is_none(tmp_path: Path) -> None:
    assert evidence.read(tmp_path) is None
    assert evidence.read(write_failed_capture(tmp_path)) is None


def test_a_torn_closer_look_is_named(tmp_path: Path) -> None:
    (write_evidence(tmp_path) / "response.json").write_text('{"schema": 1, "st')
    with pytest.raises(CaptureError, match=r"response\.json"):
        evidence.read(tmp_path)


def test_a_further_output_alone_is_looked_at_again(tmp_path: Path) -> None:
    facts = {"further": ["loss"]}
    folder = _folder(tmp_path).capture(*ONE, **facts, tensors={"output/loss": 1.0})
    assert _wanted(folder.capture(*TWO, **facts, tensors={"output/loss": 2.0})) == BOTH


def test_a_closer_look_holds_every_output(tmp_path: Path) -> None:
    ways = {"roundings": {"2 threads": "rounding/2 threads/loss"}, "exact": {"eager": "exact/eager/loss"}}
    found = looked(tmp_path, roundings={"2 threads": None}, further=["loss"], elsewhere={"loss": ways})
    loss = found.of("loss")
    assert (found.plain, loss.plain) == ("logits", "output/loss")
    assert (found.roundings, loss.roundings) == ({"2 threads": None}, ways["roundings"])
    assert (found.exact, loss.exact) == ({}, ways["exact"])
    assert found.of("logits").roundings == found.roundings
