"""Small configs by what names say: `probes/tiny.py` needs neither torch nor transformers."""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

import pytest

from matrix.request import PROBES


@pytest.fixture(scope="module")
def tiny() -> ModuleType:
    spec = importlib.util.spec_from_file_location("probe_tiny", PROBES / "tiny.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Config:
    """What `tiny` takes for a config: it has a model type and can be written as a mapping."""

    model_type = "config"

    def to_dict(self) -> dict[str, Any]:
        return vars(self)


class PretrainedConfig(Config):
    """The parent that every release's configs have: what it takes is common to all."""

    def __init__(self, use_cache: object = None, **kwargs: object) -> None:
        self.use_cache = use_cache
        vars(self).update(kwargs)


class Text(PretrainedConfig):
    model_type = "text"

    def __init__(
        self, hidden_size: int = 4096, layer_kinds: object = None, eos_token_id: int = 32000, **kwargs: object
    ) -> None:
        super().__init__(**kwargs)
        self.hidden_size, self.layer_kinds, self.eos_token_id = hidden_size, layer_kinds, eos_token_id


class Whole(PretrainedConfig):
    model_type = "whole"

    def __init__(self, text: Text | None = None, image_token_id: int = 32000, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.text = text or Text(hidden_size=2048, layer_kinds="even")
        self.image_token_id = image_token_id


def test_sizes_become_small_by_the_kind_of_their_names(tiny: ModuleType) -> None:
    llama = {
        "vocab_size": 32000,
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "head_dim": 128,
    }
    assert tiny.overrides(llama) == {
        "vocab_size": 128,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "head_dim": 16,
    }
    assert tiny.overrides({"num_key_value_heads": 32, "intermediate_size": 11008, "sliding_window": 4096}) == {
        "num_key_value_heads": 2,
        "intermediate_size": 128,
        "sliding_window": 4,
    }


def test_what_is_no_size_or_small_already_stays(tiny: ModuleType) -> None:
    kept = {
        "rope_theta": 10000,
        "hidden_act": "silu",
        "use_cache": True,
        "sampling_rate": 16000,
        "num_hidden_layers": 1,
    }
    assert tiny.overrides(kept) == {}


def test_a_forward_must_not_be_random(tiny: ModuleType) -> None:
    random = {"speech_decoder_prenet_dropout": 0.5, "layerdrop": 0.1, "router_jitter_noise": 0.01, "noise_scale": 0.667}
    assert set(tiny.overrides(random).values()) == {0.0}


def test_a_plan_that_scales_keeps_ratios_and_one_that_is_shallow_keeps_sizes(tiny: ModuleType) -> None:
    sizes = {"hidden_size": 768, "embedding_size": 384, "num_hidden_layers": 12}
    assert tiny.overrides(sizes, "scaled") == {"hidden_size": 96, "embedding_size": 48, "num_hidden_layers": 2}
    assert tiny.overrides(sizes, "shallow") == {"num_hidden_layers": 2}


@pytest.mark.parametrize(
    ("widths", "small"),
    [([96, 192, 384, 768], [8, 16, 32, 64]), ([64, 192, 384], [8, 24, 48]), ([512] * 7, [64] * 7), ([8, 24], [8, 24])],
)
def test_widths_of_stages_keep_their_ratios(tiny: ModuleType, widths: list[int], small: list[int]) -> None:
    assert tiny.widths(widths) == small


def test_every_kind_of_layer_is_left(tiny: ModuleType) -> None:
    assert tiny.prefix(["full", "full", "full", "sliding", "full"], 2) == ["full", "full", "full", "sliding"]
    assert tiny.prefix([1, 1, 1], 2) == [1, 1]


def test_what_was_one_special_id_stays_one_in_every_part(tiny: ModuleType) -> None:
    shrunk = tiny.small_config(Whole(), "small", {})
    assert shrunk["image_token_id"] == shrunk["text"]["eos_token_id"] == 127


def test_a_part_keeps_what_the_whole_has_chosen_for_it(tiny: ModuleType) -> None:
    assert tiny.small_config(Whole(), "small", {})["text"] == {
        "model_type": "text",
        "layer_kinds": "even",
        "hidden_size": 64,
        "eos_token_id": 127,
    }


def test_a_table_has_the_last_word_in_parts_too(tiny: ModuleType) -> None:
    shrunk = tiny.small_config(Whole(), "small", {"text": {"hidden_size": 48}})
    assert tiny.flat(shrunk)["text.hidden_size"] == 48
