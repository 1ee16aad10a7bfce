"""Tokens: why two tokenizers do not answer alike: which part of them differs, and whose it is.

The test that decides: tokenizer.json, read by the tokenizers package alone in both cells. Where that gives the same
ids, the package is not at fault, and it is transformers that builds another tokenizer out of the same files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from matrix import tokenization, tokenizer_wording
from matrix.explain.explanation import Explanation
from matrix.explain.raised import raised
from matrix.explain.script.reproduce import draft, reproducer
from matrix.explain.setting import Setting, sides
from matrix.explain.sources import code, owner
from matrix.explain.sources.owner import Owner
from matrix.tokenization import Tokenization
from matrix.tokenizer_difference import TokenizerDifference, changed_directly

_KINDS = 4
_SHOWN = 240
_TEXT = "Hello"


def explained(found: Explanation, setting: Setting) -> Explanation:
    """What is known of a case that looks at the tokenizer alone.

    Raises:
        CaptureError: When a capture is torn.
    """
    pair = [tokenization.read(side.folder) if side else None for side in sides(setting)]
    difference = setting.judged.tokenizer
    if pair[0] is None or pair[1] is None or difference is None:
        return _failed(found, setting)
    good, bad = pair[0], pair[1]
    return replace(
        found,
        facts=tuple(line.replace("`", "'") for line in _facts(difference, good, bad)),
        owner=owner_of(good, bad) if difference.changes else None,
        reproducer=reproducer(draft(_with_text(setting, _text(difference)), setting.job, "tokens")),
    )


def _failed(found: Explanation, setting: Setting) -> Explanation:
    """One side fails: its error says where."""
    names = zip(("good", "bad"), sides(setting), strict=True)
    failures = [raised(name, side.failure) for name, side in names if side and side.failure]
    if not failures:
        return found
    return replace(
        found,
        raised=failures[0],
        changes=code.of_failure(failures[0], (code.site(setting.good), code.site(setting.bad))),
        owner=code.whose_failure(failures[0], setting.ends.axis, setting.judged),
        reproducer=reproducer(draft(_with_text(setting, _TEXT), setting.job, "tokens")),
    )


def _with_text(setting: Setting, text: str) -> Setting:
    """The same setting about one text, for a script that prints its ids."""
    job = replace(setting.job, case=replace(setting.job.case, text=(text,)))
    return replace(setting, job=job, judged=replace(setting.judged, job=job))


def _text(difference: TokenizerDifference) -> str:
    """The shortest plain text whose ids differ; the first of any that do."""
    texts = [change.baseline.text for change in difference.changes if change.kind == "ids with special tokens"]
    plain = [text for text in texts if text.isascii() and text.isprintable()]
    return min(plain, key=len) if plain else next(iter(texts), _TEXT)


def _facts(difference: TokenizerDifference, good: Tokenization, bad: Tokenization) -> Iterator[str]:
    """What differs, from the first answers back to the parts that give them, as sentences."""
    for kind in list(difference.by_kind)[:_KINDS]:
        change = next(change for change in difference.changes if change.kind == kind)
        one, other = tokenizer_wording.sides(change)
        place = (
            f"{change.baseline.place}, {change.baseline.name}" if kind == "special tokens" else change.baseline.place
        )
        yield f"{place}: {other} instead of {one}"
    yield from parts(good, bad)


def parts(good: Tokenization, bad: Tokenization) -> Iterator[str]:
    """The packages, what tokenizer.json gives by itself, and the parts that are built in another way."""
    yield _versions(good, bad)
    if good.direct and bad.direct:
        differing, asked = changed_directly(good, bad), len(good.direct)
        given = f"other ids of {len(differing)} of {asked}" if differing else f"the same ids of all {asked}"
        yield f"tokenizer.json, read by the tokenizers package alone on each side, gives {given} strings"
    for part in _built(good, bad):
        one, other = (_cut(side.backend.get(part, "nothing")) for side in (good, bad))
        yield f"the Rust tokenizer's {part} {'are' if part == 'merges' else 'is'} {other} instead of {one}"
    if good.settings["class"] != bad.settings["class"]:
        yield f"the tokenizer's class is {bad.settings['class']} instead of {good.settings['class']}"


def owner_of(good: Tokenization, bad: Tokenization) -> Owner:
    """Whose it is, by the first that holds: the package gives other ids alone, it does not, only one of both moved."""
    versions, built = _versions(good, bad), _built(good, bad)
    what = f"builds another Rust tokenizer ({', '.join(built)})" if built else "makes something else of it"
    if good.direct and bad.direct:
        if differing := changed_directly(good, bad):
            said = f"it gives other ids of {len(differing)} of {len(good.direct)} strings without transformers"
            return owner.of("tokenizers", f"{said}; {versions}")
        return owner.of("transformers", f"the tokenizers package alone gives the same ids, and transformers {what}")
    if _version(good, "transformers") == _version(bad, "transformers"):
        return owner.of("tokenizers", f"only it differs of the two: {versions}")
    moved = _version(good, "tokenizers") != _version(bad, "tokenizers") and not built
    also = (owner.of("tokenizers", "fast tokenizers run in it, and it differs too"),) if moved else ()
    return owner.of("transformers", f"{versions}, and transformers {what}", also=also)


def _built(good: Tokenization, bad: Tokenization) -> list[str]:
    """Parts of the Rust tokenizer that are not the same; none where a side has no such tokenizer."""
    return [part for part, text in good.backend.items() if bad.backend and bad.backend.get(part) != text]


def _versions(good: Tokenization, bad: Tokenization) -> str:
    one, other = _version(good, "tokenizers"), _version(bad, "tokenizers")
    same = f"{one} on both sides"
    return f"the tokenizers package is {same if one == other else f'{one} on the good side and {other} on the bad one'}"


def _version(side: Tokenization, package: str) -> str:
    return str(side.capture.environment.get("versions", {}).get(package))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"
