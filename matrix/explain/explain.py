"""From a setting to its explanation, one stage after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from matrix.capture import Capture
from matrix.explain import cause, hypotheses, looks, tokens
from matrix.explain.anatomy import ModuleFacts
from matrix.explain.cause import Cause
from matrix.explain.explanation import Explanation, Module, Place, Question, Replay, Shown, Side, Step
from matrix.explain.forwards import align, divergence, ladder
from matrix.explain.forwards.align import Alignment
from matrix.explain.forwards.divergence import Divergence
from matrix.explain.forwards.ladder import GIVEN
from matrix.explain.hypotheses import FactKind
from matrix.explain.looks import Anatomies, Traces
from matrix.explain.raised import raised
from matrix.explain.script.reproduce import draft, reproducer
from matrix.explain.setting import OTHER_IDS, Setting, sides
from matrix.explain.signs import signatures
from matrix.explain.signs.symptoms import symptoms
from matrix.explain.sources import code
from matrix.explain.sources.code import Suspect
from matrix.explain.swap import Part, Swap
from matrix.model_outputs import LOGITS
from matrix.tensorfile import TensorFile
from matrix.wording import some

_STATE_ONLY = "the state differs, but no input that was tried shows it in the logits"
_ONLY_TOKENS = "given the good side's ids, both sides compute the same bits: only the tokenizer differs"
_HEAD = 6
_GENERATION = "every forward that was tried gives the same bits: the difference arises in generate()"


_WORDS: Mapping[FactKind, str] = {
    "meta": "left without memory",
    "uninitialised": "never written, so uninitialised memory,",
    "missing": "not found in the checkpoint",
}


def explain(setting: Setting) -> Explanation:
    """Find out where a difference starts, what causes it and what shows it.

    Raises:
        NoCaptureError: When a closer look gives no capture.
    """
    found = _bare(setting)
    if setting.job.case.probe == "tokenizer":
        return tokens.explained(found, setting)
    if any(side is None or side.failure for side in sides(setting)):
        return _failed(found, setting)
    if setting.judged.verdict == "identical":
        return _tokens(found, setting)
    return _looked(found, setting)


def _tokens(found: Explanation, setting: Setting) -> Explanation:
    """The model is the same: only the tokenizer differs."""
    return replace(
        found,
        notes=(*found.notes, _ONLY_TOKENS),
        owner=code.whose_tokens(setting.judged, setting.ends.axis),
        reproducer=reproducer(draft(setting, setting.job, "tokens")),
    )


def _bare(setting: Setting) -> Explanation:
    """What is known before any closer look."""
    run, ends, said = setting.run, setting.ends, setting.tokens or setting.judged
    return Explanation(
        question=Question(
            run=run.id,
            command=run.command,
            started=run.started,
            case=setting.job.case.name,
            checkpoint=setting.job.case.checkpoint,
            remote_code=setting.job.case.trust_remote_code,
            variant=setting.job.options,
            axis=ends.axis,
            good=ends.good,
            bad=ends.bad,
        ),
        sides=tuple(_side(side.cell.id, side.cell.axes, side.capture) for side in (said.baseline, said.candidate)),
        verdict=said.verdict,
        stage=said.stage,
        where=said.where,
        summary=said.summary,
        notes=(*([OTHER_IDS] if setting.tokens else []), *_followed(setting), *said.notes),
    )


def _followed(setting: Setting) -> Iterator[str]:
    comparison = setting.judged.comparison
    if comparison and comparison.output != LOGITS:
        yield f"what differs first is the output {comparison.output}: everything below that speaks of logits means it"


def _side(cell: str, axes: Mapping[str, str], taken: Capture | None) -> Side:
    facts: dict[str, Any] = dict(taken.environment) if taken else {}
    versions = facts.pop("versions", {})
    return Side(cell=cell, axes=axes, environment=facts, versions=versions)


def _failed(found: Explanation, setting: Setting) -> Explanation:
    """One side fails: its error says where."""
    names = zip(("good", "bad"), sides(setting), strict=True)
    failures = [raised(name, side.failure) for name, side in names if side and side.failure]
    if not failures:
        return found
    sites = code.site(setting.good), code.site(setting.bad)
    return replace(
        found,
        raised=failures[0],
        changes=code.of_failure(failures[0], sites),
        owner=code.whose_failure(failures[0], setting.ends.axis, setting.judged),
        reproducer=reproducer(draft(setting, setting.job, "load" if failures[0].stage == "load" else "logits")),
    )


def _looked(found: Explanation, setting: Setting) -> Explanation:
    taken = looks.anatomies(setting)
    rung = ladder.smallest(taken.good, taken.bad, taken.rungs)
    found = replace(found, facts=tuple(_facts(setting, taken)))
    if rung is None:
        return _unseen(found, setting, taken)
    traced = looks.traces(setting, rung, taken.rungs)
    # one token is the smallest input, but shows neither an epsilon, nor one factor for all, nor one vector for all
    wider = ladder.with_tokens(rung, ladder.tried(taken.good, taken.bad, taken.rungs))
    seen = traced if wider == rung else looks.traces(setting, wider, taken.rungs)
    return _traced(found, setting, taken, traced, seen)


def _unseen(found: Explanation, setting: Setting, taken: Anatomies) -> Explanation:
    """No forward shows it: it is in what generate() does, or in state that these inputs do not reach."""
    if setting.judged.stage != "generation":
        return replace(found, notes=(*found.notes, _STATE_ONLY))
    defaults = hypotheses.generation(taken.good, taken.bad, setting.ends.good, setting.ends.bad)
    return replace(
        found,
        notes=(*found.notes, _GENERATION, *defaults),
        reproducer=reproducer(draft(setting, setting.job, "generation")),
    )


def _parted(taken: Anatomies, traced: Traces) -> tuple[Alignment, Divergence | None]:
    """Two forwards side by side, and where they part."""
    alignment = align.align(traced.good, traced.bad, (taken.good, taken.bad))
    mask = traced.job.case.attention_mask
    return alignment, divergence.first(traced.good, traced.bad, alignment, np.asarray(mask) if mask else None)


def _traced(found: Explanation, setting: Setting, taken: Anatomies, traced: Traces, seen: Traces) -> Explanation:
    """Where the forwards part, and what makes them.

    Args:
        found: What is known so far.
        setting: What is explained.
        taken: Both models.
        traced: Forwards of the smallest input that shows the difference.
        seen: Those in which signatures are looked for.
    """
    _, parted = _parted(taken, traced)
    parts = hypotheses.parts(taken.good, taken.bad)
    script = draft(setting, traced.job, "logits")
    back = looks.restored(setting, taken, traced, parts, beside=script.first)
    forth = looks.injected(setting, taken, traced, back, beside=script.second)[1] if back[1].chosen else None
    proof = _cause(setting, taken, back[1], forth)
    suspect = Suspect(good=taken.good, bad=taken.bad, name=_suspected(parted, proof), cause=proof)
    pieces = code.changes(suspect)
    return replace(
        found,
        shown=_shown(setting, taken, traced),
        inert=traced.good.inert and traced.bad.inert,
        place=_place(parted, taken) if parted else None,
        replay=_replay(back[1]),
        cause=proof,
        signatures=signatures.find(symptoms(taken, seen, *_parted(taken, seen))),
        changes=pieces,
        # what only rounds otherwise is nobody's bug
        owner=None
        if setting.judged.verdict == "noise"
        else code.whose(suspect, setting.judged, setting.ends.axis, pieces),
        reproducer=reproducer(script),
    )


def _suspected(parted: Divergence | None, proof: Cause) -> str:
    """The module whose code is looked at: that of a proven output, else where the forwards part."""
    outputs = [part.name for part in proof.parts if part.kind == "output"]
    return outputs[0] if outputs and proof.sufficient else parted.bad.module if parted else ""


def _cause(setting: Setting, taken: Anatomies, back: Swap, forth: Swap | None) -> Cause:
    found = cause.weigh(back, forth, setting.ends.good, setting.ends.bad)
    return replace(found, parts=tuple(_with_values(part, taken, back) for part in found.parts))


def _with_values(part: Part, taken: Anatomies, back: Swap) -> Part:
    """A tensor with its first values on both sides: the bad side's as they were while it was swapped."""
    if part.kind != "tensor":
        return part
    bad = f"part/{part.name}"
    one = _head(taken.good.capture, taken.good.kept.get(part.name, ""))
    return replace(part, good=one, bad=_head(back.capture, bad))


