"""What a release wrote is read from its capture."""

from __future__ import annotations

from pathlib import Path

from matrix.sweep import author
from tests.matrix.builders import write_failed_capture
from tests.matrix.sweep.project import write_authored


def test_checkpoints_lie_in_the_capture_and_inputs_are_rows(tmp_path: Path) -> None:
    found = author.read(write_authored(tmp_path, untied=True, inert=["model.bias"]))
    assert found
    assert [checkpoint.folder for checkpoint in found.checkpoints] == [tmp_path / "checkpoint", tmp_path / "untied"]
    assert [checkpoint.tied for checkpoint in found.checkpoints] == [True, False]
    assert [one.name for one in found.inputs] == ["one", "padded"]
    assert found.inputs[1].attention_mask == ((0, 1), (1, 1))
    assert (found.inert, found.attention) == (("model.bias",), ("eager", "sdpa"))


def test_inputs_that_are_no_ids_are_kept_as_they_are(tmp_path: Path) -> None:
    given = [{"name": "plain", "input_ids": None, "inputs": {"pixel_values": {"shape": [1, 3, 8, 8], "seed": 0}}}]
    found = author.read(write_authored(tmp_path, inputs=given))
    assert found
    assert found.inputs[0].input_ids == ()
    assert found.inputs[0].inputs == {"pixel_values": {"shape": [1, 3, 8, 8], "seed": 0}}


def test_what_an_author_does_not_load_as_it_wrote_it_is_told_per_checkpoint(tmp_path: Path) -> None:
    made = [{"folder": "checkpoint", "tied": True, "repaired": "without a.bias"}, {"folder": "untied", "tied": False}]
    found = author.read(write_authored(tmp_path, untied=True, checkpoints=made))
    assert found
    assert [checkpoint.repaired for checkpoint in found.checkpoints] == ["without a.bias", None]


def test_what_could_not_be_built_is_none(tmp_path: Path) -> None:
    assert author.read(write_failed_capture(tmp_path)) is None
