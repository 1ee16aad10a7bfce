"""Scoring: a judged run against the truth that its spec's `[[known]]` entries state. Nothing is printed here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from matrix.case import Option
from matrix.errors import SpecError
from matrix.findings import Finding
from matrix.judgement import QUIET, Judgement, concerns
from matrix.plan import Job
from matrix.spec import Known, matches
from matrix.verdicts import Verdicts
from reports.names import names_of

AXIS = "transformers"
"""The axis along which a first bad value is scored: releases have an order, and people ask for them."""

PLACES = 0.9
"""The share of places that must be right: releases may fill a model in another order without anything being wrong."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison and its truth.

    Attributes:
        spec: The spec's name.
        cell: The candidate's cell, in words.
        judged: What the tool says.
        truth: The entry that speaks of it; None where nothing changes.
    """

    spec: str
    cell: str
    judged: Judgement
    truth: Known | None

    @property
    def case(self) -> str:
        """The case's name, unique over all specs."""
        return f"{self.spec}/{self.judged.job.case.name}"

    @property
    def within(self) -> Option | None:
        """The option whose values are compared inside one cell; None for a cell against the baseline."""
        return self.judged.within

    @property
    def variant(self) -> str:
        """The variant's name, and which other one of its cell it is compared with, if that is so."""
        against = f" against {self.judged.against.variant.id}" if self.judged.against else ""
        return self.judged.job.variant.id + against

    @property
    def positive(self) -> bool:
        """Whether something is to be found here."""
        return self.truth is not None and self.truth.verdict not in QUIET

    @property
    def noisy(self) -> bool:
        """Whether rounding moves bits here."""
        return self.truth is not None and self.truth.verdict == "noise"

    @property
    def missing(self) -> bool:
        """Whether nothing could be compared, although something should."""
        return self.judged.verdict == "missing" and not (self.truth and self.truth.verdict == "missing")

    @property
    def exact(self) -> bool:
        """Whether the tool says the truth's own verdict."""
        return self.truth is not None and self.judged.verdict == self.truth.verdict

    @property
    def noticed(self) -> bool:
        """Whether the tool says anything that needs attention."""
        return not self.missing and self.judged.verdict not in QUIET

    @property
    def false_alarm(self) -> bool:
        """Whether the tool says something where there is nothing."""
        return self.noticed and not self.positive

    @property
    def unmoved(self) -> bool:
        """Whether rounding may move bits here, and this machine happens to round alike.

        Which builds and kernels round differently depends on the CPU; between two releases of transformers it does not.
        """
        return self.noisy and self.judged.verdict == "identical" and not self._releases_only

    @property
    def _releases_only(self) -> bool:
        """Whether the two sides differ in the release of transformers alone."""
        one, other = self.judged.baseline.cell.axes, self.judged.candidate.cell.axes
        return self.within is None and all(one[name] == other[name] for name in one if name != AXIS)

    @property
    def stage(self) -> bool | None:
        """Whether the stage is right; None where the truth does not state one."""
        return self.judged.stage == self.truth.stage if self.positive and self.truth and self.truth.stage else None

    @property
    def where(self) -> bool | None:
        """Whether the place is right; None where the truth does not state one."""
        return self.judged.where == self.truth.where if self.positive and self.truth and self.truth.where else None

    @property
    def right(self) -> bool:
        """Whether tool and truth agree in everything that the truth states."""
        verdict = self.exact or self.unmoved if self.truth else self.judged.verdict in QUIET
        return verdict and self.stage is not False and self.where is not False


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where along transformers a case starts to differ, in one direction from the baseline.

    Attributes:
        case: The case's name, unique over all specs.
        variant: The variant's name.
        truth: The first bad release, seen from the baseline.
        found: The one that a finding names; None where none does.
    """

    case: str
    variant: str
    truth: str
    found: str | None


@dataclass(frozen=True, kw_only=True)
class Share:
    """So many of so many."""

    hits: int
    total: int

    @property
    def rate(self) -> float:
        """From 0 to 1; 1 of nothing."""
        return self.hits / self.total if self.total else 1.0


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A share, counted by comparison and by case."""

    comparisons: Share
    cases: Share


@dataclass(frozen=True, kw_only=True)
class Score:
    """The tool against the truth.

    Attributes:
        rows: Every comparison.
        starts: Every first bad release that the truth implies.
        idle: Entries that no comparison answers, with their spec's name.
        lost: Specs without any capture, and why.
    """

    rows: tuple[Row, ...] = ()
    starts: tuple[Start, ...] = ()
    idle: tuple[tuple[str, Known], ...] = ()
    lost: tuple[tuple[str, str], ...] = ()

    @property
    def recall(self) -> Measure:
        """Positive truths that got exactly their verdict."""
        return _measure((row.case, row.exact) for row in self.rows if row.positive)

    @property
    def noticed(self) -> Measure:
        """Positive truths that got any verdict that needs attention."""
        return _measure((row.case, row.noticed) for row in self.rows if row.positive)

    @property
    def false_alarms(self) -> Measure:
        """Comparisons without a positive truth that got one all the same; a case counts with its first."""
        return _measure(((row.case, row.false_alarm) for row in self.rows if not row.positive), whole=any)

    @property
    def noise(self) -> Measure:
        """Truths of noise that were told as noise, where bits moved at all."""
        return _measure((row.case, row.exact) for row in self.rows if row.noisy and not row.unmoved)

    @property
    def unmoved(self) -> tuple[Row, ...]:
        """Truths of noise where this machine moves no bits: neither right nor wrong."""
        return tuple(row for row in self.rows if row.unmoved)

    @property
    def stage(self) -> Measure:
        """Right stages among the positive truths that state one."""
        return _measure((row.case, row.stage) for row in self.rows if row.stage is not None)

    @property
    def where(self) -> Measure:
        """Right places among the positive truths that state one."""
        return _measure((row.case, row.where) for row in self.rows if row.where is not None)

    @property
    def first_bad(self) -> Measure:
        """First bad releases that a finding names."""
        return _measure((start.case, start.found == start.truth) for start in self.starts)

    @property
    def missing(self) -> tuple[Row, ...]:
        """Comparisons that could not be made."""
        return tuple(row for row in self.rows if row.missing)

    @property
    def complete(self) -> bool:
        """Whether every truth was put to the tool."""
        return not (self.missing or self.idle or self.lost)

    @property
    def passes(self) -> bool:
        """Whether everything was found, nothing else was, and nearly every place is right."""
        perfect = all(measure.comparisons.rate == 1 for measure in (self.recall, self.noise))
        return perfect and not self.false_alarms.comparisons.hits and self.where.comparisons.rate >= PLACES


