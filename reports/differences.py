"""Differences: judgements that say the same about one case, merged over variants and cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from matrix.cell import Cell
from matrix.judgement import QUIET, Judgement, Verdict
from matrix.plan import Job
from matrix.spec import Known, Stage
from matrix.verdicts import Verdicts


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that changed.

    Attributes:
        case: The case's name.
        verdict: Drift, unstable or error.
        stage: The earliest stage that differs.
        where: The name it differs at.
        known: The spec's entry that expects it.
        judgements: Every variant and cell that shows it, in the run's order.
    """

    case: str
    verdict: Verdict
    stage: Stage | None
    where: str | None
    known: Known | None
    judgements: tuple[Judgement, ...]

    @property
    def first(self) -> Judgement:
        """The first variant and cell that shows it."""
        return self.judgements[0]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells that show it."""
        return tuple(dict.fromkeys(judged.candidate.cell for judged in self.judgements))

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The case under every variant that shows it."""
        return tuple({judged.job.id: judged.job for judged in self.judgements}.values())

    @property
    def in_baseline(self) -> bool:
        """Whether it is the baseline that fails, while the candidates work."""
        return self.verdict == "error" and self.first.baseline.captured is None


@dataclass(frozen=True, kw_only=True)
class Remark:
    """One sentence about a case that holds for several variants and cells."""

    case: str
    sentence: str
    judgements: tuple[Judgement, ...]


def differences(verdicts: Verdicts, judgements: Sequence[Judgement]) -> tuple[Difference, ...]:
    """What changed, in the order of the spec; quiet and missing verdicts are no differences.

    Args:
        verdicts: The judged run.
        judgements: Its comparisons between cells, or those within them.
    """
    groups: dict[tuple[object, ...], list[Judgement]] = {}
    for judged in judgements:
        if judged.verdict not in QUIET and judged.verdict != "missing":
            known = verdicts.run.spec.known.index(judged.known) if judged.known else None
            pair = (judged.within, judged.job.variant, judged.against.variant) if judged.against else None
            # a failing baseline and a failing candidate are two stories
            key = (
                *(judged.job.case.name, pair),
                *(judged.verdict, judged.stage, judged.where, known, not judged.baseline.captured),
            )
            groups.setdefault(key, []).append(judged)
    return tuple(_difference(found) for found in groups.values())


def remarks(verdicts: Verdicts) -> tuple[Remark, ...]:
    """Facts beside the verdicts: rounding that is explained, and what changed without changing anything else."""
    return _merged(
        (judged, sentence)
        for judged in (*verdicts.judgements, *verdicts.within)
        for sentence in ([judged.summary] if judged.verdict == "noise" else []) + list(judged.notes)
    )


def gaps(verdicts: Verdicts) -> tuple[Remark, ...]:
    """What could not be compared, although its cell has captures of other cases."""
    whole = {report.cell.id for report in verdicts.cells if report.status == "captured"}
    return _merged(
        (judged, judged.summary)
        for judged in verdicts.judgements
        if judged.verdict == "missing" and judged.candidate.cell.id in whole
    )


def concerned(verdicts: Verdicts, case: str) -> Iterator[Judgement]:
    """Every judgement of one case that says something."""
    return (judged for judged in verdicts.judgements if judged.job.case.name == case and judged.verdict != "missing")


def noisy(verdicts: Verdicts) -> tuple[Judgement, ...]:
    """Every comparison that rounding explains, between cells, with the baseline's ids, or within a cell."""
    every = [again for judged in (*verdicts.judgements, *verdicts.within) for again in with_same_ids([judged])]
    return tuple(judged for judged in every if judged.verdict == "noise")


def with_same_ids(judgements: Iterable[Judgement]) -> Iterator[Judgement]:
    """Each judgement, and what the same comparison says when both sides get the baseline's ids."""
    for judged in judgements:
        yield judged
        if judged.same_ids:
            yield judged.same_ids


def _difference(found: list[Judgement]) -> Difference:
    first = found[0]
    return Difference(
        case=first.job.case.name,
        verdict=first.verdict,
        stage=first.stage,
        where=first.where,
        known=first.known,
        judgements=tuple(found),
    )


def _merged(said: Iterable[tuple[Judgement, str]]) -> tuple[Remark, ...]:
    groups: dict[tuple[object, ...], list[Judgement]] = {}
    for judged, sentence in said:
        pair = (judged.job.variant, judged.against.variant) if judged.against else None
        groups.setdefault((judged.job.case.name, pair, sentence), []).append(judged)
    return tuple(
        Remark(case=found[0].job.case.name, sentence=str(key[-1]), judgements=tuple(found))
        for key, found in groups.items()
    )
