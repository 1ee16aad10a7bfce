"""How far two tensors are apart, over the positions that count."""

import math

import probe_hf as hf
import torch


def kept(tensor, mask):
    """The positions of a tensor that the mask keeps, wherever batch and sequence are among its axes.

    Args:
        tensor: [batch, sequence, …], [batch, heads, sequence, …], [sequence, batch, …], [batch × heads, sequence, …],
            [batch × sequence, …] or anything else, which is kept whole.
        mask: [batch, sequence] of bool; None keeps everything.
    """
    if mask is None or bool(mask.all()):
        return tensor
    mask, shape, (batch, length) = mask.to(tensor.device), tuple(tensor.shape), tuple(mask.shape)
    if shape[:2] == (batch, length):
        return tensor[mask]
    if len(shape) > 3 and (shape[0], shape[2]) == (batch, length):  # noqa: PLR2004
        return tensor.transpose(1, 2)[mask]
    if shape[:2] == (length, batch):
        return tensor.transpose(0, 1)[mask]
    if len(shape) == 3 and shape[1] == length and shape[0] % batch == 0:  # noqa: PLR2004
        return tensor[mask.repeat_interleave(shape[0] // batch, dim=0)]
    return tensor[mask.reshape(-1)] if shape[:1] == (batch * length,) else tensor


def same(a, b):
    """Whether two tensors hold the same bits."""
    return a.dtype == b.dtype and a.shape == b.shape and hf.digest(a) == hf.digest(b)


def difference(a, b):
    """The largest difference, and the L2 norm of all over that of the second; None where it is no finite number."""
    apart, whole = distance(a, b), float(torch.linalg.vector_norm(wide(b)))
    largest = float(apart.abs().max()) if apart.numel() else 0.0
    share = float(torch.linalg.vector_norm(apart)) / whole if whole else float("inf")
    return {"max_abs": finite(largest), "l2_rel": finite(share)}


def distance(a, b):
    """Two tensors' difference in float64; 0 where both are the same NaN or infinity."""
    a, b = wide(a), wide(b)
    return torch.where((a == b) | (a.isnan() & b.isnan()), torch.zeros_like(a), a - b)


def wide(tensor):
    """Real numbers in float64."""
    tensor = torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
    return tensor.detach().to("cpu", torch.float64)


def finite(number):
    """The number; None where JSON has none for it."""
    return number if number is not None and math.isfinite(number) else None
