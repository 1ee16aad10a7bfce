"""Wording: a comparison's facts as the phrases and sentences that verdicts are made of."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from matrix.capture import Failure
from matrix.changes import Change, Kind, TokenChange
from matrix.compare import Comparison
from matrix.logits import LogitsDifference
from matrix.model_outputs import Unshared, called
from matrix.noise import Rounding
from matrix.outputs import OutputDifference
from matrix.proof import Proof

_CHANGES: dict[Change, str] = {
    "added": "added",
    "removed": "removed",
    "renamed": "renamed (the same bytes)",
    "relaid": "laid out anew (the same values)",
    "retied": "tied to other tensors",
    "persistence": "saved by one side only",
}
_KINDS: tuple[Kind, ...] = ("parameters", "buffers")


def distance(comparison: Comparison) -> str:
    """How far apart the two sides' outputs are."""
    name = called(comparison.output)
    if comparison.dtypes:
        return "{} are {} instead of {}".format(name, *reversed(comparison.dtypes))
    if comparison.shapes:
        return "{} have the shape {} instead of {}".format(name, *map(list, reversed(comparison.shapes)))
    outputs = comparison.outputs
    if outputs and outputs.values.differing:
        return f"{name} {_moved(outputs)}"
    if comparison.generation is not None:
        return f"the {name} are the same, but greedy token {comparison.generation} differs"
    return f"the {name} are the same"


def _moved(outputs: OutputDifference) -> str:
    values = outputs.values
    if not values.max_abs and not values.nonfinite_baseline and not values.nonfinite_candidate:
        return "differ in nothing but the sign of zeros"
    return f"move by up to {values.max_abs:.3g}{_agreement(outputs.logits) if outputs.logits else ''}"


def _agreement(logits: LogitsDifference) -> str:
    # 99.96 % is not 100 %
    agreement = logits.argmax_agreement
    share = "everywhere" if agreement == 1 else f"at {min(agreement, 0.999):.3g} of the positions"
    return f" and argmax agrees {share}"


def rounding(found: Rounding | None, comparison: Comparison) -> str:
    """How a difference compares with the noise floor, and what is left of it in corrected float64."""
    if found is None:
        return ""
    said = []
    if found.floor and (outputs := comparison.outputs):
        k = found.floor.ratio(outputs.values.max_abs)
        said.append(f"{k:.3g} times the noise floor of {found.floor.max_abs:.3g} ({found.floor.source})")
    if found.proof and comparison.outputs:
        said += _proven(found.proof)
    elif found.lacking and comparison.outputs:
        said.append(f"corrected float64 could not run ({found.lacking[0]})")
    if comparison.generation is not None and comparison.margin is not None:
        said.append(f"the baseline's margin where greedy tokens part is at most {comparison.margin:.3g}")
    return "".join(f", {words}" for words in said)


def _proven(proof: Proof) -> Iterator[str]:
    left = f"{proof.after:.3g}" if proof.after else "nothing"
    yield f"{'rounding changed: ' if proof.vanishes else ''}{left} of it is left in corrected float64"
    if proof.escaped:
        yield f"though {some(list(proof.escaped))} escaped the correction"
    if proof.is_lifted and not proof.vanishes:
        yield f"but rounding reaches no further than {proof.reach:.3g}: a branch on the dtype, or a narrower precision"


def left(proof: Proof) -> str:
    """What is said of noise that is within the floor, and yet more than rounding would leave."""
    share = f"{proof.after:.3g} of {proof.before:.3g} stays in corrected float64"
    return f"within the noise floor, but not rounding alone: {share}"


def tokens(change: TokenChange, *, chat: bool = False) -> str:
    """What the two tokenizers, and their chat templates, made of one text or chat."""
    sides = (f"{len(ids)} {change.list} starting {list(ids[:3])}" for ids in (change.candidate, change.baseline))
    what = "chat through its template" if chat else "text"
    return "the tokenizer makes {} of the same {what}, the baseline's {}".format(*sides, what=what)


def failure(error: Failure) -> str:
    """The first line of an error."""
    lines = error.message.strip().splitlines()
    return f"{error.type}: {textwrap.shorten(lines[0], 200, placeholder=' …')}" if lines else error.type


def notes(comparison: Comparison) -> Iterator[str]:
    """Facts that change nothing about a verdict."""
    name = called(comparison.output)
    if comparison.outputs and comparison.outputs.masked_only:
        yield f"{name} differ only at positions that the attention mask hides"
    if all(comparison.nonfinite):
        yield f"{name} hold NaN or infinity on both sides ({comparison.nonfinite[0]} and {comparison.nonfinite[1]})"
    yield from _unshared(comparison.unshared)
    if comparison.tokens and comparison.tokens.list != "input_ids":
        yield f"the tokenizers make other {comparison.tokens.list}"
    for change, words in _CHANGES.items():
        for kind in _KINDS:
            names = [state.name for state in comparison.state if (state.kind, state.change) == (kind, change)]
            if names:
                yield f"{kind} {words}: {some(names)}"
    if broken := [state.name for state in comparison.state if state.is_broken]:
        yield f"holds NaN or infinity that the baseline's does not: {some(broken)}"
    yield from _by_digest(comparison)
    changed = [state.name for state in comparison.changes("buffers") if not state.same_layout]
    changed += [f"config value {change.key}" for change in comparison.config]
    if changed and comparison.outputs is None and comparison.shapes is None:
        yield f"changed without any effect on the {name}: {some(changed)}"
    if comparison.newly_missing:
        yield f"not found in the checkpoint by this release alone: {some(comparison.newly_missing)}"


def _unshared(outputs: Unshared) -> Iterator[str]:
    """Outputs that are called otherwise, or that one side alone returns."""
    if outputs.renamed:
        yield "the main output is called {1}, the baseline's {0}".format(*outputs.renamed)
    for names, words in ((outputs.baseline, "not returned any more"), (outputs.candidate, "returned here alone")):
        if names:
            yield f"outputs {words}: {some(names)}"


def _by_digest(comparison: Comparison) -> Iterator[str]:
    if large := [state.name for state in comparison.changes("buffers") if not state.is_kept]:
        yield f"too large to keep, so compared by digest alone: {some(large)}"


def some(names: Sequence[str], limit: int = 3) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
