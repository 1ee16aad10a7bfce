"""Judging: a comparison gets a verdict, the stage and place where the difference starts, and one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from matrix.capture import Capture
from matrix.cell import Cell, CellStatus
from matrix.compare import Comparison
from matrix.noise import Floor
from matrix.plan import Job
from matrix.spec import Known, Spec, matches

Verdict = Literal["identical", "noise", "drift", "unstable", "error", "missing"]
Stage = Literal["load", "tokens", "config", "parameters", "buffers", "activations", "logits", "generation"]

QUIET: frozenset[Verdict] = frozenset({"identical", "noise"})
"""Verdicts that need nobody's attention."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of a comparison: the cell, what became of it, and its capture if there is one."""

    cell: Cell
    status: CellStatus
    reason: str | None
    capture: Capture | None

    @property
    def captured(self) -> Capture | None:
        """The capture, if it is complete."""
        return self.capture if self.capture and self.capture.status == "captured" else None


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What is said about one candidate of one job.

    Attributes:
        job: The case and variant.
        baseline: The side that is taken as right.
        candidate: The side that is judged.
        comparison: What differs; None when a side has no complete capture.
        floor: The noise floor that the verdict rests on, where one applies.
        verdict: By severity.
        stage: The earliest stage that differs and could have caused the rest.
        where: The tensor, config key or position it differs at.
        summary: One sentence.
        notes: Facts that change nothing about the verdict.
        known: The spec's entry that expects exactly this, if any.
        same_ids: The same job with the baseline's ids, where the tokens differ.
    """

    job: Job
    baseline: Side
    candidate: Side
    verdict: Verdict
    summary: str
    comparison: Comparison | None = None
    floor: Floor | None = None
    stage: Stage | None = None
    where: str | None = None
    notes: tuple[str, ...] = ()
    known: Known | None = None
    same_ids: Judgement | None = None

    @property
    def fails(self) -> bool:
        """Whether this alone makes the run's exit code 1."""
        return self.verdict not in QUIET and self.known is None


def judge(job: Job, baseline: Side, candidate: Side, comparison: Comparison | None, floor: Floor | None) -> Judgement:
    """Judge one candidate against the baseline.

    Args:
        job: What was captured.
        baseline: The side that is taken as right.
        candidate: The side that is judged.
        comparison: None when a side has no complete capture.
        floor: The noise floor, where something other than transformers differs between the cells; else None, and
            different bits are never noise.
    """
    bare = Judgement(job=job, baseline=baseline, candidate=candidate, verdict="missing", summary="")
    if comparison is None:
        return _incomplete(bare)
    judged = replace(bare, comparison=comparison, notes=tuple(_notes(comparison)))
    if not comparison.same_cpu:
        return replace(judged, summary="the captures come from different CPUs, whose bits cannot be compared")
    for rule in (_uninitialised, _tokens, _same, _noise):
        if verdict := rule(judged, comparison, floor):
            return verdict
    return _drift(judged, comparison)


def expected(judged: Judgement, spec: Spec) -> Judgement:
    """The judgement with the spec's `[[known]]` entry that expects it, if there is one."""
    return replace(judged, known=next((known for known in spec.known if fits(known, judged)), None))


def fits(known: Known, judged: Judgement) -> bool:
    """Whether a known verdict is exactly what was found."""
    return concerns(known, judged) and known.verdict == judged.verdict and known.where in {None, judged.where}


def concerns(known: Known, judged: Judgement) -> bool:
    """Whether a known verdict speaks about this case, variant and cell, whatever was found there."""
    variant = {"dtype": judged.job.variant.dtype, "attention": judged.job.variant.attention}
    chosen = all(variant.get(name) == value for name, value in known.variant.items())
    return known.case == judged.job.case.name and chosen and matches(known.cells, judged.candidate.cell.axes)


def _incomplete(bare: Judgement) -> Judgement:
    good, bad = bare.baseline, bare.candidate
    if good.captured and bad.capture and bad.capture.failure:
        failure = bad.capture.failure
        message = failure.message.strip().splitlines()
        said = f"{failure.type}: {message[0]}" if message else failure.type
        return replace(bare, verdict="error", stage=_stage(failure.stage), where=failure.type, summary=f"fails at {failure.stage}: {said}")
    if good.captured and bad.status in {"crashed", "timed_out"}:
        return replace(bare, verdict="error", stage="load", summary=bad.reason or bad.status)
    if bad.captured and good.capture and good.capture.failure:
        failure = good.capture.failure
        return replace(bare, verdict="error", stage=_stage(failure.stage), where=failure.type, summary=f"works here, while the baseline fails at {failure.stage}: {failure.type}")
    side, name = (bad, "candidate") if good.captured else (good, "baseline")
    return replace(bare, summary=f"the {name} has no capture ({side.status}): {side.reason or 'no reason was left'}")


