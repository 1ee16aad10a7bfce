"""Logits are compared at the positions that count, whatever their rank."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from matrix.outputs import compare_outputs, kept, rows
from tests.matrix.builders import LEFT_PADDED, LOGITS, captured, moved

RIGHT_PADDED = {"input_ids": [[7, 8, 0]], "attention_mask": [[1, 1, 0]]}


def test_the_same_bits_are_not_read(tmp_path: Path) -> None:
    a, b = captured(tmp_path / "a"), captured(tmp_path / "b")
    b.tensors.unlink()
    assert compare_outputs(a, b, last_only=False) is None


@pytest.mark.parametrize("shape", [(), (4,), (2, 3, 4, 5)])
def test_logits_of_any_rank_are_rows_of_their_last_axis(shape: tuple[int, ...]) -> None:
    assert rows(np.zeros(shape)).shape == (1, int(np.prod(shape[:-1], dtype=int)), shape[-1] if shape else 1)


def test_feature_maps_are_compared_too(tmp_path: Path) -> None:
    maps = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    a, b = captured(tmp_path / "a", logits=maps), captured(tmp_path / "b", logits=maps + np.float32(0.5))
    found = compare_outputs(a, b, last_only=False)
    assert found
    assert found.values.max_abs == 0.5


def test_an_encoder_decoders_mask_says_nothing_about_its_logits(tmp_path: Path) -> None:
    capture = captured(tmp_path, tokens=LEFT_PADDED, config={"is_encoder_decoder": True})
    assert kept(capture, LOGITS.shape) is None
    assert kept(replace(capture, config={}), LOGITS.shape) is not None


def test_a_mask_that_hides_everything_hides_nothing(tmp_path: Path) -> None:
    hidden = {**LEFT_PADDED, "attention_mask": np.zeros(LOGITS.shape[:2], int).tolist()}
    assert kept(captured(tmp_path, tokens=hidden), LOGITS.shape) is None


def test_with_other_ids_the_last_position_that_is_no_padding_counts(tmp_path: Path) -> None:
    a = captured(tmp_path / "a", tokens=RIGHT_PADDED)
    b = captured(tmp_path / "b", tokens={**RIGHT_PADDED, "input_ids": [[9, 8, 0]]}, logits=moved(0.5, 0, 2, 0))
    found = compare_outputs(a, b, last_only=True)
    assert found
    assert found.values.max_abs == 0
    assert found.values.elements == LOGITS.shape[-1]


def test_labels_have_no_last_position(tmp_path: Path) -> None:
    labels = np.array([[1.0, 2.0, 3.0]], np.float32)
    a, b = captured(tmp_path / "a", logits=labels), captured(tmp_path / "b", logits=labels[:, ::-1].copy())
    found = compare_outputs(a, b, last_only=True)
    assert found
    assert found.logits.argmax_agreement == 0