def _head(side: Capture, name: str) -> tuple[float, ...] | None:
    if name not in side.outputs:
        return None
    values = TensorFile(side.tensors).array(name).reshape(-1)[:_HEAD]
    return tuple(float(value) for value in values)


def _shown(setting: Setting, taken: Anatomies, traced: Traces) -> Shown:
    case = traced.job.case
    lists = {"input_ids": case.input_ids, "attention_mask": case.attention_mask}
    return Shown(
        rung=next((name for name in taken.rungs if looks.at(setting.job, name, taken.rungs).case == case), GIVEN),
        lists={name: rows for name, rows in lists.items() if rows},
        tried=ladder.tried(taken.good, taken.bad, taken.rungs),
    )


def _place(found: Divergence, taken: Anatomies) -> Place:
    return Place(
        step=Step(
            module=found.good.module,
            nth=found.good.nth,
            piece=found.good.piece,
            max_abs=found.outputs[0].distance.max_abs,
            l2_rel=found.outputs[0].distance.l2_rel,
        ),
        good=_module(taken.good.module(found.good.module)),
        bad=_module(taken.bad.module(found.bad.module)),
        same=found.same_inputs,
        notes=found.notes,
        by_position=found.by_position,
        later=tuple(
            Step(module=o.module, nth=o.nth, piece=None, max_abs=o.max_abs, l2_rel=o.l2_rel) for o in found.later
        ),
    )


def _module(facts: ModuleFacts | None) -> Module:
    if facts is None:
        return Module(class_name="", file="", line=0)
    # remote code is copied into a folder whose name says nothing
    file = facts.file.rsplit("/", 1)[-1] if "transformers_modules" in facts.file else facts.file
    return Module(class_name=facts.class_name, file=file, line=facts.line)


def _facts(setting: Setting, taken: Anatomies) -> Iterator[str]:
    """What is settled without a forward, as sentences."""
    found = hypotheses.settled(taken.good, taken.bad)
    ends = setting.ends
    for kind, words in _WORDS.items():
        good, bad = ([f"`{f.name}`" for f in found if f.kind == kind and getattr(f, side)] for side in ("good", "bad"))
        if good and good == bad:
            yield f"{some(good)}: {words} by both"
        else:
            yield from (
                f"{some(names)}: {words} by {end}" for names, end in ((good, ends.good), (bad, ends.bad)) if names
            )


def _replay(back: Swap) -> Replay | None:
    """None where no call could be compared, as in another dtype."""
    faulty = [one for one in back.replayed if not one.same and one.max_abs is not None]
    steps = (
        Step(module=o.module, nth=o.nth, piece=None, max_abs=o.max_abs, l2_rel=o.l2_rel, handed=o.handed)
        for o in faulty
    )
    incomparable = sum(not one.same for one in back.replayed) - len(faulty)
    calls = len(back.replayed) - incomparable
    return Replay(calls=calls, incomparable=incomparable, faulty=tuple(steps)) if calls else None