def _stage(stage: str) -> Stage:
    """The harness also times `state`; what goes wrong there goes wrong while reading parameters."""
    return "parameters" if stage == "state" else stage  # type: ignore[return-value] - the probe's stages are ours


def _uninitialised(judged: Judgement, comparison: Comparison, _: Floor | None) -> Judgement | None:
    for names, side in zip(reversed(comparison.uninitialised), ("", "in the baseline, "), strict=True):
        if names:
            capture = judged.candidate.captured if not side else judged.baseline.captured
            parameters = {state.name for state in capture.parameters} if capture else set()
            stage: Stage = "parameters" if names[0] in parameters else "buffers"
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            text = f"{side}loading leaves {names[0]}{more} as uninitialised memory; in this load {_distance(comparison)}"
            return replace(judged, verdict="unstable", stage=stage, where=names[0], summary=text)
    return None


def _tokens(judged: Judgement, comparison: Comparison, _: Floor | None) -> Judgement | None:
    if change := comparison.tokens:
        ids = (f"{len(ids)} ids starting {list(ids[:3])}" for ids in (change.candidate, change.baseline))
        text = "the tokenizer makes {} of the same text, the baseline's {}".format(*ids)
        where = f"input_ids[{change.row}, {change.position}]"
        return replace(judged, verdict="drift", stage="tokens", where=where, summary=text)
    return None


def _same(judged: Judgement, comparison: Comparison, _: Floor | None) -> Judgement | None:
    """The same bits wherever the attention mask lets the model look, and the same greedy tokens."""
    if comparison.shapes or comparison.generation is not None or (comparison.outputs and comparison.outputs.values.differing):
        return None
    masked = comparison.outputs is not None
    text = "the same bits at every position that the mask keeps" if masked else "the same bits"
    return replace(judged, verdict="identical", summary=text)


def _noise(judged: Judgement, comparison: Comparison, floor: Floor | None) -> Judgement | None:
    outputs = comparison.outputs
    if floor is None or outputs is None or comparison.changes("parameters") or comparison.changes("buffers"):
        return None
    k = floor.ratio(outputs.values.max_abs)
    if k > floor.limit:
        return replace(judged, floor=floor, **_cause(comparison), verdict="drift", summary=f"{_distance(comparison)}: {k:.1f} times the noise floor of {floor.max_abs:.2g}")
    text = f"{_distance(comparison)}: {k:.2g} times the noise floor ({floor.source})"
    return replace(judged, floor=floor, verdict="noise", stage="logits", summary=text)


def _drift(judged: Judgement, comparison: Comparison) -> Judgement:
    cause = _cause(comparison)
    place = f"{cause['where']} differs" if cause["stage"] in {"config", "parameters", "buffers"} else ""
    text = ", ".join(part for part in (place, _distance(comparison)) if part)
    return replace(judged, verdict="drift", summary=text, **cause)


def _cause(comparison: Comparison) -> dict[str, str]:
    """The earliest differing stage and its first differing name."""
    if comparison.config:
        return {"stage": "config", "where": comparison.config[0].key}
    for kind in ("parameters", "buffers"):
        if changes := comparison.changes(kind):  # type: ignore[arg-type] - mypy widens the tuple's strings
            return {"stage": kind, "where": changes[0].name}
    if comparison.shapes or (comparison.outputs and comparison.outputs.values.differing):
        return {"stage": "logits", "where": "logits"}
    return {"stage": "generation", "where": f"token {comparison.generation}"}


def _distance(comparison: Comparison) -> str:
    if comparison.shapes:
        return "logits have the shape {1} instead of {0}".format(*map(list, comparison.shapes))
    if outputs := comparison.outputs:
        agreement = f"argmax agrees at {outputs.logits.argmax_agreement:.0%} of positions"
        return f"logits move by up to {outputs.values.max_abs:.3g}, {agreement}"
    if comparison.generation is not None:
        return f"the same logits, but greedy token {comparison.generation} differs"
    return "the logits happen to be the same"


def _notes(comparison: Comparison) -> Iterator[str]:
    if comparison.outputs and comparison.outputs.logits.masked_only:
        yield "logits differ only at positions that the attention mask hides"
    for change in ("added", "removed", "renamed", "retied", "persistence"):
        for kind in ("parameters", "buffers"):
            names = [state.name for state in comparison.state if (state.kind, state.change) == (kind, change)]
            if names:
                yield f"{kind} {_WORDS.get(change, change)}: {_some(names)}"
    if comparison.outputs is None and (changed := comparison.changes("parameters") + comparison.changes("buffers")):
        yield f"changed without any effect on the logits: {_some([state.name for state in changed])}"


_WORDS = {"retied": "tied to another tensor", "persistence": "saved by one side only"}


def _some(names: list[str], limit: int = 3) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
