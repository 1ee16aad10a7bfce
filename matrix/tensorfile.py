"""One safetensors file of a capture, read through a memory map."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from matrix.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

NUMPY_DTYPES: Final[Mapping[str, str]] = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
}
"""The numpy type of every safetensors dtype that a capture may hold."""

PREFIX_BYTES: Final = 8
MAX_HEADER_BYTES: Final = 100_000_000  # the limit of the safetensors library itself
MAX_DIMENSIONS: Final = 32  # the limit of numpy 1
METADATA_KEY: Final = "__metadata__"


class TensorFile:
    """The tensors of one safetensors file, mapped read-only; nothing is read before it is asked for.

    The header is checked in full when the file is opened, so a file that opens can be read to its end. The layout is
    that of https://github.com/huggingface/safetensors#format: eight bytes of header length, a JSON header, the data.

    Args:
        path: The file to open.

    Raises:
        CaptureError: The file is missing, truncated, not safetensors, or holds a dtype that numpy cannot express.
    """

    def __init__(self, path: Path) -> None:
        """Map the file and check its header."""
        self.path = path
        self._bytes = _map(path)
        header = _header(path, self._bytes)
        self.metadata: Mapping[str, str] = _metadata(path, header.pop(METADATA_KEY, {}))
        self._data_start = PREFIX_BYTES + _header_length(path, self._bytes)
        self._entries = {name: _entry(path, name, fields) for name, fields in header.items()}
        _check_layout(path, self._entries, self._bytes.size - self._data_start)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all tensors, in the order of the header."""
        return tuple(self._entries)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one tensor; ``()`` for a scalar.

        Raises:
            CaptureError: There is no tensor of that name.
        """
        return self._find(name).shape

    def dtype(self, name: str) -> str:
        """The safetensors dtype of one tensor, such as ``"F32"``; a key of `NUMPY_DTYPES`.

        Raises:
            CaptureError: There is no tensor of that name.
        """
        return self._find(name).dtype

    def array(self, name: str) -> NDArray[Any]:
        """One tensor as a read-only view of the memory map, in its own shape and numpy type.

        Raises:
            CaptureError: There is no tensor of that name.
        """
        entry = self._find(name)
        start, stop = self._data_start + entry.begin, self._data_start + entry.end
        return self._bytes[start:stop].view(NUMPY_DTYPES[entry.dtype]).reshape(entry.shape)

    def _find(self, name: str) -> _Entry:
        try:
            return self._entries[name]
        except KeyError:
            message = f"{self.path} has no such tensor"
            raise CaptureError(message, given=name, allowed=self.names) from None


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """Where one tensor lies: `begin` and `end` count bytes from the start of the data."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def _broken(path: Path, why: str, given: object = None) -> CaptureError:
    return CaptureError(f"{path} is not a whole safetensors file: {why}", given=given, next_step="run its cell again")


def _map(path: Path) -> np.memmap[Any, np.dtype[np.uint8]]:
    try:
        mapped = np.memmap(path, dtype=np.uint8, mode="r")
    except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
        raise _broken(path, "it cannot be mapped", error) from error
    if mapped.size < PREFIX_BYTES:
        raise _broken(path, "it ends before its header length", f"{mapped.size} bytes")
    return mapped


def _header_length(path: Path, mapped: NDArray[np.uint8]) -> int:
    length = int.from_bytes(mapped[:PREFIX_BYTES].tobytes(), "little")
    if length > min(MAX_HEADER_BYTES, mapped.size - PREFIX_BYTES):
        raise _broken(path, "its header is longer than the file or the format allows", f"{length} bytes")
    return length


def _header(path: Path, mapped: NDArray[np.uint8]) -> dict[str, Any]:
    length = _header_length(path, mapped)
    try:
        header = json.loads(mapped[PREFIX_BYTES : PREFIX_BYTES + length].tobytes().decode())
    except (ValueError, RecursionError) as error:  # ValueError covers bad UTF-8 and bad JSON
        raise _broken(path, "its header is not JSON", error) from error
    if not isinstance(header, dict):
        raise _broken(path, "its header is not a JSON object", type(header).__name__)
    return header


def _metadata(path: Path, metadata: object) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _broken(path, "its metadata is not a map from strings to strings", metadata)
    return metadata


def _entry(path: Path, name: str, fields: object) -> _Entry:
    match fields:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [begin, end]}:
            pass
        case _:
            raise _broken(path, f"tensor {name!r} has no dtype, shape and data_offsets", fields)
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise _broken(path, f"tensor {name!r} has a size that is not a whole number", fields)
    _check_size(path, name, _Entry(dtype=_supported(path, name, dtype), shape=tuple(shape), begin=begin, end=end))
    return _Entry(dtype=dtype, shape=tuple(shape), begin=begin, end=end)


def _supported(path: Path, name: str, dtype: str) -> str:
    if dtype in NUMPY_DTYPES:
        return dtype
    message = f"tensor {name!r} of {path} has a dtype that numpy cannot express"
    raise CaptureError(message, given=dtype, allowed=NUMPY_DTYPES, next_step="save it as F32 and record its dtype")


def _check_size(path: Path, name: str, entry: _Entry) -> None:
    itemsize = np.dtype(NUMPY_DTYPES[entry.dtype]).itemsize
    # numpy multiplies the axes of an empty array too, without its zeros, and refuses an overflow.
    if len(entry.shape) > MAX_DIMENSIONS or math.prod(axis or 1 for axis in entry.shape) > sys.maxsize // itemsize:
        raise _broken(path, f"tensor {name!r} has a shape beyond what numpy can hold", entry.shape)
    if entry.end - entry.begin != math.prod(entry.shape) * itemsize:
        raise _broken(path, f"the offsets of tensor {name!r} disagree with its dtype and shape", entry)


def _check_layout(path: Path, entries: Mapping[str, _Entry], data_bytes: int) -> None:
    """The format wants every byte of the data to belong to exactly one tensor; so a truncated file is caught here."""
    position = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.end > data_bytes:
            raise _broken(path, f"tensor {name!r} ends after the file does", f"{entry.end} of {data_bytes} bytes")
        if entry.begin != position:
            raise _broken(path, f"tensor {name!r} overlaps another or leaves a hole", f"it begins at {entry.begin}")
        position = entry.end
    if position != data_bytes:
        raise _broken(path, "bytes after the last tensor belong to none", f"{data_bytes - position} bytes")
