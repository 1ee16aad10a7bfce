"""Reduce: smaller configs and shorter inputs of a case, in the order in which they are preferred."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix.errors import CaptureError

LAYERS = (
    *("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_decoder_layers", "num_encoder_layers"),
    *("encoder_layers", "decoder_layers"),
)
_HIDDEN = ("hidden_size", "n_embd", "d_model", "dim", "word_embed_proj_dim", "embedding_size")
_HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads", "decoder_attention_heads")
_KEY_HEADS = ("num_key_value_heads", "num_kv_heads")
_WIDE = (
    *("intermediate_size", "ffn_dim", "n_inner", "d_ff", "encoder_ffn_dim", "decoder_ffn_dim", "ffn_hidden_size"),
    *("moe_intermediate_size", "shared_expert_intermediate_size"),
)
_NOISE = ("_name_or_path", "transformers_version")
_SPECIAL = "_token_id"

_SIZES = ("tiny", "narrow", "given")
"""Everything small; only the vocabulary and the feed-forward network small; as the case has it."""

_LENGTHS = (*range(1, 9), *(n for power in range(3, 13) for n in (3 * 2**power // 2, 2 ** (power + 1))))
"""Every short length, then 12, 16, 24, 32, …: each one more costs two forwards of a tiny model."""

_VOCABULARY, _FEED_FORWARD, _FEW_HEADS, _HEAD = 32, 16, 2, 8


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A reduced model with a reduced input.

    Attributes:
        model: Index of the model in the question.
        run: Index of the input among the model's.
        config: The whole config.
        inputs: Nested lists by name.
        layers: How many layers are left; 0 where the config has no number of layers.
        sizes: Which sizes are small.
    """

    model: int
    run: int
    config: Mapping[str, Any]
    inputs: Mapping[str, Any]
    layers: int
    sizes: str

    @property
    def tokens(self) -> int:
        """How many ids go in."""
        return sum(map(len, self.inputs.get("input_ids", ())))


