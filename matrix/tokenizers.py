"""Tokenizers: two sides' captures of a tokenizer are read, compared and judged."""

from __future__ import annotations

from matrix import tokenization, tokenizer_wording
from matrix.capture import Capture
from matrix.judge import judge_tokenizer
from matrix.judgement import Judgement, Side
from matrix.repeats import Disagreement
from matrix.tokenization import Tokenization
from matrix.tokenizer_difference import TokenizerDifference, compare


def judged(bare: Judgement) -> Judgement:
    """What is said of two sides' tokenizers.

    Raises:
        CaptureError: When a capture is torn, or written by a newer version.
    """
    good, bad = _read(bare.baseline.captured), _read(bare.candidate.captured)
    found = compare(good, bad) if good and bad else None
    return judge_tokenizer(bare, found, _unrest(bare.baseline), _unrest(bare.candidate))


def _unrest(side: Side) -> Disagreement | None:
    """Where two loads of one side, in two processes, do not agree."""
    one, two = _read(side.captured), _read(side.repeat.taken if side.repeat else None)
    found: TokenizerDifference | None = compare(one, two) if one and two else None
    if found is None or not found.changes:
        return None
    text = f"two loads of the tokenizer, in two processes, do not agree: {tokenizer_wording.drift(found)}"
    return Disagreement(stage="tokens", where=found.changes[0].baseline.place, text=text)


def _read(taken: Capture | None) -> Tokenization | None:
    return tokenization.read(taken.folder) if taken else None
