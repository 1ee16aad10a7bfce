"""A response.json is read into frozen values; what a failed capture never saw is empty."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix import capture
from matrix.errors import CaptureError
from tests.matrix.builders import LEFT_PADDED, captured, tensor, write_capture, write_failed_capture


def test_a_complete_capture_is_read_whole(tmp_path: Path) -> None:
    read = captured(
        tmp_path,
        tokens={**LEFT_PADDED, "token_type_ids": [[0, 0, 0]]},
        buffers=[tensor("inv_freq", [1.0, float("nan")], persistent=False)],
        generated=[[1, 2]],
        margins=[["0.5", "inf"]],
        uninitialised=["inv_freq"],
        warnings=["careful"],
    )
    assert read.tokens
    assert list(read.tokens.lists) == ["input_ids", "attention_mask", "token_type_ids"]
    assert read.tokens.attention_mask == ((0, 1, 1),)
    (buffer,) = read.buffers
    assert (buffer.shape, buffer.finite, buffer.head, buffer.persistent) == ((2,), 1, ("1.0", "nan"), False)
    assert (read.generated, read.margins) == (((1, 2),), ((0.5, float("inf")),))
    assert (read.uninitialised, read.warnings) == (("inv_freq",), ("careful",))
    assert (read.attention, read.status, read.failure) == ("eager", "captured", None)
    assert read.tensors.is_file()


def test_a_failed_capture_has_a_failure_and_is_empty_elsewhere(tmp_path: Path) -> None:
    write_failed_capture(tmp_path, stage="logits")
    read = capture.read(tmp_path)
    assert read
    assert read.failure
    assert (read.status, read.failure.stage, read.failure.type) == ("probe_failed", "logits", "ImportError")
    assert (read.tokens, read.parameters, read.outputs, read.attention) == (None, (), {}, None)
    assert (read.generated, read.margins) == ((), ())


@pytest.mark.parametrize("transient", [True, False])
def test_a_failure_says_whether_the_next_time_may_go_better(tmp_path: Path, transient: bool) -> None:  # noqa: FBT001
    read = capture.read(write_failed_capture(tmp_path, transient=transient))
    assert read
    assert read.failure
    assert read.failure.transient is transient


def test_no_capture_is_none(tmp_path: Path) -> None:
    assert capture.read(tmp_path) is None
    assert capture.read_tokens(tmp_path) is None


def test_the_ids_can_be_read_alone(tmp_path: Path) -> None:
    tokens = capture.read_tokens(write_capture(tmp_path / "a"))
    assert tokens
    assert tokens.input_ids == ((5, 6, 7),)
    assert capture.read_tokens(write_capture(tmp_path / "b", tokens={})) is None


@pytest.mark.parametrize(("content", "what"), [("{", "is not JSON"), ('{"schema": 9}', "newer version")])
def test_a_capture_that_cannot_be_understood_is_refused(tmp_path: Path, content: str, what: str) -> None:
    (tmp_path / "response.json").write_text(content)
    with pytest.raises(CaptureError, match=what):
        capture.read(tmp_path)


def test_a_capture_that_is_taken_again_is_read_again(tmp_path: Path) -> None:
    first = captured(tmp_path, warnings=["one"])
    assert capture.read(tmp_path) is first
    (tmp_path / "response.json").unlink()
    assert capture.read(tmp_path) is None
    assert captured(tmp_path, warnings=["another"]).warnings == ("another",)


def test_facts_of_other_probes_are_given_as_they_are(tmp_path: Path) -> None:
    write_capture(tmp_path / "good", attention=["eager"])
    found = capture.facts(tmp_path / "good")
    assert found
    assert found["attention"] == ["eager"]
    assert capture.failure(tmp_path / "good") is None
    failed = write_failed_capture(tmp_path / "failed")
    failure = capture.failure(failed)
    assert failure
    assert (capture.facts(failed), failure.type) == (None, "ImportError")
    assert (capture.facts(tmp_path / "absent"), capture.failure(tmp_path / "absent")) == (None, None)
