"""Judgements: what is said about two captures, and whether the spec expects it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Literal

from matrix.capture import Capture, Failure
from matrix.case import Option
from matrix.cell import Cell, CellStatus
from matrix.compare import Comparison
from matrix.evidence import Evidence
from matrix.noise import Rounding
from matrix.plan import Job
from matrix.repeats import Repeat
from matrix.spec import Known, Spec, Stage, matches
from matrix.tokenizer_difference import TokenizerDifference

Verdict = Literal["identical", "noise", "drift", "unstable", "error", "missing"]

QUIET: frozenset[Verdict] = frozenset({"identical", "noise"})
"""Verdicts that need nobody's attention."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of a comparison: the cell, what became of it and at which stage, and its capture if there is one.

    `repeat` is a second load of the same case in another process; `look` is the closer look, one more load.
    """

    cell: Cell
    status: CellStatus
    reason: str | None
    capture: Capture | None
    stage: str | None = None
    repeat: Repeat | None = None
    look: Evidence | None = None

    @property
    def captured(self) -> Capture | None:
        """The capture, if it is complete."""
        return self.capture if self.capture and self.capture.status == "captured" else None

    @property
    def failure(self) -> Failure | None:
        """Why the probe failed, if it did."""
        return self.capture.failure if self.capture else None


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What is said about one candidate of one job.

    Attributes:
        job: The case and variant.
        baseline: The side that is taken as right.
        candidate: The side that is judged.
        comparison: What differs; None when a side has no complete capture.
        rounding: What is known about rounding, where bits differ and both cells had a closer look.
        verdict: By severity.
        stage: The earliest stage that differs and could have caused the rest.
        where: The tensor, config key or position it differs at.
        summary: One sentence.
        notes: Facts that change nothing about the verdict.
        known: The spec's entry that expects exactly this, if any.
        baseline_at_fault: Whether it is the baseline that is unstable: then no axis decides it.
        within: The option that differs, where both sides are variants of one cell.
        against: Then, the baseline side's job.
        same_ids: The same job with the baseline's ids, where the tokens differ.
        tokenizer: What differs, of a case that looks at the tokenizer alone; it has no comparison.
    """

    job: Job
    baseline: Side
    candidate: Side
    verdict: Verdict = "missing"
    summary: str = ""
    comparison: Comparison | None = None
    rounding: Rounding | None = None
    stage: Stage | None = None
    where: str | None = None
    notes: tuple[str, ...] = ()
    known: Known | None = None
    baseline_at_fault: bool = False
    within: Option | None = None
    against: Job | None = None
    same_ids: Judgement | None = None
    tokenizer: TokenizerDifference | None = None

    @property
    def fails(self) -> bool:
        """Whether this alone makes the run's exit code 1."""
        # a known change of tokens is no excuse for a model that changes with the same ids
        beneath = self.same_ids is not None and self.same_ids.verdict not in QUIET
        return self.verdict not in QUIET and (self.known is None or beneath)


def expected(judged: Judgement, spec: Spec) -> Judgement:
    """The judgement with the spec's `[[known]]` entry that expects it, if there is one."""
    return replace(judged, known=next((known for known in spec.known if fits(known, judged)), None))


def fits(known: Known, judged: Judgement) -> bool:
    """Whether a known verdict is exactly what was found."""
    place = known.where in {None, judged.where} and known.stage in {None, judged.stage}
    return concerns(known, judged) and known.verdict == judged.verdict and place


def concerns(known: Known, judged: Judgement) -> bool:
    """Whether a known verdict speaks about this case, variant and cell, whatever was found there."""
    variant = asdict(judged.job.variant)
    chosen = all(str(variant.get(name)) == value for name, value in known.variant.items())
    if known.within != judged.within:
        return False
    return known.case == judged.job.case.name and chosen and matches(known.cells, judged.candidate.cell.axes)
