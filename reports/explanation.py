"""An explanation as Markdown: what differs, where it starts, why, in which code, whose bug, and what shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from matrix.explain import cause as causes
from matrix.explain.cause import Cause
from matrix.explain.explanation import Explanation, Module, Place, Question, Replay, Step
from matrix.explain.script.offer import Reproducer
from matrix.explain.sources.owner import Owner
from matrix.explain.sources.source import SourceDiff
from reports.escape import Markdown, code, fence, link, prose, text, ticked
from reports.frames import frame, markdown
from reports.names import SYMBOLS, count
from reports.numbers import size
from reports.templating import template

_WHOLE = 1_000_000
"""Characters and lines of what is never cut: half a script runs nowhere."""

_DIFF = 30_000
"""Characters of one diff."""

_GROWTH = 40
_POSITIONS = 16
_DIFF_LINES = 400
_VALUE = 120
_FAULTY = 8
_TRIED = 3


@dataclass(frozen=True, kw_only=True)
class Where:
    """The first divergence as the template shows it."""

    sentence: Markdown
    table: Markdown
    after: tuple[Markdown, ...]
    growth_caption: Markdown
    growth: Markdown


@dataclass(frozen=True, kw_only=True)
class Why:
    """The cause as the template shows it."""

    sentence: Markdown
    after: tuple[Markdown, ...]
    parts: Markdown
    trials_caption: Markdown
    trials: Markdown


@dataclass(frozen=True, kw_only=True)
class Change:
    """One piece of code that changed, as the template shows it."""

    title: Markdown
    places: Markdown
    diff: Markdown


@dataclass(frozen=True, kw_only=True)
class Script:
    """The reproducer as the template shows it."""

    sentence: Markdown
    commands: Markdown
    script: Markdown
    printed_caption: Markdown
    printed: Markdown


def render(found: Explanation) -> str:
    """The whole explanation."""
    return template("explain.md.j2").render(
        title=text(title(found)),
        headline=ticked(headline(found)),
        said=[ticked(f"{_upper(sentence)}.") for sentence in said(found)],
        where=where(found),
        why=why(found),
        signatures=signatures(found),
        changes=[change(piece) for piece in found.changes],
        owner=owner(found),
        reproducer=script(found.reproducer, found.question),
        conditions=prose(conditions(found)),
        command=fence(found.question.command),
    )


def title(found: Explanation) -> str:
    """Case, variant and the two ends."""
    asked = found.question
    return f"{asked.case} ({asked.variant}): {asked.axis} {asked.good} → {asked.bad}"


def headline(found: Explanation) -> str:
    """Verdict, first divergence and cause in one sentence."""
    asked = found.question
    verdict = f"{SYMBOLS[found.verdict]} {found.verdict} in {asked.axis} {asked.bad}"
    if found.raised:
        side = asked.good if found.raised.side == "good" else asked.bad
        message = found.raised.message.replace("`", "'")
        return f"{verdict}: {found.raised.stage} fails under {side} alone, with `{message}`."
    said = [f"it starts in {_module(found.place.step)}"] if found.place else []
    if found.cause and found.cause.kind != "unknown":
        them = "it" if len(found.cause.parts) == 1 else "them"
        proven = f"proven by swapping {them}" if found.cause.proven else "not fully proven"
        said.append(f"its cause is {causes.named(found.cause.parts)}, {proven}")
    return f"{verdict}: {'; '.join(said)}." if said else f"{verdict}."


def said(found: Explanation) -> Iterator[str]:
    """What the matrix says, and what was tried to show it."""
    yield found.summary
    yield from found.notes
    if found.shown:
        tried = ", ".join(f"{rung}: {outcome}" for rung, outcome in found.shown.tried.items())
        yield f"the smallest input that shows it is `{found.shown.rung}` ({tried})"
        if ids := found.shown.lists.get("input_ids"):
            mask = found.shown.lists.get("attention_mask")
            masked = f", attention mask `{_lists(mask)!s}`" if mask and not all(map(all, mask)) else ""
            yield f"input ids `{_lists(ids)!s}`{masked}"
    if found.reproducer is None:
        yield "no script is offered: none that was tried showed this difference in both environments"
    if found.inert is not None:
        yield (
            "the hooks change nothing: logits with them are those without, bit for bit, on both sides"
            if found.inert
            else ("the hooks change the logits, so what follows was seen under other conditions")
        )


def where(found: Explanation) -> Where | None:
    """The first divergence; None where there is none."""
    place = found.place
    if place is None:
        return None
    apart = f"by up to {size(place.step.max_abs)} (relative, L2: {size(place.step.l2_rel)})"
    rows = [_side(found.question.good, place.good, found), _side(found.question.bad, place.bad, found)]
    later = place.later[:_GROWTH]
    more = f", the first {len(later)} of {len(place.later)}" if len(place.later) > len(later) else ""
    return Where(
        sentence=ticked(f"{_upper(_first(place))} {apart}."),
        table=markdown(frame(rows)),
        after=tuple(map(ticked, _after(place, found.replay, found.question.good, found.question.bad))),
        growth_caption=text(f"How it grows: every call whose output differs, in the order in which they start{more}"),
        growth=markdown(frame([_step(step) for step in later])),
    )


def _first(place: Place) -> str:
    """What makes it the first divergence."""
    if place.step.piece:
        return f"{_module(place.step)} is the first value in execution order that is not the same bits: it differs"
    same = f" ({', '.join(f'`{name}`' for name in place.same)})" if place.same else ""
    return (
        f"{_module(place.step)} is the first module in execution order whose inputs are the same bits{same} and whose"
        " output is not: it differs"
    )


def _after(place: Place, replay: Replay | None, good: str, bad: str) -> Iterator[str]:
    if place.by_position:
        shown = ", ".join(size(value) for value in place.by_position[:_POSITIONS])
        more = ", …" if len(place.by_position) > _POSITIONS else ""
        yield f"By position: {shown}{more}."
    yield from (f"{_upper(note)}." for note in place.notes)
    if replay:
        yield f"Clean replay: each of {replay.calls} calls of {bad} was given {good}'s inputs; {_faulty(replay)}."


def _faulty(replay: Replay) -> str:
    """Which modules are wrong by themselves, and where it shows first in what they hand on."""
    if not replay.faulty:
        return "each made the same output"
    names = list(dict.fromkeys(_fault(step) for step in replay.faulty))
    more = f" and {len(names) - _FAULTY} more" if len(names) > _FAULTY else ""
    whose = "their" if len(names) > 1 else "its"
    return f"another output by {whose} own code or state: {', '.join(names[:_FAULTY])}{more}"


def _fault(step: Step) -> str:
    return f"{_module(step)} (first seen in what it hands to `{step.handed}`)" if step.handed else _module(step)


def _side(release: str, module: Module, found: Explanation) -> dict[str, str]:
    return {
        "": f"{found.question.axis} {release}",
        "class": module.class_name,
        "file": module.file,
        "line": str(module.line),
    }


def _step(step: Step) -> dict[str, str]:
    piece = f" · {step.piece}" if step.piece else ""
    call = f" (call {step.nth + 1})" if step.nth else ""
    name = f"{step.module or 'the model'}{piece}{call}"
    return {"call": name, "max abs": size(step.max_abs), "L2 relative": size(step.l2_rel)}


def why(found: Explanation) -> Why | None:
    """The cause; None where nothing was swapped."""
    if found.cause is None:
        if not found.facts:
            return None
        sentence, after = found.facts[0], found.facts[1:]
        return _why(sentence, tuple(after), Markdown(""), Markdown(""), Markdown(""))
    cause = found.cause
    trials = markdown(frame([_trial(trial.parts, trial.share, trial.identical, trial.error) for trial in cause.trials]))
    caption = text(f"Everything that was swapped into {found.question.bad}")
    return _why(cause.sentence, (*found.facts, *_proof(cause)), _parts(cause, found), caption, trials)


def _why(sentence: str, after: tuple[str, ...], parts: Markdown, caption: Markdown, trials: Markdown) -> Why:
    return Why(
        sentence=ticked(f"{_upper(sentence)}."),
        after=tuple(ticked(f"{_upper(line)}.") for line in after),
        parts=parts,
        trials_caption=caption,
        trials=trials,
    )


def _proof(cause: Cause) -> Iterator[str]:
    if cause.control is not None:
        yield "control: swapping a part that both sides have in common " + (
            "changes nothing" if cause.control else "changes the logits too, so do not trust this"
        )
    yield f"{count(cause.forwards, 'forward')} in all"


def _parts(cause: Cause, found: Explanation) -> Markdown:
    """The parts with their values on both sides; nothing where they have none."""
    good, bad = found.question.good, found.question.bad
    rows = [
        {"part": ticked(causes.name_of(part)), good: code(_value(part.good)), bad: code(_value(part.bad))}
        for part in cause.parts
    ]
    return markdown(frame(rows)) if any(row[good] != row[bad] for row in rows) else Markdown("")


def _value(value: object) -> str:
    if isinstance(value, Mapping) and len(value) == 1:
        return str(next(iter(value.values())))
    if isinstance(value, tuple):
        value = f"[{', '.join(_element(item) for item in value)}]"
    written = "" if value is None else str(value)
    return written if len(written) <= _VALUE else f"{written[:_VALUE]} …"


def _element(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _trial(parts: tuple[str, ...], share: float | None, identical: bool, error: str | None) -> dict[str, str]:  # noqa: FBT001
    shown = ", ".join(map(_part, parts[:_TRIED])) + (f" and {len(parts) - _TRIED} more" if len(parts) > _TRIED else "")
    restored = error or causes.percent(share, whole=identical)
    return {"swapped": shown, "restores": restored + (" (bit-identical)" if identical else "")}


def _part(name: str) -> str:
    """A part's id, without the colon where there is nothing behind it."""
    return f"{name}the model" if name == "output:" else name.removesuffix(":")


