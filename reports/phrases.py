"""Phrases: what one difference is, in the few words that headlines and titles have room for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from matrix.judgement import Judgement
from matrix.verdicts import Verdicts
from reports.differences import Difference
from reports.names import Names
from reports.spans import span

Quote = Callable[[str], str]
"""How a format marks the name of a tensor, a key or an error."""

_VERBS = {"drift": "drifts", "unstable": "is unstable", "error": "fails"}
_NOUNS = {"config": "config key", "parameters": "parameter", "buffers": "buffer"}


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
            said = _restless(difference, where) or _unstable(difference, where)
        case _:
            said = None
    return said or _place(difference, where)


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
            return f"first in {where}" if difference.first.tokenizer else "tokens differ first"
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
        fails = ": ".join(filter(None, [f"at {stage}" if stage else "", where]))
        return None if unwritten else f"one load{whose} works, another fails {fails}".rstrip()
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
            return f"other {_output(difference, where) if stage == 'logits' else stage} when repeated{whose}"


def _restless(difference: Difference, where: str) -> str | None:
    """Where two loads of one tokenizer do not agree."""
    whose = " in the baseline" if difference.first.baseline_at_fault else ""
    return f"two loads disagree{whose}: {where}" if difference.first.tokenizer else None


def _drift(difference: Difference, where: str) -> str | None:
    """What differs first where both sides ran and no tensor or key of its own is to be named."""
    match difference.stage:
        case "load":
            return f"parameter {where} is not found in the checkpoint"
        case "logits":
            same = all(_same_state(judged) for judged in difference.judgements)
            output = _output(difference, where)
            return f"same parameters and buffers, other {output}" if same else f"other {output}"
        case "generation":
            return f"same logits, greedy {where} differs"
        case _:
            return None


def _output(difference: Difference, where: str) -> str:
    """The output that differs; the logits are no name."""
    return "logits" if difference.where == "logits" else where


def _same_state(judged: Judgement) -> bool:
    """Whether nothing that the model computes with is other: no config value, no parameter, no common buffer."""
    comparison = judged.comparison
    if comparison is None or comparison.config or comparison.changes("buffers"):
        return False
    moved = {change.change for change in comparison.state if change.kind == "parameters"}
    return moved.isdisjoint({"changed", "added", "removed"})
