"""Bits of tensors: digests and counts of large ones block by block, so that looking at them takes no second copy."""

import hashlib

import torch

BLOCK = 4 << 20
"""Bytes that are looked at together: counting finite elements takes several times as much for a moment."""


def blocks(tensor):
    """A tensor row-major, in flat contiguous pieces on the CPU; one that lies there so already is not copied."""
    tensor = tensor.detach()
    if tensor.device.type == "cpu" and tensor.is_contiguous():
        flat = tensor.reshape(-1)
        step = max(1, BLOCK // flat.element_size())
        yield from (flat[start : start + step] for start in range(0, flat.numel(), step))
    elif tensor.dim() == 0 or tensor.numel() * tensor.element_size() <= BLOCK:
        yield tensor.cpu().contiguous().reshape(-1)
    else:
        for part in tensor.split(max(1, BLOCK * tensor.shape[0] // (tensor.numel() * tensor.element_size()))):
            yield part.cpu().contiguous().reshape(-1)


def digest(tensor):
    """sha256 over a tensor's bytes in its own dtype, row-major; `meta` for a tensor that was never given memory."""
    if tensor.is_meta:
        return "meta"
    found = hashlib.sha256()
    for block in blocks(tensor):
        found.update(block.view(torch.uint8).numpy())
    return found.hexdigest()


def finite(tensor):
    """How many elements are neither NaN nor infinite."""
    return sum(int(torch.isfinite(block).sum()) for block in blocks(tensor))