def signatures(found: Explanation) -> Markdown:
    """Patterns that name a likely cause."""
    rows = [
        {
            "symptom": ticked(s.symptom),
            "evidence": ticked(s.evidence),
            "likely cause": ticked(s.likely_cause),
            "where to look": ticked(s.look_at),
        }
        for s in found.signatures
    ]
    return markdown(frame(rows))


def change(piece: SourceDiff) -> Change:
    """One piece of code that changed."""
    places = [f"{code(piece.path)}"]
    places += [link(url.split("/blob/")[-1].split("/")[0], url) for url in piece.links]
    cut = f"\n[… {count(piece.cut, 'more line')}]" if piece.cut else ""
    return Change(
        title=text(piece.title),
        places=Markdown(" · ".join(places)),
        diff=fence(piece.diff + cut, lines=_DIFF_LINES, characters=_DIFF, language="diff")
        if piece.diff
        else ticked(f"{_upper(piece.note)}."),
    )


def owner(found: Explanation) -> Markdown:
    """Whose bug it is, and where to say so."""
    if found.owner is None:
        return Markdown("")
    return Markdown("\n".join(f"- {_owner(one)}" for one in (found.owner, *found.owner.also)))


def _owner(one: Owner) -> Markdown:
    report = link(one.report, one.report) if one.report.startswith("http") else text(one.report)
    evidence = f" ({code(one.evidence)})" if one.evidence else ""
    return Markdown(f"**{text(one.project)}**: {ticked(one.why)}{evidence}. Tell it at {report}.")


