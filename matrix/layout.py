"""Layout: tensors that hold the same values under other names and in other shapes, matched by their content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from matrix.capture import TensorState

_MODULUS = 2**64
"""Contents are sums modulo this (probes/evidence.py)."""


def relaid(
    old: Iterable[TensorState], new: Iterable[TensorState], contents: tuple[Mapping[str, str], Mapping[str, str]]
) -> frozenset[str]:
    """The names, on either side, of tensors that were fused, split or transposed into each other.

    The contents of the tensors below one module add up to the same on both sides when they hold the same values.

    Args:
        old: Tensors that only the baseline has in this form.
        new: Tensors that only the candidate has in this form.
        contents: (baseline's, candidate's) name → digest of the values as a multiset.
    """
    left, right = ({state.name: state for state in side} for side in (old, new))
    matched: set[str] = set()
    for module in sorted(_modules(left) & _modules(right)):
        a, b = (_below(module, side, matched) for side in (left, right))
        if a and b and (total := _total(a, contents[0])) and total == _total(b, contents[1]):
            matched.update(state.name for state in (*a, *b))
    return frozenset(matched)


def _modules(states: Iterable[str]) -> set[str]:
    """Every module that holds one of the tensors, directly or not; the model itself is the empty name."""
    found: set[str] = set()
    for name in states:
        parts = name.split(".")
        found.update(".".join(parts[:depth]) for depth in range(len(parts) + 1))
    return found


def _below(module: str, states: Mapping[str, TensorState], without: set[str]) -> list[TensorState]:
    inside = (s for name, s in states.items() if name not in without)
    return [state for state in inside if not module or state.name == module or state.name.startswith(module + ".")]


def _total(states: Iterable[TensorState], contents: Mapping[str, str]) -> tuple[int, int] | None:
    """How many elements the tensors have, and the sum of their contents; None where one was not looked at."""
    elements, total = 0, 0
    for name, size in {state.alias or state.name: state.elements for state in states}.items():
        content = contents.get(name)
        if content is None or content == "meta":
            return None
        elements += size
        total = (total + int(content, 16)) % _MODULUS
    return elements, total
