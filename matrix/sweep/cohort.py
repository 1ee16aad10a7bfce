"""Cohorts: which release writes the checkpoints of which architectures, and which cells they are compared in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from matrix.cell import Cell
from matrix.plan import plan
from matrix.spec import Spec
from matrix.sweep.heads import HEADS
from matrix.sweep.roster import Roster

AXIS = "transformers"


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One model type under one head."""

    type: str
    head: str

    @property
    def name(self) -> str:
        """Such as `llama.causal-lm`; the beginning of its cases' names."""
        return f"{self.type}.{self.head}"

    @property
    def auto_class(self) -> str:
        """The Auto class that loads it."""
        return HEADS[self.head].auto_class


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """The architectures that one release writes, and that are compared with one cell.

    Attributes:
        author: The release.
        spec: The cells that are compared: those of the author and of every newer release. Its cases are a stand-in.
        architectures: Types in the roster's order, head by head.
        removed: Architecture → the cells whose release no longer knows it.
    """

    author: str
    spec: Spec
    architectures: tuple[Architecture, ...]
    removed: Mapping[Architecture, tuple[Cell, ...]]

    @property
    def name(self) -> str:
        """The cohort's folder in a sweep."""
        return f"from-{self.author}-against-{self.spec.baseline[AXIS]}"

    @property
    def cell(self) -> Cell:
        """The author's cell: every other axis has the baseline's value."""
        laid = plan(self.spec)
        return next(cell for cell in laid.cells if dict(cell.axes) == {**laid.baseline.axes, AXIS: self.author})

    @property
    def compares(self) -> bool:
        """Whether there are two cells to compare at all."""
        return len(plan(self.spec).cells) > 1


Tried = Mapping[Architecture, tuple[str, ...]]
"""Architecture → the releases that could not write it."""


def cohorts(
    spec: Spec,
    rosters: Mapping[Cell, Roster],
    wanted: Sequence[Architecture],
    authors: Sequence[str] = (),
    tried: Tried = MappingProxyType({}),
) -> tuple[Cohort, ...]:
    """Give every architecture to the oldest release that knows it, may write it and was not seen to fail.

    Args:
        spec: The sweep's axes and baseline.
        rosters: Cell → what its release knows, for every cell that could say so.
        wanted: What is swept.
        authors: The releases that may write; every one when empty.
        tried: Who failed; where everyone has, it is the oldest one's again.

    Returns:
        Oldest author first; what no such release knows belongs to none.
    """
    baseline, releases = plan(spec).baseline, spec.axes[AXIS].values
    known = {cell.axes[AXIS]: roster for cell, roster in rosters.items() if _beside(cell, baseline)}
    may = [release for release in releases if release in known and (not authors or release in authors)]
    chosen: dict[tuple[str, str], list[Architecture]] = {}
    for one in wanted:
        able = [release for release in may if one.type in known[release].types(one.auto_class)]
        left = [release for release in able if release not in tried.get(one, ())]
        for author in (left or able)[:1]:
            against = _against(one, author, releases, baseline, rosters)
            chosen.setdefault((author, against), []).append(one)
    ordered = sorted(chosen, key=lambda pair: [releases.index(release) for release in pair])
    return tuple(_cohort(spec, rosters, *pair, tuple(chosen[pair])) for pair in ordered)


def _against(
    one: Architecture, author: str, releases: Sequence[str], baseline: Cell, rosters: Mapping[Cell, Roster]
) -> str:
    """The release that counts as right: the baseline's, or the author where that one is older or lacks the type."""
    usual = baseline.axes[AXIS]
    older, lacks = releases.index(usual) < releases.index(author), [*_without(one, (baseline,), rosters)]
    return author if older or lacks else usual


def _cohort(
    spec: Spec, rosters: Mapping[Cell, Roster], author: str, against: str, found: tuple[Architecture, ...]
) -> Cohort:
    values = spec.axes[AXIS].values
    axes = {**spec.axes, AXIS: replace(spec.axes[AXIS], values=values[values.index(author) :])}
    narrowed = replace(spec, axes=axes, baseline={**plan(spec).baseline.axes, AXIS: against})
    cells = plan(narrowed).cells
    removed = {one: gone for one in found if (gone := tuple(_without(one, cells, rosters)))}
    return Cohort(author=author, spec=narrowed, architectures=found, removed=removed)


def _without(one: Architecture, cells: Iterable[Cell], rosters: Mapping[Cell, Roster]) -> Iterable[Cell]:
    """The cells whose release was asked and does not know an architecture."""
    return (cell for cell in cells if cell in rosters and one.type not in rosters[cell].types(one.auto_class))


def _beside(cell: Cell, baseline: Cell) -> bool:
    """Whether a cell differs from the baseline along no other axis."""
    return {**cell.axes, AXIS: ""} == {**baseline.axes, AXIS: ""}
