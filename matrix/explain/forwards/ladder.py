"""The ladder: a case's input cut to one token, a few, many, and left-padded ones; the smallest that differs is kept."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from matrix.capture import Capture, Rows, Tokens
from matrix.explain.anatomy import Anatomy
from matrix.outputs import kept, rows
from matrix.tensorfile import TensorFile
from matrix.totals import bits

Lists = Mapping[str, Rows]
"""`input_ids`, `attention_mask` and further lists of their shape, [batch, sequence] each."""

GIVEN: Final = "given"
"""The case's own input, which every anatomy runs."""

ORDER: Final = ("one token", "short", "long", "left-padded", GIVEN)
"""From the smallest input to the case's own."""

DIFFERS: Final = "differs"
"""What became of an input that shows the difference."""

SHORT: Final = 8
LONG: Final = 64
_LIMITS: Final = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length")


def rungs(ids: Rows, mask: Rows, further: Lists, config: Mapping[str, Any]) -> dict[str, Lists]:
    """The inputs to try, cut out of what the mask keeps; none equals an earlier one or the case's own.

    Args:
        ids: The case's own, [batch, sequence].
        mask: 1 where a position counts; empty where the case has none.
        further: What else the tokenizer made; lists of another shape than the ids' are left out.
        config: The model's, for its longest input and its padding.
    """
    lists = {"input_ids": ids, **{name: values for name, values in further.items() if _shape(values) == _shape(ids)}}
    columns = _kept_columns(ids, mask)
    if not columns:
        return {}
    first = min(columns)
    longest = max(columns, key=lambda row: len(columns[row]))
    short = _cut(lists, first, columns[first][:SHORT])
    made = {
        "one token": _cut(lists, first, columns[first][:1]),
        "short": short,
        "long": _cut(lists, longest, _tiled(columns[longest], config)),
    }
    found = {name: {**rung, **_ones(rung, mask)} for name, rung in made.items()}
    if len(short["input_ids"][0]) > 1:
        found["left-padded"] = _left_padded(short, config)
    return _distinct(found, {**lists, "attention_mask": mask})


def smallest(good: Anatomy, bad: Anatomy, asked: Mapping[str, Lists]) -> str | None:
    """The first rung whose logits differ where the mask lets the model look; None where every rung's are the same.

    A rung on which a side does not agree with itself only counts where no other differs.

    Args:
        good: The side that is taken as right.
        bad: The other side.
        asked: The rungs that both anatomies were asked for, for their masks.

    Raises:
        CaptureError: When a tensor file is missing or torn.
    """
    for steady in (True, False):
        for name in (rung for rung in ORDER if rung in good.rungs and rung in bad.rungs):
            both = good.rungs[name], bad.rungs[name]
            answered = all(rung.logits is not None for rung in both)
            if answered and all(rung.again for rung in both) is steady and _differs(good, bad, name, asked.get(name)):
                return name
    return None


def tried(good: Anatomy, bad: Anatomy, asked: Mapping[str, Lists]) -> dict[str, str]:
    """What became of each rung that both sides were asked, in the ladder's order.

    Raises:
        CaptureError: When a tensor file is missing or torn.
    """
    found = {}
    for name in (rung for rung in ORDER if rung in good.rungs and rung in bad.rungs):
        errors = [error for side in (good, bad) if (error := side.rungs[name].error)]
        differs = not errors and _differs(good, bad, name, asked.get(name))
        found[name] = errors[0] if errors else DIFFERS if differs else "the same"
    return found


def with_tokens(rung: str, found: Mapping[str, str]) -> str:
    """The rung to look at for patterns over several tokens: the next one that differs, where this one has only one.

    Args:
        rung: The smallest that differs.
        found: What became of each, as `tried` says.
    """
    further = (name for name in ORDER[1:] if found.get(name) == DIFFERS)
    return next(further, rung) if rung == ORDER[0] else rung


def tokens(lists: Lists) -> Tokens:
    """A rung as a capture has its tokens."""
    further = {name: values for name, values in lists.items() if name not in {"input_ids", "attention_mask"}}
    return Tokens(input_ids=lists["input_ids"], attention_mask=lists.get("attention_mask", ()), further=further)


