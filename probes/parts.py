"""Putting parts of another cell's model into this one: tensors, plain attributes, classes and what a load is asked for.

Everything that a part or a forward changes in a model is put back by the snapshot that was taken after the load.
"""

import collections
import contextlib
import importlib
import types

import probe_hf as hf
import probe_measure as measure
import probe_stored as stored
import torch
import transformers

STATE = ("tensor", "scalar", "class")
RELOAD = ("attention", "dtype", "config")
CONTAINERS = (dict, list, collections.OrderedDict)


class Snapshot:
    """A model's state right after the load, and the way back to it."""

    def __init__(self, model):
        self.model = model
        self.modules = [(module, dict(vars(module))) for module in model.modules()]
        tensors = [value for _, held in self.modules for value in leaves(held)]
        self.data = [(tensor, tensor.data) for tensor in tensors]
        parameters = {id(tensor) for tensor in model.parameters()}
        self.values = [(t.data, t.data.clone()) for t in tensors if id(t) not in parameters and not t.is_meta]
        self.containers = [(v, type(v)(v)) for _, held in self.modules for v in held.values() if type(v) in CONTAINERS]
        self.names = {}
        for name, tensor in hf.tensors_of(model):
            self.names.setdefault(id(tensor), []).append(name)

    def restore(self):
        """Put everything back: attributes, the items of lists and dicts, and the numbers of what is no parameter."""
        for module, held in self.modules:
            vars(module).clear()
            vars(module).update(held)
        for container, items in self.containers:
            container.clear()
            (container.extend if isinstance(container, list) else container.update)(items)
        for tensor, data in self.data:
            if not (tensor.is_meta and data.is_meta):
                with contextlib.suppress(RuntimeError):  # one that was on the meta device has been replaced, not filled
                    tensor.data = data
        with torch.no_grad():
            for data, value in self.values:
                with contextlib.suppress(RuntimeError):  # an expanded one cannot be written to, by a forward neither
                    data.copy_(value)


def leaves(held):
    """The tensors that a module holds itself, one level deep in lists and dicts."""
    for value in held.values():
        items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else (value,)
        yield from (item for item in items if isinstance(item, torch.Tensor))


def put(model, snapshot, part, wanted, other):
    """Put one part of the other side into a model.

    Args:
        model: The model, as its snapshot has it but for other parts.
        snapshot: Taken after the load.
        part: The part; of kind `tensor`, `scalar` or `class`.
        wanted: `good` or `bad`: which of the part's values is the other side's.
        other: The other side's state.

    Raises:
        LookupError, TypeError, ValueError, ImportError: When it cannot be put in.
    """
    if part["kind"] == "tensor":
        put_tensor(model, snapshot, part["name"], other)
        return
    prefix, _, attribute = part["name"].rpartition(".")
    if part["kind"] == "class":
        made = found(part[wanted])()
        setattr(model.get_submodule(prefix), attribute, made.eval())
        return
    module = model.get_submodule(prefix)
    if not hasattr(module, attribute):
        raise LookupError(f"{type(module).__name__} has no {attribute}")
    value, own = native(part[wanted]), getattr(module, attribute)
    setattr(module, attribute, tuple(value) if isinstance(own, tuple) and isinstance(value, list) else value)


def put_tensor(model, snapshot, name, other):
    """Put a tensor in: the object stays and gets other data, unless it is tied here to what it is not tied to there."""
    module, attribute, key = located(model, name)
    value, held = other.tensor(name), getattr(module, attribute)
    own = held if key is None else item(held, key)
    if value is not None and own is not None:
        if not own.is_meta and measure.same(value, own.detach().cpu()):
            value = stored.placed(value, own.data_ptr() % stored.LINE)  # a control must not even lie elsewhere
        value = value.to("cpu" if own.is_meta else own.device)
    names = snapshot.names.get(id(own), [name])
    if value is not None and own is not None and not own.is_meta and all(other.same(name, n) for n in names):
        own.data = value
        return
    if key is not None:
        replaced = dict(held) if isinstance(held, dict) else list(held)
        replaced[key if isinstance(held, dict) else int(key)] = value
        setattr(module, attribute, replaced if isinstance(held, (dict, list)) else type(held)(replaced))
        return
    parameter = attribute in module._parameters  # noqa: SLF001 - torch documents it
    made = torch.nn.Parameter(value, requires_grad=False) if parameter and value is not None else value
    for tied in (n for n in names if other.same(name, n)):
        owner, at, _ = located(model, tied)
        setattr(owner, at, made)


def located(model, name):
    """The module, attribute and key (of a list or dict, else None) of a state tensor's name.

    Raises:
        LookupError: When the model has no place for it.
    """
    path = name.split(".")
    for cut in (1, 2):
        with contextlib.suppress(AttributeError):
            module = model.get_submodule(".".join(path[:-cut]))
            if hasattr(module, path[-cut]) and (
                cut == 1 or isinstance(getattr(module, path[-cut]), (dict, list, tuple))
            ):
                return module, path[-cut], path[-1] if cut > 1 else None
    raise LookupError(f"the model has no {name}")


def item(held, key):
    """An item of a list, a tuple or a dict by its key as it stands in a name."""
    if isinstance(held, dict):
        return held.get(key, held.get(int(key)) if key.isdigit() else None)
    return held[int(key)]


def native(value):
    """A plain value from JSON as the model holds it."""
    if isinstance(value, dict):
        if "dtype" in value:
            return getattr(torch, value["dtype"])
        return found(value.get("function") or value["class"])
    return float(value) if value in ("inf", "-inf", "nan") else value


def found(name):
    """A function or class by its qualified name.

    Raises:
        LookupError: When there is none here.
    """
    path = name.split(".")
    for cut in range(len(path) - 1, 0, -1):
        with contextlib.suppress(ImportError, AttributeError):
            value = importlib.import_module(".".join(path[:cut]))
            for attribute in path[cut:]:
                value = getattr(value, attribute)
            if not isinstance(value, types.ModuleType):
                return value
    raise LookupError(f"there is no {name} here")


def reload(job, parts, wanted):
    """Load the model again, asked for what the other side has."""
    variant, load = dict(job["variant"]), dict(job["case"]["load"])
    keys = [part for part in parts if part["kind"] == "config"]
    for part in parts:
        if part["kind"] != "config":
            variant[part["kind"]] = part[wanted]
    if keys:
        options = {"gguf_file": job["checkpoint"]["file"]} if job["checkpoint"]["file"] else {}
        options.update(trust_remote_code=job["case"]["trust_remote_code"], local_files_only=True, **load)
        config, load = transformers.AutoConfig.from_pretrained(
            job["checkpoint"]["folder"], return_unused_kwargs=True, **options
        )
        load.pop("local_files_only", None)
        load.pop("trust_remote_code", None)
        for part in keys:
            set_key(config, part["name"].split("."), part[wanted])
        load["config"] = config
    case = {**job["case"], "load": load}
    model = hf.from_pretrained({**job, "case": case, "variant": variant})[0]
    return model.to(variant["device"]).eval()


def set_key(config, path, value):
    """Set a dotted key; where this release has no such table, the key of that name outside it."""
    table = config
    for step in path[:-1]:
        inner = table.get(step) if isinstance(table, dict) else getattr(table, step, None)
        if inner is None:
            table = config
            break
        table = inner
    if isinstance(table, dict):
        table[path[-1]] = value
    else:
        setattr(table, path[-1], value)
