"""The probe of Hugging Face models: load, tokens, state, logits and greedy tokens of one checkpoint.

Adapts by feature test, never by version; runs from transformers 4.40 and torch 2.4 on. README.md is its contract.
"""

import probe_hf as hf
import torch

HEAD = 8
ONE_FORWARD = ("labels", "return_dict", "logits_to_keep", "num_logits_to_keep")
LARGE = 64 << 20
"""Bytes above which a non-persistent buffer is not kept: its digest and its first values must do."""


def capture(job, record):
    """Capture one case under one variant into the harness's record; a repeat loads plainly and generates nothing."""
    case, repeat = job["case"], job["take"] == "repeat"
    with record.step("load"):
        model, loading, uninitialised = (*hf.from_pretrained(job), []) if repeat else load(job)
        model = model.to(job["variant"]["device"]).eval()
    record.facts.update(loading=loading, uninitialised=uninitialised, model_class=type(model).__name__)
    with record.step("tokens"):
        inputs, tokens = hf.tokenize(job, model)
    record.facts["tokens"] = tokens
    record.facts["config"] = model.config.to_dict()
    record.facts["attention"] = hf.used_attention(model)
    with record.step("state"):
        record.facts["parameters"], record.facts["buffers"] = state(model, record.tensors)
    with record.step("logits"), torch.no_grad():
        hf.file_outputs(hf.outputs_of(model(**inputs)), record)
        again = hf.places(hf.outputs_of(model(**inputs)))
    for place, tensor in again.items():
        if hf.digest(tensor) != hf.digest(record.tensors[place]):
            record.tensors[place + "/again"] = tensor
    if case["generate"] and not repeat:
        with record.step("generation"), torch.no_grad():
            record.facts["generated"], record.facts["margins"] = generate(model, inputs, case["generate"])


def load(job):
    """Load the model; memory that nothing ever wrote is found by a poisoned load.

    Under deterministic algorithms torch fills new memory with NaN (integers: the largest value), so whatever the load
    leaves unwritten shows (torch documentation, `torch.utils.deterministic.fill_uninitialized_memory`). A native model
    is untouched by it where nothing shows, and is used as it is. Remote code may look at the memory and repair what is
    NaN, though not what only looks like numbers: it is always loaded a second time, as a user would, and whatever is
    not the same in both loads was never decided.
    """
    with hf.poisoned_memory():
        model, loading = hf.from_pretrained(job)
    if not job["case"]["trust_remote_code"] and not any(is_poison(tensor) for _, tensor in hf.tensors_of(model)):
        return model, loading, []
    poisoned = {name: hf.digest(tensor) for name, tensor in hf.tensors_of(model)}
    del model
    model, loading = hf.from_pretrained(job)
    plain = {name: hf.digest(tensor) for name, tensor in hf.tensors_of(model)}
    return model, loading, [name for name in plain if plain[name] != poisoned.get(name)]


def is_poison(tensor):
    """Whether a tensor holds what fill_uninitialized_memory writes."""
    if tensor.is_meta or tensor.numel() == 0:
        return False
    if tensor.is_floating_point() or tensor.is_complex():
        return bool(torch.isnan(tensor).any())
    return tensor.dtype is not torch.bool and bool((tensor == torch.iinfo(tensor.dtype).max).all())


def state(model, tensors):
    """Describe every parameter and buffer; non-persistent buffers, unless large, are also kept, as `buffer/<name>`."""
    volatile = non_persistent(model)
    first, described, digests = {}, {"parameters": [], "buffers": []}, {}
    for kind, named in (("parameters", model.named_parameters), ("buffers", model.named_buffers)):
        for name, tensor in named(remove_duplicate=False):
            place = None if tensor.is_meta else (tensor.data_ptr(), tuple(tensor.shape), tuple(tensor.stride()))
            alias = first.setdefault(place, name) if place and tensor.numel() else name
            if alias not in digests:
                digests[alias] = hf.digest(tensor)
            entry = describe(name, tensor, digests[alias])
            entry.update(persistent=name not in volatile, alias=None if alias == name else alias)
            described[kind].append(entry)
            if name in volatile and tensor.numel() * tensor.element_size() > LARGE:
                entry["kept"] = False
            elif name in volatile and not tensor.is_meta:
                tensors["buffer/" + name] = torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
    return described["parameters"], described["buffers"]


def describe(name, tensor, sha256):
    """Facts of one tensor: dtype, shape, digest, how many elements are finite, and the first values."""
    facts = {"name": name, "dtype": str(tensor.dtype)[6:], "shape": list(tensor.shape), "sha256": sha256}
    if tensor.is_meta:
        return {**facts, "finite": 0, "head": []}
    finite = hf.finite(tensor) if tensor.is_floating_point() or tensor.is_complex() else tensor.numel()
    head = first(tensor.detach())
    # repr keeps nan and inf, which JSON has no numbers for
    values = [repr(value) for value in (head.double() if head.is_floating_point() else head).tolist()]
    return {**facts, "finite": finite, "head": values}


def first(tensor):
    """The first values in row-major order; a tensor that is not contiguous is not copied for them."""
    while tensor.dim() > 1 and tensor[0].numel() >= HEAD:
        tensor = tensor[0]
    return tensor.reshape(-1)[:HEAD].cpu()


def non_persistent(model):
    """Full names of the buffers that no state dict holds."""
    found = set()
    for prefix, module in model.named_modules(remove_duplicate=False):
        names = getattr(module, "_non_persistent_buffers_set", ())
        found.update(prefix + "." + name if prefix else name for name in names)
    return found


def generate(model, inputs, count):
    """Greedy continuation of every prompt; what only a single forward needs, such as labels, is left out.

    Returns:
        The new ids, a list per prompt; and at each step how far the best score lay above the second best.
    """
    options = {"do_sample": False, "num_beams": 1, "max_new_tokens": count}
    inputs = {name: value for name, value in inputs.items() if name not in ONE_FORWARD}
    made = model.generate(**inputs, **options, return_dict_in_generate=True, output_scores=True)
    if isinstance(made, torch.Tensor):  # a generate of the model's own; an encoder-decoder's does not repeat its input
        length = 0 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
        return made[:, length:].tolist(), []
    best = torch.stack([scores.topk(2).values for scores in made.scores], dim=1).double()
    # whatever was given, a prompt of the decoder's own included, has no scores
    ids = made.sequences[:, made.sequences.shape[1] - best.shape[1] :]
    return ids.tolist(), [list(map(repr, row)) for row in (best[..., 0] - best[..., 1]).tolist()]
