"""The headline: what a run found, in sentences that can be said out loud."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from matrix.judgement import QUIET
from matrix.verdicts import Stale, Verdicts
from reports import captures
from reports.differences import Difference, differences
from reports.names import Names, count, listing, names_of
from reports.phrases import Quote, phrase, relation
from reports.spans import span

MAX_CASES = 5
MAX_REASON = 200


def headline(verdicts: Verdicts, quote: Quote = str) -> str:
    """Everything that matters about a run in one short paragraph.

    Args:
        verdicts: The judged run.
        quote: Marks foreign names; plain by default.
    """
    names, found = names_of(verdicts), differences(verdicts, verdicts.judgements)
    sentences = [
        _changes(verdicts, names, found, quote) if found else _agreement(verdicts, names),
        *_known(found),
        *_within(verdicts, names),
        *_missing(verdicts, names),
        *_stale(verdicts, names),
    ]
    return " ".join(sentences)


def looked(verdicts: Verdicts, names: Names, stale: Stale) -> str:
    """The cells where a known verdict was looked for in vain."""
    return listing(names.cell(report.cell) for report in verdicts.cells if report.cell.id in stale.cells)


def _changes(verdicts: Verdicts, names: Names, found: Sequence[Difference], quote: Quote) -> str:
    changed = list(dict.fromkeys(difference.case for difference in found))
    phrases = [f"{difference.case} {phrase(verdicts, names, difference, quote)}" for difference in found]
    more = [f"and {len(phrases) - MAX_CASES} more"] if len(phrases) > MAX_CASES else []
    total = len(verdicts.run.spec.case)
    verb = "changes" if len(changed) == 1 else "change"
    lead = f"{len(changed)} of {count(total, 'case')} {verb} {_between(verdicts, names, found)}"
    return f"{lead}: {', '.join(phrases[:MAX_CASES] + more)}."


def _between(verdicts: Verdicts, names: Names, found: Sequence[Difference]) -> str:
    """`between transformers 4.57.6 and 5.23.0`: the baseline and the last value on the side that changes."""
    baseline = verdicts.plan.baseline
    if len(names.axes) != 1:
        return f"against {baseline.title}"
    axis = names.axes[0]
    order = verdicts.run.spec.axes[axis].values
    base = order.index(baseline.axes[axis])
    places = [order.index(cell.axes[axis]) for difference in found for cell in difference.cells]
    low, high = (0 if min(places) < base else base), (len(order) - 1 if max(places) > base else base)
    return f"between {axis} {order[low]} and {order[high]}"


def _agreement(verdicts: Verdicts, names: Names) -> str:
    """What is said when nothing changed: as much as was compared, no more."""
    compared = [judged for judged in verdicts.judgements if judged.verdict != "missing"]
    cases = list(dict.fromkeys(judged.job.case.name for judged in compared))
    if not verdicts.judgements:
        return _alone(verdicts)
    if not compared:
        return "Nothing could be compared."
    total = len(verdicts.run.spec.case)
    who = f"All {total} cases" if len(cases) == total > 1 else f"{len(cases)} of {count(total, 'case')}"
    who = f"The case {cases[0]}" if total == 1 else who
    rounded = any(judged.verdict == "noise" for judged in compared)
    verb = "agree" if rounded else "are identical" if len(cases) > 1 else "is identical"
    verb = f"{verb}s up to rounding" if rounded and len(cases) == 1 else f"{verb} up to rounding" if rounded else verb
    cells = [verdicts.plan.baseline, *(judged.candidate.cell for judged in compared)]
    shown = [report.cell for report in verdicts.cells if report.cell in cells]
    prefix = "transformers " if names.axes in {(), ("transformers",)} else ""
    return f"{who} {verb} in {prefix}{listing(names.cell(cell) for cell in shown)}."


def _alone(verdicts: Verdicts) -> str:
    """What is said of a run with one cell, which is the baseline."""
    alone = _variants_alone(verdicts) if verdicts.within else "Nothing to compare: the run has one cell."
    said = [f"{job.id} {outcome.status}{_because(outcome.reason)}" for job, outcome in captures.failed(verdicts)]
    more = [f"and {len(said) - MAX_CASES} more"] if len(said) > MAX_CASES else []
    total = count(len(verdicts.plan.jobs), "capture")
    return f"{alone} {len(said)} of {total} failed: {', '.join(said[:MAX_CASES] + more)}." if said else alone


def _variants_alone(verdicts: Verdicts) -> str:
    """What is said of the variants of the only cell; what differs among them has a sentence of its own."""
    compared = [judged for judged in verdicts.within if judged.verdict != "missing"]
    quiet = [judged.verdict for judged in compared if judged.verdict in QUIET]
    if not quiet:
        return "The run has one cell."
    one, several = ("agrees", "agree") if "noise" in quiet else ("is identical", "are identical")
    verb = (one if len(quiet) == 1 else several) + (" up to rounding" if "noise" in quiet else "")
    return f"The run has one cell: {len(quiet)} of {count(len(compared), 'pair')} of variants {verb}."


def _because(reason: str | None) -> str:
    """The first line of a reason, in brackets."""
    lines = (reason or "").strip().splitlines()
    return f" ({textwrap.shorten(lines[0], MAX_REASON, placeholder=' …')})" if lines else ""


def _within(verdicts: Verdicts, names: Names) -> Iterator[str]:
    """How the variants of one cell stand to each other, where that is not as it should be."""
    found = differences(verdicts, verdicts.within)
    groups: dict[str, list[str]] = {}
    for difference in found[:MAX_CASES]:
        known = "" if any(judged.fails for judged in difference.judgements) else " (known)"
        said = f"{difference.case} {span(verdicts, names, difference.judgements)}{known}"
        groups.setdefault(relation(names, difference), []).append(said)
    more = [f"{len(found) - MAX_CASES} more"] if len(found) > MAX_CASES else []
    phrases = [f"{who}: {', '.join(said)}" for who, said in groups.items()]
    if phrases:
        yield f"Within a cell, {'; '.join(phrases + more)}."


def _known(found: Sequence[Difference]) -> Iterator[str]:
    new = [difference.case for difference in found if any(judged.fails for judged in difference.judgements)]
    known = [difference.case for difference in found if not any(judged.fails for judged in difference.judgements)]
    if known and new:
        yield f"Known: {listing(known)}. New: {listing(new)}."
    elif known:
        yield {1: "It is known.", 2: "Both are known."}.get(len(known), f"All {len(known)} are known.")


def _missing(verdicts: Verdicts, names: Names) -> Iterator[str]:
    absent = [judged for judged in verdicts.judgements if judged.verdict == "missing"]
    if absent:
        where = listing(dict.fromkeys(names.cell(judged.candidate.cell) for judged in absent))
        yield f"{len(absent)} of {count(len(verdicts.judgements), 'comparison')} could not be made, in {where}."


def _stale(verdicts: Verdicts, names: Names) -> Iterator[str]:
    if verdicts.stale:
        said = (f"{stale.known.case} ({looked(verdicts, names, stale)})" for stale in verdicts.stale)
        yield f"Expected but no longer found: {count(len(verdicts.stale), 'known verdict')} of {listing(said)}."
