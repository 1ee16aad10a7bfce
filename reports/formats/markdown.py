"""report.md: what a maintainer reads in an upstream bug report, in GitHub's Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pandas as pd
from tabulate import tabulate

from matrix.judge import Judgement, Verdict
from matrix.spec import Known
from matrix.verdicts import Verdicts
from reports import captures, commands, conditions, tables
from reports.differences import Difference, Remark, differences, gaps, remarks
from reports.escape import Markdown, code, fence, link, prose, quote, text
from reports.headline import detail, headline, looked, same_ids
from reports.names import SYMBOLS, Names, count, listing, names_of
from reports.spans import span
from reports.warned import warned

FILE = "report.md"
TEMPLATES = Path(__file__).parent.parent / "templates"
MAX_MESSAGES = 3


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A table and the sentence above it."""

    caption: Markdown
    table: Markdown


@dataclass(frozen=True, kw_only=True)
class Section:
    """One difference as the template shows it.

    Attributes:
        title: Case, verdict and span.
        known: Why it is expected, with a link.
        sentences: What happens, where along which axis.
        evidence: The earliest differing thing in every cell, then the metrics.
        messages: Error messages, fenced.
        command: What shows this alone.
    """

    title: Markdown
    known: Markdown | None
    sentences: tuple[Markdown, ...]
    evidence: tuple[Evidence, ...]
    messages: tuple[Markdown, ...]
    command: Markdown


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
    return _template().render(
        headline=prose(headline(verdicts, quote)),
        legend=_legend(names, shared),
        matrix=_table(matrix.drop(columns="variant") if shared else matrix),
        sections=[_section(verdicts, names, difference) for difference in differences(verdicts)],
        remarks=[_remark(remark, span(verdicts, names, remark.judgements)) for remark in remarks(verdicts)],
        gaps=list(_gaps(verdicts, names)),
        stale=[_stale(stale.known, looked(verdicts, names, stale)) for stale in verdicts.stale],
        cells=_table(tables.cells(verdicts, names)),
        costs=[cost for case in verdicts.run.spec.case if (cost := _cost(verdicts, names, case.name))],
        held_fixed=conditions.held_fixed(verdicts),
        environment=_table(tables.environment(verdicts, names)),
        run=verdicts.run,
        command=fence(verdicts.run.command),
    )


def _template() -> jinja2.Template:
    """The template; whatever it prints is escaped unless it is Markdown already."""
    environment = jinja2.Environment(  # noqa: S701 - escaped for Markdown by finalize, where HTML's rules do not hold
        loader=jinja2.FileSystemLoader(TEMPLATES),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markdown) else text(value),
    )
    return environment.get_template("report.md.j2")


def _mark(verdict: Verdict, known: bool) -> str:  # noqa: FBT001 - the signature of tables.Mark
    return f"{SYMBOLS[verdict]} {verdict}{' (known)' if known else ''}"


def _legend(names: Names, shared: str | None) -> str:
    """What the matrix's columns are, and what all of its verdicts share."""
    axes = listing(names.axes or tuple(names.fixed))
    fixed = [f"{axis} {value}" for axis, value in names.fixed.items()] if names.axes else []
    everywhere = f"; {listing(fixed)} everywhere" if fixed else ""
    rows = f" Every verdict holds for {shared}." if shared else ""
    return f"Columns: {axes}{everywhere}. Every cell is compared with the baseline, bit for bit.{rows}"


def _section(verdicts: Verdicts, names: Names, difference: Difference) -> Section:
    where = detail(difference, quote)
    says = "works, while the baseline fails," if difference.in_baseline else difference.verdict
    title = f"{SYMBOLS[difference.verdict]} {difference.case}: {says} {span(verdicts, names, difference.judgements)}"
    return Section(
        title=prose(f"{title}, {where}" if where else title),
        known=_known(difference),
        sentences=tuple(_sentences(verdicts, names, difference)),
        evidence=tuple(_evidence(verdicts, names, difference)),
        messages=tuple(_messages(difference)),
        command=fence(commands.reproduce(verdicts, difference)),
    )


