"""issue.md: a bug report in the sections of transformers' own form, printed for a person to paste."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from matrix.explain.explanation import Explanation, Side
from reports import explanation
from reports.escape import Markdown, fence, prose, text, ticked
from reports.explained_where import where
from reports.explained_why import why
from reports.names import count
from reports.templating import template

LIMIT = 65_536
"""GitHub refuses the body of an issue that is longer, in characters."""

_ROOM = 1_000
_PACKAGES = ("transformers", "torch", "tokenizers", "safetensors", "huggingface_hub", "accelerate", "numpy")
_HELP = "<!-- left to the person who files this: see the maintainers' list in the bug report form -->"


def render(found: Explanation) -> str:
    """The bug report; where it would be too long, detail goes in a fixed order, and it says so."""
    for shorter, cut in _shorter(found):
        body = _render(shorter, cut)
        if len(body) <= LIMIT - _ROOM:
            return body
    return body[: LIMIT - _ROOM]


def _shorter(found: Explanation) -> Iterator[tuple[Explanation, str]]:
    """The explanation with less and less in it: first the diffs, from the last, then what follows the divergence."""
    whole = len(found.changes)
    for left in range(whole, -1, -1):
        cut = (
            f"{count(whole - left, 'further diff')} left out for length; explain.md has all of it."
            if left < whole
            else ""
        )
        yield replace(found, changes=found.changes[:left]), cut
    less = replace(found, changes=(), place=None)
    yield less, "Diffs and the place of the first divergence left out for length; explain.md has all of it."
    yield replace(less, reproducer=None), "The script is left out for length: attach repro.py."


def _render(found: Explanation, cut: str) -> str:
    return template("issue.md.j2").render(
        system=fence("\n\n".join(_system(side) for side in found.sides), lines=80, characters=6000),
        help=Markdown(_HELP),
        headline=ticked(explanation.headline(found)),
        where=where(found),
        why=why(found),
        changes=[explanation.change(piece) for piece in found.changes],
        reproducer=explanation.script(found.reproducer, found.question),
        cut=text(cut),
        expected=prose(_expected(found)),
    )


def _system(side: Side) -> str:
    """What `transformers env` would say of one environment, as far as a probe saw it."""
    facts = {"platform": "Platform", "python": "Python version", "cpu": "CPU", "cuda": "GPU"}
    lines = [f"- `{name}` version: {side.versions[name]}" for name in _PACKAGES if name in side.versions]
    lines += [f"- {label}: {side.environment.get(name) or 'none'}" for name, label in facts.items()]
    axes = ", ".join(f"{name} {value}" for name, value in side.axes.items())
    return "\n".join([axes, *lines])


def _expected(found: Explanation) -> str:
    asked = found.question
    if found.raised:
        return f"{asked.axis} {asked.good} and {asked.bad} both run, or both refuse with a message that says why."
    held = "With the same checkpoint, input, dtype, attention kernel, threads and CPU"
    return f"{held}, {asked.axis} {asked.bad} computes the same bits as {asked.good}."
