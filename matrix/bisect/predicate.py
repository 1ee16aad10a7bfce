"""Predicate: what makes a release bad, and what each release says about it.

By default a release is bad when it differs *like the bad end*: the same verdict at the same stage. The name of what
differs does not count, since tensors are renamed between releases, unless it is asked for with --where, or is the type
of an error. What a release says:

- The difference is there: bad.
- Nothing differs, or only by rounding: good.
- Something else differs. Stages follow each other as causes do (tokens, config, parameters, buffers, logits,
  generation). Another difference at a *later* stage does not hide what is looked for: good, and named. State is
  compared tensor by tensor, so there it is seen beside whatever else differs. Another difference at an *earlier* stage
  than the logits or the greedy tokens moves them, too, and so hides whether they move by themselves: skipped, and
  named.
- Where rounding is looked for, and the logits or the greedy tokens differ by more: skipped, since it hides that.
- It cannot be installed, or fails for another reason: skipped, as `git bisect skip` does.
- It does not agree with itself, for another reason than the one looked for: it cannot be told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from matrix.bisect.search import Mark
from matrix.judgement import QUIET, Judgement, Side, Verdict
from matrix.spec import Stage

_ORDER: tuple[Stage, ...] = get_args(Stage)
_STATE: tuple[Stage, ...] = ("load", "config", "parameters", "buffers")
"""Stages whose differences are seen one by one, whatever else differs."""


@dataclass(frozen=True, kw_only=True)
class Predicate:
    """What makes a release bad; None is any.

    `uninitialised` is decided by the poisoned load alone: whether a load leaves memory that it never wrote. That is
    the same at every load, while what such memory holds, and so any number, is not.
    """

    verdict: Verdict | None = None
    stage: Stage | None = None
    where: str | None = None
    uninitialised: bool = False

    @property
    def sentence(self) -> str:
        """What is looked for, as the end of a sentence that begins with `bad:`."""
        if self.uninitialised:
            name = f" ({self.where})" if self.where else ""
            return f"loading leaves memory uninitialised{name}"
        stage = f" at {self.stage}" if self.stage else ""
        return f"{self.verdict or 'any difference'}{stage}" + (f": {self.where}" if self.where else "")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one release says about a predicate, and why where that is not plain: another difference, a failure."""

    mark: Mark
    why: str | None = None


def like(bad: Judgement) -> Predicate:
    """What the bad end shows."""
    if _unwritten(bad.candidate):
        return Predicate(verdict="unstable", stage=bad.stage, uninitialised=True)
    return Predicate(verdict=bad.verdict, stage=bad.stage, where=bad.where if bad.verdict == "error" else None)


def read(predicate: Predicate, judged: Judgement) -> Reading:
    """What one release says."""
    failure = judged.candidate.failure
    if judged.verdict == "missing":
        return Reading(mark="skip", why=judged.summary)
    if failure and failure.transient:
        return Reading(mark="skip", why=f"may go better the next time: {judged.summary}")
    if predicate.uninitialised:
        return _read_memory(predicate, judged)
    if shows(predicate, judged):
        return Reading(mark="bad")
    if judged.verdict in QUIET:
        return Reading(mark="good")
    return _read_other(predicate, judged)


def shows(predicate: Predicate, judged: Judgement) -> bool:
    """Whether a judgement is what is looked for."""
    if predicate.verdict not in {None, judged.verdict} or (predicate.verdict is None and judged.verdict in QUIET):
        return False
    return any(
        predicate.stage in {None, stage} and predicate.where in {None, where} for stage, where in _places(judged)
    )


def named(judged: Judgement) -> str:
    """A judgement in a few words: `drift at buffers (model.rotary_emb.inv_freq)`."""
    stage = f" at {judged.stage}" if judged.stage else ""
    # the stage says it already
    where = f" ({judged.where})" if judged.where and judged.where != judged.stage else ""
    return f"{judged.verdict}{stage}{where}"


def _read_memory(predicate: Predicate, judged: Judgement) -> Reading:
    """Every load shows its unwritten memory, also one that fails later on."""
    names = _unwritten(judged.candidate)
    if predicate.where in names if predicate.where else names:
        return Reading(mark="bad")
    if not judged.candidate.captured:
        return Reading(mark="skip", why=f"fails for another reason: {judged.summary}")
    return Reading(mark="good", why=None if judged.verdict in QUIET else _other(judged))


def _read_other(predicate: Predicate, judged: Judgement) -> Reading:
    """What a release says that differs, but not as looked for."""
    if judged.verdict == "error":
        return Reading(mark="skip", why=f"fails for another reason: {judged.summary}")
    # it loads and runs every time; what it computes with is another matter, which the poisoned load has decided
    runs = predicate.verdict == "error" and judged.candidate.captured and _unwritten(judged.candidate)
    if judged.verdict == "unstable" and not runs:
        return Reading(mark="unsure", why=f"does not agree with itself: {judged.summary}")
    if predicate.verdict == "noise":
        # any drift counts: what is changed beside the logits moves them too, or would be identical
        return Reading(mark="skip", why=f"hidden by another difference: {named(judged)}")
    if predicate.verdict in {"error", "unstable"} or predicate.stage is None or predicate.stage in _STATE:
        return Reading(mark="good", why=_other(judged))
    if judged.stage is not None and _ORDER.index(judged.stage) < _ORDER.index(predicate.stage):
        return _beneath(predicate, judged)
    return Reading(mark="good", why=_other(judged))


def _beneath(predicate: Predicate, judged: Judgement) -> Reading:
    """An earlier stage differs; where that is the tokens, the same ids show what the model does."""
    if judged.same_ids is not None:
        again = read(predicate, judged.same_ids)
        return Reading(mark=again.mark, why=f"with the good end's ids; {_other(judged)}")
    return Reading(mark="skip", why=f"hidden by another difference: {named(judged)}")


def _other(judged: Judgement) -> str:
    return f"another difference: {named(judged)}"


def _places(judged: Judgement) -> Iterator[tuple[Stage | None, str | None]]:
    """Every stage and name that differs: what the verdict names, and state beside it."""
    yield judged.stage, judged.where
    capture, comparison = judged.candidate.capture, judged.comparison
    buffers = {state.name for state in capture.buffers} if capture else set()
    for name in _unwritten(judged.candidate):
        yield "buffers" if name in buffers else "parameters", name
    if comparison is None:
        return
    yield from (("load", name) for name in comparison.newly_missing)
    if comparison.outputs or comparison.shapes or comparison.dtypes:
        yield from (("config", change.key) for change in comparison.config)
    yield from (("parameters", change.name) for change in comparison.changes("parameters"))
    yield from (("buffers", change.name) for change in comparison.changes("buffers"))
    yield from (("buffers", name) for name in comparison.replaced)


def _unwritten(side: Side) -> tuple[str, ...]:
    return side.capture.uninitialised if side.capture else ()