def _known(difference: Difference) -> Markdown | None:
    if difference.known is None:
        return None
    more = f" ({link('more', difference.known.link)})" if difference.known.link else ""
    return Markdown(text(difference.known.reason) + more)


def _sentences(verdicts: Verdicts, names: Names, difference: Difference) -> Iterator[Markdown]:
    """Where it starts, per axis, and what one comparison looks like where no message of its own says it."""
    said: dict[str, list[str]] = {}
    variants = {job.variant for job in difference.jobs}
    for finding in verdicts.findings:
        if finding.case == difference.case and finding.variant in variants:
            sentence = finding.sentence.removeprefix(f"{finding.case}/{finding.variant.id}").lstrip(": ")
            said.setdefault(sentence, []).append(names.variant(finding.variant))
    for sentence, under in said.items():
        yield Markdown(f"{text(difference.case)} ({text(listing(under))}) {text(sentence)}.")
    if not any(_messages(difference)):
        first = difference.first
        place = f"{names.cell(first.candidate.cell)} ({names.variant(first.job.variant)})"
        yield Markdown(f"{text(place)}: {text(first.summary)}.")
    for sentence in same_ids(difference.judgements):
        yield Markdown(f"{sentence[0].upper()}{sentence[1:]}.")


def _evidence(verdicts: Verdicts, names: Names, difference: Difference) -> Iterator[Evidence]:
    """The earliest differing thing in every cell, then how far the logits lie apart."""
    variant, where = names.variant(difference.first.job.variant), code(difference.where or "")
    match difference.stage if difference.first.comparison else None:
        case "load" | "parameters" | "buffers":
            changing = "; another load may hold other values" if difference.verdict == "unstable" else ""
            caption = f"First values of {where} in every cell ({text(variant)}{changing}):"
            yield Evidence(caption=Markdown(caption), table=_table(tables.state(verdicts, names, difference)))
        case "tokens":
            caption = f"Ids of every cell by position ({text(variant)}):"
            yield Evidence(caption=Markdown(caption), table=_table(tables.tokens(verdicts, names, difference)))
        case "config":
            caption = Markdown("Config keys that both sides have, with different values:")
            yield Evidence(caption=caption, table=_table(tables.config(names, difference)))
        case _:
            pass
    if metrics := _table(tables.metrics(names, difference.judgements)):
        yield Evidence(caption=Markdown("Logits against the baseline's, KL divergence in nats:"), table=metrics)


def _messages(difference: Difference) -> Iterator[Markdown]:
    """The distinct error messages, bounded."""
    failures = [(j.baseline if difference.in_baseline else j.candidate).capture for j in difference.judgements]
    said = dict.fromkeys(
        f"{capture.failure.type}: {capture.failure.message}" for capture in failures if capture and capture.failure
    )
    yield from [fence(message) for message in said][:MAX_MESSAGES]
    if len(said) > MAX_MESSAGES:
        yield text(f"… and {len(said) - MAX_MESSAGES} more messages, in report.json")


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
    table = _table(tables.cost(verdicts, names, case))
    said, more = warned(verdicts, names, case)
    warnings = [Markdown(f"{text(cells)}: {code(line)}") for cells, line in said]
    warnings += [Markdown(f"… and {count(more, 'further warning')}")] if more else []
    return Cost(case=case, table=table, warnings=tuple(warnings)) if table or warnings else None


def _table(table: pd.DataFrame) -> Markdown:
    """A GitHub table of escaped text; nothing for a table without rows."""
    if table.empty:
        return Markdown("")
    safe = {text(column): [text(value) for value in table[column]] for column in table.columns}
    # disable_numparse: "2.10" is a version, not 2.1
    return Markdown(tabulate(safe, headers="keys", tablefmt="pipe", disable_numparse=True))
