"""GGUF: the shapes of a file's tensors, read from its header.

Source of the format: ggml's docs/gguf.md, version 3; version 2 has the same layout.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a metadata value by its type's number."""
_STRING, _ARRAY = 8, 9
_FIRST_BYTES = 24


def shapes(file: Path) -> tuple[tuple[int, ...], ...] | None:
    """Every tensor's shape, innermost axis first; None when the header is no GGUF of a known version, or cut off."""
    try:
        with file.open("rb") as stream:
            head = stream.read(_FIRST_BYTES)
            if len(head) < _FIRST_BYTES or head[:4] != _MAGIC:
                return None
            version, tensors, pairs = struct.unpack("<IQQ", head[4:])
            if version not in _VERSIONS:
                return None
            for _ in range(pairs):
                _skip_string(stream)
                _skip_value(stream, _number(stream, "<I"))
            return tuple(_shapes(stream, tensors))
    except (struct.error, KeyError):
        return None


def _shapes(stream: BinaryIO, count: int) -> Iterator[tuple[int, ...]]:
    for _ in range(count):
        _skip_string(stream)
        axes = _number(stream, "<I")
        yield struct.unpack(f"<{axes}Q", stream.read(8 * axes))
        stream.seek(12, 1)  # the type's number and the offset


def _skip_value(stream: BinaryIO, kind: int) -> None:
    if kind == _STRING:
        _skip_string(stream)
    elif kind == _ARRAY:
        of, length = _number(stream, "<I"), _number(stream, "<Q")
        if of in _SIZES:
            stream.seek(_SIZES[of] * length, 1)
        else:
            for _ in range(length):
                _skip_value(stream, of)
    else:
        stream.seek(_SIZES[kind], 1)


def _skip_string(stream: BinaryIO) -> None:
    stream.seek(_number(stream, "<Q"), 1)


def _number(stream: BinaryIO, form: str) -> int:
    found: int = struct.unpack(form, stream.read(struct.calcsize(form)))[0]
    return found