def script(found: Reproducer | None, question: Question) -> Script | None:
    """The reproducer; None where none was seen to show the difference."""
    if found is None:
        return None
    seen = {question.good: found.good, question.bad: found.bad}
    printed = "\n".join(f"{question.axis} {release}:\n  {side.printed}" for release, side in seen.items())
    width = max(map(len, found.commands))
    commands = "\n".join(f"{command.ljust(width)}  # {what}" for command, what in found.commands.items())
    return Script(
        sentence=ticked(found.reduced),
        commands=fence(commands, language="sh"),
        script=fence(found.text, lines=_WHOLE, characters=_WHOLE, language="python"),
        printed_caption=text("What it printed when it was run under each:"),
        printed=fence(printed, characters=6000, lines=80),
    )


def conditions(found: Explanation) -> str:
    """What was the same on both sides."""
    a, b = found.sides[:2]
    same = {name: value for name, value in a.environment.items() if b.environment.get(name) == value}
    facts = [f"{label} {same[name]}" for name, label in _FACTS.items() if same.get(name)]
    return f"The same on both sides: {', '.join(facts)}." if facts else "Nothing was the same on both sides."


_FACTS = {"python": "Python", "torch": "torch", "cpu": "CPU", "cpu_capability": "CPU capability", "threads": "threads"}


def _module(step: Step) -> str:
    name = f"`{step.module}`" if step.module else "the model itself"
    return f"the {step.piece} of {name}" if step.piece else name


def _upper(sentence: str) -> str:
    """A sentence's first letter as a capital, unless it begins with a name."""
    return sentence[:1].upper() + sentence[1:] if re.match(r"[a-z]+[ ,:;]", sentence) else sentence


def _lists(rows: tuple[tuple[int, ...], ...]) -> list[list[int]]:
    return [list(row) for row in rows]
