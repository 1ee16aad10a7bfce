"""The probe of what a model is made of: modules, state, config, and its logits for inputs of growing size.

Taken in two cells whose logits differ: what the two hold otherwise is what the difference can come from, and the
smallest input that shows it is what everything after works with. README.md is its contract.
"""

import contextlib
import enum
import functools
import inspect
import math
import os
import sys
import types

import probe_hf as hf
import probe_model
import probe_stored as stored
import torch
import transformers

# what torch keeps about a module; everything else that a module holds is its own
OWN = ("_parameters", "_buffers", "_modules")


def capture(job, record):
    """Capture the anatomy; the case's own inputs must work, an error on another rung is data."""
    ask = job["ask"]
    with record.step("load"):
        model = load(job, record.facts)
    with record.step("tokens"):
        inputs, tokens = hf.tokenize(job, model)
    record.facts.update(tokens=tokens, config=model.config.to_dict(), attention=hf.used_attention(model))
    record.facts.update(generation_config=generation_config(model), site=site())
    with record.step("modules"):
        record.facts["modules"] = modules(model)
    with record.step("state"):
        describe_state(model, set(ask["keep"]), record)
    with record.step("logits"), torch.no_grad():
        climb(job, model, inputs, set(tokens), record)


def load(job, facts):
    """The model as the main probe has it, with what that load says of itself."""
    model, loading, uninitialised = probe_model.load(job)
    facts.update(loading=loading, uninitialised=uninitialised, model_class=type(model).__name__)
    return model.to(job["variant"]["device"]).eval()


def climb(job, model, given, lists, record):
    """Run every rung, the case's own inputs first, each from the state and the random numbers right after the load."""
    asked, fresh, rungs = job["ask"]["rungs"], changeable(model), {}
    for name in ("given", *asked):
        inputs = hf.with_labels(rung_inputs(given, lists, asked[name], model), job["case"]) if name in asked else given
        with torch.random.fork_rng():
            rungs[name] = step_on(name, model, inputs, record, job["ask"].get("output"))
        if changeable(model) != fresh:  # a forward wrote into the model, which the next rung must not see
            model = load(job, {})
    record.facts["rungs"] = {name: rungs[name] for name in (*(n for n in asked if n != "given"), "given")}


def step_on(name, model, inputs, record, output):
    """What the model says to one rung, twice; the main output where none is named."""
    try:
        logits = hf.main_output(model(**inputs), output)
        again = hf.main_output(model(**inputs), output)
    except Exception as error:
        if name == "given" or record.is_transient(error):
            raise
        lines = str(error).strip().splitlines()
        return {"logits": None, "error": f"{type(error).__name__}: {lines[0][:300] if lines else ''}", "again": True}
    record.tensors["logits/" + name] = logits.clone()
    return {"logits": "logits/" + name, "error": None, "again": hf.digest(again) == hf.digest(logits)}


def rung_inputs(given, lists, rung, model):
    """The forward's arguments with a rung's lists in place of the given ones; what is no list of ids goes along."""
    kept = {name: tensor for name, tensor in given.items() if name not in lists}
    return {**kept, **{name: hf.given(name, rows, model.dtype).to(model.device) for name, rows in rung.items()}}


def changeable(model):
    """What a forward may have changed: digests of buffers and plain tensors, and plain attributes."""
    tensors = {name: hf.digest(tensor) for name, tensor in model.named_buffers()}
    plain = {name: hf.digest(tensor) for name, tensor in plain_tensors(model)}
    return tensors, plain, {name: repr(scalars(module)) for name, module in model.named_modules()}


def describe_state(model, keep, record):
    """Describe parameters, buffers and plain tensors; keep whole what no checkpoint decides, and what is asked for."""
    parameters, buffers = probe_model.state(model, {})
    plain, places = [], {place(tensor): name for name, tensor in reversed(list(hf.tensors_of(model)))}
    held = dict(hf.tensors_of(model))
    for name, tensor in plain_tensors(model):
        first = places.setdefault(place(tensor), name) if tensor.numel() and not tensor.is_meta else name
        entry = probe_model.describe(name, tensor, hf.digest(tensor))
        plain.append({**entry, "persistent": False, "alias": None if first == name else first})
        held[name] = tensor
    record.facts.update(parameters=parameters, buffers=buffers, plain=plain, kept={}, aligned={})
    volatile = probe_model.non_persistent(model) | {entry["name"] for entry in plain}
    for name, tensor in held.items():
        if name in volatile | keep and not tensor.is_meta:
            record.facts["kept"][name] = "state/" + name
            record.facts["aligned"][name] = tensor.data_ptr() % stored.LINE
            record.tensors["state/" + name] = plain_numbers(tensor)