def read_config(folder: Path) -> dict[str, Any]:
    """A checkpoint's config.json.

    Raises:
        CaptureError: When there is none that can be read.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CaptureError("the checkpoint's config.json cannot be read", given=f"{folder}: {error}") from None
    return dict(config)


def candidates(config: Mapping[str, Any], inputs: Mapping[str, Any]) -> tuple[Candidate, ...]:
    """What to try, smallest first: by layers, then by the input, then by sizes.

    Args:
        config: The checkpoint's config.json.
        inputs: The case's inputs as nested lists, or the rung of them that shows the difference.
    """
    clean = {key: value for key, value in config.items() if key not in _NOISE}
    models = {}
    for layers, sizes in itertools.product(_layer_counts(clean), _SIZES):
        reduced = _resized(_with_layers(clean, layers), sizes)
        models[repr(reduced)] = (layers, sizes, reduced)
    found = []
    for model, (layers, sizes, reduced) in enumerate(models.values()):
        runs = {repr(given): given for given in (_in_vocabulary(given, reduced) for given in _shorter(inputs))}
        for run, given in enumerate(runs.values()):
            found.append(Candidate(model=model, run=run, config=reduced, inputs=given, layers=layers, sizes=sizes))
    return tuple(sorted(found, key=lambda one: (one.layers, one.run, _SIZES.index(one.sizes))))


def _layer_counts(config: Mapping[str, Any]) -> list[int]:
    """How many layers to try; a single 0 where the config has no number of layers."""
    given = max((value for key, value in _numbers(config) if key in LAYERS), default=0)
    return sorted({min(count, given) for count in (1, 2, given)})


def _numbers(config: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Every whole number of a config and of the configs inside it."""
    for key, value in config.items():
        if isinstance(value, Mapping) and key.endswith("_config"):
            yield from _numbers(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            yield key, value


def _with_layers(config: Mapping[str, Any], layers: int) -> dict[str, Any]:
    """The config with fewer layers; lists that hold one item per layer are cut alike."""
    given = {config[key] for key in LAYERS if isinstance(config.get(key), int)}
    reduced: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and key.endswith("_config"):
            reduced[key] = _with_layers(value, layers)
        elif key in LAYERS and isinstance(value, int):
            reduced[key] = min(value, layers)
        elif isinstance(value, list) and len(value) > 1 and len(value) in given:
            reduced[key] = value[:layers]
        else:
            reduced[key] = value
    return reduced


def _resized(config: Mapping[str, Any], sizes: str) -> dict[str, Any]:
    """The config with smaller sizes; everything that is no size, such as a window or an epsilon, stays."""
    reduced = {
        key: _resized(value, sizes) if isinstance(value, Mapping) and key.endswith("_config") else value
        for key, value in config.items()
    }
    if sizes == "given":
        return reduced
    limits = dict.fromkeys(_WIDE, _FEED_FORWARD) | {"vocab_size": _VOCABULARY}
    if sizes == "tiny":
        limits |= _narrow_heads(config)
    for key, limit in limits.items():
        if isinstance(given := reduced.get(key), int):
            reduced[key] = min(given, limit)
    if isinstance(vocabulary := reduced.get("vocab_size"), int):
        reduced |= {key: _fitted(value, vocabulary) for key, value in reduced.items() if key.endswith(_SPECIAL)}
    return reduced


def _narrow_heads(config: Mapping[str, Any]) -> dict[str, int]:
    """Fewer and smaller heads, so that they still fill the hidden size; as many share keys as before, or all."""
    heads = next((config[key] for key in _HEADS if isinstance(config.get(key), int)), None)
    hidden = next((config[key] for key in _HIDDEN if isinstance(config.get(key), int)), None)
    if not heads or not hidden or heads < _FEW_HEADS or hidden % heads:
        return {}
    keys = next((config[key] for key in _KEY_HEADS if isinstance(config.get(key), int)), heads)
    head = min(config.get("head_dim") or hidden // heads, _HEAD)
    alike = {key: head * _FEW_HEADS for key in _HIDDEN if config.get(key) == hidden}
    few = dict.fromkeys(_HEADS, _FEW_HEADS) | dict.fromkeys(_KEY_HEADS, _FEW_HEADS if keys == heads else 1)
    return {**alike, **few, "head_dim": head}


def _shorter(inputs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The first row without its padding, at growing lengths; the first padded row alone; everything as it is given."""
    ids, mask = inputs.get("input_ids"), inputs.get("attention_mask")
    if ids:
        rows = mask or [[1] * len(row) for row in ids]
        kept = [place for place, keep in enumerate(rows[0]) if keep]
        rest = {name: value for name, value in inputs.items() if name != "attention_mask"}
        for length in [*itertools.takewhile(lambda n: n < len(kept), _LENGTHS), len(kept)]:
            yield {name: _one_row(value, ids, 0, kept[:length]) for name, value in rest.items()}
        for row in [row for row, keep in enumerate(rows) if not all(keep)][:1]:
            for places in _padded(rows[row]):
                yield {name: _one_row(value, ids, row, places) for name, value in inputs.items()}
    if not ids or len(ids) > 1:
        yield dict(inputs)


def _padded(mask: Sequence[int]) -> Iterator[Sequence[int]]:
    """Where to cut a padded row: one place of padding with one, two, four, … tokens beside it; then not at all."""
    edge = next((place for place in range(1, len(mask)) if mask[place] and not mask[place - 1]), None)
    if edge is not None:
        lengths = (2**power for power in range(12))
        yield from (range(edge - 1, edge + n) for n in itertools.takewhile(lambda n: edge + n < len(mask), lengths))
    yield range(len(mask))


def _one_row(value: Any, ids: Any, row: int, places: Sequence[int]) -> Any:  # noqa: ANN401 - straight from a case
    """One row of one input, cut alike where it holds one number per id."""
    if isinstance(value, Mapping):
        batched = value["shape"] and value["shape"][0] == len(ids)
        return {**value, "shape": [1, *value["shape"][1:]]} if batched else dict(value)
    if not isinstance(value, (list, tuple)) or len(value) != len(ids):
        return value
    same = isinstance(value[row], (list, tuple)) and len(value[row]) == len(ids[row])
    return [[value[row][place] for place in places]] if same else [value[row]]


def _in_vocabulary(inputs: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs whose ids the config's vocabulary has."""
    size = config.get("vocab_size")
    fitted = dict(inputs)
    for name in ("input_ids", "decoder_input_ids"):
        if isinstance(size, int) and isinstance(fitted.get(name), (list, tuple)):
            fitted[name] = [[_fitted(number, size) for number in row] for row in fitted[name]]
    return fitted


def _fitted(value: Any, vocabulary: int) -> Any:  # noqa: ANN401 - a config's value
    """An id, or ids, inside a vocabulary; those that do not fit land in its upper half, away from special ids."""
    if isinstance(value, list):
        return [_fitted(item, vocabulary) for item in value]
    if not isinstance(value, int) or isinstance(value, bool) or value < vocabulary:
        return value
    return vocabulary // 2 + value % math.ceil(vocabulary / 2)
