"""Made-up weights that are the same on every machine, and of which every one matters.

Two builds from two seeds tell what the release draws at random from what it sets. Drawn matrices become uniform numbers
whose width keeps activations of order 1; what is set to a constant is moved away from it, so that a norm or a bias that
is lost shows; tables that the code computes stay as they are.
"""

import math
import re

import probe_hf as hf
import torch
from torch import nn

ADDITIVE = re.compile(r"embed|token|pos|quer|latent|bias|prompt|memory|table|prototype|mask", re.IGNORECASE)
"""Names of bare parameters that are added to activations, not multiplied with them."""

SHIFT = 0.2
"""Half the width of what the release leaves at zero: a bias well above rounding and below the activations."""

WOBBLE = 0.25
"""How far norms' scales and other constants move, relative to themselves."""


def fill(model, twin):
    """Fill every parameter, and every persistent buffer of floats that holds weights, in place.

    Args:
        model: A model as the release initialised it.
        twin: The same, initialised from another seed.
    """
    others = dict(twin.named_parameters()), dict(twin.named_buffers())
    owners = {id(tensor): module for module in model.modules() for tensor in module.parameters(recurse=False)}
    stored = model.state_dict().keys()
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if tensor.is_floating_point() and not tensor.is_meta:
                tensor.copy_(parameter(name, tensor, others[0].get(name), owners.get(id(tensor))))
        for name, tensor in model.named_buffers():
            if tensor.is_floating_point() and name in stored:
                tensor.copy_(buffer(name, tensor, others[1].get(name)))


def parameter(name, tensor, twin, owner):  # noqa: PLR0911 - one kind of tensor each
    """New values of one parameter, float32 of its shape."""
    drawn = twin is not None and not torch.equal(tensor, twin)
    if not tensor.numel() or not torch.isfinite(tensor).all():
        return tensor
    direction = getattr(owner, "original1", getattr(owner, "weight_v", None))
    if name.endswith(("original0", "weight_g")) and direction is not None:  # the norms of a normalised weight
        norm = math.sqrt(3 * direction.numel() / tensor.numel() / math.prod(direction.shape[1:]))
        return norm * (1 + WOBBLE * uniform(name, tensor))
    if drawn and tensor.ndim > 1 and tensor.min() <= 0:
        return matrix(name, tensor, owner)
    if drawn:
        return vector(name, tensor)
    low, high = tensor.min().item(), tensor.max().item()
    if low == high and abs(low) > SHIFT / 2:
        return low * (1 + WOBBLE * uniform(name, tensor))
    if low == high:
        return (
            matrix(name, tensor, owner)
            if isinstance(owner, (nn.Linear, nn.Conv2d)) and tensor.ndim > 1
            else (SHIFT * uniform(name, tensor))
        )
    return tensor * (1 + WOBBLE / 4 * uniform(name, tensor)) if tensor.requires_grad else tensor


def matrix(name, tensor, owner):
    """Uniform, of a width by which a product with activations of order 1 is of order 1 again (or is added to them)."""
    if isinstance(owner, nn.Embedding):
        return uniform(name, tensor)
    fan_in = math.prod(tensor.shape[1:])
    if type(owner).__name__ == "Conv1D":  # the release's own linear layer, transposed
        fan_in = tensor.shape[0]
    elif isinstance(owner, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        fan_in = tensor.numel() // tensor.shape[1]
    elif not isinstance(owner, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        if ADDITIVE.search(name.rpartition(".")[2]):
            return uniform(name, tensor) / 2
        fan_in = max(tensor.shape[-2:])
    return uniform(name, tensor) * math.sqrt(3 / fan_in)


def vector(name, tensor):
    """Around the mean of what the release draws, as wide: what must stay positive or small does."""
    mean, spread = tensor.double().mean().item(), tensor.double().std().item() if tensor.numel() > 1 else 0.0
    if tensor.min() > 0 or tensor.max() < 0:
        return mean * (1 + WOBBLE * uniform(name, tensor))
    return mean + max(spread, SHIFT) * uniform(name, tensor)


def buffer(name, tensor, twin):
    """Running statistics get values of their own, and so do random tables; everything else is computed by the code."""
    kind = name.rpartition(".")[2]
    if kind == "running_mean":
        return SHIFT * uniform(name, tensor)
    if kind == "running_var":
        return 1 + WOBBLE * uniform(name, tensor)
    if kind in ("weight", "bias") and tensor.ndim == 1:  # a frozen batch norm's
        return parameter(name, tensor, twin, None)
    drawn = twin is not None and not torch.equal(tensor, twin)
    codebook = tensor.ndim > 1 and "embed" in kind and not tensor.any()
    return uniform(name, tensor) if drawn or codebook else tensor


def uniform(name, tensor):
    """Uniform in [-1, 1), from the name alone, as the inputs of a case are."""
    return hf.given(name, {"shape": list(tensor.shape)}, torch.float32)
