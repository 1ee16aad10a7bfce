"""The plan: which cells and which captures a spec asks for."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from matrix.case import Case, Variant
from matrix.cell import Cell
from matrix.errors import SpecError
from matrix.spec import Exclusion, Spec, matches

BASE_REQUIREMENTS = ("safetensors",)
"""What every cell needs beside its axis values: the format that captures are written in."""

IMPLIED_REQUIREMENTS = {
    "gguf": ("accelerate", "gguf"),
    "low_cpu_mem_usage": ("accelerate",),
    "device_map": ("accelerate",),
    "adapter": ("accelerate", "peft"),
}
"""What transformers needs to read a .gguf file, to honour certain from_pretrained arguments in 4.x, and to load an
adapter (peft itself requires accelerate; named all the same, since its version may be an axis)."""


Take = Literal["main", "repeat", "evidence", "anatomy", "trace", "swap", "shrink", "roster", "author"]

SAME_IDS = "@baseline-ids"
"""Marks the capture of a text case that was given the baseline's ids."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One capture to take in a cell: a case under one variant.

    Attributes:
        case: With all its inputs filled in.
        variant: The options inside the cell.
        take: `repeat` is loaded once more, in a process of its own; `evidence` is a closer look at where bits differ;
            the others are what `explain` and `sweep` ask for, each the name of a probe.
        same_ids: Whether the case's text was replaced by the ids that the baseline's tokenizer made of it.
        through: Of evidence, the coarser variant whose rounded parameters are taken.
        ask: What else the probe is asked, as JSON values.
        captures: Role → key of an earlier capture that the probe reads.
    """

    case: Case
    variant: Variant
    take: Take = "main"
    same_ids: bool = False
    through: Variant | None = None
    ask: Mapping[str, Any] = field(default_factory=dict)
    captures: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Such as `llama-tiny/float32-eager`; also the capture's folder inside a cell's folder."""
        marks = [SAME_IDS] if self.same_ids else []
        marks += [f"@{self.take}"] if self.take != "main" else []
        marks += [f"@through-{self.through.id}"] if self.through else []
        marks += [f"-{_short([self.ask, self.captures])}"] if self.ask or self.captures else []
        return f"{self.case.name}/{self.variant.id}{''.join(marks)}"


@dataclass(frozen=True, kw_only=True)
class Skip:
    """A cell that the spec excludes, and why."""

    cell: Cell
    reason: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that a run is going to do, in the order of the spec.

    Attributes:
        cells: What is built and probed.
        skipped: What the spec excludes.
        jobs: What every cell captures.
        baseline: The cell that the others are compared with.
    """

    cells: tuple[Cell, ...]
    skipped: tuple[Skip, ...]
    jobs: tuple[Job, ...]
    baseline: Cell

    @property
    def loads(self) -> tuple[Job, ...]:
        """Everything that every cell loads: the jobs, and what repeats them."""
        return (*self.jobs, *self.repeats)

    @property
    def repeats(self) -> tuple[Job, ...]:
        """What every cell loads once more: each case once per dtype and device, under its first other options."""
        first: dict[tuple[str, str, str], Job] = {}
        for job in self.jobs:
            first.setdefault((job.case.name, job.variant.dtype, job.variant.device), replace(job, take="repeat"))
        return tuple(first.values())


def plan(spec: Spec) -> Plan:
    """Lay out a spec's cells and jobs.

    Raises:
        SpecError: When nothing is left to run, when two cells would share a name, or when the baseline is excluded.
    """
    if not spec.case:
        raise SpecError("no case is selected", next_step="name a checkpoint, or add a [[case]] to the spec")
    if not spec.axes:
        raise SpecError("the spec has no axes", next_step="add [axes.transformers] with values, or --transformers")
    cells = [_cell(spec, values) for values in itertools.product(*(axis.values for axis in spec.axes.values()))]
    _check_ids(cells)
    skipped = tuple(Skip(cell=cell, reason=e.reason) for cell in cells if (e := _exclusion(spec, cell)))
    kept = tuple(cell for cell in cells if not _exclusion(spec, cell))
    if not kept:
        raise SpecError("every cell is excluded", given=f"{len(cells)} cells", next_step="loosen [[exclude]]")
    baseline = _baseline(spec, kept)
    return Plan(cells=_chosen(spec, kept, baseline), skipped=skipped, jobs=_jobs(spec), baseline=baseline)


def _short(asked: object) -> str:
    """Tells apart what one probe is asked in one run."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]


def shard(cases: tuple[Case, ...], index: int, count: int) -> tuple[Case, ...]:
    """The cases of shard `index` of `count` (1-based): by case, so that all cells of a case meet on one machine."""
    return cases[index - 1 :: count]


def _cell(spec: Spec, values: tuple[str, ...]) -> Cell:
    axes = dict(zip(spec.axes, values, strict=True))
    chosen = {
        kind: {n: v for n, v in axes.items() if spec.axes[n].kind == kind} for kind in ("requirement", "env", "python")
    }
    return Cell(
        axes=axes,
        requirements=(
            *(f"{n}=={v}" for n, v in chosen["requirement"].items()),
            *requirements(spec.case, spec.requirements),
        ),
        python=next(iter(chosen["python"].values()), None),
        environ=chosen["env"],
    )


def requirements(cases: tuple[Case, ...], further: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What the cases need in every environment, sorted, so that equal needs give equal locks."""
    needs = {*BASE_REQUIREMENTS, *further, *(need for case in cases for need in case.requirements)}
    for case in cases:
        features = {*case.load, *(["gguf"] if case.checkpoint.endswith(".gguf") else [])}
        features |= {"adapter"} if case.adapter else set()
        needs.update(need for feature in features for need in IMPLIED_REQUIREMENTS.get(feature, ()))
    return tuple(sorted(needs))


def _exclusion(spec: Spec, cell: Cell) -> Exclusion | None:
    return next((exclusion for exclusion in spec.exclude if matches(exclusion.cells, cell.axes)), None)


def _jobs(spec: Spec) -> tuple[Job, ...]:
    return tuple(
        Job(case=case, variant=variant) for case in spec.case for variant in case.variants.over(spec.variants).expand()
    )


def _baseline(spec: Spec, cells: tuple[Cell, ...]) -> Cell:
    """The baseline's cell; an axis that the spec's baseline does not name counts with its first value."""
    wanted: Mapping[str, str] = {name: spec.baseline.get(name, axis.values[0]) for name, axis in spec.axes.items()}
    for cell in cells:
        if dict(cell.axes) == wanted:
            return cell
    raise SpecError("the baseline's cell is excluded", given=wanted, allowed=[cell.id for cell in cells])


def _chosen(spec: Spec, cells: tuple[Cell, ...], baseline: Cell) -> tuple[Cell, ...]:
    """The cells that the spec names, and the baseline's; all of them when it names none."""
    for name in spec.cells:
        if name not in {cell.id for cell in cells}:
            raise SpecError("there is no such cell", given=name, allowed=[cell.id for cell in cells])
    return tuple(cell for cell in cells if not spec.cells or cell.id in {*spec.cells, baseline.id})


def _check_ids(cells: list[Cell]) -> None:
    """Ids must stay apart once nox has turned them into the names of folders."""
    seen: dict[str, Cell] = {}
    for cell in cells:
        name = re.sub(r"[\W_]+", "-", cell.id.lower())
        if name in seen:
            raise SpecError("two cells would share an environment", given=f"{seen[name].id} and {cell.id}")
        seen[name] = cell
