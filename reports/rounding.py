"""Rounding: what was measured about it where bits differ, as a data frame of text and a few sentences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pandas as pd

from matrix.judgement import Judgement
from matrix.model_outputs import LOGITS
from matrix.noise import Floor, Rounding
from matrix.proof import Proof
from reports import numbers, orientation
from reports.differences import with_same_ids
from reports.frames import frame, merged, without_empty
from reports.names import Names, listing

ORIENTATION = "TransformerLens"
"""The column of what others call usual."""

NOTHING = "nothing"
"""What is left where corrected float64 gives the same bits: no other number reads so."""


def weighed(names: Names, judgements: Iterable[Judgement], *, cases: bool = False) -> pd.DataFrame:
    """What was measured of each comparison, one row for all variants and cells with the same numbers.

    Args:
        names: What to call cells and variants.
        judgements: What was compared; what it says with the baseline's ids gets a row too.
        cases: Whether the rows belong to several cases, so that each names its own.
    """
    rows = [
        {**({"case": judged.job.case.name} if cases else {}), **_row(names, judged, judged.rounding)}
        for judged in with_same_ids(judgements)
        if judged.rounding
    ]
    return without_empty(frame(merged(rows)))


def said(names: Names, judgements: Iterable[Judgement], *, cases: bool = False) -> list[str]:
    """What the floors are made of, what is not counted and what could not be measured.

    Args:
        names: What to call cells and variants.
        judgements: As for `weighed`.
        cases: Whether they belong to several cases.
    """
    groups: dict[str, list[Judgement]] = {}
    for judged in with_same_ids(judgements):
        for sentence in _sentences(judged.rounding) if judged.rounding else ():
            groups.setdefault(sentence, []).append(judged)
    if len(groups) == 1:
        return [sentence[0].upper() + sentence[1:] for sentence in groups]
    whose = [_whose(names, found, cases=cases) for found in groups.values()]
    cells = [listing(names.cell(judged.candidate.cell) for judged in found) for found in groups.values()]
    # cells are only named where they tell two floors apart
    labels = [f"{who} in {where}" if whose.count(who) > 1 else who for who, where in zip(whose, cells, strict=True)]
    return [f"{label}: {sentence}" for label, sentence in zip(labels, groups, strict=True)]


def _whose(names: Names, found: Sequence[Judgement], *, cases: bool) -> str:
    """Whose floor it is, where there are several."""
    case = [listing(judged.job.case.name for judged in found)] if cases else []
    return ", ".join([*case, listing(names.compared(judged) for judged in found)])


def left(proof: Proof) -> str:
    """What is left of a difference in corrected float64, beside how much may be left of rounding."""
    if proof.after == 0:
        return NOTHING
    limit = proof.limit
    if not (math.isfinite(proof.after) and math.isfinite(limit)):
        return numbers.size(proof.after)
    return numbers.against(proof.after, limit, within=proof.is_lifted)


def _row(names: Names, judged: Judgement, rounding: Rounding) -> dict[str, str]:
    floor, proof = rounding.floor, rounding.proof
    outputs = judged.comparison.outputs if judged.comparison else None
    largest = outputs.values.max_abs if outputs else 0.0
    return {
        "variant": names.compared(judged),
        "cell": names.cell(judged.candidate.cell),
        "largest difference": numbers.size(largest),
        "noise floor": numbers.size(floor.max_abs if floor else None),
        "measured from": floor.source if floor else "",
        "k": _k(floor, largest) if floor else "",
        "left in corrected float64": left(proof) if proof else numbers.ABSENT,
        "rounding reaches": numbers.size(proof.reach) if proof else numbers.ABSENT,
        "escaped": ", ".join(f"{name} ({number})" for name, number in proof.escaped.items()) if proof else "",
        ORIENTATION: _usual(judged),
    }


def _k(floor: Floor, largest: float) -> str:
    k = floor.ratio(largest)
    return numbers.against(k, floor.limit, within=largest <= floor.reach)


def _usual(judged: Judgement) -> str:
    """What TransformerLens calls usual for the dtype and the kernel that the candidate really used."""
    variant, capture = judged.job.variant, judged.candidate.capture
    if capture is None:
        return ""
    if judged.comparison and judged.comparison.output != LOGITS:
        return ""
    dtype = capture.outputs["logits"]["dtype"] if variant.dtype == "default" else variant.dtype
    usual = orientation.usual(dtype, capture.attention)
    return "" if usual is None else numbers.size(usual)


def _sentences(rounding: Rounding) -> Iterator[str]:
    """The floor's parts, what has no part in it, and what is unknown."""
    if floor := rounding.floor:
        parts = f"floor: {'the largest of ' if len(floor.parts) > 1 else ''}{_listed(floor.parts)}"
        verb = "are" if len(floor.excluded) > 1 else "is"
        apart = f"; not counted: {_listed(floor.excluded)}, which {verb} not known to be rounding"
        idle = "; no axis that may round differs between the cells, so it excuses nothing and only float64 counts"
        yield f"{parts}{apart if floor.excluded else ''}{'' if rounding.plausible else idle}."
    if rounding.misrounded:
        yield f"parameters that the coarser load does not round as asked: {', '.join(rounding.misrounded)}."
    if rounding.lacking:
        yield f"could not be measured: {'; '.join(rounding.lacking)}."


def _listed(parts: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {numbers.size(value)}" for name, value in parts.items())