def _differs(good: Anatomy, bad: Anatomy, name: str, lists: Lists | None) -> bool:
    """Whether the bits of a rung's logits differ at a position that its mask keeps; equal digests are not read."""
    names = [str(side.rungs[name].logits) for side in (good, bad)]
    a, b = (side.capture.outputs[logits] for side, logits in zip((good, bad), names, strict=True))
    if any(a[fact] != b[fact] for fact in ("dtype", "shape")):
        return True
    if a["sha256"] == b["sha256"]:
        return False
    arrays = [_logits(side.capture, logits) for side, logits in zip((good, bad), names, strict=True)]
    capture = replace(good.capture, tokens=tokens(lists)) if lists else good.capture
    mask = kept(capture, arrays[0].shape)
    keep = np.ones(math.prod(arrays[0].shape[:-1]), np.bool_) if mask is None else mask.reshape(-1) != 0
    x, y = (bits(array).reshape(keep.size, array.shape[-1])[keep] for array in arrays)
    return not np.array_equal(x, y)


def _logits(capture: Capture, name: str) -> np.ndarray[Any, Any]:
    return rows(TensorFile(capture.tensors).array(name))


def _shape(values: Rows) -> tuple[int, ...]:
    return tuple(len(row) for row in values)


def _kept_columns(ids: Rows, mask: Rows) -> dict[int, tuple[int, ...]]:
    """Row → the columns that count, of every row that has any."""
    keep = mask if _shape(mask) == _shape(ids) else tuple((1,) * len(row) for row in ids)
    columns = {index: tuple(at for at, kept in enumerate(row) if kept) for index, row in enumerate(keep)}
    return {index: found for index, found in columns.items() if found}


def _tiled(columns: tuple[int, ...], config: Mapping[str, Any]) -> tuple[int, ...]:
    """The columns over and over, as many as the model takes but no more than needed to see what grows with length."""
    length = max(len(columns), min(LONG, *_limits(config)))
    return (columns * math.ceil(length / len(columns)))[:length]


def _limits(config: Mapping[str, Any]) -> Iterator[int]:
    """What a config says of the longest input, its text model's included."""
    text = config.get("text_config")
    for table in (config, text if isinstance(text, Mapping) else {}):
        yield from (table[name] for name in _LIMITS if isinstance(table.get(name), int) and table[name] > 0)
    yield LONG


def _cut(lists: Lists, row: int, columns: tuple[int, ...]) -> dict[str, Rows]:
    return {name: (tuple(values[row][at] for at in columns),) for name, values in lists.items()}


def _ones(rung: Lists, mask: Rows) -> dict[str, Rows]:
    """A mask that keeps everything, where the case has a mask."""
    return {"attention_mask": tuple((1,) * len(row) for row in rung["input_ids"])} if mask else {}


def _left_padded(short: Lists, config: Mapping[str, Any]) -> dict[str, Rows]:
    """The short row whole, and its last half behind padding."""
    length = len(short["input_ids"][0])
    pad = config.get("pad_token_id")
    fill = {name: pad if name == "input_ids" and isinstance(pad, int) and pad >= 0 else 0 for name in short}
    blank = length - length // 2
    made: dict[str, Rows] = {name: (row[0], (fill[name],) * blank + row[0][blank:]) for name, row in short.items()}
    return {**made, "attention_mask": ((1,) * length, (0,) * blank + (1,) * (length - blank))}


def _distinct(found: Mapping[str, dict[str, Rows]], given: Lists) -> dict[str, Lists]:
    """The rungs without those that say the same as an earlier one or the case's own; no mask is one that keeps all."""
    kept_rungs: dict[str, Lists] = {}
    seen = [_explicit(given)]
    for name, rung in found.items():
        if (said := _explicit(rung)) not in seen:
            seen.append(said)
            kept_rungs[name] = rung
    return kept_rungs


def _explicit(lists: Lists) -> Lists:
    return lists if lists.get("attention_mask") else {**lists, **_ones(lists, lists["input_ids"])}
