"""The probe of Hugging Face models: load, tokens, state, logits and greedy tokens of one checkpoint.

Adapts by feature test, never by version; runs from transformers 4.40 and torch 2.4 on. README.md is its contract.
"""

import contextlib
import functools
import hashlib
import math

import torch
import torch._dynamo  # a first forward imports it anyway; here every isolated job shares the one import
import transformers
from transformers import AutoModelForCausalLM, PreTrainedModel, modeling_outputs  # noqa: F401 - likewise

HEAD = 8


def capture(job, record):
    """Capture one case under one variant into the harness's record."""
    case, variant = job["case"], job["variant"]
    with record.step("load"):
        model, loading, uninitialised = load(job)
        model = model.to(variant["device"]).eval()
    record.facts.update(loading=loading, uninitialised=uninitialised, model_class=type(model).__name__)
    with record.step("tokens"):
        inputs, tokens = tokenize(job, model)
    record.facts["tokens"] = tokens
    record.facts["config"] = model.config.to_dict()
    record.facts["attention"] = used_attention(model)
    with record.step("state"):
        record.facts["parameters"], record.facts["buffers"] = state(model, record.tensors)
    with record.step("logits"), torch.no_grad():
        record.tensors["logits"] = main_output(model(**inputs))
    if case["generate"]:
        with record.step("generation"), torch.no_grad():
            record.facts["generated"] = generate(model, inputs, case["generate"])


def load(job):
    """Load the model; memory that nothing ever wrote is found by a poisoned load.

    Under deterministic algorithms torch fills new memory with NaN (integers: the largest value), so whatever the load
    leaves unwritten shows (torch documentation, `torch.utils.deterministic.fill_uninitialized_memory`). A native model
    is untouched by it where nothing shows, and is used as it is. Remote code may look at the memory and repair what is
    NaN, though not what only looks like numbers: it is always loaded a second time, as a user would, and whatever is
    not the same in both loads was never decided.
    """
    with poisoned_memory():
        model, loading = from_pretrained(job)
    if not job["case"]["trust_remote_code"] and not any(is_poison(tensor) for _, tensor in tensors_of(model)):
        return model, loading, []
    poisoned = {name: digest(tensor) for name, tensor in tensors_of(model)}
    del model
    model, loading = from_pretrained(job)
    plain = {name: digest(tensor) for name, tensor in tensors_of(model)}
    return model, loading, [name for name in plain if plain[name] != poisoned.get(name)]


def from_pretrained(job):
    """One load with the case's and the variant's options; missing weights are drawn from a fixed seed."""
    case, variant, checkpoint = job["case"], job["variant"], job["checkpoint"]
    options = {"trust_remote_code": case["trust_remote_code"], "local_files_only": True}
    if variant["dtype"] != "default":
        options[dtype_option()] = getattr(torch, variant["dtype"])
    if variant["attention"] != "default":
        options["attn_implementation"] = variant["attention"]
    if checkpoint["file"]:
        options["gguf_file"] = checkpoint["file"]
    options.update(case["load"])
    torch.manual_seed(0)
    model_class = getattr(transformers, case["auto_class"])
    model, loading = model_class.from_pretrained(checkpoint["folder"], output_loading_info=True, **options)
    keys = ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")
    return model, {key: sorted(map(str, loading.get(key) or ())) for key in keys}


def dtype_option():
    """`dtype` where the release knows it (it then keeps `torch_dtype` as a property), else `torch_dtype`."""
    config = getattr(transformers, "PretrainedConfig", None) or transformers.PreTrainedConfig
    return "dtype" if isinstance(getattr(config, "torch_dtype", None), property) else "torch_dtype"


