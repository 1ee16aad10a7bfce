"""Judging: a comparison gets a verdict, the stage and place where the difference starts, and one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from matrix import tokenizer_wording, wording
from matrix.capture import Capture
from matrix.cell import CellStatus
from matrix.compare import Comparison
from matrix.judgement import Judgement, Side
from matrix.noise import Rounding
from matrix.repeats import Disagreement, Repeat, disagreement
from matrix.spec import Stage
from matrix.tokenizer_difference import TokenizerDifference

_BROKEN: frozenset[CellStatus] = frozenset({"crashed", "timed_out"})


def judge(bare: Judgement, comparison: Comparison | None, rounding: Rounding | None = None) -> Judgement:
    """Judge one candidate against the baseline.

    Args:
        bare: The two sides, and what was captured.
        comparison: None when a side has no complete capture.
        rounding: What is known about rounding; None where bits do not differ, and then nothing is noise.
    """
    if torn := _torn(bare):
        return torn
    if comparison is None:
        return _incomplete(bare)
    judged = replace(bare, comparison=comparison, notes=tuple(wording.notes(comparison)), rounding=rounding)
    # an axis may well choose the instruction set: then that is what is compared
    if not comparison.same_cpu and bare.baseline.cell.environ == bare.candidate.cell.environ:
        return replace(judged, summary="the captures come from different CPUs, whose bits cannot be compared")
    for rule in (_uninitialised, _restless, _tokens, _same, _undetermined, _noise):
        if verdict := rule(judged, comparison):
            return verdict
    return _drift(judged, comparison)


def judge_tokenizer(
    bare: Judgement, found: TokenizerDifference | None, baseline: Disagreement | None, candidate: Disagreement | None
) -> Judgement:
    """Judge one candidate's tokenizer against the baseline's.

    Args:
        bare: The two sides, and what was captured.
        found: None when a side has no complete capture.
        baseline: Where the baseline does not agree with itself.
        candidate: Where the candidate does not.
    """
    if torn := _torn(bare):
        return torn
    if found is None:
        return _incomplete(bare)
    judged = replace(bare, tokenizer=found, notes=found.notes)
    if unrest := candidate or baseline:
        whose = " in the baseline" + (" too" if candidate else "") if baseline else ""
        text = f"{unrest.text}{whose}"
        return _unstable(judged, unrest.stage, unrest.where, text, at_fault=baseline is not None)
    if not found.changes:
        same = f"the same answers to {sum(found.asked.values())} questions about {found.asked['ids']} strings"
        return replace(judged, verdict="identical", summary=same)
    where, text = found.changes[0].baseline.place, tokenizer_wording.drift(found)
    return replace(judged, verdict="drift", stage="tokens", where=where, summary=text)


def _incomplete(bare: Judgement) -> Judgement:
    """One side, or both, has no complete capture."""
    good, bad = bare.baseline, bare.candidate
    if good.captured and bad.failure and bad.capture and bad.capture.uninitialised:
        # what is in that memory decides whether this load fails and how
        return _unwritten(bare, bad.capture, f"this load fails at {bad.failure.stage}: {wording.failure(bad.failure)}")
    if good.captured and bad.failure:
        where, text = bad.failure.type, f"fails at {bad.failure.stage}: {wording.failure(bad.failure)}"
        return replace(bare, verdict="error", stage=_stage(bad.failure.stage), where=where, summary=text)
    if bad.captured and good.failure:
        text = f"works here, while the baseline fails at {good.failure.stage}: {wording.failure(good.failure)}"
        return replace(bare, verdict="error", stage=_stage(good.failure.stage), where=good.failure.type, summary=text)
    if good.captured and bad.status in _BROKEN:
        return replace(bare, verdict="error", stage=_stage(bad.stage), summary=bad.reason or bad.status)
    if bad.captured and good.status in _BROKEN:
        text = f"works here, while in the baseline {good.reason or good.status}"
        return replace(bare, verdict="error", stage=_stage(good.stage), summary=text)
    side, name = (bad, "candidate") if good.captured else (good, "baseline")
    return replace(bare, summary=f"the {name} has no capture ({side.status}): {side.reason or 'no reason was left'}")


def _stage(stage: str | None) -> Stage | None:
    """The probe also times `state`, of which the parameters come first."""
    return "parameters" if stage == "state" else cast("Stage | None", stage)


def _uninitialised(judged: Judgement, comparison: Comparison) -> Judgement | None:
    baseline, candidate = comparison.uninitialised
    side = judged.candidate if candidate else judged.baseline
    if not (candidate or baseline) or not side.captured:
        return None
    whose = " in the baseline" + (" too" if candidate else "") if baseline else ""
    return _unwritten(judged, side.captured, f"in this load {wording.distance(comparison)}", whose)


def _unwritten(judged: Judgement, capture: Capture, then: str, whose: str = "") -> Judgement:
    """Unstable, at the first tensor that loading never wrote."""
    names = capture.uninitialised
    stage: Stage = "parameters" if names[0] in {state.name for state in capture.parameters} else "buffers"
    text = f"loading leaves {wording.some(names)} as uninitialised memory{whose}; {then}"
    return _unstable(judged, stage, names[0], text, at_fault=bool(whose))


def _torn(bare: Judgement) -> Judgement | None:
    """Unstable: one side loads in one process and not in another, under the same variant."""
    for side, whose in ((bare.candidate, ""), (bare.baseline, " in the baseline")):
        # where memory was never written, that decides which load fails
        unwritten = side.capture and side.capture.uninitialised
        if side.repeat and side.repeat.own and not unwritten and (found := _half(side, side.repeat)):
            stage, where, text = found
            return _unstable(bare, stage, where, f"one load{whose} works and another {text}", at_fault=bool(whose))
    return None


def _half(side: Side, repeat: Repeat) -> tuple[Stage | None, str | None, str] | None:
    """Stage, place and how, where one of two loads fails and the other works."""
    loads = repeat.taken is not None
    if side.captured and repeat.crashed:
        return None, None, f"does not: {repeat.crashed}"
    if side.status == "crashed" and loads:
        return _stage(side.stage), None, f"does not: {side.reason or side.status}"
    failed = side.failure or (repeat.second.failure if repeat.second else None)
    # a repeat generates nothing
    if failed is None or failed.transient or failed.stage == "generation" or not (side.captured or loads):
        return None
    return _stage(failed.stage), failed.type, f"fails at {failed.stage}: {wording.failure(failed)}"


def _restless(judged: Judgement, comparison: Comparison) -> Judgement | None:
    """Unstable: one side does not agree with itself."""
    baseline, candidate = (_unrest(side) for side in (judged.baseline, judged.candidate))
    found = candidate or baseline
    if found is None:
        return None
    whose = " in the baseline" + (" too" if candidate else "") if baseline else ""
    stage: Stage = "load" if found.where in comparison.newly_missing else found.stage
    text = f"{found.text}{whose}; in this load {wording.distance(comparison)}"
    return _unstable(judged, stage, found.where, text, at_fault=baseline is not None)


def _unrest(side: Side) -> Disagreement | None:
    return disagreement(side.captured, side.repeat, side.look) if side.captured else None


def _unstable(judged: Judgement, stage: Stage | None, where: str | None, text: str, *, at_fault: bool) -> Judgement:
    return replace(judged, verdict="unstable", stage=stage, where=where, summary=text, baseline_at_fault=at_fault)


def _tokens(judged: Judgement, comparison: Comparison) -> Judgement | None:
    change = comparison.tokens
    # a list that one tokenizer makes and the other leaves to the model's default is judged by the logits
    if change and (change.list == "input_ids" or not _same(judged, comparison)):
        where = f"{change.list}[{change.row}, {change.position}]"
        return replace(
            judged,
            verdict="drift",
            stage="tokens",
            where=where,
            summary=wording.tokens(change, chat=bool(judged.job.case.chat)),
        )
    return None


def _same(judged: Judgement, comparison: Comparison) -> Judgement | None:
    """The same state, the same bits wherever the attention mask lets the model look, and the same greedy tokens."""
    outputs = comparison.outputs
    if comparison.shapes or comparison.dtypes or comparison.generation is not None:
        return None
    if comparison.altered or (outputs and outputs.values.differing):
        return None
    text = "the same bits at every position that the mask keeps" if outputs else "the same bits"
    return replace(judged, verdict="identical", summary=text)


def _undetermined(judged: Judgement, comparison: Comparison) -> Judgement | None:
    """The difference starts at a parameter that no checkpoint decides: the case, not a release, is at fault."""
    drawn = [change.name for change in comparison.changes("parameters") if change.name in comparison.undetermined]
    if not drawn or comparison.config or drawn[0] != comparison.changes("parameters")[0].name:
        return None
    lacking = f"the checkpoint does not hold {wording.some(drawn)}, which every load draws anew"
    return _unstable(judged, "parameters", drawn[0], f"{lacking}; {wording.distance(comparison)}", at_fault=True)


def _noise(judged: Judgement, comparison: Comparison) -> Judgement | None:
    """Different bits of the same state, explained by rounding that was measured or proven."""
    rounding = judged.rounding
    if rounding is None or comparison.altered or comparison.dtypes or comparison.shapes or not _is_tie(judged):
        return None
    largest = comparison.outputs.values.max_abs if comparison.outputs else 0.0
    if not rounding.explains(largest, settled=not comparison.unsettled):
        return None
    text = f"{wording.distance(comparison)}{wording.rounding(rounding, comparison)}"
    proof = rounding.proof
    left = () if proof is None or proof.is_lifted else (wording.left(proof),)
    notes = (*judged.notes, *left)
    return replace(judged, verdict="noise", stage="logits", where=comparison.output, summary=text, notes=notes)


def _is_tie(judged: Judgement) -> bool:
    """Whether the greedy tokens are the same, or part where the two best scores lie closer than noise may move them."""
    comparison, rounding = judged.comparison, judged.rounding
    if comparison is None or comparison.generation is None:
        return True
    if comparison.margin is None or rounding is None:
        return False
    largest = comparison.outputs.values.max_abs if comparison.outputs else 0.0
    reach = rounding.floor.reach if rounding.floor and rounding.plausible else 0.0
    # two scores may each move that far, towards each other
    return comparison.margin <= 2 * max(largest, reach)


def _drift(judged: Judgement, comparison: Comparison) -> Judgement:
    stage, where = next(_causes(judged, comparison))
    place = f"{where} {_PLACES[stage]}; " if stage in _PLACES else ""
    text = f"{place}{wording.distance(comparison)}{wording.rounding(judged.rounding, comparison)}"
    return replace(judged, verdict="drift", stage=stage, where=where, summary=text)


_PLACES: dict[Stage, str] = {
    "load": "is not found in the checkpoint here",
    "config": "differs",
    "parameters": "differs",
    "buffers": "differs",
}


def _causes(judged: Judgement, comparison: Comparison) -> Iterator[tuple[Stage, str]]:
    """The stages and names that differ, the earliest first."""
    moved = comparison.shapes or comparison.dtypes or (comparison.outputs and comparison.outputs.values.differing)
    yield from (("load", name) for name in comparison.newly_missing)
    if moved:
        yield from (("config", change.key) for change in comparison.config)
    yield from (("parameters", name) for name in (judged.rounding.misrounded if judged.rounding else ()))
    yield from (("parameters", change.name) for change in comparison.changes("parameters"))
    yield from (("buffers", change.name) for change in comparison.changes("buffers"))
    if moved:
        # a buffer that comes or goes is how releases differ; a parameter that does is not the same model
        yield from (("parameters", change.name) for change in comparison.changes("parameters", "added", "removed"))
        yield from (("buffers", name) for name in comparison.replaced)
        yield "logits", comparison.output
    yield "generation", f"token {comparison.generation}"
