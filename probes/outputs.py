"""What a model gave: its floating outputs by name, the main one first, and where a capture holds each."""

import re

import torch

_MAIN = ("logits", "last_hidden_state", "logits_per_image", "start_logits", "prediction_logits")
"""What a model's main output is called, the likeliest first."""
_BY_LAYER = re.compile(r"(hidden_states|attentions|router_logits|past_\w+|\w*cache\w*|mems|states?)$")
"""Names of tuples that only repeat or prepare: caches, and what every layer saw."""


def main_output(outputs, name=None):
    """Logits, or the last hidden state of a model without a head, or the first tensor with axes of any other model.

    Args:
        outputs: What a forward gave.
        name: Another output that is wanted instead.
    """
    found = outputs_of(outputs)
    return found[name] if name else next(iter(found.values()))


def outputs_of(outputs):
    """Every floating tensor that a forward gave, by name, the main one first and a loss last.

    Tuples of tensors become `feature_maps.0`, `feature_maps.1`, … Left out is what only repeats or prepares: caches,
    hidden states and attentions by layer. Of a plain tuple the first tensor with axes is taken for the logits, and one
    without axes before it for the loss.

    Raises:
        TypeError: When there is no tensor with axes.
    """
    if type(outputs) is tuple:
        outputs = named(outputs)
    items = dict(outputs.items()) if hasattr(outputs, "items") else dict(vars(outputs))
    found = dict(entry for name, item in items.items() for entry in flat(name, item)) or dict(within(items))
    order = sorted(found, key=lambda name: (not found[name].ndim, _MAIN.index(name) if name in _MAIN else len(_MAIN)))
    if not order or not found[order[0]].ndim:
        raise TypeError("the model's output holds no tensor with axes: " + type(outputs).__name__)
    return {name: found[name] for name in order}


def named(outputs):
    """The logits of a plain tuple, and the loss where one comes before them."""
    tensors = [item for item in outputs if isinstance(item, torch.Tensor)]
    loss = {"loss": tensors[0]} if tensors and not tensors[0].ndim else {}
    return {**loss, "logits": next((tensor for tensor in tensors if tensor.ndim), None)}


def flat(name, item):
    """One entry of a model's output as (name, floating tensor): none, one, or those of a tuple."""
    if isinstance(item, torch.Tensor) and item.is_floating_point():
        yield name, item
    elif isinstance(item, (tuple, list)) and not _BY_LAYER.search(name):
        tensors = ((f"{name}.{index}", tensor) for index, tensor in enumerate(item))
        yield from ((n, t) for n, t in tensors if isinstance(t, torch.Tensor) and t.is_floating_point())


def within(items):
    """The floating tensors of a model's parts, where its own output holds nothing but what those gave."""
    for name, item in items.items():
        for key, part in item.items() if hasattr(item, "items") else ():
            yield from flat(f"{name}.{key}", part)


def places(outputs):
    """Where a capture holds each output: the main one as `logits`, whatever it is called, others by their names."""
    main, *further = outputs
    return {"logits": outputs[main], **{"output/" + name: outputs[name] for name in further}}


def file_outputs(outputs, record):
    """File every output of a forward, what the main one is called where not `logits`, and the others' names."""
    main, *further = outputs
    record.tensors.update(places(outputs))
    record.facts.update({"output": main} if main != "logits" else {}, further=further)
