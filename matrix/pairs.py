"""Pairs: which captures of a run are compared with which."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from matrix.case import Case, Option
from matrix.cell import Cell
from matrix.plan import Job, Plan
from matrix.spec import Spec


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two captures: the one that is taken as right, and the one that is compared with it.

    Attributes:
        baseline: The cell of the first.
        reference: The job of the first.
        cell: The cell of the second.
        job: The job of the second.
        within: The option that differs where both are variants of one cell; None for a cell against the baseline's.
    """

    baseline: Cell
    reference: Job
    cell: Cell
    job: Job
    within: Option | None = None


def pairs(spec: Spec, plan: Plan) -> Iterator[Pair]:
    """Every cell against the baseline's, job by job, then the variants within each cell."""
    for job in plan.jobs:
        for cell in plan.cells:
            if cell != plan.baseline and plan.asks(cell, job):
                yield Pair(baseline=plan.baseline, reference=job, cell=cell, job=job)
    for job in plan.jobs:
        for option, reference in _references(spec, job):
            for cell in (cell for cell in plan.cells if plan.asks(cell, job)):
                yield Pair(baseline=cell, reference=reference, cell=cell, job=job, within=option)


def options_within(spec: Spec, case: Case) -> tuple[Option, ...]:
    """The options along which a case's variants are compared inside each cell; a tokenizer has none."""
    if case.probe == "tokenizer":
        return ()
    return spec.within if case.within is None else case.within


def _references(spec: Spec, job: Job) -> Iterator[tuple[Option, Job]]:
    """The same job with the first value of each option that is compared, where it has another."""
    for option in options_within(spec, job.case):
        first = (getattr(job.case.variants.over(spec.variants), option) or (None,))[0]
        if first is not None and first != getattr(job.variant, option):
            yield option, replace(job, variant=replace(job.variant, **{option: first}))
