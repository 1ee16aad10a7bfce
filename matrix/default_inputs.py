"""Default inputs: what goes into a case that names none, from the checkpoint's config.json.

A sentence where there is a tokenizer, else ids spread over the vocabulary; pixels, waveforms and spectra drawn from a
seed where the config speaks of such. Shapes are batch first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matrix.case import Case
from matrix.errors import CheckpointError

DEFAULT_TEXT = ("The quick brown fox jumps over the lazy dog.",)
"""The prompt of a case that gives no input and has a tokenizer."""

IMAGE = 64
"""Pixels per side for an image model whose config says no size: what five halvings leave 2 pixels of."""

WAVE = 8000
"""Samples of a waveform: half a second at the 16 kHz that speech models expect."""

_MIXED = ("image_token_index", "image_token_id", "audio_config", "video_token_id")
"""Keys of models that mix images or sound into their prompt, and read text alone just as well."""

_FRAMES = ("num_frames", "tubelet_size", "temporal_patch_size")
"""Keys of models that read several images at once."""


def fill(case: Case, folder: Path, *, has_tokenizer: bool) -> Case:
    """The case with default inputs where it names none.

    Args:
        case: The case.
        folder: The checkpoint's folder; of a GGUF file, which has no config.json, only the tokenizer is asked.
        has_tokenizer: Whether a tokenizer can be read.

    Raises:
        CheckpointError: When the config says of no input that is known here how large it is.
    """
    if case.text or case.chat or case.input_ids or case.inputs:
        return case
    config = _read(folder / "config.json")
    inputs = further(config)
    if not _reads_text(config, inputs):
        return replace(case, inputs=inputs)
    if has_tokenizer:
        return replace(case, text=DEFAULT_TEXT, inputs=inputs)
    row = tuple(one for one in ids(_vocabulary(config))[0] if one not in {config.get(name) for name in _MIXED})
    return replace(case, input_ids=(row,), inputs=inputs)


def ids(vocabulary: int, length: int = 16) -> tuple[tuple[int, ...], ...]:
    """One row of ids spread over the vocabulary by a full-period step, none of the first few (special) ids."""
    low = min(10, vocabulary // 2)
    return (tuple(low + (7919 * (i + 1)) % (vocabulary - low) for i in range(length)),)


def further(config: Mapping[str, Any]) -> dict[str, Any]:
    """What goes in beside ids, or instead of them: pixels, sound, and the decoder's first ids.

    Raises:
        CheckpointError: When the config says of no input that is known here how large it is.
    """
    if any(name in config for name in _MIXED):
        return {}
    sides = {**_sound(config), **_pixels(config)}
    if config.get("is_encoder_decoder"):
        start = config.get("decoder_start_token_id") or 0
        sides["decoder_input_ids"] = ((start, *ids(_vocabulary(config), 7)[0]),)
    return sides


def _reads_text(config: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    """Whether ids go in too: everywhere but where pixels or sound stand in their place."""
    return "text_config" in config or not {"pixel_values", "input_values", "input_features"} & {*inputs}


def _pixels(config: Mapping[str, Any]) -> dict[str, Any]:
    vision = config.get("vision_config", config)
    if not isinstance(vision, Mapping) or not {"image_size", "num_channels", "patch_size"} & {*vision}:
        return {}
    if "num_mel_bins" in vision:
        return {}
    if {*_FRAMES} & {*vision}:
        raise CheckpointError(
            "a case without inputs is of a model that reads frames, and there is no default for them",
            given=f"model_type {config.get('model_type')!r}",
            next_step="give inputs = { pixel_values = { shape = [1, 16, 3, 224, 224] } }, in the shape that it reads",
        )
    size = vision.get("image_size", IMAGE)
    height, width = size if isinstance(size, Sequence) else (size, size)
    return {"pixel_values": _drawn(vision.get("num_channels", 3), height, width)}


def _sound(config: Mapping[str, Any]) -> dict[str, Any]:
    """A waveform where convolutions read one; a spectrum of as many frames as there are places for."""
    bins = config.get("num_mel_bins")
    if "feat_extract_norm" in config:
        return {"input_values": _drawn(WAVE)}
    if bins and "max_source_positions" in config and "input_feat_per_channel" not in config:
        return {"input_features": _drawn(bins, 2 * config["max_source_positions"])}
    if "input_feat_per_channel" in config:
        return {"input_features": _drawn(IMAGE, config["input_feat_per_channel"])}
    return {"input_values": _drawn(config["max_length"], bins)} if bins and config.get("max_length") else {}


def _drawn(*shape: int) -> dict[str, Any]:
    return {"shape": (1, *shape), "seed": 0}


def _read(path: Path) -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return content


def _vocabulary(config: Mapping[str, Any]) -> int:
    """The vocabulary's size as the config says it; small enough for any model when it does not."""
    text = config.get("text_config", {})
    size = config.get("vocab_size") or (text.get("vocab_size") if isinstance(text, Mapping) else 0) or 100
    if not isinstance(size, int):
        raise CheckpointError("the checkpoint's vocab_size is no number", given=repr(size), next_step="give input_ids")
    return size
