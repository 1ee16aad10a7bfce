"""The plan: which cells and which captures a spec asks for."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from matrix.case import Case, Variant
from matrix.cell import Cell
from matrix.errors import SpecError
from matrix.spec import Exclusion, Spec, matches

T = TypeVar("T")

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
        """Such as `llama-tiny/float32-eager` or `mine/tokenizer`; also the capture's folder inside a cell's folder."""
        marks = [SAME_IDS] if self.same_ids else []
        marks += [f"@{self.take}"] if self.take != "main" else []
        marks += [f"@through-{self.through.id}"] if self.through else []
        marks += [f"-{_short([self.ask, self.captures])}"] if self.ask or self.captures else []
        return f"{self.case.name}/{self.options}{''.join(marks)}"

    @property
    def options(self) -> str:
        """The variant's id; a tokenizer has none of its options."""
        return "tokenizer" if self.case.probe == "tokenizer" else self.variant.id


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
        jobs: What every cell captures, but for what it is to leave out.
        baseline: The cell that the others are compared with.
        left_out: Cell id → the names of cases that the spec excludes there.
    """

    cells: tuple[Cell, ...]
    skipped: tuple[Skip, ...]
    jobs: tuple[Job, ...]
    baseline: Cell
    left_out: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def asks(self, cell: Cell, job: Job) -> bool:
        """Whether a cell is to capture a job, its repeats and closer looks."""
        return job.case.name not in self.left_out.get(cell.id, ())

    def loads(self, cell: Cell) -> tuple[Job, ...]:
        """Everything that a cell loads: the jobs, and what repeats them."""
        return tuple(job for job in (*self.jobs, *self.repeats) if self.asks(cell, job))

    @property
    def repeats(self) -> tuple[Job, ...]:
        """What every cell loads once more: each checkpoint once per dtype and device, under its first other options.

        Cases with a text are repeated one by one, since their tokenizer runs again, too.
        """
        return tuple(self._repeats.values())

    def repeat_of(self, job: Job) -> Job:
        """The second load that speaks for a job: of the same bytes in the same dtype on the same device."""
        return self._repeats[_loaded(job)]

    @functools.cached_property
    def _repeats(self) -> dict[tuple[str, ...], Job]:
        first: dict[tuple[str, ...], Job] = {}
        for job in self.jobs:
            first.setdefault(_loaded(job), replace(job, take="repeat"))
        return first


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
    chosen = _chosen(spec, kept, baseline)
    left_out = {cell.id: names for cell in chosen if (names := _left_out(spec, cell))}
    if baseline.id in left_out:
        given = ", ".join(sorted(left_out[baseline.id]))
        raise SpecError("a case is excluded in the baseline's cell", given=given, next_step="loosen [[exclude]]")
    return Plan(cells=chosen, skipped=skipped, jobs=_jobs(spec), baseline=baseline, left_out=left_out)


def _short(asked: object) -> str:
    """Tells apart what one probe is asked in one run."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]


def shard(things: tuple[T, ...], index: int, count: int) -> tuple[T, ...]:
    """Shard `index` of `count` (1-based): by case, or by model type, so that all its cells meet on one machine."""
    return things[index - 1 :: count]


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
        read = (case.checkpoint, case.tokenizer or "")
        features = {*case.load, *(["gguf"] if any(name.endswith(".gguf") for name in read) else [])}
        features |= {"adapter"} if case.adapter else set()
        needs.update(need for feature in features for need in IMPLIED_REQUIREMENTS.get(feature, ()))
    return tuple(sorted(needs))


def _exclusion(spec: Spec, cell: Cell) -> Exclusion | None:
    whole = (exclusion for exclusion in spec.exclude if not exclusion.cases)
    return next((exclusion for exclusion in whole if matches(exclusion.cells, cell.axes)), None)


def _left_out(spec: Spec, cell: Cell) -> frozenset[str]:
    """The cases that the spec excludes in a cell."""
    return frozenset(name for found in spec.exclude if matches(found.cells, cell.axes) for name in found.cases)


def _loaded(job: Job) -> tuple[str, ...]:
    """What is loaded, whatever goes in; a text goes through a tokenizer, which is loaded too."""
    case, variant = job.case, job.variant
    options = [case.tokenizer, case.adapter, case.auto_class, case.trust_remote_code, case.probe, case.load]
    own = case.name if case.text or case.chat else ""
    return case.checkpoint, json.dumps(options, sort_keys=True, default=str), own, variant.dtype, variant.device


def _jobs(spec: Spec) -> tuple[Job, ...]:
    return tuple(Job(case=case, variant=variant) for case in spec.case for variant in _variants(spec, case))


def _variants(spec: Spec, case: Case) -> tuple[Variant, ...]:
    """Every variant of a case; one of no meaning where only its tokenizer is looked at."""
    return (Variant(),) if case.probe == "tokenizer" else case.variants.over(spec.variants).expand()


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
