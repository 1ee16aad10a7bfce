"""Names for people: how a report calls cells, variants and verdicts, as short as this run allows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from matrix.case import Variant
from matrix.cell import Cell
from matrix.judgement import Judgement, Verdict
from matrix.plan import Job
from matrix.verdicts import Verdicts

SYMBOLS: dict[Verdict, str] = {
    "identical": "✅",
    "noise": "≈",
    "drift": "❌",
    "unstable": "⚠️",
    "error": "💥",
    "missing": "❔",
}


@dataclass(frozen=True, kw_only=True)
class Names:
    """What tells the cells and variants of one run apart.

    Attributes:
        axes: Axes with more than one value.
        fixed: Axis → its one value, for the others.
        options: Options of a variant that take more than one value.
    """

    axes: tuple[str, ...]
    fixed: dict[str, str]
    options: tuple[str, ...]

    def value(self, axis: str, value: str) -> str:
        """A value of one axis: a transformers release needs no further word where nothing else varies."""
        return value if self.axes in {(), ("transformers",)} and axis == "transformers" else f"{axis} {value}"

    def cell(self, cell: Cell) -> str:
        """Such as `5.2.0`, or `5.2.0 · torch 2.6.0`."""
        first, *others = self.axes or tuple(cell.axes)[:1]
        head = cell.axes[first] if first == "transformers" else f"{first} {cell.axes[first]}"
        return " · ".join([head, *(f"{axis} {cell.axes[axis]}" for axis in others)])

    def variant(self, variant: Variant) -> str:
        """Such as `eager`, where nothing but the attention kernel varies."""
        values = [str(getattr(variant, option)) for option in self.options if option != "cache"]
        # on and off say nothing by themselves
        cache = [f"cache-{variant.cache}"] if "cache" in self.options and variant.cache != "default" else []
        return "-".join([*values, *cache]) or variant.id

    def job(self, job: Job) -> str:
        """A job's variant; a tokenizer has none."""
        return job.options if job.case.probe == "tokenizer" else self.variant(job.variant)

    def compared(self, judged: Judgement) -> str:
        """What was compared: `eager`, `sdpa against eager` within a cell, `eager, baseline's ids`."""
        variant = self.job(judged.job)
        if judged.against:
            return f"{variant} against {self.variant(judged.against.variant)}"
        return f"{variant}, baseline's ids" if judged.job.same_ids else variant

    def sides(self, judged: Judgement) -> tuple[str, str]:
        """Both sides: `4.57.6 (baseline)` and `5.2.0`, or `4.57.6, eager` and `4.57.6, sdpa` within a cell."""
        good, bad = self.cell(judged.baseline.cell), self.cell(judged.candidate.cell)
        if judged.against:
            return f"{good}, {self.variant(judged.against.variant)}", f"{bad}, {self.variant(judged.job.variant)}"
        return f"{good} (baseline)", bad


def names_of(verdicts: Verdicts) -> Names:
    """Look at a run's cells and jobs for what varies."""
    cells = [report.cell for report in verdicts.cells]
    variants = [job.variant for job in verdicts.plan.jobs if job.case.probe == "model"]
    axes = verdicts.plan.baseline.axes
    varying = tuple(axis for axis in axes if len({cell.axes[axis] for cell in cells}) > 1)
    options = [field.name for field in fields(Variant)]
    return Names(
        axes=varying,
        fixed={axis: value for axis, value in axes.items() if axis not in varying},
        options=tuple(name for name in options if len({getattr(variant, name) for variant in variants}) > 1),
    )


def listing(items: Iterable[str], *, limit: int = 6) -> str:
    """`a`, `a and b`, `a, b and c`; beyond the limit `a, b and 7 more`. Repeated items are named once."""
    known = list(dict.fromkeys(items))
    if len(known) > limit:
        known = [*known[: limit - 1], f"{len(known) - limit + 1} more"]
    *first, last = known or ["nothing"]
    return f"{', '.join(first)} and {last}" if first else last


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 cell`, `2 cells`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
