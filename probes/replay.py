"""A forward in which modules get what another cell's modules got, or give what those gave."""

import contextlib
import inspect

import probe_measure as measure
import torch

SAME = {"same": True, "max_abs": None, "l2_rel": None, "handed": None}


class Replay:
    """Around a forward: every module gets the recorded inputs, and what it makes of them is held against the recorded.

    A module answers for its own code only: its callers go on with the recorded output, and what it hands to a module
    inside it counts as its own work.

    Args:
        model: The model.
        recorded: The other cell's calls.
        mask: Which positions count, [batch, sequence] of bool; None for all.

    Attributes:
        found: (module, nth) → what `Replayed` has and whether anything `differs`, in the order in which calls end.
    """

    def __init__(self, model, recorded, mask):
        self.model = model
        self.recorded = recorded
        self.mask = mask
        self.found = {}
        self.counts = {}
        self.running = []

    def __enter__(self):
        """Hook every module."""
        self.hooks = hooked(self.model, self.before, self.after)
        return self

    def __exit__(self, *error):
        """Take the hooks away."""
        self.hooks.close()

    def before(self, name):
        """A hook that gives a module the recorded inputs, as far as they have the form of its own."""

        def hook(module, args, kwargs):
            nth = self.counts[name] = self.counts.get(name, -1) + 1
            caller = self.running[-1][-1] if self.running else None
            entry = {**SAME, "differs": False}
            self.running.append((module, (name, nth), entry))
            call = self.recorded.calls.get((name, nth))
            if call is None:
                return None
            return with_inputs(module, args, kwargs, self.holding(call["inputs"], caller, name))

        return hook

    def after(self, _name):
        """A hook that compares a module's outputs, and passes on the recorded ones."""

        def hook(module, _args, _kwargs, output):
            while self.running:  # a forward that raised and was caught has no end of its own
                owner, key, entry = self.running.pop()
                if owner is module:
                    break
            else:
                return None
            call = self.recorded.calls.get(key)
            if call is None:
                return None
            self.found[key] = entry
            return changed("", output, self.holding(call["outputs"], entry))

        return hook

    def holding(self, recorded, entry, callee=None):
        """What changes tensors into the recorded ones, and notes in an entry where those are others.

        Args:
            recorded: Name → tensor of the other side.
            entry: Of the call that made them; None for what the model was given.
            callee: The module that they are handed to; None for outputs, of which another form says something, too.
        """

        def change(name, tensor):
            wanted = self.recorded.tensor(recorded.get(name), tensor)
            if entry is None:
                return wanted
            if wanted is None:
                entry["same"] &= callee is not None or name not in recorded
            elif not entry["differs"]:
                made = measure.kept(tensor.expand(wanted.shape).contiguous(), self.mask)
                right = measure.kept(wanted, self.mask)
                if not measure.same(made, right):
                    entry.update(same=False, differs=True, **measure.difference(made, right))
                    entry["handed"] = None if callee is None else f"{callee}({name})"
            return wanted

        return change

    def report(self):
        """Every recorded call in its order; one that this model never makes is not the same."""
        entries = ((key, self.found.get(key, {**SAME, "same": False})) for key in self.recorded.calls)
        return [{"module": m, "nth": n, **{field: e[field] for field in SAME}} for (m, n), e in entries]

    def faulty(self):
        """(module, nth) of calls that made something else of the recorded inputs; callees come first."""
        return [key for key, entry in self.found.items() if entry["differs"]]


@contextlib.contextmanager
def patched(model, parts, recorded):
    """Let some calls return what the other cell's did.

    Raises:
        LookupError: When there is nothing recorded for a part.
    """
    counts, wanted = {}, {}
    for part in parts:
        calls = [key for key in recorded.calls if key[0] == part["name"] and part["nth"] in (None, key[1])]
        if not calls:
            raise LookupError(f"{part['name']} was never called on the other side")
        wanted.update((key, recorded.calls[key]) for key in calls)

    def before(name):
        def hook(_module, _args, _kwargs):
            counts[name] = counts.get(name, -1) + 1

        return hook

    def after(name):
        def hook(_module, _args, _kwargs, output):
            call = wanted.get((name, counts[name]))
            return changed("", output, lambda key, t: recorded.tensor(call["outputs"].get(key), t)) if call else None

        return hook

    with hooked(model, before, after, {name for name, _ in wanted}):
        yield


def hooked(model, before, after, names=None):
    """Hooks on every module, or on some; the stack that takes them away."""
    stack = contextlib.ExitStack()
    for name, module in model.named_modules():
        if names is None or name in names:
            with contextlib.suppress(RuntimeError, AttributeError, NotImplementedError):  # of a scripted module
                stack.callback(module.register_forward_pre_hook(before(name), with_kwargs=True).remove)
                stack.callback(module.register_forward_hook(after(name), with_kwargs=True).remove)
    return stack


def with_inputs(module, args, kwargs, change):
    """The arguments of a forward with tensors changed, by the names that the trace gives them.

    What was given by position or by name stays so: decorators of forwards look for their own arguments in either.
    """
    try:
        signature = inspect.signature(module.forward)
        signature.bind(*args, **kwargs)
        names = argument_names(signature, len(args))
    except (TypeError, ValueError, AttributeError):
        names = [f"args.{position}" for position in range(len(args))]
    given = tuple(changed(name, value, change) for name, value in zip(names, args))
    return given, {name: changed(name, value, change) for name, value in kwargs.items()}


def argument_names(signature, count):
    """What the trace calls the first so many arguments that are given by position."""
    kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    names = [name for name, parameter in signature.parameters.items() if parameter.kind in kinds]
    rest = [name for name, one in signature.parameters.items() if one.kind is inspect.Parameter.VAR_POSITIONAL]
    return names[:count] + [f"{rest[0]}.{position}" for position in range(count - len(names))]


def changed(name, value, change):
    """A value with its tensors changed where `change(name, tensor)` gives another; caches stay as they are."""
    if isinstance(value, torch.Tensor):
        new = change(name or "0", value)
        return value if new is None else new
    if "Cache" in type(value).__name__:
        return value
    if isinstance(value, (list, tuple)):
        new = [changed(f"{name}.{n}" if name else str(n), item, change) for n, item in enumerate(value)]
        return type(value)(*new) if hasattr(value, "_fields") else type(value)(new)
    if isinstance(value, dict):
        for key in list(value):
            value[key] = changed(f"{name}.{key}" if name else str(key), value[key], change)
    return value
