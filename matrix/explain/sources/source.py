"""Source: what changed between two installed releases in the code of a class, read and never imported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.explain.anatomy import ModuleFacts
from matrix.explain.sources import hunks, upstream
from matrix.explain.sources.definitions import Site, called, configs, enclosing, find, inherited, named
from matrix.explain.sources.hunks import Hunk, Place

LIMIT = 120
"""Lines of a diff that a person still reads; what is left out is counted."""


@dataclass(frozen=True, kw_only=True)
class SourceDiff:
    """What changed in some code between two releases.

    Attributes:
        path: The file in its own repository, such as `src/transformers/models/llama/modeling_llama.py`; the bad
            side's where the two differ.
        title: What it is a diff of, such as `LlamaAttention`.
        good_line: Where that begins on the good side; None where that side lacks it.
        bad_line: Likewise on the bad side.
        diff: Unified; empty where nothing changed that computes.
        cut: How many lines of the diff are left out.
        links: To that code on the good and on the bad side, as far as they are final releases.
        changed: What the diff shows, such as `LlamaAttention.forward`, in its order.
        note: What an empty diff means; else empty.
    """

    path: str
    title: str
    good_line: int | None = None
    bad_line: int | None = None
    diff: str = ""
    cut: int = 0
    links: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    note: str = ""


def changed_code(
    good_site: Path, bad_site: Path, good: ModuleFacts, bad: ModuleFacts, limit: int = LIMIT
) -> SourceDiff:
    """What changed in a module's class: its own methods, those it inherits, and what they call in the same file.

    Args:
        good_site: The good side's site-packages.
        bad_site: The bad side's.
        good: The module on the good side.
        bad: The same module on the bad side; its class may have another name.
        limit: How many lines the diff may have.
    """
    pair = Site(good_site), Site(bad_site)
    one, other = find(pair[0], good), find(pair[1], bad)
    if is_remote(bad) and is_remote(good) and (one is None or other is None or _same_file(one, other)):
        note = "the model's own code, the same on both sides: what loads it, what it calls or reads has changed"
        return SourceDiff(
            path=upstream.path(bad.file), title=bad.class_name, good_line=good.line, bad_line=bad.line, note=note
        )
    if one is None or other is None:
        sides = (("good", good, one), ("bad", bad, other))
        lacking = [
            f"no {facts.class_name} in {facts.file or 'any file'} of the {side} side"
            for side, facts, place in sides
            if place is None
        ]
        return SourceDiff(path=upstream.path(bad.file), title=bad.class_name, note="; ".join(lacking))
    return render(bad.class_name, pair, (one, other), of_class(pair, one, other), limit)


def config_class(
    good_site: Path, bad_site: Path, good: ModuleFacts, bad: ModuleFacts, limit: int = LIMIT
) -> SourceDiff | None:
    """What changed in the config class that a module names; None where it is not found on both sides.

    Args:
        good_site: The good side's site-packages.
        bad_site: The bad side's.
        good: A module on the good side whose class says what its config is: the model itself.
        bad: The same module on the bad side.
        limit: How many lines the diff may have.
    """
    pair = Site(good_site), Site(bad_site)
    places = [find(site, facts) for site, facts in zip(pair, (good, bad), strict=True)]
    one, other = (configs(site, place) if place else None for site, place in zip(pair, places, strict=True))
    if one is None or other is None or _same_file(one, other):
        return None
    return render(other.title, pair, (one, other), of_class(pair, one, other), limit)


def changed_function(pair: tuple[Path, Path], file: str, line: int, *, on_bad: bool) -> SourceDiff | None:
    """What changed in the function that a traceback ends in; None where it is not found.

    Args:
        pair: The good side's site-packages and the bad side's.
        file: The file, relative to them.
        line: A line of the function.
        on_bad: Whether the line is the bad side's.
    """
    sites = Site(pair[0]), Site(pair[1])
    own, other = (sites[1], sites[0]) if on_bad else sites
    found = enclosing(own, file, line)
    if found is None:
        return None
    same = named(other, file, found.title)
    one, two = (same, found) if on_bad else (found, same)
    return render(found.title, sites, (one, two), hunks.between(one, two), LIMIT)


def is_remote(facts: ModuleFacts) -> bool:
    """Whether a module's class came with the checkpoint."""
    return facts.python_module.split(".")[0] == upstream.REMOTE


def of_class(pair: tuple[Site, Site], good: Place, bad: Place) -> list[Hunk]:
    """The hunks of a class: `forward`, the functions that it calls, `__init__`, and the other methods."""
    one, other = inherited(pair[0], good), inherited(pair[1], bad)
    ahead, behind = called(one.values()), called(other.values())
    functions = []
    for name in dict.fromkeys([*behind, *ahead]):
        # what one side calls from the same file may lie in another on the other side, or not be called there
        before = ahead.get(name) or pair[0].meant(good, name)
        after = behind.get(name) or pair[1].meant(bad, name)
        functions += hunks.between(before, after)
    methods = {name: hunks.between(one.get(name), other.get(name)) for name in dict.fromkeys([*other, *one])}
    first = [*methods.pop("forward", []), *functions, *methods.pop("__init__", [])]
    return first + [hunk for found in methods.values() for hunk in found]


def render(
    title: str, pair: tuple[Site, Site], about: tuple[Place | None, Place | None], found: Sequence[Hunk], limit: int
) -> SourceDiff:
    """Hunks as one unified diff of at most so many lines.

    Args:
        title: What it is a diff of.
        pair: The good and the bad side's site-packages.
        about: The code that the diff is about, for its path, lines and links.
        found: The hunks, the most telling first.
        limit: How many lines the diff may have; a hunk may be cut short.
    """
    found = hunks.merged(found)
    whole = len(list(_unified(pair, found)))
    # one long hunk must not hide that there are others
    lines = list(_unified(pair, found if whole <= limit else [hunk.shortened(limit // 2) for hunk in found]))
    shown = "\n".join(lines[:limit])
    named = [(site, place) for site, place in zip(pair, about, strict=True) if place]
    links = [upstream.link(site.path, site.relative(place), place.line) for site, place in named]
    good, bad = (place.line if place else None for place in about)
    return SourceDiff(
        path=upstream.path(named[-1][0].relative(named[-1][1])),
        title=title,
        good_line=good,
        bad_line=bad,
        diff=shown,
        cut=max(0, whole - sum(not line.startswith("…") for line in lines[:limit])),
        links=tuple(filter(None, links)),
        changed=tuple(dict.fromkeys(hunk.title for hunk in found if hunk.lines[0] in shown)),
        note="" if lines else f"the code of {title} does the same on both sides",
    )


def _unified(pair: tuple[Site, Site], found: Iterable[Hunk]) -> Iterable[str]:
    """File headers as often as the files change."""
    last: list[str] = []
    for hunk in found:
        sides = zip(("---", "+++"), "ab", pair, (hunk.good, hunk.bad), strict=True)
        files = [
            f"{mark} {letter}/{upstream.path(site.relative(place))}" if place else f"{mark} /dev/null"
            for mark, letter, site, place in sides
        ]
        if files != last:
            yield from files
        last = files
        yield from hunk.lines


def _same_file(one: Place, other: Place) -> bool:
    return one.source.lines == other.source.lines