def score(spec: str, verdicts: Verdicts) -> Score:
    """Score one judged run.

    Args:
        spec: The spec's name.
        verdicts: The judged run; its spec holds the truth.

    Raises:
        SpecError: When two entries speak of the same comparison.
    """
    names = names_of(verdicts)
    rows = tuple(
        Row(
            spec=spec,
            cell=names.cell(judged.candidate.cell),
            judged=judged,
            truth=_truth(spec, verdicts.run.spec.known, judged),
        )
        for judged in _compared(verdicts)
    )
    return Score(rows=rows, starts=tuple(_starts(verdicts, rows)), idle=tuple(_idle(spec, verdicts)))


def total(scores: Sequence[Score]) -> Score:
    """Several specs' scores as one."""
    return Score(
        rows=tuple(row for one in scores for row in one.rows),
        starts=tuple(start for one in scores for start in one.starts),
        idle=tuple(entry for one in scores for entry in one.idle),
        lost=tuple(entry for one in scores for entry in one.lost),
    )


def _compared(verdicts: Verdicts) -> tuple[Judgement, ...]:
    """Every cell against the baseline, then the variants inside each cell."""
    return *verdicts.judgements, *verdicts.within


def _truth(spec: str, known: Sequence[Known], judged: Judgement) -> Known | None:
    speaking = [entry for entry in known if concerns(entry, judged)]
    if len(speaking) > 1:
        raise SpecError(
            f"{spec}: two [[known]] entries speak of one comparison, which has one truth",
            given=f"{judged.job.id} in {judged.candidate.cell.title}: {'; '.join(entry.reason for entry in speaking)}",
            next_step="narrow their cells, variant or within",
        )
    return speaking[0] if speaking else None


def _idle(spec: str, verdicts: Verdicts) -> Iterator[tuple[str, Known]]:
    """Entries about cases that ran which no comparison answers: a truth must not be dropped in silence."""
    cases = {case.name for case in verdicts.run.spec.case}
    for entry in verdicts.run.spec.known:
        if entry.case in cases and not any(concerns(entry, judged) for judged in _compared(verdicts)):
            yield spec, entry


def _starts(verdicts: Verdicts, rows: Sequence[Row]) -> Iterator[Start]:
    """Every job's walk from the baseline to newer and to older releases."""
    baseline = verdicts.plan.baseline.axes
    if AXIS not in baseline:
        return
    values = verdicts.run.spec.axes[AXIS].values
    start = values.index(baseline[AXIS])
    for job in verdicts.plan.jobs:
        along = {row.judged.candidate.cell.axes[AXIS]: row for row in rows if _on_line(row, job, verdicts)}
        for line in (values[start + 1 :], values[:start][::-1]):
            first = next((value for value in line if value in along and _starts_here(along[value], verdicts)), None)
            if first:
                found = next((f.first_bad for f in verdicts.findings if _about(f, job) and f.first_bad in line), None)
                yield Start(case=along[first].case, variant=job.variant.id, truth=first, found=found)


def _on_line(row: Row, job: Job, verdicts: Verdicts) -> bool:
    """Whether only the release differs from the baseline."""
    cell, baseline = row.judged.candidate.cell.axes, verdicts.plan.baseline.axes
    others = all(cell[name] == value for name, value in baseline.items() if name != AXIS)
    return others and row.within is None and row.judged.job.id == job.id


def _starts_here(row: Row, verdicts: Verdicts) -> bool:
    """A truth that holds for the baseline's own cell too starts nowhere, nor does one that has nothing to compare."""
    if not row.positive or row.truth is None or row.truth.verdict == "missing":
        return False
    return not matches(row.truth.cells, verdicts.plan.baseline.axes)


def _about(finding: Finding, job: Job) -> bool:
    return finding.axis == AXIS and finding.case == job.case.name and finding.variant == job.variant


def _measure(counted: Iterable[tuple[str, bool | None]], whole: Callable[[Iterable[bool]], bool] = all) -> Measure:
    """Count by comparison, and by case: a case is a hit when the whole of it is."""
    cases: dict[str, list[bool]] = {}
    for case, hit in counted:
        cases.setdefault(case, []).append(bool(hit))
    hits = [hit for found in cases.values() for hit in found]
    return Measure(
        comparisons=Share(hits=sum(hits), total=len(hits)),
        cases=Share(hits=sum(whole(found) for found in cases.values()), total=len(cases)),
    )
