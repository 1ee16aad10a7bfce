# ruff: noqa: A005 - the harness loads it as probe_trace
"""The probe of one forward, call by call: what went into every module, and what came out.

Tensors go to disk as they pass by, equal ones once, so that memory stays bounded. README.md is its contract.
"""

import contextlib
import dataclasses
import inspect
import math
import os

import probe_anatomy as anatomy
import probe_hf as hf
import torch
from safetensors.torch import save_file
from torch.overrides import TorchFunctionMode

SHARD_BYTES = 64 << 20
BY_HEAD = 3  # axes of [batch × heads, sequence, …]
PRODUCTS = {"matmul", "__matmul__", "bmm", "baddbmm", "einsum"}
SDPA = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale", "enable_gqa")


def capture(job, record):
    """Capture one forward with hooks, and whether it gave the bits of one without."""
    with record.step("load"):
        model = anatomy.load(job, record.facts)
    with record.step("tokens"):
        inputs, tokens = hf.tokenize(job, model)
    record.facts.update(tokens=tokens, config=model.config.to_dict(), attention=hf.used_attention(model))
    fresh = anatomy.changeable(model)
    with record.step("logits"), torch.no_grad(), torch.random.fork_rng():
        bare = hf.digest(hf.main_output(model(**inputs), job["ask"].get("output")))
    for pieces in (True, False):
        if anatomy.changeable(model) != fresh:  # both forwards start from the state right after the load
            model = anatomy.load(job, {})
        try:
            with record.step("trace"), torch.no_grad(), torch.random.fork_rng():
                logits, calls = trace(model, inputs, record.folder, pieces, job["ask"].get("output"))
        except Exception as error:
            if not pieces or record.is_transient(error):
                raise
            continue  # what no mode may watch can still be hooked
        if hf.digest(logits) == bare:
            break
    record.facts.update(inert=hf.digest(logits) == bare, pieces=pieces, calls=calls)
    record.tensors["logits"] = logits


def trace(model, inputs, folder, pieces, output=None):
    """One forward of a model with hooks on every module, and a watch on the functions of attention where wanted.

    Returns:
        The output that is asked for, the main one when None, and the calls.
    """
    with contextlib.ExitStack() as stack:
        watch = Watch(Store(folder))
        for name, module in model.named_modules():
            # a scripted module may refuse hooks
            with contextlib.suppress(RuntimeError, AttributeError, NotImplementedError):
                stack.callback(module.register_forward_pre_hook(watch.before(name), with_kwargs=True).remove)
                hook = module.register_forward_hook(watch.after, with_kwargs=True, always_call=True)
                stack.callback(hook.remove)
        if pieces:
            stack.enter_context(Functions(watch))
        logits = hf.main_output(model(**inputs), output).clone()
    watch.store.flush()
    return logits, watch.calls


class Store:
    """Tensors on disk, each content once, in files of about 64 MiB."""

    def __init__(self, folder):
        self.folder = folder
        self.shard = 1
        self.known = {}
        self.waiting = {}
        self.bytes = 0

    def add(self, tensor):
        """Write a tensor down as it is now, and say where; None for one that has no bytes to read."""
        if tensor.is_meta or tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_nested:
            return None
        tensor = tensor.detach().resolve_conj().resolve_neg()
        facts = {"dtype": str(tensor.dtype)[6:], "shape": list(tensor.shape), "sha256": hf.digest(tensor)}
        name = "-".join([facts["sha256"][:40], facts["dtype"], "x".join(map(str, tensor.shape))])
        if name not in self.known:
            self.known[name] = self.file
            self.keep(name, tensor)
        return {**facts, "stored": name, "file": self.known[name]}

    @property
    def file(self):
        """The file that comes next."""
        return f"activations-{self.shard:05}.safetensors"

    def keep(self, name, tensor):
        """Copy a tensor, in a dtype that numpy has, and write the file when it is full."""
        tensor = anatomy.plain_numbers(tensor)
        narrow = tensor.is_floating_point() and tensor.dtype not in (torch.float64, torch.float32, torch.float16)
        whole = tensor.to("cpu", torch.float32 if narrow else tensor.dtype)
        self.waiting[name] = whole.clone(memory_format=torch.contiguous_format)
        self.bytes += whole.numel() * whole.element_size()
        if self.bytes > SHARD_BYTES:
            self.flush()

    def flush(self):
        """Write what waits."""
        if self.waiting:
            save_file(self.waiting, os.path.join(self.folder, self.file))
            self.waiting, self.bytes, self.shard = {}, 0, self.shard + 1


