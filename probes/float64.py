"""A model's forward in float64 throughout, whatever it was loaded in and whatever narrower dtype its code names.

Models name float32 in softmax, norms and rotary angles; `model.double()` leaves those islands in. Here every call that
asks for a narrower dtype gets float64 instead, and a witness below counts each operation that was narrow all the same::

    lift(model)
    with Corrected() as corrected, torch.no_grad():
        outputs = model(**wide(inputs))
    corrected.escaped  # empty: every number in between was float64

Runs on torch from 2.4 on, and imports nothing else.

What it does not reach: what compiled kernels do inside, and what numpy computes (what comes back from there in a narrow
dtype is counted, as `aten.lift_fresh`); random numbers, which float64 draws otherwise than float32; the constants of
`torch.FloatTensor(…)`; tricks with the bits of a float. `torch.finfo(torch.float32)` is no call that torch shows, and
needs none: it gives Python numbers, which round nothing. float8 stays as it is, and whatever makes more of it counts.
"""

import collections
import contextlib
import re
import sys

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

WIDE = {
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.float32: torch.float64,
    torch.complex32: torch.complex128,
    torch.complex64: torch.complex128,
}
DOUBLE = {torch.float64, torch.complex128}
CASTS = {
    torch.Tensor.float: torch.Tensor.double,
    torch.Tensor.half: torch.Tensor.double,
    torch.Tensor.bfloat16: torch.Tensor.double,
    torch.Tensor.cfloat: torch.Tensor.cdouble,
    torch.Tensor.chalf: torch.Tensor.cdouble,
}
# operations that compute nothing: exact where the output's dtype holds the input's
COPIES = {"_to_copy", "clone", "copy", "copy_", "cat", "stack", "repeat", "constant_pad_nd", "resize_", "set_"}
CHOICES = {"index", "index_select", "gather", "embedding", "where", "masked_fill", "masked_fill_", "index_copy_"}
CONSTANTS = {"zeros", "zeros_like", "zero_", "ones", "ones_like", "full", "full_like", "fill", "fill_", "eye", "arange"}
MEMORY = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "new_zeros", "new_ones", "new_full"}
MOVES = {*COPIES, *CHOICES, *CONSTANTS, *MEMORY, "scalar_tensor", "_local_scalar_dense"}
BITCASTS = {torch.Tensor.view, torch.ops.aten.view.dtype}
# how numbers come in from elsewhere, as from numpy
ENTRIES = {torch.ops.aten.lift_fresh.default, torch.ops.aten.lift_fresh_copy.default}


def lift(model):
    """Lift every tensor that the model's modules hold, in place.

    Parameters, buffers and plain attributes, also inside lists, tuples and dicts. Each stays the same object with other
    data, so whatever was shared is still shared.

    Returns:
        How many tensors were lifted.
    """
    narrow, seen = {}, set()
    for module in model.modules():
        for tensor in tensors_in(vars(module), seen):
            if tensor.dtype in WIDE:
                narrow[id(tensor)] = tensor
    for tensor in narrow.values():
        with torch.inference_mode(tensor.is_inference()):
            tensor.data = tensor.data.to(WIDE[tensor.dtype])
    return len(narrow)


def wide(inputs):
    """The inputs, with every narrow tensor among them lifted."""
    return dict(mapped(dict(inputs), lambda value: value.to(WIDE[value.dtype]) if is_narrow(value) else value))


class Corrected:
    """Around a forward: what it computes is float64, and what is not is counted.

    Attributes:
        lifted: How many calls were rewritten: another dtype asked for, or a narrow tensor given.
        escaped: By operator, how many operations made a narrow result in spite of it.
    """

    def __init__(self):
        self.escaped = collections.Counter()
        self.rewrite = Rewrite()
        self.stack = contextlib.ExitStack()

    @property
    def lifted(self):
        """How many calls were rewritten."""
        return self.rewrite.lifted

    def __enter__(self):
        """Let what follows be float64."""
        with self.stack as stack:  # undone here only if something fails
            stack.callback(torch.set_default_dtype, torch.get_default_dtype())
            torch.set_default_dtype(torch.float64)
            if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):  # torch 2.6
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            stack.callback(self.rewrite.write_back)
            stack.enter_context(Witness(self.escaped))
            stack.enter_context(self.rewrite)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        """Put everything back."""
        self.escaped = dict(self.escaped)
        return self.stack.__exit__(*error)


