"""What the probes of Hugging Face models share: loading, inputs, outputs and digests. README.md is their contract."""

import contextlib
import functools
import hashlib
import inspect
import math
import warnings

import torch
import torch._dynamo  # a first forward imports it anyway; here every isolated job shares the one import
import transformers
from probe_bits import digest, finite  # noqa: F401 - what the probes of models call
from probe_outputs import file_outputs, main_output, outputs_of, places  # noqa: F401 - of every model, whoever loads it
from transformers import AutoModelForCausalLM, PreTrainedModel, modeling_outputs  # noqa: F401 - likewise

_IGNORED = -100
"""The label that no loss counts (torch documentation, `CrossEntropyLoss`, ignore_index)."""


def from_pretrained(job):
    """One load with the case's and the variant's options; missing weights are drawn from a fixed seed.

    A repeat has another seed: what the checkpoint does not decide shows.
    """
    case, variant, checkpoint = job["case"], job["variant"], job["checkpoint"]
    options = {"trust_remote_code": case["trust_remote_code"], "local_files_only": True}
    if variant["dtype"] != "default":
        options[dtype_option()] = getattr(torch, variant["dtype"])
    if variant["attention"] != "default":
        options["attn_implementation"] = variant["attention"]
    if checkpoint["file"]:
        options["gguf_file"] = checkpoint["file"]
    options.update(case["load"])
    torch.manual_seed(1 if job["take"] == "repeat" else 0)
    model_class = getattr(transformers, case["auto_class"])
    model, loading = model_class.from_pretrained(checkpoint["folder"], output_loading_info=True, **options)
    if job.get("adapter"):
        model = with_adapter(model, job["adapter"]["folder"])
    keys = ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")
    found = {key: sorted(map(str, loading.get(key) or ())) for key in keys}
    return model, {**found, "missing_keys": own_names(model, found["missing_keys"])}


def with_adapter(model, folder):
    """The model with a PEFT adapter on top, unmerged: its parameters stand beside the model's own.

    transformers' own `load_adapter` changes layers in place, so that class and names stay the model's; prompt learning,
    which it does not know, goes through peft's wrapper.
    """
    import peft

    if peft.PeftConfig.from_pretrained(folder).is_prompt_learning or not hasattr(model, "load_adapter"):
        return peft.PeftModel.from_pretrained(model, folder)
    model.load_adapter(folder)
    return model


def own_names(model, keys):
    """Parameters by their names in the model: 4.x names what a base model lacks as a model with a head would."""
    names, prefix = {name for name, _ in tensors_of(model)}, getattr(model, "base_model_prefix", "") + "."
    return sorted(
        key if key in names or key.removeprefix(prefix) not in names else key.removeprefix(prefix) for key in keys
    )


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


def tokenize(job, model):
    """The model's inputs: ids given by the case, or its text or chat through the cell's own tokenizer.

    Returns:
        The keyword arguments of the forward, labels and the case's own among them; and the lists of ids for the
        response.
    """
    case, device = job["case"], job["variant"]["device"]
    lists = {}
    if case["input_ids"]:
        lists = {"input_ids": case["input_ids"]}
        if case["attention_mask"]:
            lists["attention_mask"] = case["attention_mask"]
    elif case["text"] or case["chat"]:
        lists = through_tokenizer(job)
    further = {name: given(name, value, model.dtype).to(device) for name, value in case["inputs"].items()}
    inputs = {name: torch.tensor(rows, dtype=torch.long, device=device) for name, rows in lists.items()} | further
    return {**with_labels(inputs, case), **case["forward"], **cache_option(job, model)}, lists


def with_labels(inputs, case):
    """The inputs with the ids as labels where the case wants a loss: the decoder's where it is given its own.

    Raises:
        ValueError: When there are no ids.
    """
    if not case["loss"]:
        return inputs
    decoder = "decoder_" if "decoder_input_ids" in inputs else ""
    ids, mask = inputs.get(decoder + "input_ids"), inputs.get(decoder + "attention_mask")
    if ids is None:
        raise ValueError("loss = true takes the ids for the labels, and there are none: give labels in inputs")
    return {**inputs, "labels": ids if mask is None else ids.masked_fill(mask == 0, _IGNORED)}


def cache_option(job, model):
    """`use_cache` where the variant chooses; a model whose forward knows no cache is run without the word."""
    chosen = job["variant"]["cache"]
    if chosen == "default":
        return {}
    known = inspect.signature(model.forward).parameters
    if "use_cache" in known or any(one.kind is one.VAR_KEYWORD for one in known.values()):
        return {"use_cache": chosen == "on"}
    warnings.warn(f"{type(model).__name__} knows no cache: it runs as without the option", stacklevel=2)
    return {}


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
    """Tokenize the case's text or chat as a user would; several prompts are padded on the side that the case asks for.

    A chat goes through the tokenizer's template up to where the assistant would speak; the template writes special
    tokens itself.
    """
    case = job["case"]
    tokenizer = tokenizer_of(job["tokenizer"]["folder"], job["tokenizer"]["file"], case["trust_remote_code"])
    prompts, options = list(case["text"]), {}
    if case["chat"]:
        template = functools.partial(tokenizer.apply_chat_template, tokenize=False, add_generation_prompt=True)
        prompts, options = [template(messages) for messages in case["chat"]], {"add_special_tokens": False}
    several = len(prompts) > 1
    if several and tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    with padded(tokenizer, case["padding"]):
        lists = tokenizer(prompts, padding=several, **options)
    return {name: [list(row) for row in rows] for name, rows in lists.items()}


@contextlib.contextmanager
def padded(tokenizer, side):
    """Let a tokenizer, which other cases use too, pad on a side; None is its own."""
    own = tokenizer.padding_side
    tokenizer.padding_side = side or own
    try:
        yield
    finally:
        tokenizer.padding_side = own


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
