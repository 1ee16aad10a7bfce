"""Loading: what changed in the functions of transformers that decide a kind of state."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Literal

from matrix.explain.anatomy import ModuleFacts
from matrix.explain.sources import hunks, syntax
from matrix.explain.sources.definitions import Site, find, inherited
from matrix.explain.sources.hunks import Hunk, Place
from matrix.explain.sources.source import LIMIT, SourceDiff, is_remote, render

Kind = Literal["parameters", "buffers", "tied"]
"""Parameters that a checkpoint may lack, non-persistent buffers, and parameters that share memory."""

_FILES = (
    "modeling_utils.py",
    "core_model_loading.py",
    "initialization.py",
    "integrations/accelerate.py",
)
"""Of transformers: where a model is built, filled and tied; not all releases have all."""

_ABOUT: Mapping[Kind, re.Pattern[str]] = {
    "buffers": re.compile(r"empty_like|non_persistent|init_empty_weights|init_contexts.*meta"),
    "parameters": re.compile(r"_initialize_missing_keys|_init_weights\b|_is_hf_initialized"),
    "tied": re.compile(r"\btie_weights|tied_weights_keys|tie_word_embeddings|_tie_or_clone|_tie_weights"),
}
"""What a line mentions that decides a kind of state."""

_OWN: Mapping[Kind, tuple[str, ...]] = {
    "buffers": ("_init_weights",),
    "parameters": ("_init_weights",),
    "tied": (
        "_tied_weights_keys",
        "_dynamic_tied_weights_keys",
        "tie_weights",
        "_tie_weights",
        "get_output_embeddings",
    ),
}
"""What a model's own class says about it."""

_ALIKE = 0.8
"""Of two names of one function, a share of common characters that a renaming leaves."""


def loading_path(
    good_site: Path,
    bad_site: Path,
    kind: Kind,
    models: tuple[ModuleFacts, ModuleFacts] | None = None,
    limit: int = LIMIT,
) -> SourceDiff:
    """What changed in the code that decides a kind of state, the function with the most such lines first.

    Args:
        good_site: The good side's site-packages.
        bad_site: The bad side's.
        kind: The kind of state.
        models: The model itself on both sides, for what its own class says; remote code is the same on both.
        limit: How many lines the diff may have.
    """
    pair = Site(good_site), Site(bad_site)
    own = _own(pair, models, kind) if models else []
    pairs = _paired(_functions(pair[0]), _functions(pair[1]), _ABOUT[kind])
    found = [hunks.between(one, other, _ABOUT[kind]) for one, other in pairs]
    general = [hunk for group in sorted(found, key=lambda group: _rank(group, _ABOUT[kind])) for hunk in group]
    first = (own or general)[0] if own or general else None
    title = f"the loading of {'tied parameters' if kind == 'tied' else kind}"
    if first is None:
        note = f"what decides {title} does the same on both sides"
        return SourceDiff(path="src/transformers/modeling_utils.py", title=title, note=note)
    return render(title, pair, (first.good, first.bad), own + general, limit)


def _own(pair: tuple[Site, Site], models: tuple[ModuleFacts, ModuleFacts], kind: Kind) -> list[Hunk]:
    """What changed in the model's own class; remote code does not."""
    places = [find(site, model) for site, model in zip(pair, models, strict=True)]
    if any(map(is_remote, models)) or not all(places):
        return []
    one, other = (inherited(site, place) for site, place in zip(pair, places, strict=True) if place)
    return [
        hunk
        for name in _OWN[kind]
        if name in one or name in other
        for hunk in hunks.between(one.get(name), other.get(name))
    ]


def _rank(group: list[Hunk], about: re.Pattern[str]) -> tuple[bool, int]:
    """What both sides have, but not alike, comes first; then where the bad side says most that is new."""
    one_sided = any(hunk.good is None or hunk.bad is None for hunk in group)
    return one_sided, -sum(len(about.findall(hunk.added)) for hunk in group)


def _functions(site: Site) -> dict[str, Place]:
    """Functions and methods of the loading code, by their names."""
    found: dict[str, Place] = {}
    for source in filter(None, (site.source(f"transformers/{file}") for file in _FILES)):
        for name, node in source.definitions.items():
            for own, part in (syntax.members(node) if isinstance(node, ast.ClassDef) else {"": node}).items():
                title = f"{name}.{own}" if own else name
                found[title] = Place(source, part, title)
    return found


def _paired(
    good: Mapping[str, Place], bad: Mapping[str, Place], about: re.Pattern[str]
) -> list[tuple[Place | None, Place | None]]:
    """Functions that mention something: by name, then by the most alike of what only one side has."""
    pairs: list[tuple[Place | None, Place | None]] = [(good[name], bad[name]) for name in bad if name in good]
    left = [name for name in good if name not in bad and about.search(good[name].text)]
    for name in (name for name in bad if name not in good and about.search(bad[name].text)):
        best = max(left, key=lambda other: _likeness(name, other), default=None)
        if best is not None and _likeness(name, best) >= _ALIKE:
            left.remove(best)
            pairs.append((good[best], bad[name]))
        else:
            pairs.append((None, bad[name]))
    pairs += [(good[name], None) for name in left]
    return [pair for pair in pairs if any(place and about.search(place.text) for place in pair)]


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()
