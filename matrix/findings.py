"""Findings: where along an axis a case starts to differ, said in one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from matrix.case import Variant
from matrix.cell import Cell
from matrix.judgement import QUIET, Judgement
from matrix.model_outputs import LOGITS
from matrix.spec import Spec


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One change along one axis, all other axes held at the baseline's values.

    Attributes:
        axis: The axis.
        last_good: The last value that agrees with the baseline before the change.
        first_bad: The first value that does not.
        sentence: What happens, for people.
    """

    case: str
    variant: Variant
    axis: str
    last_good: str
    first_bad: str
    sentence: str


def find(spec: Spec, baseline: Cell, judgements: Sequence[Judgement]) -> Iterator[Finding]:
    """Walk every axis from the baseline outwards, for every case and variant, and name the first bad value."""
    jobs: dict[str, list[Judgement]] = {}
    for judged in judgements:
        jobs.setdefault(judged.job.id, []).append(judged)
    for found in jobs.values():
        by_axes = {tuple(judged.candidate.cell.axes.values()): judged for judged in found}
        for axis in spec.axes:
            yield from _along(spec, axis, baseline, by_axes)


def _along(spec: Spec, axis: str, baseline: Cell, by_axes: Mapping[tuple[str, ...], Judgement]) -> Iterator[Finding]:
    values = spec.axes[axis].values
    start = values.index(baseline.axes[axis])
    for line, newer in ((values[start:], True), (values[start::-1], False)):
        pairs = [(value, by_axes.get(_at(baseline, axis, value))) for value in line[1:]]
        # a value without a verdict of its own says nothing: the walk goes on over it
        judged = [(value, found) for value, found in pairs if found and found.verdict != "missing"]
        bad = next((index for index, (_, found) in enumerate(judged) if found.verdict not in QUIET), None)
        # what the baseline's own memory does not decide started nowhere along this axis
        if bad is None or judged[bad][1].baseline_at_fault:
            continue
        first_bad, found = judged[bad]
        last_good = judged[bad - 1][0] if bad else line[0]
        back = next((value for value, later in judged[bad:] if later.verdict in QUIET), None)
        along = _forward(axis, last_good, first_bad) if newer else _backward(axis, last_good, first_bad)
        again = f", and {back} agrees again" if back else ""
        yield Finding(
            case=found.job.case.name,
            variant=found.job.variant,
            axis=axis,
            last_good=last_good,
            first_bad=first_bad,
            sentence=f"{_what(found)}: {along}{again}{_others(axis, baseline, found, by_axes)}",
        )


def _what(found: Judgement) -> str:
    """Such as `my-model/float32-eager is unstable, first at the buffers (model.rotary_emb.inv_freq)`."""
    starts = f", first at the {found.stage}" if found.stage else ""
    place = f" ({found.where})" if found.where else ""
    if found.stage == LOGITS and found.where not in {None, LOGITS}:
        starts, place = f", first at the output {found.where}", ""
    says = {"drift": "drifts", "unstable": "is unstable", "error": "fails on one side"}[found.verdict]
    return f"{found.job.id} {says}{starts}{place}"


def _forward(axis: str, last_good: str, first_bad: str) -> str:
    return f"last good {axis} {last_good}, first bad {first_bad}"


def _backward(axis: str, last_good: str, first_bad: str) -> str:
    return f"{axis} {first_bad} is older than the baseline and differs from it, {last_good} agrees"


def _others(axis: str, baseline: Cell, found: Judgement, by_axes: Mapping[tuple[str, ...], Judgement]) -> str:
    """Whether the other axes matter: the same value of this axis, at every combination of the others."""
    others = [name for name in baseline.axes if name != axis]
    value = found.candidate.cell.axes[axis]
    peers = [
        judged
        for judged in by_axes.values()
        if judged.candidate.cell.axes[axis] == value and judged.verdict != "missing"
    ]
    if not others or len(peers) < 2:  # noqa: PLR2004 - one peer is the finding itself
        return ""
    names = " and ".join(others)
    shown, unlike = _split(peers, found)
    if not unlike:
        return f"; follows {axis}, not {names}: every {names} build shows it"
    where = ", ".join(" and ".join(f"{name} {judged.candidate.cell.axes[name]}" for name in others) for judged in shown)
    there = ", ".join(
        f"{' and '.join(judged.candidate.cell.axes[name] for name in others)} is {judged.verdict}" for judged in unlike
    )
    return f"; an interaction: with {where}, while {there}"


def _split(peers: Sequence[Judgement], found: Judgement) -> tuple[list[Judgement], list[Judgement]]:
    """Those that show the same thing, and those that do not."""
    same = [(peer.verdict, peer.stage, peer.where) == (found.verdict, found.stage, found.where) for peer in peers]
    shown = [peer for peer, is_same in zip(peers, same, strict=True) if is_same]
    return shown, [peer for peer, is_same in zip(peers, same, strict=True) if not is_same]


def _at(baseline: Cell, axis: str, value: str) -> tuple[str, ...]:
    return tuple({**baseline.axes, axis: value}.values())
