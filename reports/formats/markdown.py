"""report.md: what a maintainer reads in an upstream bug report, in GitHub's Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matrix.judgement import Judgement, Verdict
from matrix.spec import Known
from matrix.verdicts import Verdicts
from reports import captures, conditions, tables
from reports.differences import Remark, differences, gaps, noisy, remarks
from reports.escape import Markdown, code, fence, prose, quote, text
from reports.frames import markdown
from reports.headline import headline, looked
from reports.names import SYMBOLS, Names, count, listing, names_of
from reports.sections import section, weighed
from reports.spans import place
from reports.templating import template
from reports.warned import warned

FILE = "report.md"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one case cost.

    Attributes:
        case: The case's name.
        table: Seconds and memory of every variant and cell; empty when they were not measured.
        warnings: What some cells warned of and others did not.
    """

    case: str
    table: Markdown
    warnings: tuple[Markdown, ...]


def render(verdicts: Verdicts) -> str:
    """The whole report."""
    names = names_of(verdicts)
    matrix = tables.matrix(verdicts, names, _mark)
    shared = tables.shared_variants(matrix)
    return template("report.md.j2").render(
        headline=prose(headline(verdicts, quote)),
        legend=_legend(names, shared),
        matrix=markdown(matrix.drop(columns="variant") if shared else matrix),
        sections=[section(verdicts, names, found) for found in differences(verdicts, verdicts.judgements)],
        within=markdown(tables.within(verdicts, names, _mark)),
        pairs=[section(verdicts, names, found) for found in differences(verdicts, verdicts.within)],
        remarks=[_remark(remark, place(verdicts, names, remark.judgements)) for remark in remarks(verdicts)],
        noise=list(weighed(names, noisy(verdicts), cases=True)),
        gaps=list(_gaps(verdicts, names)),
        stale=[_stale(stale.known, looked(verdicts, names, stale)) for stale in verdicts.stale],
        cells=markdown(tables.cells(verdicts, names)),
        costs=[cost for case in verdicts.run.spec.case if (cost := _cost(verdicts, names, case.name))],
        commits=conditions.commits(verdicts),
        held_fixed=conditions.held_fixed(verdicts),
        repeated=conditions.repeated(verdicts),
        environment=markdown(tables.environment(verdicts, names)),
        run=verdicts.run,
        command=fence(verdicts.run.command),
    )


def _mark(verdict: Verdict, known: bool) -> str:  # noqa: FBT001 - the signature of tables.Mark
    return f"{SYMBOLS[verdict]} {verdict}{' (known)' if known else ''}"


def _legend(names: Names, shared: str | None) -> str:
    """What the matrix's columns are, and what all of its verdicts share."""
    axes = listing(names.axes or tuple(names.fixed))
    fixed = [f"{axis} {value}" for axis, value in names.fixed.items()] if names.axes else []
    everywhere = f"; {listing(fixed)} everywhere" if fixed else ""
    rows = f" Every verdict holds for {shared}." if shared else ""
    return f"Columns: {axes}{everywhere}. Every cell is compared with the baseline, bit for bit.{rows}"


def _remark(remark: Remark, place: str) -> Markdown:
    return Markdown(f"{text(remark.case)}, {text(place)}: {text(remark.sentence)}")


def _cells(names: Names, found: Sequence[Judgement]) -> str:
    return "in " + listing(names.cell(judged.candidate.cell) for judged in found)


def _gaps(verdicts: Verdicts, names: Names) -> Iterator[Markdown]:
    """What could not be compared in cells that captured something else, or captured in the only cell."""
    for remark in gaps(verdicts):
        yield _remark(remark, _cells(names, remark.judgements))
    for job, outcome in captures.failed(verdicts):
        yield Markdown(f"{text(job.id)} ({outcome.status}): {text(outcome.reason or 'no reason was left')}")


def _stale(known: Known, cells: str) -> Markdown:
    place = f" at {code(known.where)}" if known.where else ""
    said = f"{text(known.case)}: {known.verdict}{place} in {text(cells)}, but nothing is wrong there"
    return Markdown(f"{said}; expected because {text(known.reason)}")


def _cost(verdicts: Verdicts, names: Names, case: str) -> Cost | None:
    """What one case cost and which cells warned of something; None when neither was captured."""
    table = markdown(tables.cost(verdicts, names, case))
    said, more = warned(verdicts, names, case)
    warnings = [Markdown(f"{text(cells)}: {code(line)}") for cells, line in said]
    warnings += [Markdown(f"… and {count(more, 'further warning')}")] if more else []
    return Cost(case=case, table=table, warnings=tuple(warnings)) if table or warnings else None
