"""Why there is a difference, as an explanation shows it: the cause, its proof and everything that was tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from matrix.explain import cause as causes
from matrix.explain.cause import Cause
from matrix.explain.explanation import Explanation
from reports.escape import Markdown, capital, code, text, ticked
from reports.frames import frame, markdown
from reports.names import count

_VALUE = 120
_TRIED = 3


@dataclass(frozen=True, kw_only=True)
class Why:
    """The cause as the template shows it."""

    sentence: Markdown
    after: tuple[Markdown, ...]
    parts: Markdown
    trials_caption: Markdown
    trials: Markdown


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
        sentence=ticked(f"{capital(sentence)}."),
        after=tuple(ticked(f"{capital(line)}.") for line in after),
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
