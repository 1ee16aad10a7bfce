"""Where a difference starts, as an explanation shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from matrix.explain.explanation import Explanation, Module, Place, Replay, Step
from reports.escape import Markdown, capital, text, ticked
from reports.frames import frame, markdown
from reports.numbers import size

_GROWTH = 40
_POSITIONS = 16
_FAULTY = 8


@dataclass(frozen=True, kw_only=True)
class Where:
    """The first divergence as the template shows it."""

    sentence: Markdown
    table: Markdown
    after: tuple[Markdown, ...]
    growth_caption: Markdown
    growth: Markdown


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
        sentence=ticked(f"{capital(_first(place))} {apart}."),
        table=markdown(frame(rows)),
        after=tuple(map(ticked, _after(place, found.replay, found.question.good, found.question.bad))),
        growth_caption=text(f"How it grows: every call whose output differs, in the order in which they start{more}"),
        growth=markdown(frame([_step(step) for step in later])),
    )


def _first(place: Place) -> str:
    """What makes it the first divergence."""
    if place.step.piece:
        return f"{place_of(place.step)} is the first value in execution order that is not the same bits: it differs"
    same = f" ({', '.join(f'`{name}`' for name in place.same)})" if place.same else ""
    return (
        f"{place_of(place.step)} is the first module in execution order whose inputs are the same bits{same} and whose"
        " output is not: it differs"
    )


def _after(place: Place, replay: Replay | None, good: str, bad: str) -> Iterator[str]:
    if place.by_position:
        shown = ", ".join(size(value) for value in place.by_position[:_POSITIONS])
        more = ", …" if len(place.by_position) > _POSITIONS else ""
        yield f"By position: {shown}{more}."
    yield from (f"{capital(note)}." for note in place.notes)
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
    return f"{place_of(step)} (first seen in what it hands to `{step.handed}`)" if step.handed else place_of(step)


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


def place_of(step: Step) -> str:
    """A call's module, or the functional piece inside it."""
    name = f"`{step.module}`" if step.module else "the model itself"
    return f"the {step.piece} of {name}" if step.piece else name
