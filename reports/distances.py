"""Distances: how far the logits of two captures lie apart, and whether a reader of the text would notice."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from matrix.flips import Flip
from matrix.judgement import Judgement
from matrix.metrics import Difference
from matrix.model_outputs import LOGITS
from matrix.outputs import RANK, OutputDifference
from reports import numbers
from reports.frames import frame, merged, without_empty
from reports.names import Names

MAX_FLIPS = 5


def distances(names: Names, judgements: Iterable[Judgement]) -> pd.DataFrame:
    """How far the logits lie from the baseline's, one row per variant and cell that was compared."""
    return _frame(names, ((judged, _distances(judged, outputs)) for judged, outputs in _compared(judgements)))


def effects(names: Names, judgements: Iterable[Judgement]) -> pd.DataFrame:
    """What becomes of the predictions, one row per variant and cell that was compared."""
    rows = ((judged, _effects(judged, outputs)) for judged, outputs in _compared(judgements))
    return _frame(names, ((judged, row) for judged, row in rows if row))


def flips(names: Names, judgements: Iterable[Judgement]) -> tuple[pd.DataFrame, int]:
    """The first positions with another best token, one row for all that flip alike, and how many rows follow."""
    rows = merged(
        {"variant": names.compared(judged), "cell": names.cell(judged.candidate.cell), **_flip(judged, outputs, flip)}
        for judged, outputs in _compared(judgements)
        for flip in (outputs.logits.flips if outputs.logits else ())
    )
    return without_empty(frame(rows[:MAX_FLIPS])), max(0, len(rows) - MAX_FLIPS)


def ties(judged: Judgement) -> int | None:
    """How many flips noise alone may make; None where there is no noise floor."""
    floor, comparison = judged.rounding and judged.rounding.floor, judged.comparison
    if not floor or comparison is None:
        return None
    if comparison.outputs is None:
        return 0
    return comparison.outputs.logits.ties(floor.max_abs) if comparison.outputs.logits else None


def is_tie(judged: Judgement, flip: Flip) -> bool | None:
    """Whether noise alone may make a flip; None where there is no noise floor."""
    floor = judged.rounding and judged.rounding.floor
    return flip.is_tie(floor.max_abs) if floor else None


def place(at: Sequence[int], outputs: OutputDifference, last: int | str) -> list[int | str]:
    """A coordinate of the logits; sides with different ids were compared at their last position alone."""
    return [at[0], last, *at[2:]] if outputs.last_only and len(at) == RANK else [*at]


def flip_place(flip: Flip, outputs: OutputDifference, last: int | str) -> list[int | str]:
    """[batch, position] of a flip."""
    batch, position = flip.position
    return [batch, last if outputs.last_only else position]


def _compared(judgements: Iterable[Judgement]) -> Iterator[tuple[Judgement, OutputDifference]]:
    for judged in judgements:
        if judged.comparison and judged.comparison.outputs:
            yield judged, judged.comparison.outputs


def _frame(names: Names, rows: Iterable[tuple[Judgement, dict[str, str]]]) -> pd.DataFrame:
    heads = (
        ({"variant": names.compared(judged), "cell": names.cell(judged.candidate.cell)}, row) for judged, row in rows
    )
    return without_empty(frame([{**head, **row} for head, row in heads]))


def _distances(judged: Judgement, outputs: OutputDifference) -> dict[str, str]:
    values, logits = outputs.values, outputs.logits
    before, after = numbers.pair(values.baseline_value, values.candidate_value)
    return {
        "output": _other_output(judged),
        "largest difference": numbers.size(values.max_abs),
        "at": _place(outputs),
        "baseline → candidate": f"{before} → {after}",
        "relative L2": numbers.size(values.l2_rel),
        "cosine": numbers.cosine(values.cosine, values.one_minus_cosine),
        "centred L2": numbers.size(logits.centred_l2_rel) if logits else "",
        "log-softmax": numbers.size(logits.log_softmax_max_abs) if logits else "",
        "not finite": _not_finite(values),
        "by position": _positions(outputs),
    }


