"""A tiny causal language model in numpy, float32 throughout, with every switch that a release may turn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matrix.explain.signs.sides import Sides

Array = NDArray[Any]

VOCAB, HIDDEN, HEADS, LAYERS = 48, 16, 2, 2
DIM = HIDDEN // HEADS


@dataclass(frozen=True, kw_only=True)
class Model:
    """What a release decides; the weights are drawn from one seed."""

    base: float = 10000.0
    offset: int = 0
    embed_scale: float = 1.0
    eps: float = 1e-6
    score_scale: float = DIM**-0.5
    score_cap: float = 0.0
    final_cap: float = 0.0
    window: int = 0
    masked: bool = True
    centred: bool = False
    bias: float = 0.0
    broken_token: int = -1


@dataclass(frozen=True)
class Seen:
    """What one forward makes: logits, the first residual, the first norm's output, query, key and scores."""

    logits: Array
    residual: Array
    normed: Array
    query: Array
    key: Array
    scores: Array


def rms_norm(x: Array, eps: float) -> Array:
    return x * (1 / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + np.float32(eps)))


def rotary(x: Array, base: float, offset: int = 0) -> Array:
    """Half-split rotary embedding of [batch, heads, sequence, dimension]."""
    dim = x.shape[-1]
    frequencies = 1 / np.float32(base) ** (np.arange(0, dim, 2, dtype=np.float32) / dim)
    angles = (np.arange(x.shape[2], dtype=np.float32) + offset)[:, None] * frequencies
    cos, sin = (np.concatenate([wave, wave], axis=-1).astype(np.float32) for wave in (np.cos(angles), np.sin(angles)))
    half = np.concatenate([-x[..., dim // 2 :], x[..., : dim // 2]], axis=-1)
    return (x * cos + half * sin).astype(np.float32)


def forward(model: Model, ids: Array, mask: Array | None = None) -> Seen:
    """One forward over ids [batch, sequence]."""
    draw = np.random.default_rng(7)
    embedding = draw.normal(size=(VOCAB, HIDDEN)).astype(np.float32)
    embedding *= np.geomspace(0.01, 2, VOCAB, dtype=np.float32)[:, None]
    if model.broken_token >= 0:
        embedding[model.broken_token] += 1
    x = embedding[ids] * np.float32(model.embed_scale)
    if model.centred:
        x -= x.mean(axis=-1, keepdims=True)
    if model.bias:
        x = x + (np.arange(HIDDEN, dtype=np.float32) + 1) * np.float32(model.bias)
    residual, parts = x, []
    for _ in range(LAYERS):
        weights = draw.normal(size=(4, HIDDEN, HIDDEN)).astype(np.float32) * np.float32(0.4)
        normed = rms_norm(x, model.eps)
        query, key, value = (_heads(normed @ weight) for weight in weights[:3])
        query, key = (rotary(part, model.base, model.offset) for part in (query, key))
        scores = _scores(model, query, key, mask)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        context = (shares / shares.sum(axis=-1, keepdims=True)) @ value
        x = x + np.moveaxis(context, 1, 2).reshape(x.shape) @ weights[3]
        parts.append((normed, query, key, scores))
    logits = rms_norm(x, model.eps) @ (draw.normal(size=(HIDDEN, VOCAB)).astype(np.float32) * np.float32(3))
    if model.final_cap:
        logits = np.float32(model.final_cap) * np.tanh(logits / np.float32(model.final_cap))
    return Seen(logits, residual, *parts[0])


def _heads(x: Array) -> Array:
    return np.moveaxis(x.reshape(*x.shape[:2], HEADS, DIM), 2, 1)


def _scores(model: Model, query: Array, key: Array, mask: Array | None) -> Array:
    scores = (query @ np.swapaxes(key, -1, -2)) * np.float32(model.score_scale)
    if model.score_cap:
        scores = np.float32(model.score_cap) * np.tanh(scores / np.float32(model.score_cap))
    far = np.arange(scores.shape[2])[:, None] - np.arange(scores.shape[3])
    hidden = np.broadcast_to((far < 0) | ((far >= model.window) if model.window else False), scores.shape)
    if mask is not None and model.masked:
        # a row that hides everything looks at itself
        hidden = (hidden | (mask[:, None, None, :] == 0)) & (far != 0)
    return np.where(hidden, np.float32(np.finfo(np.float32).min), scores)


def ids(length: int, rows: int = 1, seed: int = 0) -> Array:
    """Ids that do not repeat."""
    draw = np.random.default_rng(seed)
    return np.stack([draw.permutation(VOCAB)[:length] for _ in range(rows)])


MASK = np.array([[0] * 4 + [1] * 8])
GIVEN = np.concatenate([np.ones((1, 12), int), MASK])
LADDER = {
    "one token": (ids(1, seed=1), None),
    "short": (ids(4, seed=2), None),
    "long": (ids(12, seed=3), None),
    "left-padded": (ids(12, seed=4), MASK),
    "given": (ids(12, 2, seed=5), GIVEN),
}
"""The rungs: ids and mask."""


def ladder(**bad: Any) -> dict[str, Sides]:  # noqa: ANN401 - the fields of a model
    """The logits of the plain model and of one that has something else, for each rung."""
    return {name: pair("logits", tokens, mask, **bad) for name, (tokens, mask) in LADDER.items()}


def pair(part: str, tokens: Array | None = None, mask: Array | None = None, **bad: Any) -> Sides:  # noqa: ANN401
    """One tensor of both models; `good` may hold what the good model has."""
    good = Model(**bad.pop("good", {}))
    tokens = ids(12, 2) if tokens is None else tokens
    one, other = (getattr(forward(model, tokens, mask), part) for model in (good, replace(good, **bad)))
    return Sides(good=one, bad=other, mask=mask)


def noisy(values: Array, size: float = 2.0**-24, seed: int = 3) -> Array:
    """The same values, each moved by rounding."""
    draw = np.random.default_rng(seed)
    moved = (values * (1 + size * draw.choice([-1.0, 1.0], values.shape))).clip(-3e38, 3e38).astype(values.dtype)
    return np.where(np.abs(values) < 1e30, moved, values)


def rounded(values: Array) -> Array:
    """float32 rounded to bfloat16 (to nearest), kept as float32."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32)
