"""An explanation as Markdown: what differs, where it starts, why, in which code, whose bug, and what shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from matrix.explain import cause as causes
from matrix.explain.explanation import Explanation, Question
from matrix.explain.script.offer import Reproducer
from matrix.explain.sources.owner import Owner
from matrix.explain.sources.source import SourceDiff
from reports.escape import Markdown, capital, code, fence, link, prose, text, ticked
from reports.explained_where import place_of, where
from reports.explained_why import why
from reports.frames import frame, markdown
from reports.names import SYMBOLS, count
from reports.templating import template

_WHOLE = 1_000_000
"""Characters and lines of what is never cut: half a script runs nowhere."""

_DIFF = 30_000
"""Characters of one diff."""

_DIFF_LINES = 400


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
        said=[ticked(f"{capital(sentence)}.") for sentence in said(found)],
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
    said = [f"it starts in {place_of(found.place.step)}"] if found.place else []
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
        else ticked(f"{capital(piece.note)}."),
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


def _lists(rows: tuple[tuple[int, ...], ...]) -> list[list[int]]:
    return [list(row) for row in rows]