def plain_numbers(tensor):
    """A complex tensor as pairs of numbers, any other as it is."""
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def place(tensor):
    """Where a tensor lies; equal for two tensors that are one."""
    return None if tensor.is_meta else (tensor.data_ptr(), tuple(tensor.shape), tuple(tensor.stride()))


def plain_tensors(model):
    """Tensors in plain attributes of modules, one level deep in lists and dicts, by full name."""
    for prefix, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute in OWN:
                continue
            name = f"{prefix}.{attribute}" if prefix else attribute
            items = [("", value)]
            if isinstance(value, (list, tuple)):
                items = [(f".{index}", item) for index, item in enumerate(value)]
            elif isinstance(value, dict):
                items = [(f".{key}", item) for key, item in value.items()]
            yield from ((name + key, item) for key, item in items if isinstance(item, torch.Tensor))


def modules(model):
    """Every module with its class, where that stands, and its plain attributes."""
    where = functools.lru_cache(maxsize=None)(source)
    return [
        {
            "name": name,
            "class_name": type(module).__name__,
            "python_module": type(module).__module__,
            **where(type(module)),
            "scalars": scalars(module),
        }
        for name, module in model.named_modules()
    ]


def source(kind):
    """File and first line of a class; an empty name and line 0 where Python cannot tell."""
    file, line = "", 0
    with contextlib.suppress(Exception):
        file = inspect.getsourcefile(kind) or ""
    with contextlib.suppress(Exception):
        line = inspect.getsourcelines(kind)[1]
    for root in sorted(filter(None, {site(), *sys.path}), key=len, reverse=True):
        if file.startswith(root + os.sep) and root.endswith(("site-packages", "dist-packages")):
            file = os.path.relpath(file, root)
    return {"file": file, "line": line}


def site():
    """The folder that transformers is installed in."""
    return os.path.dirname(os.path.dirname(os.path.abspath(transformers.__file__)))


def scalars(module):
    """A module's plain attributes without private ones."""
    found = {}
    for name, value in vars(module).items():
        if not name.startswith("_") and name != "training":
            with contextlib.suppress(TypeError):
                found[name] = plain(value)
    return found


def plain(value):
    """A value as JSON has it; functions, classes and dtypes by name.

    Raises:
        TypeError: For anything else.
    """
    if isinstance(value, enum.Enum):
        value = value.value
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return named(value)


def named(value):
    """A dtype, class or function as a table of one name.

    Raises:
        TypeError: For anything else.
    """
    if isinstance(value, torch.dtype):
        return {"dtype": str(value)[6:]}
    if isinstance(value, type):
        return {"class": qualified(value)}
    if isinstance(value, functools.partial):
        return {"function": f"{qualified(value.func)}{value.args or ''}{value.keywords or ''}"}
    if isinstance(value, (types.FunctionType, types.BuiltinFunctionType, types.MethodType)):
        return {"function": qualified(value)}
    raise TypeError(type(value).__name__)


def qualified(value):
    """Such as `torch.nn.functional.silu`; of remote code without the folder, whose name depends on the release."""
    module = getattr(value, "__module__", None) or ""
    if module.startswith("transformers_modules."):
        module = module.rpartition(".")[2]
    return f"{module}.{getattr(value, '__qualname__', repr(value))}".lstrip(".")


def generation_config(model):
    """The defaults of generate, nested tables with dotted keys, without the release that wrote them."""
    config = getattr(model, "generation_config", None)
    return dict(flat("", config.to_dict())) if config is not None else {}


def flat(prefix, table):
    """Every value of nested tables with its dotted key."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from flat(f"{prefix}{key}.", value)
        elif key != "transformers_version":
            yield prefix + str(key), value
