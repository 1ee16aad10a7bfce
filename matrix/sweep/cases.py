"""Cases: what is loaded and what goes in, made of what an author wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from matrix.case import Case, Variants
from matrix.cell import Cell
from matrix.spec import Exclusion, Spec
from matrix.sweep.author import Authored
from matrix.sweep.cohort import Architecture, Cohort
from matrix.sweep.heads import HEADS

TIMEOUT = 60
"""Seconds that one capture of a tiny model may take: a hundred times what the slowest was seen to take."""

UNTIED = "untied"
_UNTIED_INPUT = "short"
"""One input shows a lost tie or a lost head: both change every logit."""

_WIDEST_FIRST = ("padded", "short", "one")
"""The second load of a checkpoint is given the first of its inputs: the one that exercises most."""


def attention(made: Authored, spec: Spec) -> tuple[str, ...]:
    """The kernels that an architecture offers, of those that the spec asks for."""
    return tuple(name for name in spec.variants.attention or () if name in made.attention)


def cases(architecture: Architecture, made: Authored, spec: Spec, generate: int = 0) -> tuple[Case, ...]:
    """One case per checkpoint and input; none where no kernel that is asked for is offered.

    Args:
        architecture: What was written.
        made: Its checkpoints.
        spec: Whose variants are used.
        generate: Greedy tokens, where the head generates and the input is text.
    """
    kernels = attention(made, spec)
    if not kernels:
        return ()
    first, *others = made.checkpoints
    few = [one for one in made.inputs if one.name == _UNTIED_INPUT] or list(made.inputs[:1])
    given = [(first, one) for one in sorted(made.inputs, key=lambda one: _rank(one.name))]
    given += [(checkpoint, one) for checkpoint in others for one in few]
    tokens = generate if HEADS[architecture.head].generates else 0
    return tuple(
        Case(
            name=f"{architecture.name}{'' if checkpoint is first else f'-{UNTIED}'}.{one.name}",
            checkpoint=str(checkpoint.folder),
            auto_class=made.auto_class,
            input_ids=one.input_ids,
            attention_mask=one.attention_mask,
            inputs=one.inputs,
            generate=tokens if one.input_ids else 0,
            variants=Variants(attention=kernels),
            timeout=TIMEOUT,
        )
        for checkpoint, one in given
    )


def architecture_of(case: Case) -> Architecture:
    """The architecture that a case belongs to."""
    kind, head, _ = case.name.rsplit(".", 2)
    return Architecture(type=kind, head=head.removesuffix(f"-{UNTIED}"))


def input_of(case: Case) -> str:
    """What goes into a case, and into which checkpoint: `padded`, `untied.short`."""
    _, head, name = case.name.rsplit(".", 2)
    return f"{UNTIED}.{name}" if head.endswith(f"-{UNTIED}") else name


def spec_of(cohort: Cohort, made: Mapping[Architecture, Authored], generate: int = 0) -> Spec | None:
    """The cohort's spec with its cases in it; None where nothing was written."""
    found = {one: cases(one, made[one], cohort.spec, generate) for one in cohort.architectures if one in made}
    every = tuple(case for one in found.values() for case in one)
    if not every:
        return None
    names = {case.name for case in every}
    known = tuple(known for known in cohort.spec.known if known.case in names)
    gone: dict[Cell, list[str]] = {}
    for one, cells in cohort.removed.items():
        for cell in cells:
            gone.setdefault(cell, []).extend(case.name for case in found.get(one, ()))
    left_out = tuple(_left_out(cell, names) for cell, names in gone.items() if names)
    return replace(cohort.spec, case=every, known=known, exclude=(*cohort.spec.exclude, *left_out))


def _left_out(cell: Cell, names: Sequence[str]) -> Exclusion:
    return Exclusion(cells=dict(cell.axes), cases=tuple(names), reason="removed: this release does not know the type")


def _rank(name: str) -> int:
    return _WIDEST_FIRST.index(name) if name in _WIDEST_FIRST else len(_WIDEST_FIRST)
