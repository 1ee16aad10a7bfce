"""Model outputs: what a forward's outputs are called, which of them two captures share, and what kind they are."""

from __future__ import annotations

from dataclasses import dataclass

from matrix.capture import Capture

LOGITS = "logits"
"""How the main output is stored, and what most models call it."""

_SCORES = (LOGITS, "logits_per_image", "logits_per_text", "logits_per_video")
_PER_POSITION = ("start_logits", "end_logits")


@dataclass(frozen=True, kw_only=True)
class Unshared:
    """Outputs that have no counterpart by name, which is no difference of what both sides compute.

    Attributes:
        baseline: Those that only the baseline has.
        candidate: Those that only the candidate has.
        renamed: (baseline's, candidate's) name of the main output, where it has two.
    """

    baseline: tuple[str, ...] = ()
    candidate: tuple[str, ...] = ()
    renamed: tuple[str, str] | None = None


def names(capture: Capture) -> tuple[str, ...]:
    """Every output of a forward, the main one first."""
    return (capture.output, *capture.further)


def shared(baseline: Capture, candidate: Capture) -> tuple[str, ...]:
    """The outputs that both sides have, by the baseline's names and in its order; the main one may have two names."""
    theirs = names(candidate)
    main = (baseline.output,) if _is_renamed(baseline, candidate) else ()
    return (*main, *(name for name in names(baseline) if name in theirs))


def unshared(baseline: Capture, candidate: Capture) -> Unshared:
    """The outputs that only one side has by name."""
    ours, theirs, both = names(baseline), names(candidate), shared(baseline, candidate)
    renamed = (baseline.output, candidate.output) if _is_renamed(baseline, candidate) else None
    known = {*both, *(renamed or ())}
    return Unshared(
        baseline=tuple(name for name in ours if name not in known),
        candidate=tuple(name for name in theirs if name not in known),
        renamed=renamed,
    )


def called(output: str) -> str:
    """An output as the subject of a sentence in the plural: `logits`, `values of pooler_output`."""
    return output if is_scores(output) or output.endswith("logits") else f"values of {output}"


def is_scores(output: str) -> bool:
    """Whether the last axis of an output is a vocabulary or labels, of which one is the best."""
    return output in _SCORES or (output.endswith("_logits") and not is_per_position(output))


def is_per_position(output: str) -> bool:
    """Whether an output is one number for each position, [batch, sequence], and not labels."""
    return output in _PER_POSITION


def _is_renamed(baseline: Capture, candidate: Capture) -> bool:
    return baseline.output not in names(candidate) and candidate.output not in names(baseline)