@contextlib.contextmanager
def poisoned_memory():
    """Let torch fill memory that it hands out with NaN, and put everything back afterwards."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    try:
        yield
    finally:
        torch.utils.deterministic.fill_uninitialized_memory = fill
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def is_poison(tensor):
    """Whether a tensor holds what fill_uninitialized_memory writes."""
    if tensor.is_meta or tensor.numel() == 0:
        return False
    if tensor.is_floating_point() or tensor.is_complex():
        return bool(torch.isnan(tensor).any())
    return tensor.dtype is not torch.bool and bool((tensor == torch.iinfo(tensor.dtype).max).all())


def tokenize(job, model):
    """The model's inputs: ids given by the case, or its text through the cell's own tokenizer.

    Returns:
        The keyword arguments of the forward, and their values as lists for the response.
    """
    case, device = job["case"], job["variant"]["device"]
    lists = {}
    if case["input_ids"]:
        lists = {"input_ids": case["input_ids"]}
        if case["attention_mask"]:
            lists["attention_mask"] = case["attention_mask"]
    elif case["text"]:
        lists = through_tokenizer(job)
    further = {name: given(name, value, model.dtype).to(device) for name, value in case["inputs"].items()}
    return {name: torch.tensor(rows, dtype=torch.long, device=device) for name, rows in lists.items()} | further, lists


def given(name, value, dtype):
    """A further input: explicit numbers, or seeded ones that are the same in every release of torch.

    Seeded values are uniform in [-1, 1): SHAKE-256 over `seed/name`, the top 24 bits of each 32-bit word, times 2^-23.
    """
    if isinstance(value, dict):
        shape = value["shape"]
        stream = hashlib.shake_256(f"{value.get('seed', 0)}/{name}".encode()).digest(4 * math.prod(shape))
        words = torch.frombuffer(bytearray(stream), dtype=torch.int32)
        return ((words >> 8).float() * 2.0**-23).reshape(shape).to(dtype)
    tensor = torch.tensor(value)
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def through_tokenizer(job):
    """Tokenize the case's text as a user would; several prompts are padded on the tokenizer's own side."""
    text, several = list(job["case"]["text"]), len(job["case"]["text"]) > 1
    tokenizer = tokenizer_of(job["tokenizer"]["folder"], job["tokenizer"]["file"], job["case"]["trust_remote_code"])
    if several and tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return {name: [list(row) for row in rows] for name, rows in tokenizer(text, padding=several).items()}


@functools.lru_cache(maxsize=1)
def tokenizer_of(folder, file, trust_remote_code):
    """Load a tokenizer once for all variants of a case: reading one out of a GGUF takes seconds."""
    options = {"gguf_file": file} if file else {}
    return transformers.AutoTokenizer.from_pretrained(
        folder, trust_remote_code=trust_remote_code, local_files_only=True, **options
    )


def used_attention(model):
    """The attention implementation that the loaded model really has, with the classes of its attention modules."""
    classes = {type(module).__name__ for module in model.modules() if "attention" in type(module).__name__.lower()}
    return {"implementation": getattr(model.config, "_attn_implementation", None), "classes": sorted(classes)}


def tensors_of(model):
    """Every parameter and buffer by every name it has: tied ones appear under each."""
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def state(model, tensors):
    """Describe every parameter and buffer; non-persistent buffers are also kept whole, as `buffer/<name>`."""
    volatile = non_persistent(model)
    first, described, digests = {}, {"parameters": [], "buffers": []}, {}
    for kind, named in (("parameters", model.named_parameters), ("buffers", model.named_buffers)):
        for name, tensor in named(remove_duplicate=False):
            place = None if tensor.is_meta else (tensor.data_ptr(), tuple(tensor.shape), tuple(tensor.stride()))
            alias = first.setdefault(place, name) if place and tensor.numel() else name
            if alias not in digests:
                digests[alias] = digest(tensor)
            entry = describe(name, tensor, digests[alias])
            entry.update(persistent=name not in volatile, alias=None if alias == name else alias)
            described[kind].append(entry)
            if name in volatile and not tensor.is_meta:
                tensors["buffer/" + name] = tensor
    return described["parameters"], described["buffers"]


def describe(name, tensor, sha256):
    """Facts of one tensor: dtype, shape, digest, how many elements are finite, and the first values."""
    facts = {"name": name, "dtype": str(tensor.dtype)[6:], "shape": list(tensor.shape), "sha256": sha256}
    if tensor.is_meta:
        return {**facts, "finite": 0, "head": []}
    finite = int(torch.isfinite(tensor).sum()) if tensor.is_floating_point() else tensor.numel()
    head = tensor.detach().reshape(-1)[:HEAD].cpu()
    # repr keeps nan and inf, which JSON has no numbers for
    values = [repr(value) for value in (head.double() if head.is_floating_point() else head).tolist()]
    return {**facts, "finite": finite, "head": values}


def digest(tensor):
    """sha256 over a tensor's bytes, row-major; `meta` for a tensor that was never given memory."""
    if tensor.is_meta:
        return "meta"
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return hashlib.sha256(flat.view(torch.uint8).numpy()).hexdigest()


def non_persistent(model):
    """Full names of the buffers that no state dict holds."""
    found = set()
    for prefix, module in model.named_modules(remove_duplicate=False):
        names = getattr(module, "_non_persistent_buffers_set", ())
        found.update(prefix + "." + name if prefix else name for name in names)
    return found


def main_output(outputs):
    """Logits, or the last hidden state of a model without a head."""
    for name in ("logits", "last_hidden_state"):
        if getattr(outputs, name, None) is not None:
            return getattr(outputs, name)
    raise TypeError("the model's output has neither logits nor last_hidden_state: " + type(outputs).__name__)


def generate(model, inputs, count):
    """Greedy continuation of every prompt, as lists of the new ids."""
    # an encoder-decoder's output does not repeat its input
    length = 0 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
    ids = model.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=count)
    return ids[:, length:].tolist()