class Watch:
    """The calls so far, in the order in which they start, and those that run now."""

    def __init__(self, store):
        self.store = store
        self.calls = []
        self.running = []
        self.counts = {}
        self.busy = False

    def before(self, name):
        """A hook that runs before a module's forward."""

        def hook(module, args, kwargs):
            with self.unseen():
                inputs, scalars = {}, {}
                for argument, value in bound(module, args, kwargs):
                    self.flatten(argument, value, inputs, scalars)
                self.running.append((self.begin(name, None, inputs, scalars), module, Attention()))

        return hook

    def after(self, module, _args, _kwargs, output):
        """A hook that runs after a module's forward, also after one that raised, whose output is None."""
        with self.unseen():
            while self.running:  # a module whose hooks did not run has no end of its own
                call, owner, _ = self.running.pop()
                if owner is module:
                    self.flatten("", output, call["outputs"], {})
                    return

    def begin(self, module, piece, inputs, scalars):
        """A new call inside the one that runs now."""
        parent = self.running[-1][0]["index"] if self.running else None
        return self.file(parent, module, piece, inputs, scalars)

    def file(self, parent, module, piece, inputs, scalars):
        """A new call inside another."""
        counted = (parent, module, piece) if piece else module
        nth = self.counts[counted] = self.counts.get(counted, -1) + 1
        call = {"index": len(self.calls), "parent": parent, "module": module, "nth": nth, "piece": piece}
        self.calls.append({**call, "inputs": inputs, "scalars": scalars, "outputs": {}})
        return self.calls[-1]

    def piece(self, call, name, tensor):
        """Write down a functional piece of attention."""
        self.flatten("", tensor, self.file(call["index"], call["module"], name, {}, {})["outputs"], {})

    @contextlib.contextmanager
    def unseen(self):
        """Let what the hooks compute be no part of the forward."""
        before, self.busy = self.busy, True
        try:
            yield
        finally:
            self.busy = before

    def flatten(self, name, value, tensors, scalars):
        """Sort a value into tensors and plain values; caches and other objects are left out."""
        if isinstance(value, torch.Tensor):
            stored = self.store.add(value)
            if stored:
                tensors[name or "0"] = stored
        elif value is None or isinstance(value, (bool, int, float, str)):
            scalars[name or "0"] = repr(value) if isinstance(value, float) and not math.isfinite(value) else value
        elif "Cache" not in type(value).__name__:
            for key, item in items(value):
                self.flatten(f"{name}.{key}" if name else str(key), item, tensors, scalars)


def items(value):
    """What a container holds, by position or key; of any other object nothing."""
    if isinstance(value, (list, tuple)):
        return enumerate(value)
    if hasattr(value, "items") and hasattr(value, "keys"):
        return value.items()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return vars(value).items()
    return ()


def bound(module, args, kwargs):
    """The arguments of a forward by the names of its signature; by position where they do not fit it."""
    try:
        signature = inspect.signature(module.forward)
        given = signature.bind(*args, **kwargs).arguments
    except (TypeError, ValueError, AttributeError):
        return [("args", args), *kwargs.items()]
    found = []
    for name, value in given.items():
        several = signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
        found.extend(value.items() if several else [(name, value)])
    return found


class Attention:
    """What the functions inside one call of a module have shown so far.

    Attributes:
        products: Operands and shape of the last few products of two tensors since the last softmax.
        weights: Shape of the last softmax's output that no product has taken yet.
    """

    def __init__(self):
        self.products = []
        self.weights = None


