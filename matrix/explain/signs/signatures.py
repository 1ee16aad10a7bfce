"""Signatures: patterns of a difference that name its likely cause, and where in the code to look for it.

A wrong signature costs more trust than a missing one: each has to hold for every element, within rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from matrix import evidence
from matrix.explain.signs import curves, patterns
from matrix.explain.signs.curves import Epsilon
from matrix.explain.signs.kinds import KINDS
from matrix.explain.signs.sides import HEADS, Sides
from matrix.wording import some

ONE_TOKEN = "one token"  # noqa: S105 - a name
"""The rung of the ladder on which neither positions nor attention can show."""


@dataclass(frozen=True, kw_only=True)
class Signature:
    """A pattern that was found.

    Attributes:
        key: Which one, such as `rotary`.
        symptom: What is seen, in general.
        evidence: What was measured here, as a sentence without a full stop.
        likely_cause: What usually does that.
        look_at: Where in the code it usually is.
    """

    key: str
    symptom: str
    evidence: str
    likely_cause: str
    look_at: str


@dataclass(frozen=True, kw_only=True)
class Symptoms:
    """What is known of one difference; whatever was not measured is left out.

    Attributes:
        ladder: Rung → the logits of both sides. The rungs are `one token`, `short`, `long`, `left-padded`, `given`.
        first: The first tensor of the forward that differs at all, whether it goes into a module or comes out.
        output: The output of the first divergent module, whose inputs are the same.
        norm_input: That module's first input where it is a norm; shaped like its output.
        class_name: The class of the first divergent module.
        query: Of the first attention, after the rotary embedding, [batch, heads, sequence, dimension].
        key: Likewise.
        scores: Of the first attention, before the softmax, [batch, heads, sequence, keys].
        lengths: Lengths that the config names: its sliding window, its chunks of attention.
        uninitialised: Tensors that loading never wrote.
        loads_differ: Whether two loads of one side differ.
        dtype: What the model was loaded in.
        same_in_float32: Whether both sides agree bit for bit once they are loaded in float32.
    """

    ladder: Mapping[str, Sides] = field(default_factory=dict)
    first: Sides | None = None
    output: Sides | None = None
    norm_input: NDArray[Any] | None = None
    class_name: str = ""
    query: Sides | None = None
    key: Sides | None = None
    scores: Sides | None = None
    lengths: tuple[int, ...] = ()
    uninitialised: tuple[str, ...] = ()
    loads_differ: bool = False
    dtype: str = "float32"
    same_in_float32: bool | None = None


def find(symptoms: Symptoms) -> tuple[Signature, ...]:
    """Every signature that the symptoms bear, the most certain first; none of numbers that were never written."""
    if unwritten := tuple(_unwritten(symptoms)):
        return unwritten
    rules = (_sixteen_bits, _lost, _epsilon, _scale, _shift, _cap, _positions, _padded, _window)
    return tuple(found for rule in rules for found in rule(symptoms))


def _found(key: str, evidence: str) -> Signature:
    kind = KINDS[key]
    return Signature(
        key=key, symptom=kind.symptom, evidence=evidence, likely_cause=kind.likely_cause, look_at=kind.look_at
    )


def _unwritten(symptoms: Symptoms) -> Iterator[Signature]:
    if symptoms.uninitialised:
        yield _found("uninitialised", f"loading never wrote {some(symptoms.uninitialised)}")
    elif symptoms.loads_differ:
        yield _found("uninitialised", "two loads of one checkpoint in one environment differ")


def _sixteen_bits(symptoms: Symptoms) -> Iterator[Signature]:
    if symptoms.same_in_float32 and evidence.bits(symptoms.dtype) < evidence.bits("float32"):
        yield _found("upcast", f"{symptoms.dtype} differs, and float32 is the same bit for bit")


def _lost(symptoms: Symptoms) -> Iterator[Signature]:
    for name, sides in _named(symptoms):
        if gone := patterns.lost(sides):
            what, count, total = gone
            yield _found("lost", f"{name} is {what} at {count} of {total} positions, where the good side has numbers")
            return


def _epsilon(symptoms: Symptoms) -> Iterator[Signature]:
    output, given = symptoms.output, symptoms.norm_input
    if output is None or given is None or given.shape != output.good.shape:
        return
    # a norm is centred unless its class says otherwise; the wrong way never fits
    for centred in (False,) if "rms" in symptoms.class_name.lower() else (True, False):
        if found := curves.epsilon(output, given, centred=centred):
            yield _found("eps", _said(found, "variance" if centred else "mean square"))
            return


def _said(found: Epsilon, what: str) -> str:
    more = "larger" if found.difference > 0 else "smaller"
    pair = " ({:g} instead of {:g})".format(*reversed(found.known)) if found.known else ""
    return (
        f"where the input's {what} is {found.smallest:.3g} the output differs by {found.at_smallest:.3g} of itself, "
        f"where it is {found.largest:.3g} by {found.at_largest:.3g}: as an epsilon would that is "
        f"{abs(found.difference):.3g} {more} on the bad side{pair}"
    )


def _scale(symptoms: Symptoms) -> Iterator[Signature]:
    if symptoms.scores and _same(symptoms.query) and _same(symptoms.key) and (found := _ratio(symptoms.scores)):
        yield _found("attention-scale", f"queries and keys are the same, and the scores are {found}")
        return
    for name, sides in _hidden(symptoms):
        # a norm scales each token by a factor of its own: one token alone shows one factor whatever its cause
        if len(sides.tokens[0]) > 1 and (found := _ratio(sides)):
            yield _found("scale", f"{name} is {found}")
            return


def _ratio(sides: Sides) -> str | None:
    """`0.125 times the good side's, for every element (…)`."""
    found = patterns.ratio(sides)
    return found and f"{found[0]:.6g} times the good side's at every element (the factor spreads by {found[1]:.1g})"


def _shift(symptoms: Symptoms) -> Iterator[Signature]:
    for name, sides in (*_hidden(symptoms), *_logits(symptoms)):
        if found := patterns.shift(sides):
            kind, largest = found
            whose = "one number for all features of a token" if kind == "centring" else "one vector for every token"
            yield _found(kind, f"{name} is off by {whose}, up to {largest:.3g}")
            return


def _cap(symptoms: Symptoms) -> Iterator[Signature]:
    scores = (("the attention scores", symptoms.scores),) if symptoms.scores else ()
    for name, sides in (*_logits(symptoms), *_tensors(symptoms), *scores):
        if found := curves.cap(sides):
            c, lacks = found
            one, other = ("good", "bad") if lacks else ("bad", "good")
            yield _found("softcap", f"{name}: the {one} side's are c·tanh(x/c) of the {other} side's, c = {c:.5g}")
            return


def _positions(symptoms: Symptoms) -> Iterator[Signature]:
    """What only shows from the second position on: the rotary embedding, unless queries and keys are the same."""
    one = symptoms.ladder.get(ONE_TOKEN)
    if one and one.moved.any():
        return
    turned = {"queries": symptoms.query, "keys": symptoms.key}
    for name, sides in turned.items():
        if sides and sides.visible and (count := patterns.exact_first(sides)):
            length = "keep their lengths" if patterns.rotated(sides) else "change their lengths"
            text = f"{name} are exact at the first position, differ at all {count} later ones, and {length}"
            yield _found("rotary", text)
            return
    for name, sides in _logits(symptoms):
        if sides.visible and (count := patterns.exact_first(sides)):
            text = f"{name} are exact at the first position of every row and differ at all {count} later ones"
            exact = all(sides is not None and _same(sides) for sides in turned.values())
            yield _found("between-positions" if exact else "later-positions", text)
            return


def _padded(symptoms: Symptoms) -> Iterator[Signature]:
    if _visible(symptoms) and (found := patterns.only_padded(symptoms.ladder.values())):
        moved, exact = found
        yield _found("padding", f"{moved} rows with padding differ, and {exact} as long without any are the same")


def _window(symptoms: Symptoms) -> Iterator[Signature]:
    if _visible(symptoms) and (found := patterns.window(symptoms.ladder.values(), symptoms.lengths)):
        n, count = found
        named = ", a length that the config names" if n in symptoms.lengths else ""
        text = f"logits are the same at the first {n} positions{named}, and differ at every later one ({count} inputs)"
        yield _found("window", text)


def _visible(symptoms: Symptoms) -> bool:
    return any(sides.visible for sides in symptoms.ladder.values())


def _same(sides: Sides | None) -> bool:
    """Whether nothing differs; what was not measured counts as the same."""
    return sides is None or not sides.moved.any()


def _tensors(symptoms: Symptoms) -> list[tuple[str, Sides]]:
    named = (
        ("the first tensor that differs", symptoms.first),
        (f"the output of {symptoms.class_name}", symptoms.output),
    )
    return [(name, sides) for name, sides in named if sides is not None]


def _hidden(symptoms: Symptoms) -> list[tuple[str, Sides]]:
    """Those that hold one vector per token; what has heads is inside attention."""
    return [(name, sides) for name, sides in _tensors(symptoms) if sides.good.ndim < HEADS]


def _logits(symptoms: Symptoms) -> list[tuple[str, Sides]]:
    """Longest input first: it shows most."""
    ladder = sorted(symptoms.ladder.items(), key=lambda entry: -entry[1].good.size)
    return [(f"logits ({rung})", sides) for rung, sides in ladder if rung != ONE_TOKEN and not _same(sides)]


def _named(symptoms: Symptoms) -> list[tuple[str, Sides]]:
    return [*_tensors(symptoms), *_logits(symptoms)]
