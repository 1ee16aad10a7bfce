"""Hypotheses: what two models do not have in common, and what of it can be put from the one into the other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from matrix.capture import Capture, TensorState
from matrix.changes import changed_config, flattened
from matrix.explain.anatomy import Anatomy, ModuleFacts
from matrix.explain.swap import Part

FactKind = Literal["meta", "uninitialised", "missing", "class"]

KERNEL = frozenset(
    {"attention implementation", "_attn_implementation", "attn_implementation", "_attn_implementation_internal"}
)
"""Config keys that name the attention kernel, which is a part by itself."""

INERT = frozenset(
    {
        *("gradient_checkpointing", "name_or_path", "warnings_issued", "main_input_name", "base_model_prefix"),
        *("supports_gradient_checkpointing", "model_tags", "is_loaded_in_4bit", "is_loaded_in_8bit", "attn_mode"),
    }
)
"""Plain attributes of modules that no forward reads, or that only say how a model was loaded."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Something that is settled without a forward, for the report.

    Attributes:
        kind: A tensor without memory, a tensor that the load never wrote, a parameter that the checkpoint was found
            to lack, or a module of another class.
        name: The tensor's or module's name.
        good: What the good side has to say of it; empty where the fact does not hold there.
        bad: The same of the bad side.
    """

    kind: FactKind
    name: str
    good: str = ""
    bad: str = ""


def parts(good: Anatomy, bad: Anatomy) -> tuple[Part, ...]:
    """Everything that differs and can be swapped: what a load is asked for, then plain attributes, classes and tensors.

    Left out is what releases only write down in another way: keys and attributes that moved, functions and classes of
    the same name in another file, tensors whose dtype is the model's and whose model's dtype differs.
    """
    return (
        *_attention(good.capture, bad.capture),
        *_dtype(good.capture, bad.capture),
        *_config(good.capture, bad.capture),
        *_modules(good, bad),
        *_tensors(good, bad),
        *_one_sided_config(good.capture, bad.capture),
    )


def settled(good: Anatomy, bad: Anatomy) -> tuple[Fact, ...]:
    """What can be said of two models before any forward."""
    return (
        *_held("meta", *(_meta(side) for side in (good, bad)), word="on meta"),
        *_held("uninitialised", *(set(side.capture.uninitialised) for side in (good, bad)), word="never written"),
        *_held("missing", *(set(side.capture.missing_keys) for side in (good, bad)), word="not in the checkpoint"),
        *(
            Fact(kind="class", name=a.name, good=_class(a), bad=_class(b))
            for a, b in _common(good, bad)
            if a.class_name != b.class_name
        ),
    )


_WRITTEN_DOWN = frozenset({"transformers_version", "_from_model_config", "_original_object_hash"})
"""Of a generation config: who wrote it and how, which generate() does not act on."""

_IDS = re.compile(r"_token_id$|suppress_tokens$|_ids$")
"""Keys of a generation config that mean nothing else than none where they are unset."""


def generation(good: Anatomy, bad: Anatomy, one: str, other: str) -> tuple[str, ...]:
    """What generate() is told by default, where both sides set it to something else, as sentences.

    A key that one side lacks counts as None, which is what an unset one is.

    Args:
        good: The good side's anatomy.
        bad: The bad side's.
        one: The good side's name, such as `4.57.6`.
        other: The bad side's.
    """
    a, b = good.generation_config, bad.generation_config
    names = [name for name in {**a, **b} if name not in _WRITTEN_DOWN and a.get(name) != b.get(name)]
    # of other keys, what one release writes out is the default of the other, which leaves them unset
    told = [name for name in names if _IDS.search(name) or None not in (a.get(name), b.get(name))]
    return tuple(
        f"the generation config's `{name}` is {a.get(name)} by {one} and {b.get(name)} by {other}" for name in told
    )


def keep(good: Capture, bad: Capture) -> tuple[str, ...]:
    """Names of state tensors to ask of both anatomies: those that differ, and one small equal one as a control.

    Args:
        good: A plain capture of the good side.
        bad: A plain capture of the bad side.
    """
    a, b = (_states(side) for side in (good, bad))
    dtypes = _dtype_of(good), _dtype_of(bad)
    parameters = {state.name for side in (good, bad) for state in side.parameters}
    wanted = [
        name
        for name in {**a, **b}
        if (name in parameters or (name in a and name in b)) and _differs(a.get(name), b.get(name), dtypes)
    ]
    wanted.extend(name for name in bad.uninitialised if name not in wanted)
    unsure = {*good.uninitialised, *bad.uninitialised, *good.missing_keys, *bad.missing_keys, *wanted}
    equal = [a[name] for name in a if name in b and name not in unsure and a[name].sha256 == b[name].sha256]
    control = min(equal, key=lambda state: (not state.dtype.startswith("float"), state.elements), default=None)
    return (*wanted, *([control.name] if control else []))


def _attention(good: Capture, bad: Capture) -> Iterator[Part]:
    if good.attention != bad.attention and good.attention and bad.attention:
        yield Part(kind="attention", good=good.attention, bad=bad.attention)


def _dtype(good: Capture, bad: Capture) -> Iterator[Part]:
    a, b = _dtype_of(good), _dtype_of(bad)
    if a != b and a and b:
        yield Part(kind="dtype", good=a, bad=b)


def _dtype_of(side: Capture) -> str:
    """The dtype of the first parameter that has a floating one; empty without one."""
    return next((state.dtype for state in side.parameters if "float" in state.dtype), "")


def _config(good: Capture, bad: Capture) -> Iterator[Part]:
    """Keys that both sides have with other values, and keys that moved and changed their value on the way."""
    for change in changed_config(good, bad):
        if change.key.rpartition(".")[2] not in KERNEL:
            yield Part(kind="config", name=change.key, good=change.baseline, bad=change.candidate)
    a, b = (flattened(side.config) for side in (good, bad))
    for old, new in _moved(a, b).items():
        if a[old] != b[new] and a[old] is not None:
            yield Part(kind="config", name=new, good=a[old], bad=b[new])


def _one_sided_config(good: Capture, bad: Capture) -> Iterator[Part]:
    """Keys that only the good side has, last: a key is likelier dropped because nothing reads it than by mistake.

    A key that only the bad side has cannot be taken away by a load.
    """
    a, b = (flattened(side.config) for side in (good, bad))
    moved = _moved(a, b)
    for key, value in a.items():
        leaf = key.rpartition(".")[2]
        if key not in b and key not in moved and leaf not in KERNEL and value not in (None, False, [], ()):
            yield Part(kind="config", name=key, good=value)


def _moved(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, str]:
    """Keys that only one side has, good → bad, where the last component is the same and there is no choice."""
    return {
        old: fitting[0]
        for old in a
        if old not in b
        for fitting in [[n for n in b if n not in a and n.rpartition(".")[2] == old.rpartition(".")[2]]]
        if len(fitting) == 1
    }


def _common(good: Anatomy, bad: Anatomy) -> Iterator[tuple[ModuleFacts, ModuleFacts]]:
    by_name = {module.name: module for module in bad.modules}
    yield from ((module, by_name[module.name]) for module in good.modules if module.name in by_name)


def _modules(good: Anatomy, bad: Anatomy) -> Iterator[Part]:
    """Classes of modules that hold nothing, and plain attributes of all others."""
    full = {f"{prefix}." for side in (good, bad) for prefix in _holders(side)}
    for a, b in _common(good, bad):
        if a.name and f"{a.name}." not in full and a.class_name != b.class_name:
            yield Part(kind="class", name=a.name, good=_class(a), bad=_class(b))
            continue
        for name, value in a.scalars.items():
            if name not in INERT and name in b.scalars and not _means_the_same(value, b.scalars[name]):
                full_name = f"{a.name}.{name}" if a.name else name
                yield Part(kind="scalar", name=full_name, good=value, bad=b.scalars[name])


def _holders(side: Anatomy) -> set[str]:
    """Every module that holds a tensor or another module, directly or not."""
    names = [state.name for state in (*side.capture.parameters, *side.capture.buffers, *side.plain)]
    paths = [name.split(".") for name in (*names, *(module.name for module in side.modules))]
    return {".".join(path[:depth]) for path in paths for depth in range(1, len(path))}


def _means_the_same(a: Any, b: Any) -> bool:  # noqa: ANN401 - straight from JSON
    """Whether two plain attributes are equal, or name one thing that lies in another file."""
    if isinstance(a, Mapping) and isinstance(b, Mapping) and a.keys() == b.keys():
        return all(str(a[key]).rpartition(".")[2] == str(b[key]).rpartition(".")[2] for key in a)
    return bool(a == b)


def _class(module: ModuleFacts) -> str:
    return f"{module.python_module}.{module.class_name}"


def _tensors(good: Anatomy, bad: Anatomy) -> Iterator[Part]:
    """Tensors with other bytes: those that the load never wrote, what no state dict holds, then all others."""
    a, b = ({**_states(side.capture), **{state.name: state for state in side.plain}} for side in (good, bad))
    unwritten, dtypes = set(bad.capture.uninitialised), (_dtype_of(good.capture), _dtype_of(bad.capture))
    parameters = {state.name for side in (good, bad) for state in side.capture.parameters}
    found = []
    for name in {**a, **b}:
        one, other = a.get(name), b.get(name)
        differs = name in unwritten or _differs(one, other, dtypes)
        tied = one and other and one.alias and one.alias == other.alias
        # what releases add and drop are buffers; a parameter that is gone may be a cause, and None stand in its place
        whole = (one and other) or name in parameters
        if differs and whole and not tied and (one is None or name in good.kept):
            found.append(one or other)
    order = sorted(filter(None, found), key=lambda state: (state.name not in unwritten, state.persistent))
    yield from (Part(kind="tensor", name=state.name) for state in order)


def _states(side: Capture) -> dict[str, TensorState]:
    return {state.name: state for state in (*side.parameters, *side.buffers)}


def _differs(a: TensorState | None, b: TensorState | None, dtypes: tuple[str, str]) -> bool:
    """Whether a tensor is not the same, nor only of the dtype of a model whose dtype differs."""
    if a is None or b is None:
        return True
    if a.dtype != b.dtype and (a.dtype, b.dtype) == dtypes:
        return a.shape != b.shape
    return (a.sha256, a.dtype, a.shape) != (b.sha256, b.dtype, b.shape)


def _meta(side: Anatomy) -> set[str]:
    return {state.name for state in (*side.capture.parameters, *side.capture.buffers) if state.sha256 == "meta"}


def _held(kind: FactKind, good: set[str], bad: set[str], *, word: str) -> Iterator[Fact]:
    """Names for which something holds on either side, those of the bad side first where it is only there."""
    for name in sorted(good | bad, key=lambda name: (name in good, name)):
        yield Fact(kind=kind, name=name, good=word if name in good else "", bad=word if name in bad else "")