class Rewrite(TorchFunctionMode):
    """Every call from Python into torch, with float64 where it names or is given a narrower dtype.

    A narrow tensor has one float64 twin as long as it lives, which stands for it in every call: what one call writes
    into it, the next one reads. At the end each tensor gets what was written into its twin.
    """

    def __init__(self):
        super().__init__()
        self.lifted = 0
        self.twins = WeakTensorKeyDictionary()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """Call the function, or what stands for it, on what stands for its arguments."""
        if torch.get_default_dtype() is not torch.float64:  # the forward has set another
            torch.set_default_dtype(torch.float64)
        kwargs = kwargs or {}
        if is_bitcast(function, args, kwargs):
            return function(*args, **kwargs)
        kept = 1 if getattr(function, "__name__", "") == "__set__" else 0  # `tensor.data = …` is about that very object
        change = self.change_type if function is torch.Tensor.type else self.change
        new = CASTS.get(function, function), (*args[:kept], *mapped(args[kept:], change)), mapped(kwargs, change)
        if new[0] is not function or new[2] is not kwargs or any(a is not b for a, b in zip(args, new[1])):
            self.lifted += 1
        return new[0](*new[1], **new[2])

    def change(self, value):
        """What stands for one argument."""
        if isinstance(value, torch.dtype):
            return WIDE.get(value, value)
        return self.twin(value) if is_narrow(value) else value

    def change_type(self, value):
        """What stands for one argument of `Tensor.type`, which also takes `torch.FloatTensor` and its name."""
        if isinstance(value, (str, type(torch.FloatTensor))):
            name = value if isinstance(value, str) else f"{value.__module__}.{value.__name__}"
            return re.sub(r"\b(Float|Half|BFloat16)Tensor$", "DoubleTensor", name)
        return self.change(value)

    def twin(self, tensor):
        """The float64 tensor that stands for a narrow one; a new one if something unseen has written into that."""
        found = self.twins.get(tensor)
        if found is None or found[1] != version(tensor):
            grad = torch.is_grad_enabled()
            with torch.inference_mode(mode=False), torch.set_grad_enabled(grad):  # inference tensors have no version
                twin = tensor.to(WIDE[tensor.dtype])
            found = self.twins[tensor] = twin, version(tensor), twin._version  # noqa: SLF001 - torch documents it
        return found[0]

    def write_back(self):
        """Give each narrow tensor what was written into its twin."""
        for tensor, (twin, _, before) in list(self.twins.items()):
            if twin._version != before and twin.shape == tensor.shape and is_narrow(tensor):  # noqa: SLF001
                with torch.inference_mode(tensor.is_inference()), torch.no_grad():
                    tensor.copy_(twin)


class Witness(TorchDispatchMode):
    """Every operation that torch really runs, from whatever caller, and whether it computed in a narrow dtype."""

    supports_higher_order_operators = True

    def __init__(self, escaped):
        super().__init__()
        self.escaped = escaped

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Run the operation and count it if it lost digits.

        What came here past the rewrite, as the operations of scripted functions do, passes through it with this call.
        """
        given = dtypes((args, kwargs))
        run = grouped_mm if is_grouped_mm(function) and torch.float64 in given else function
        result = run(*args, **(kwargs or {}))
        made = dtypes(result)
        if function in ENTRIES:  # nobody knows how these numbers were computed, and this very call may have lifted them
            lost = not given <= DOUBLE
        else:
            lost = not made <= DOUBLE and not (is_move(function) and all(holds(to, of) for to in made for of in given))
        if lost:
            self.escaped[str(getattr(function, "overloadpacket", function))] += 1
        return result


def is_grouped_mm(function):
    """Whether an operation is `_grouped_mm`, by which the experts of newer releases run and which has no float64."""
    packet = getattr(torch.ops.aten, "_grouped_mm", None)
    return packet is not None and getattr(function, "overloadpacket", None) is packet


def grouped_mm(rows, matrices, offs=None, bias=None, out_dtype=None):  # noqa: ARG001 - the operation's own arguments
    """What `_grouped_mm` computes of rows that are sorted by expert: each expert's rows by its matrix."""
    if offs is None or rows.dim() != 2 or matrices.dim() != 3:  # noqa: PLR2004
        raise NotImplementedError("grouped_mm of other than sorted rows in float64")
    result = rows.new_zeros(rows.shape[0], matrices.shape[2])
    ends = offs.tolist()
    for matrix, start, end in zip(matrices, [0, *ends], ends):
        result[start:end] = rows[start:end] @ matrix
    return result if bias is None else result + bias


def mapped(value, change):
    """The value with each leaf of its lists, tuples and dicts changed; the very same object where nothing changes."""
    if isinstance(value, dict):
        new = {key: mapped(item, change) for key, item in value.items()}
        return value if all(new[key] is value[key] for key in new) else new
    if isinstance(value, (list, tuple)):
        new = [mapped(item, change) for item in value]
        if all(a is b for a, b in zip(new, value)):
            return value
        return type(value)(*new) if hasattr(value, "_fields") else type(value)(new)
    return change(value)


def tensors_in(value, seen=None):
    """Every tensor in nested lists, tuples and dicts; with `seen`, a container that was already met is left out."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        if seen is not None:
            if id(value) in seen:
                return
            seen.add(id(value))
        for item in value.values() if isinstance(value, dict) else value:
            yield from tensors_in(item, seen)


def dtypes(value):
    """The dtypes of the floating-point and complex tensors in nested containers, as they really are."""
    with torch._C.DisableTorchFunction():  # noqa: SLF001 - else Rewrite answers, for whom every tensor is float64
        found = {tensor.dtype for tensor in tensors_in(value)}
        return {dtype for dtype in found if dtype.is_floating_point or dtype.is_complex}


def is_narrow(value):
    """Whether a value is a tensor that has a wider counterpart."""
    return isinstance(value, torch.Tensor) and value.dtype in WIDE


def is_bitcast(function, args, kwargs):
    """Whether a call reads the bits of integers, or of floats that are still what they were, as another dtype."""
    if function not in BITCASTS:
        return False
    dtype = any(isinstance(value, torch.dtype) for value in (*args[1:], *kwargs.values()))
    return dtype and args[0].dtype not in DOUBLE


def is_move(function):
    """Whether an operation only moves numbers, or makes constants."""
    name = getattr(getattr(function, "overloadpacket", None), "__name__", None)
    return name in MOVES or getattr(function, "is_view", False)


def holds(to, of):
    """Whether one dtype holds every number of another; float8, which torch does not promote, only its own."""
    if to is of or to in DOUBLE:
        return True
    return to in WIDE and (of.itemsize == 1 or torch.promote_types(to, of) is to)


def version(tensor):
    """How often a tensor was written to, as far as torch knows."""
    return None if tensor.is_inference() else tensor._version  # noqa: SLF001 - torch documents it
