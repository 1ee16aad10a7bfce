"""A small GGUF file, written by hand from the format's description."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

_UINT32, _STRING, _ARRAY, _FLOAT32 = 4, 8, 9, 0


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def write(path: Path, shapes: Mapping[str, tuple[int, ...]], *, version: int = 3) -> Path:
    """Write a header with some metadata of every kind, and no data behind it."""
    pairs = [
        _string("general.architecture") + struct.pack("<I", _STRING) + _string("llama"),
        _string("llama.block_count") + struct.pack("<II", _UINT32, 2),
        _string("tokenizer.tokens") + struct.pack("<IIQ", _ARRAY, _STRING, 2) + _string("a") + _string("ü"),
        _string("tokenizer.types") + struct.pack("<IIQ", _ARRAY, _UINT32, 2) + bytes(8),
    ]
    tensors = [
        _string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, _FLOAT32, 0)
        for name, shape in shapes.items()
    ]
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", version, len(shapes), len(pairs)) + b"".join(pairs + tensors))
    return path
