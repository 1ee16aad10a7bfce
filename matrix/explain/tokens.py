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
        facts=tuple(line.replace("`", "'") for line in _facts(setting, difference, good, bad)),
        owner=_owner(setting, good, bad) if difference.changes else None,
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


def _facts(setting: Setting, difference: TokenizerDifference, good: Tokenization, bad: Tokenization) -> Iterator[str]:
    """What differs, from the first answer back to the parts that give it, as sentences."""
    for kind in list(difference.by_kind)[:_KINDS]:
        change = next(change for change in difference.changes if change.kind == kind)
        one, other = tokenizer_wording.sides(change)
        place = (
            f"{change.baseline.place}, {change.baseline.name}" if kind == "special tokens" else change.baseline.place
        )
        yield f"{place}: {other} instead of {one}"
    yield _versions(setting, good, bad)
    if good.direct and bad.direct:
        yield _direct(good, bad)
    for part, text in good.backend.items():
        if part != "merges" and bad.backend and bad.backend.get(part) != text:
            yield f"the Rust tokenizer's {part} is {_cut(bad.backend.get(part, ''))} instead of {_cut(text)}"
    if good.backend and bad.backend and good.backend["merges"] != bad.backend["merges"]:
        yield "the Rust tokenizer's merges are not the same"
    if good.settings["class"] != bad.settings["class"]:
        yield f"the tokenizer's class is {bad.settings['class']} instead of {good.settings['class']}"


def _versions(setting: Setting, good: Tokenization, bad: Tokenization) -> str:
    one, other = _version(good), _version(bad)
    if one == other:
        return f"the tokenizers package is {one} on both sides"
    return f"the tokenizers package is {one} under {setting.ends.good} and {other} under {setting.ends.bad}"


def _version(side: Tokenization) -> str:
    return str(side.capture.environment.get("versions", {}).get("tokenizers"))


def _direct(good: Tokenization, bad: Tokenization) -> str:
    differing, asked = changed_directly(good, bad), len(good.direct)
    given = f"other ids of {len(differing)} of {asked} strings" if differing else f"the same ids of all {asked} strings"
    return f"tokenizer.json, read by the tokenizers package alone, gives {given} on both sides"


def _owner(setting: Setting, good: Tokenization, bad: Tokenization) -> Owner:
    """Whose it is, by the first that holds: the package gives other ids by itself, it does not, it is the same."""
    versions = _versions(setting, good, bad)
    if good.direct and bad.direct and (differing := changed_directly(good, bad)):
        why = f"it gives other ids of {len(differing)} of {len(good.direct)} strings without transformers; {versions}"
        return owner.of("tokenizers", why)
    built = [part for part, text in good.backend.items() if bad.backend and bad.backend.get(part) != text]
    what = f"builds another Rust tokenizer ({', '.join(built)})" if built else "makes something else of it"
    if good.direct and bad.direct:
        why = f"the tokenizers package alone gives the same ids, and transformers {what}"
        return owner.of("transformers", why)
    if _version(good) == _version(bad) or built:
        return owner.of("transformers", f"{versions}, and transformers {what}")
    return code.whose_tokens(setting.judged, setting.ends.axis)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"