def _other_output(judged: Judgement) -> str:
    """The name of what was compared, where it is not the logits."""
    name = judged.comparison.output if judged.comparison else LOGITS
    return "" if name == LOGITS else name


def _positions(outputs: OutputDifference) -> str:
    if outputs.last_only:
        return "last only"
    return _by_position(outputs.logits.max_abs_by_position) if outputs.logits else ""


def _effects(judged: Judgement, outputs: OutputDifference) -> dict[str, str]:
    logits = outputs.logits
    if logits is None:
        step = _step(judged)
        return {"output": _other_output(judged), "first other greedy token": step} if step else {}
    agreeing = logits.positions - logits.flip_count
    return {
        "output": _other_output(judged),
        "KL max / mean": f"{numbers.size(logits.kl_max)} / {numbers.size(logits.kl_mean)}",
        "same argmax": f"{numbers.share(logits.argmax_agreement)} ({agreeing} of {logits.positions})",
        "flips": _flips(logits.flip_count, ties(judged)),
        "top-5 overlap": numbers.share(logits.top5_overlap),
        "mutual top-5": numbers.share(logits.mutual_top5),
        "perplexity": _perplexity(outputs),
        "first other greedy token": _step(judged),
    }


def _flips(count: int, tied: int | None) -> str:
    """Such as `3, 2 of them ties`."""
    if not count or tied is None:
        return str(count)
    if count == 1:
        return "1, a tie" if tied else "1, no tie"
    return f"{count}, {tied or 'none'} of them {'a tie' if tied == 1 else 'ties'}"


def _flip(judged: Judgement, outputs: OutputDifference, flip: Flip) -> dict[str, str]:
    before, after = numbers.pair(flip.margin, flip.candidate_margin)
    return {
        "position": f"({', '.join(map(str, flip_place(flip, outputs, 'last')))})",
        "baseline's token": str(flip.baseline_id),
        "candidate's token": str(flip.candidate_id),
        "margin, baseline → candidate": f"{before} → {after}",
        "tie": {True: "yes", False: "no", None: ""}[is_tie(judged, flip)],
    }


def _perplexity(outputs: OutputDifference) -> str:
    """Such as `12.3 → 12.5 (+1.6 %)`; nothing where the model predicts no text."""
    if outputs.perplexity is None:
        return ""
    before, after = outputs.perplexity
    same = before.value == after.value
    shown = numbers.size(before.value) if same else " → ".join(numbers.pair(before.value, after.value))
    change = after.mean_nll - before.mean_nll
    return f"{shown} ({numbers.growth(change)})" if math.isfinite(change) else shown


def _place(outputs: OutputDifference) -> str:
    at = outputs.values.max_abs_at
    return numbers.ABSENT if at is None else f"({', '.join(map(str, place(at, outputs, 'last')))})"


def _by_position(peaks: Sequence[float]) -> str:
    """Where along the sequence the difference begins and where it is largest."""
    first = next((place for place, peak in enumerate(peaks) if peak), None)
    if first is None:
        return numbers.ABSENT
    return f"first {first}, largest {max(range(len(peaks)), key=peaks.__getitem__)}"


def _not_finite(values: Difference) -> str:
    """How many elements are NaN or infinite on either side; relative L2 and cosine leave them out."""
    counts = (("baseline", values.nonfinite_baseline), ("candidate", values.nonfinite_candidate))
    return ", ".join(f"{number} of {values.elements} ({side})" for side, number in counts if number)


def _step(judged: Judgement) -> str:
    """The first greedy token that is another, and how close the call was; nothing for a case that generates none."""
    comparison = judged.comparison
    if comparison is None or comparison.generation is None:
        return "none" if judged.job.case.generate else ""
    margin = comparison.margin
    return f"{comparison.generation}" + (f" (margin {numbers.size(margin)})" if margin is not None else "")
