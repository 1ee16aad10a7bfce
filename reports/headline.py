"""The headline: what a run found, in sentences that can be said out loud."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence

from matrix.judge import QUIET, Judgement
from matrix.verdicts import Stale, Verdicts
from reports import captures
from reports.differences import Difference, differences
from reports.names import Names, count, listing, names_of
from reports.spans import span

Quote = Callable[[str], str]
"""How a format marks the name of a tensor, a key or an error."""

MAX_CASES = 5
MAX_REASON = 200

_VERBS = {"drift": "drifts", "unstable": "is unstable", "error": "fails"}
_NOUNS = {"config": "config key", "parameters": "parameter", "buffers": "buffer"}


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


def phrase(verdicts: Verdicts, names: Names, difference: Difference, quote: Quote = str) -> str:
    """One difference: `is unstable since 5.2.0 (buffer inv_freq)`."""
    verb = "works, while the baseline fails," if difference.in_baseline else _VERBS[difference.verdict]
    what = "; ".join([*filter(None, [detail(difference, quote)]), *same_ids(difference.judgements)])
    return f"{verb} {span(verdicts, names, difference.judgements)}" + (f" ({what})" if what else "")


def relation(names: Names, difference: Difference) -> str:
    """How one variant stands to another of the same cell: `sdpa drifts from eager`."""
    first = difference.first
    one, other = (names.variant(job.variant) for job in (first.job, first.against or first.job))
    match difference.verdict:
        case "drift":
            return f"{one} drifts from {other}"
        case "error":
            return f"{one} works where {other} fails" if difference.in_baseline else f"{one} fails where {other} works"
        case verdict:
            return f"{one} against {other} is {verdict}"


def detail(difference: Difference, quote: Quote = str) -> str:
    """What differs first."""
    where = quote(difference.where) if difference.where else ""
    match difference.verdict:
        case "drift":
            said = _drift(difference, where)
        case "unstable":
            said = _unstable(difference, where)
        case _:
            said = None
    return said or _place(difference, where)


def looked(verdicts: Verdicts, names: Names, stale: Stale) -> str:
    """The cells where a known verdict was looked for in vain."""
    return listing(names.cell(report.cell) for report in verdicts.cells if report.cell.id in stale.cells)


def same_ids(found: Sequence[Judgement]) -> Iterator[str]:
    """What becomes of the model when every cell is given the baseline's ids."""
    again = dict.fromkeys(judged.same_ids.verdict for judged in found if judged.same_ids)
    for verdict in again:
        yield {
            "identical": "with the baseline's ids the model is identical",
            "missing": "with the baseline's ids there is nothing to compare",
            "error": "with the baseline's ids the model fails",
            "noise": "with the baseline's ids the model agrees up to rounding",
        }.get(verdict, f"with the baseline's ids the model still differs ({verdict})")


def _place(difference: Difference, where: str) -> str:
    match difference.stage:
        case "tokens":
            return "tokens differ first"
        case "config" | "parameters" | "buffers" as stage:
            return f"{_NOUNS[stage]} {where}"
        case None:
            return where
        case stage:
            return f"at {stage}: {where}" if where else f"at {stage}"


def _unstable(difference: Difference, where: str) -> str | None:
    """Where one cell does not agree with itself, unless a load never wrote or drew the tensor that is to be named."""
    first, stage = difference.first, difference.stage
    comparison = first.comparison
    whose = " in the baseline" if first.baseline_at_fault and not first.within else ""
    if comparison is None:
        unwritten = any(side.capture and side.capture.uninitialised for side in (first.baseline, first.candidate))
        return None if unwritten else f"one load{whose} works, another fails at {stage}: {where}"
    if any(comparison.uninitialised) or difference.where in comparison.undetermined:
        return None
    match stage:
        case "load":
            return f"parameter {where} is not found in the checkpoint, so every load draws it anew"
        case "parameters" | "buffers":
            return f"two loads disagree{whose}: {_NOUNS[stage]} {where}"
        case "tokens":
            return f"two loads make other tokens{whose}"
        case _:
            return f"other {stage} when repeated{whose}"


def _drift(difference: Difference, where: str) -> str | None:
    """What differs first where both sides ran and no tensor or key of its own is to be named."""
    match difference.stage:
        case "load":
            return f"parameter {where} is not found in the checkpoint"
        case "logits":
            same = all(_same_state(judged) for judged in difference.judgements)
            return "same parameters and buffers, other logits" if same else "other logits"
        case "generation":
            return f"same logits, greedy {where} differs"
        case _:
            return None


def _same_state(judged: Judgement) -> bool:
    """Whether nothing that the model computes with is other: no config value, no parameter, no common buffer."""
    comparison = judged.comparison
    if comparison is None or comparison.config or comparison.changes("buffers"):
        return False
    moved = {change.change for change in comparison.state if change.kind == "parameters"}
    return moved.isdisjoint({"changed", "added", "removed"})


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
    how = "agree up to rounding" if "noise" in quiet else "are identical"
    pairs = count(len(compared), "pair")
    return f"The run has one cell: {len(quiet)} of {pairs} of variants {how} in it."


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
