"""Weights that follow from a seed: the tensors that a table describes, their values, and the file that holds them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import sys
from array import array
from collections.abc import Iterable, Mapping

from matrix.errors import CheckpointError

LAYER = "{layer}"
FLOAT32_MAX = (2 - 2**-23) * 2.0**127


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tensor:
    """One float32 tensor: its values are uniform in [center - width, center + width)."""

    name: str
    shape: tuple[int, ...]
    width: float
    center: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of a [tensors] table; `{layer}` in its key stands for every layer."""

    shape: tuple[int, ...]
    width: float
    center: float = 0.0


def expand(table: Mapping[str, Entry], layers: int, where: str) -> dict[str, Tensor]:
    """Return the tensors that a [tensors] table describes, by name and in its order.

    Args:
        table: Name or `{layer}` pattern -> what its tensors are like.
        layers: How often a pattern is repeated.
        where: The table's file in messages.

    Raises:
        CheckpointError: A tensor cannot be made or is described twice, or there are no layers to repeat a name for.
    """
    tensors: dict[str, Tensor] = {}
    for pattern, entry in table.items():
        _check(entry, f"{where}, tensor {pattern!r}")
        for name in names(pattern, layers, where):
            if name in tensors:
                raise CheckpointError(f"{where} describes one tensor twice", given=name, next_step="remove one of them")
            tensors[name] = Tensor(name=name, shape=entry.shape, width=entry.width, center=entry.center)
    return tensors


def names(pattern: str, layers: int, where: str) -> list[str]:
    """Return the names that a pattern stands for: itself, or one per layer where it holds `{layer}`.

    Raises:
        CheckpointError: There are no layers to repeat it for.
    """
    if LAYER not in pattern:
        return [pattern]
    if layers < 1:
        raise CheckpointError(
            f"{where}: {pattern!r} is repeated per layer, but there are no layers",
            given=f"layers = {layers}",
            next_step="set layers to the model's number of layers",
        )
    return [pattern.replace(LAYER, str(layer)) for layer in range(layers)]


def values(tensor: Tensor, seed: int) -> array[float]:
    """Return a tensor's values in row-major order, as C floats (float32).

    SHAKE-256 (FIPS 202) of the text `seed/name` is read as little-endian uint32 words. The top 24 bits of a word
    times 2**-24 are u in [0, 1), exact in float32; the value is `center + width * (2u - 1)`, computed in double and
    rounded once to float32. No random generator of any library takes part and every step is fixed by FIPS 202 or
    IEEE 754, so the bits are the same everywhere. A tensor's values do not depend on the other tensors.
    """
    words = array("I", hashlib.shake_256(f"{seed}/{tensor.name}".encode()).digest(4 * math.prod(tensor.shape)))
    if sys.byteorder == "big":
        words.byteswap()
    center, width = tensor.center, tensor.width
    # (word >> 8) * 2**-23 - 1 is 2u - 1, exact in double.
    return array("f", [center + width * ((word >> 8) * 2.0**-23 - 1.0) for word in words])


def safetensors(tensors: Iterable[Tensor], seed: int) -> bytes:
    """Return the tensors in the safetensors format (https://github.com/huggingface/safetensors#format).

    Eight bytes of little-endian header length, a JSON header padded with spaces to eight bytes, then the float32
    tensors, sorted by name, without gaps.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    body = bytearray()
    for tensor in sorted(tensors, key=lambda tensor: tensor.name):
        start = len(body)
        body += _little_endian(values(tensor, seed))
        header[tensor.name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [start, len(body)]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + bytes(body)


def _little_endian(floats: array[float]) -> bytes:
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tobytes()


def _check(entry: Entry, where: str) -> None:
    if not entry.shape or min(entry.shape) < 1:
        raise CheckpointError(f"{where} has a bad shape", given=list(entry.shape), allowed="whole numbers above 0")
    if not entry.width >= 0 or not abs(entry.center) + entry.width <= FLOAT32_MAX:
        raise CheckpointError(
            f"{where} has values that float32 cannot hold",
            given=f"center = {entry.center}, width = {entry.width}",
            allowed="a width of 0 or more, and center plus width finite in float32",
        )
