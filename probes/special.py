"""What no name tells: configs by model type that are small only with these values, each with a word why."""

OVERRIDES = {}
"""Model type → nested overrides, put over what `tiny.py` makes; parts of other models have their own type's, too."""

PARTS = {
    "musicgen": {"text_encoder": "t5", "audio_encoder": "encodec", "decoder": "musicgen_decoder"},
    "musicgen_melody": {"text_encoder": "t5", "audio_encoder": "encodec", "decoder": "musicgen_melody_decoder"},
    "vision-text-dual-encoder": {"vision_config": "clip_vision_model", "text_config": "bert"},
}
"""Model type → the model types of the parts without which its config class cannot be made."""

FED = {}
"""Model type → arguments of its forward that are given though nothing asks for them."""