class Functions(TorchFunctionMode):
    """Watches the functions that attention is made of, and changes nothing."""

    def __init__(self, watch):
        super().__init__()
        self.watch = watch

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """Call the function, and write down what it shows of the attention that runs."""
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        name = getattr(function, "__name__", "")
        if not self.watch.busy and self.watch.running:
            if name == "scaled_dot_product_attention":
                self.fused(args, kwargs, result)
            elif name == "softmax" or name in PRODUCTS:
                self.spelled_out(name, args, kwargs, result)
        return result

    def attending(self):
        """The innermost running call of a module whose class is one of attention."""
        for call, module, seen in reversed(self.watch.running):
            if "attention" in type(module).__name__.lower():
                return call, seen
        return None

    def fused(self, args, kwargs, context):
        """Attention in one call: what went in, and the context."""
        given = {**dict(zip(SDPA, args)), **kwargs}
        query, key, value = (given[name] for name in SDPA[:3])
        call, _ = self.attending() or (self.watch.running[-1][0], None)
        self.show(call, "query", query)
        for name, tensor in (("key", key), ("value", value)):
            self.show(call, name, ungrouped(tensor, query) if given.get("enable_gqa") else tensor)
        if isinstance(given.get("attn_mask"), torch.Tensor):
            self.watch.piece(call, "mask", given["attn_mask"])
        self.show(call, "context", context)

    def spelled_out(self, name, args, kwargs, result):
        """Attention step by step: a product, a softmax, a product."""
        found = self.attending()
        if found is None or not isinstance(result, torch.Tensor):
            return
        call, seen = found
        if name == "softmax":
            scores = args[0] if args else kwargs["input"]
            self.scored(call, seen, scores, result)
            return
        operands = [value for value in (*flat(args), *kwargs.values()) if isinstance(value, torch.Tensor)][-2:]
        if len(operands) <= 1:
            return
        if seen.weights and rows(operands[0].shape) == rows(seen.weights):
            seen.weights = None
            self.show(call, "value", operands[1])
            self.show(call, "context", result)
        else:
            seen.products = [*seen.products[-3:], (name, *operands, result.shape)]

    def scored(self, call, seen, scores, weights):
        """A softmax: the last product that made as many numbers was that of query and key."""
        for name, query, key, shape in reversed(seen.products):
            if math.prod(shape) == scores.numel() and shape[-1] == scores.shape[-1]:
                self.show(call, "query", query)
                self.show(call, "key", key if name == "einsum" else key.transpose(-1, -2))
                break
        self.show(call, "scores", scores)
        self.show(call, "weights", weights)
        seen.products, seen.weights = [], weights.shape

    def show(self, call, piece, tensor):
        """Write a piece down, [batch × heads, …] as [batch, heads, …]."""
        batch = batch_of(self.watch.calls[0])
        if tensor.ndim == BY_HEAD and batch and tensor.shape[0] != batch and tensor.shape[0] % batch == 0:
            tensor = tensor.reshape(batch, -1, *tensor.shape[1:])
        self.watch.piece(call, piece, tensor)


def batch_of(call):
    """How many rows the model was given; None where that cannot be told."""
    shapes = [facts["shape"] for facts in call["inputs"].values() if facts["shape"]]
    return shapes[0][0] if shapes else None


def ungrouped(tensor, query):
    """Keys or values [batch, groups, …] once for each of the query's heads, as where attention is spelled out."""
    return tensor.repeat_interleave(query.shape[-3] // tensor.shape[-3], dim=-3)


def rows(shape):
    """How many rows of how many numbers; the last axis may have been cut."""
    return math.prod(shape[:-1]), shape[-2] if len(shape) > 1 else 1


def flat(values):
    """Values, with those of a list in its place: einsum takes operands either way."""
    for value in values:
        yield from value if isinstance(value, (list, tuple)) else (value,)
