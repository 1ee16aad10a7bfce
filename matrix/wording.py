"""Wording: a comparison's facts as the phrases and sentences that verdicts are made of."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from matrix.capture import Failure
from matrix.changes import Change, Kind, TokenChange
from matrix.compare import Comparison
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
    if comparison.dtypes:
        return "logits are {1} instead of {0}".format(*comparison.dtypes)
    if comparison.shapes:
        return "logits have the shape {1} instead of {0}".format(*map(list, comparison.shapes))
    outputs = comparison.outputs
    if outputs and outputs.values.differing:
        return _moved(outputs)
    if comparison.generation is not None:
        return f"the logits are the same, but greedy token {comparison.generation} differs"
    return "the logits are the same"


def _moved(outputs: OutputDifference) -> str:
    values, agreement = outputs.values, outputs.logits.argmax_agreement
    if not values.max_abs and not values.nonfinite_baseline and not values.nonfinite_candidate:
        return "logits differ in nothing but the sign of zeros"
    # 99.96 % is not 100 %
    share = "everywhere" if agreement == 1 else f"at {min(agreement, 0.999):.3g} of the positions"
    return f"logits move by up to {values.max_abs:.3g} and argmax agrees {share}"


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


def tokens(change: TokenChange) -> str:
    """What the two tokenizers made of one text."""
    sides = (f"{len(ids)} {change.list} starting {list(ids[:3])}" for ids in (change.candidate, change.baseline))
    return "the tokenizer makes {} of the same text, the baseline's {}".format(*sides)


def failure(error: Failure) -> str:
    """The first line of an error."""
    lines = error.message.strip().splitlines()
    return f"{error.type}: {textwrap.shorten(lines[0], 200, placeholder=' …')}" if lines else error.type


def notes(comparison: Comparison) -> Iterator[str]:
    """Facts that change nothing about a verdict."""
    if comparison.outputs and comparison.outputs.logits.masked_only:
        yield "logits differ only at positions that the attention mask hides"
    if all(comparison.nonfinite):
        yield f"logits hold NaN or infinity on both sides ({comparison.nonfinite[0]} and {comparison.nonfinite[1]})"
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
        yield f"changed without any effect on the logits: {some(changed)}"
    if comparison.newly_missing:
        yield f"not found in the checkpoint by this release alone: {some(comparison.newly_missing)}"


def _by_digest(comparison: Comparison) -> Iterator[str]:
    if large := [state.name for state in comparison.changes("buffers") if not state.is_kept]:
        yield f"too large to keep, so compared by digest alone: {some(large)}"


def some(names: Sequence[str], limit: int = 3) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
