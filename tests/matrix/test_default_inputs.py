"""A case without inputs gets what its checkpoint's config says that the model reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from matrix import default_inputs
from matrix.case import Case
from matrix.errors import CheckpointError
from tests.matrix.builders import write_checkpoint

TINY = Case(name="tiny", checkpoint="x")
IMAGE = {"image_size": 32, "patch_size": 8, "num_channels": 3}
SPOKEN = {"is_encoder_decoder": True, "num_mel_bins": 8, "max_source_positions": 20, "decoder_start_token_id": 5}


def _filled(folder: Path, *, has_tokenizer: bool = False, **config: Any) -> Case:  # noqa: ANN401 - what a config may hold
    return default_inputs.fill(TINY, write_checkpoint(folder, **config), has_tokenizer=has_tokenizer)


@pytest.mark.parametrize(
    ("config", "inputs"),
    [
        (IMAGE, {"pixel_values": {"shape": (1, 3, 32, 32), "seed": 0}}),
        ({**IMAGE, "image_size": [16, 24]}, {"pixel_values": {"shape": (1, 3, 16, 24), "seed": 0}}),
        ({"num_channels": 1}, {"pixel_values": {"shape": (1, 1, 64, 64), "seed": 0}}),
        ({"feat_extract_norm": "group"}, {"input_values": {"shape": (1, 8000), "seed": 0}}),
        ({"num_mel_bins": 4, "max_length": 9, "patch_size": 2}, {"input_values": {"shape": (1, 9, 4), "seed": 0}}),
        ({"input_feat_per_channel": 6}, {"input_features": {"shape": (1, 64, 6), "seed": 0}}),
    ],
)
def test_pixels_and_sound_stand_in_the_place_of_ids(
    tmp_path: Path, config: dict[str, Any], inputs: dict[str, Any]
) -> None:
    case = _filled(tmp_path, has_tokenizer=True, **config)
    assert (case.inputs, case.text, case.input_ids) == (inputs, (), ())


def test_a_decoder_gets_ids_that_begin_as_its_config_says(tmp_path: Path) -> None:
    speech = _filled(tmp_path / "speech", **SPOKEN)
    assert speech.inputs["input_features"] == {"shape": (1, 8, 40), "seed": 0}
    assert speech.inputs["decoder_input_ids"][0][0] == 5
    text = _filled(tmp_path / "text", is_encoder_decoder=True)
    assert (len(text.input_ids[0]), text.inputs["decoder_input_ids"][0][0]) == (16, 0)


def test_a_model_of_texts_and_images_side_by_side_gets_both(tmp_path: Path) -> None:
    case = _filled(tmp_path, has_tokenizer=True, text_config={"vocab_size": 9}, vision_config=IMAGE)
    assert (case.text, list(case.inputs)) == (default_inputs.DEFAULT_TEXT, ["pixel_values"])


def test_a_model_that_mixes_images_into_its_text_gets_text_without_any(tmp_path: Path) -> None:
    case = _filled(tmp_path, vocab_size=32, vision_config=IMAGE, image_token_index=31)
    assert not case.inputs
    assert 31 in default_inputs.ids(32)[0]
    assert 31 not in case.input_ids[0]


def test_a_model_of_frames_needs_inputs_and_is_told_which(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        _filled(tmp_path, **IMAGE, num_frames=8, model_type="vivit")
    assert "give inputs = { pixel_values" in str(caught.value)
    assert "vivit" in str(caught.value)


@pytest.mark.parametrize("given", [{"chat": (({"role": "user", "content": "a"},),)}, {"text": ("a",)}])
def test_a_case_with_a_prompt_is_left_alone(tmp_path: Path, given: dict[str, Any]) -> None:
    case = Case(name="tiny", checkpoint="x", **given)
    assert default_inputs.fill(case, write_checkpoint(tmp_path, **IMAGE), has_tokenizer=True) is case
