"""What a forward's argument of a given name may look like: alternatives to try, the likeliest first.

Floats are shapes with a seed, which become the same numbers everywhere; ids, masks and boxes are nested lists.
"""

import re

import probe_tiny as tiny

SHORT, DECODED = 8, 5
"""Tokens of the short text, and of what a decoder is given."""


GRID = 4
"""Patches on a side of an image that is given as patches."""


def find(config, *names, within=()):
    """The first of these attributes that a config or one of its parts has; None without one.

    Args:
        config: The config.
        names: Attributes, the likeliest first.
        within: Words in the names of parts that are searched before the config itself.
    """
    parts = {name: part for name, part in vars(config).items() if tiny.is_config(part)}
    first = [part for name, part in parts.items() if any(word in name for word in within)]
    for place in [*first, config, *(part for part in parts.values() if part not in first)]:
        for name in names:
            value = getattr(place, name, None)
            if value is not None:
                return value
        deeper = find(place, *names, within=within) if place is not config else None
        if deeper is not None:
            return deeper
    return None


def whole(value, default):
    """A number, or the largest of a list or mapping of them."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        value = max(value, default=default)
    return value if isinstance(value, int) and value > 0 else default


def vocabulary(config):
    """How many ids there are, of the part that reads text."""
    return whole(find(config, "vocab_size", "n_tokens", within=("text", "encoder", "llm")), 32)


def row(config, length, turn=0):
    """Ids spread over the lower part of the vocabulary, none of them special."""
    size = min(vocabulary(config), 100)
    avoided = {value for value in special_ids(config) if value < size}
    usable = [value for value in range(min(4, size - 1), size) if value not in avoided] or [0]
    return [usable[(7 + 11 * index + 5 * turn) % len(usable)] for index in range(length)]


def special_ids(config):
    """Every id that a config or a part of it names."""
    found = set()
    for name, value in vars(config).items():
        if tiny.is_config(value):
            found |= special_ids(value)
        elif re.search(r"token|_id$|_ids$", name):
            found |= {item for item in (value if isinstance(value, (list, tuple)) else [value]) if type(item) is int}
    return found


def floats(*shape, seed=0):
    """A further input of seeded floats."""
    return {"shape": list(shape), "seed": seed}


def full(value, *shape):
    """Nested lists of one value."""
    return [full(value, *shape[1:]) for _ in range(shape[0])] if shape else value


def offers(name, config, batch, length):
    """Alternatives for one argument; empty where its name is unknown.

    Args:
        name: The argument.
        config: The model's config.
        batch: Rows.
        length: Tokens of a row.
    """
    for kind in (texts, images, sounds, series):
        found = kind(name, config, batch, length)
        if found:
            return found
    return []


def texts(name, config, batch, length):
    """Arguments that go with ids."""
    turned = [row(config, DECODED, turn + 3) for turn in range(batch)]
    channels = whole(find(config, "num_channels", "num_codebooks", within=("decoder",)), 1)
    boxes = [[[4 + t, 6 + t, 20 + t, 30 + t] for t in range(length)] for _ in range(batch)]
    return {
        "decoder_input_ids": [turned, [[[item] * channels for item in line] for line in turned]],
        "decoder_attention_mask": [full(1, batch, DECODED)],
        "attention_mask": [full(1, batch, length)],
        "token_type_ids": [full(0, batch, length)],
        "bbox": [boxes, [[[side / 64 for side in box] for box in line] for line in boxes]],
        "lang_ids": [full(0, batch)],
        "qformer_input_ids": [[row(config, length, turn) for turn in range(batch)]],
        "encoder_hidden_states": [floats(batch, DECODED, whole(find(config, "encoder_hidden_size"), 64))],
        "langs": [full(0, batch, length)],
        "task_inputs": [[row(config, whole(find(config, "task_seq_len"), 8), turn) for turn in range(batch)]],
        "image_embeds_position_mask": [marked(batch, length, whole(find(config, "latent_query_num"), 4))],
    }.get(name, [])


def marked(batch, length, count):
    """Rows that are 1 at their first positions."""
    return [[int(index < count) for index in range(length)] for _ in range(batch)]


def images(name, config, batch, length):  # noqa: C901, PLR0911 - one kind of argument each
    """Arguments that hold pixels, and what goes with them."""
    vision = ("vision", "image", "backbone")
    size = whole(find(config, "image_size", "img_size", "input_size", "crop_size", within=vision), 64)
    channels = whole(find(config, "num_channels", "in_channels", "in_chans", "in_chan", within=vision), 3)
    frames = whole(find(config, "num_frames"), 2)
    sizes = list(dict.fromkeys((size, 64, 32, 128, 224)))
    still = [floats(batch, channels, side, side) for side in sizes]
    moving = [floats(batch, frames, channels, side, side) for side in sizes]
    if name == "image_grid_thw":
        return [[[1, GRID, GRID]] * batch]
    deep = whole(find(config, "temporal_patch_size", within=vision), 0)
    if name == "pixel_values" and deep:
        return [floats(batch * GRID**2, channels * deep * whole(find(config, "patch_size", within=vision), 8) ** 2)]
    if re.fullmatch(r"(pixel_values|images?|flattened_patches)", name):
        return [*still[:1], *moving[:1], *still[1:], *moving[1:]]
    if name in ("pixel_values_videos", "pixel_values_video", "videos"):
        return [*moving, *(floats(batch, channels, frames, side, side) for side in sizes)]
    if name == "image_attention_mask":
        return [full(1, batch, length, 2), full(1, batch, length, 1)]
    if name == "noise":
        return [floats(batch, (size // whole(find(config, "patch_size"), 8)) ** 2)]
    if name in ("prompt_pixel_values", "prompt_masks"):
        return [floats(batch, channels, size, size, seed=len(name))]
    if name in ("visual_feats", "visual_embeds", "visual_pos"):
        wide = whole(find(config, "visual_feat_dim", "visual_embedding_dim"), 64)
        return [floats(batch, 6, 4 if name == "visual_pos" else wide)]
    if name in ("inputs", "query_embeds"):
        return [floats(batch, 8, whole(find(config, "d_model", "hidden_size"), 64))]
    if name == "pixel_mask":
        return [full(1, batch, side, side) for side in sizes]
    if name == "bool_masked_pos":
        patch = whole(find(config, "patch_size"), 8)
        count = (size // patch) ** 2 * max(
            1, whole(find(config, "num_frames"), 1) // whole(find(config, "tubelet_size"), 1)
        )
        return [[[index % 3 == 0 for index in range(count)] for _ in range(batch)]]
    return []


def sounds(name, config, batch, length):  # noqa: ARG001, PLR0911 - likewise
    """Arguments that hold waves, or spectra of them."""
    heard = ("audio", "speech", "encoder")
    bins = whole(
        find(
            config,
            "num_mel_bins",
            "input_feat_per_channel",
            "n_mels",
            "num_mels",
            "model_in_channels",
            "feature_size",
            within=heard,
        ),
        80,
    )
    if name == "input_values":
        frames = whole(find(config, "max_length", "spectrogram_length"), 64)
        return [floats(batch, 1600), floats(batch, 1, 1600), floats(batch, frames, bins), floats(batch, 16000)]
    if name in ("input_features", "input_audio_features", "audio_features", "spectrogram"):
        wide = whole(find(config, "feature_projection_input_dim", within=heard), bins)
        most = whole(find(config, "max_source_positions", within=heard), 64)
        image = whole(find(config, "spec_size", within=heard), 64)
        return [
            *([floats(batch, 16, bins)] if hasattr(config, "model_in_channels") else []),
            *(floats(batch, bins, 2 * most), floats(batch, 32, wide), floats(batch, wide, 32), floats(batch, 64, wide)),
            *(floats(batch, 1, image * 4, bins), floats(batch, 1, 64, bins), floats(batch, bins, 64)),
        ]
    if name == "noise_sequence":
        return [floats(batch, 16, whole(find(config, "model_in_channels"), 64))]
    if name == "audio_mel":
        return [floats(batch, 32, whole(find(config, "input_feat_size", within=heard), bins))]
    if name == "audio_mel_mask":
        return [[[False] * 32 for _ in range(batch)]]
    if name in ("audio_values", "input_audio", "waveform"):
        return [floats(batch, 1, 1600), floats(batch, 1600)]
    return []


def series(name, config, batch, length):  # noqa: ARG001 - likewise
    """Arguments that hold a time series, and what goes with it."""
    context = whole(find(config, "context_length"), 8)
    lags = whole(find(config, "lags_sequence"), 0)
    ahead = whole(find(config, "prediction_length"), 4)
    marks = whole(find(config, "num_time_features"), 0)
    channels = whole(find(config, "num_input_channels", "input_size"), 1)
    past = [context + lags] if channels == 1 else [context + lags, channels]
    if not re.match(r"past_|future_|states|actions|rewards|returns|timesteps|trajectories", name):
        return []
    width = whole(find(config, "observation_dim", "state_dim"), 17)
    action = whole(find(config, "action_dim", "act_dim"), 4)
    return {
        "past_values": [floats(batch, *past), floats(batch, context, channels), floats(batch, context)],
        "past_time_features": [floats(batch, context + lags, marks)],
        "past_observed_mask": [full(1, batch, *past)],
        "future_values": [floats(batch, ahead, *past[1:])],
        "future_time_features": [floats(batch, ahead, marks)],
        "future_observed_mask": [full(1, batch, ahead, *past[1:])],
        "states": [floats(batch, 4, width)],
        "actions": [floats(batch, 4, action)],
        "rewards": [floats(batch, 4, 1)],
        "returns_to_go": [floats(batch, 4, 1)],
        "timesteps": [[list(range(4)) for _ in range(batch)]],
        "trajectories": [[[(5 * index) % 90 for index in range(50)] for _ in range(batch)]],
    }.get(name, [])
