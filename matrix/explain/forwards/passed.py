"""Whether two tensors that passed by are the same, as far as it counts, and how far apart they are where not."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from matrix.explain.trace import Call, Tensor, Trace
from matrix.metrics import compare
from matrix.tensorfile import TensorFile

Verdict = Literal["same", "other form", "differs"]
"""Equal wherever it counts; of another dtype or shape, so that nothing can be said; other numbers."""

HIDDEN: Final = -5000.0
"""Scores and masks below this shut a position out, whichever number a release writes there: -1e4, the dtype's least or
-inf."""

_FLOATS: Final = {"float16", "bfloat16", "float32", "float64"}
_PLAIN: Final = 2
"""Axes of [batch, sequence]."""

_BY_HEAD: Final = 4
"""Axes of [batch, heads, sequence, …]."""

_AFTER_HEADS: Final = 2
"""The axis of the sequence in it."""


@dataclass(frozen=True, kw_only=True)
class Distance:
    """How far apart two tensors are at positions that count.

    Attributes:
        max_abs: Largest |good - bad|, in the tensor's unit; inf where only one is NaN or infinite.
        l2_rel: ‖good - bad‖ / ‖good‖ over what is finite on both sides.
    """

    max_abs: float
    l2_rel: float


class Values:
    """Reads and compares the tensors of two traces of the same input.

    Args:
        good: The side that is taken as right.
        bad: The other side.
        mask: [batch, sequence], 0 where a position does not count; None where all do.
    """

    def __init__(self, good: Trace, bad: Trace, mask: NDArray[Any] | None) -> None:
        self.sides = (good.capture.folder, bad.capture.folder)
        self.mask = mask if mask is not None and mask.size and not mask.all() and mask.any() else None
        ids = good.calls[0].inputs if good.calls else {}
        self.size = next((tensor.shape[:2] for tensor in ids.values() if len(tensor.shape) > 1), ())
        """[batch, sequence] of the model's input; of another kind of input, its leading axes."""
        self._file = functools.lru_cache(maxsize=None)(TensorFile)

    def verdict(self, name: str, tensors: tuple[Tensor, Tensor]) -> Verdict:
        """Whether two tensors are the same; equal digests are not read.

        Args:
            name: The argument or piece; in masks and scores, what is shut out may be so by any number.
            tensors: (good, bad).
        """
        a, b = tensors
        if a.sha256 == b.sha256 and math.prod(a.shape) == math.prod(b.shape):
            return "same"
        floats = {a.dtype, b.dtype} <= _FLOATS
        if not _fits(a.shape, b.shape) or (a.dtype != b.dtype and not floats):
            return "other form"
        x, y = self.counting(name, tensors)
        if np.array_equal(x, y, equal_nan=x.dtype.kind == "f"):
            # the only bits that compare equal and are not: signed zeros and NaN with a payload
            forms = (a.dtype, a.shape) != (b.dtype, b.shape)
            return "same" if self.mask is not None or forms or _shuts_out(name) else "differs"
        return "differs"

    def distance(self, name: str, tensors: tuple[Tensor, Tensor]) -> Distance:
        """How far apart two tensors of one shape are."""
        found = compare(*self.counting(name, tensors))
        return Distance(max_abs=found.max_abs, l2_rel=found.l2_rel)

    def by_position(self, call: Call, tensors: tuple[Tensor, Tensor]) -> tuple[float, ...]:
        """The largest |difference| at each position of the sequence, over all rows; empty without such an axis."""
        x, y = self._arrays(tensors)
        axis = self._sequence_axis(x.shape, by_head=call.piece is not None)
        if axis is None:
            return ()
        keep = self._kept(call.piece or "", x.shape)
        with np.errstate(all="ignore"):
            apart = np.abs(x.astype(np.float64) - y.astype(np.float64))
        apart = np.where((x == y) | (np.isnan(x) & np.isnan(y)) | ~keep, 0.0, apart)
        apart = np.where(np.isnan(apart), np.inf, apart)
        flat = np.moveaxis(apart, axis, 0).reshape(apart.shape[axis], -1)
        return tuple(float(value) for value in flat.max(axis=1, initial=0.0))

    def counting(self, name: str, tensors: tuple[Tensor, Tensor]) -> tuple[NDArray[Any], NDArray[Any]]:
        """The elements of both that count, flat."""
        x, y = self._arrays(tensors)
        keep = self._kept(name, x.shape)
        if _shuts_out(name) and x.dtype.kind == y.dtype.kind == "f":
            keep = keep & ~((x <= HIDDEN) & (y <= HIDDEN))
        return (x.reshape(-1), y.reshape(-1)) if keep.all() else (x[keep], y[keep])

    def _arrays(self, tensors: tuple[Tensor, Tensor]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Both in one shape: what stands once for all rows is repeated for each."""
        x, y = np.broadcast_arrays(*(self.array(side, tensor) for side, tensor in enumerate(tensors)))
        return x, y

    def array(self, side: int, tensor: Tensor) -> NDArray[Any]:
        """One side's tensor, 0 the good one's; complex numbers as such."""
        array = self._file(self.sides[side] / tensor.file).array(tensor.stored)
        # complex numbers are stored as pairs, which stay together
        return array.view(f"c{2 * array.itemsize}")[..., 0] if array.shape != tensor.shape else array

    def _kept(self, name: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Which elements belong to positions that the mask keeps, in a tensor's shape."""
        keep = np.ones(shape, np.bool_)
        axis = self._sequence_axis(shape, by_head=name in _BY_HEAD_PIECES)
        if self.mask is None or axis is None or (axis and shape[0] != self.mask.shape[0]):
            return keep
        mask = self.mask != 0
        if axis == 0:  # [batch × sequence, …]
            keep &= mask.reshape(-1, *(1,) * (len(shape) - 1))
            return keep
        keep &= mask.reshape(len(mask), *(1,) * (axis - 1), -1, *(1,) * (len(shape) - axis - 1))
        if axis == _AFTER_HEADS and shape[2] == shape[3] and not _shuts_out(name):
            keep &= mask[:, None, None, :]  # what is looked at counts as little, but whether it is looked at counts
        return keep

    def _sequence_axis(self, shape: tuple[int, ...], *, by_head: bool) -> int | None:
        """Which axis is the sequence: of [batch, sequence, …], [batch, heads, sequence, …] or [batch × sequence, …]."""
        if len(self.size) != _PLAIN or not shape:
            return None
        batch, length = self.size
        of_batch = shape[0] in {1, batch}
        after_heads = of_batch and len(shape) == _BY_HEAD and shape[_AFTER_HEADS] == length
        plain = of_batch and len(shape) >= _PLAIN and shape[1] == length
        if after_heads and (by_head or not plain):
            return _AFTER_HEADS
        if plain:
            return 1
        return 0 if shape[0] == batch * length else None


_BY_HEAD_PIECES: Final = {"query", "key", "value", "mask", "scores", "weights", "context"}


def _fits(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two shapes are one, but for what stands once for all rows on one side."""
    return one == other or (len(one) == len(other) >= _PLAIN and one[1:] == other[1:] and 1 in (one[0], other[0]))


def _shuts_out(name: str) -> bool:
    return name == "scores" or "mask" in name
