"""Hunks: what one definition does on one side and not on the other, as pieces of a unified diff."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from matrix.explain.sources.syntax import Definition, Source, Statement

CONTEXT = 3
"""Lines above and below a change, as in any unified diff."""

WIDE_CONTEXT = 7
"""Where only some changes are shown, the others around them help to understand."""

_ANNOTATION = re.compile(
    r"^(\s*(?!else|try|finally)\*{0,2}[A-Za-z_]\w*|\)): [^=]*(?=( = .*)?,$)|(?<=^    \)) -> .*(?=:$)"
)
"""Of a parameter on a line of its own, and of what a function returns."""

_DEFAULT = re.compile(r"^(\s*\w+) ?= ?(.*,)$")
"""A parameter on a line of its own, with what it is by default."""


@dataclass(frozen=True)
class Place:
    """A definition in a file; `title` is its name for people, such as `LlamaAttention.forward`."""

    source: Source
    node: Definition
    title: str

    @property
    def line(self) -> int:
        """Its first line, decorators included."""
        decorators: list[ast.expr] = getattr(self.node, "decorator_list", [])
        return min([self.node.lineno, *(decorator.lineno for decorator in decorators)])

    @property
    def text(self) -> str:
        """Its lines as the file has them."""
        return "\n".join(self.source.lines[self.line - 1 : self.node.end_lineno])


@dataclass(frozen=True)
class Hunk:
    """A run of lines around a change.

    Attributes:
        title: The definition that it is in.
        good: The definition on the good side; None where there is none.
        bad: Likewise.
        lines: Header first, then lines that begin with a space, `-` or `+`.
    """

    title: str
    good: Place | None
    bad: Place | None
    lines: tuple[str, ...]

    def shortened(self, limit: int) -> Hunk:
        """The same with at most so many lines, and a last one that says how many more there are."""
        more = len(self.lines) - limit
        return self if more <= 0 else replace(self, lines=(*self.lines[:limit], f"… {more} more lines of {self.title}"))

    @property
    def alone(self) -> Place | None:
        """The definition, where only one side has it."""
        return None if self.good and self.bad else self.good or self.bad

    @property
    def added(self) -> str:
        """Only the lines that the good side lacks, without comments."""
        return "\n".join(line for line in self.lines[1:] if line[0] == "+" and not line[1:].lstrip().startswith("#"))


@dataclass(frozen=True)
class _Line:
    mark: str
    text: str
    good: int
    bad: int


def between(good: Place | None, bad: Place | None, about: re.Pattern[str] | None = None) -> list[Hunk]:
    """The hunks of one definition; none where both sides do the same, however they write it.

    Args:
        good: The definition on the good side; None where that side lacks it.
        bad: Likewise on the bad side.
        about: Only changed lines that mention this count, with more of what stands around them.
    """
    lines = list(_lines(good, bad))
    around = CONTEXT if about is None else WIDE_CONTEXT
    near = {
        other
        for number, line in enumerate(lines)
        if line.mark != " " and (about is None or about.search(line.text))
        for other in range(number - around, number + around + 1)
    }
    runs: list[list[_Line]] = []
    for number in sorted(near & set(range(len(lines)))):
        if number - 1 not in near or not runs:
            runs.append([])
        runs[-1].append(lines[number])
    title = next(place.title for place in (bad, good) if place)
    return [Hunk(title, good, bad, (_header(run, title), *(line.mark + line.text for line in run))) for run in runs]


def merged(found: Iterable[Hunk]) -> list[Hunk]:
    """Hunks that only one side has and that follow one another there, such as fields of a class, as one."""
    together: list[Hunk] = []
    # whose last line is where the last hunk ends
    end: Place | None = None
    for hunk in found:
        own = hunk.alone
        if together and end and own and _follows(end, own) and (together[-1].bad is None) is (hunk.bad is None):
            together[-1] = _joined(together[-1], hunk)
        else:
            together.append(hunk)
        end = own
    return together


def _follows(end: Place, own: Place) -> bool:
    """Whether nothing but blank lines and comments stands between two definitions of one file."""
    if end.source.path != own.source.path or not (end.node.end_lineno or 0) < own.line:
        return False
    between = own.source.lines[end.node.end_lineno or 0 : own.line - 1]
    return all(not line.strip() or line.lstrip().startswith("#") for line in between)


def _joined(first: Hunk, second: Hunk) -> Hunk:
    title, place = second.title.rsplit(".", 1)[0], first.alone
    lines = (*first.lines[1:], *second.lines[1:])
    span = f"{place.line if place else 0},{len(lines)}"
    sides = f"-{span} +0,0" if first.bad is None else f"-0,0 +{span}"
    return Hunk(title, first.good, first.bad, (f"@@ {sides} @@ {title}", *lines))


def _lines(good: Place | None, bad: Place | None) -> Iterator[_Line]:
    """Both definitions' lines side by side; of statements that do the same, the bad side's."""
    one, other = (place.source.statements(place.node) if place else [] for place in (good, bad))
    before, after = (place.source.lines if place else () for place in (good, bad))
    keys = [statement.key for statement in one], [statement.key for statement in other]
    for tag, i, k, j, m in SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_opcodes():
        old, new = _text(one[i:k], before), _text(other[j:m], after)
        if tag == "equal":
            start = one[i].first
            yield from (_Line(" ", text, start + number - other[j].first, number) for number, text in new)
        else:
            yield from _replaced(old, new)


def _text(statements: Sequence[Statement], lines: Sequence[str]) -> list[tuple[int, str]]:
    return [
        (number, lines[number - 1])
        for statement in statements
        for number in range(statement.first, statement.last + 1)
        if lines[number - 1].strip()
    ]


def _replaced(old: list[tuple[int, str]], new: list[tuple[int, str]]) -> Iterator[_Line]:
    """Lines of two runs of statements, of which some may be the same."""
    before, after = ([_plain(text) for _, text in run] for run in (old, new))
    for tag, i, k, j, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            yield from (_Line(" ", text, old[i + at][0], line) for at, (line, text) in enumerate(new[j:m]))
            continue
        yield from (_Line("-", text, line, 0) for line, text in old[i:k])
        yield from (_Line("+", text, 0, line) for line, text in new[j:m])


def _plain(text: str) -> str:
    """A line without the annotation of a parameter, and without the spaces that its default then has."""
    return _DEFAULT.sub(r"\1=\2", _ANNOTATION.sub(r"\1", text.rstrip()))


def _header(run: list[_Line], title: str) -> str:
    """`@@ -first,count +first,count @@ name`; a side without lines has count 0, as diff writes it."""
    old = [line.good for line in run if line.mark != "+"]
    new = [line.bad for line in run if line.mark != "-"]
    return f"@@ -{old[0] if old else 0},{len(old)} +{new[0] if new else 0},{len(new)} @@ {title}"
