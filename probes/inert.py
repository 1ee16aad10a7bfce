"""What a checkpoint cannot show: parameters on which none of its outputs depends."""

import time

import probe_feed as feed
import probe_hf as hf
import torch

FAINT = 1e-7
"""Gradients so small against the model's largest are rounding: a key's bias, for one, cancels in the softmax."""

DEAF = 1e-5
"""How far outputs may move, relative to the largest, when a parameter is set to zero and still counts as unseen."""

PATIENCE = 4
"""Seconds for trying parameters one by one."""

MOST = 400
"""The most parameters that are tried one by one where there is no gradient."""


def unseen(model, inputs):
    """Facts: `inert`, the names of the parameters that no output shows; `inert_unknown`, why they could not be told.

    A gradient that is zero, or only rounding, makes a parameter a suspect; one whose loss changes nothing is inert.
    """
    named = {name: tensor for name, tensor in model.named_parameters() if tensor.is_floating_point()}
    facts = {}
    try:
        suspects = faint(model, inputs, named)
    except Exception as error:  # noqa: BLE001 - code that cannot be differentiated is looked at parameter by parameter
        if len(named) > MOST:
            return {"inert": [], "inert_unknown": f"no backward pass: {type(error).__name__}: {str(error)[:200]}"}
        suspects = list(named)
    before, start = [feed.run(model, given) for given in inputs], time.monotonic()
    facts["inert"] = []
    for name in suspects:
        if time.monotonic() - start > PATIENCE:
            facts["inert_unknown"] = (
                f"{len(suspects)} parameters have no gradient, too many to try each in {PATIENCE} s"
            )
            break
        if is_deaf(model, inputs, named[name], before):
            facts["inert"].append(name)
    return facts


def faint(model, inputs, named):
    """Names whose gradient of a seeded sum of all outputs over all inputs is none, or nothing but rounding."""
    for tensor in named.values():
        tensor.requires_grad_()
        tensor.grad = None
    for given in inputs:
        with torch.enable_grad():
            outputs = hf.outputs_of(model(**feed.arguments(given, model.dtype)))
            weights = {name: hf.given(name, {"shape": list(out.shape)}, out.dtype) for name, out in outputs.items()}
            sum((out * weights[name])[torch.isfinite(out)].sum() for name, out in outputs.items()).backward()
    sizes = {name: 0.0 if tensor.grad is None else tensor.grad.abs().max().item() for name, tensor in named.items()}
    largest = max(sizes.values(), default=0.0)
    for tensor in named.values():
        tensor.grad = None
    return [name for name, size in sizes.items() if not size > largest * FAINT]


def is_deaf(model, inputs, tensor, before):
    """Whether every output stays as it was when a parameter is lost."""
    with torch.no_grad():
        kept = tensor.detach().clone()
        tensor.zero_()
        try:
            return all(map(same, before, (feed.run(model, given) for given in inputs)))
        except Exception:  # noqa: BLE001 - a model that cannot do without it depends on it
            return False
        finally:
            tensor.copy_(kept)


def same(before, after):
    """Whether two sets of outputs are the same but for rounding."""
    return before.keys() == after.keys() and all(
        before[name].shape == after[name].shape
        and ((before[name] - after[name]).abs() <= DEAF * size(before[name]))
        .logical_or(before[name] == after[name])
        .all()
        for name in before
        if before[name].numel()
    )


def size(tensor):
    """The largest finite number of a tensor."""
    return tensor[torch.isfinite(tensor)].abs().max() if torch.isfinite(tensor).any() else 0.0
