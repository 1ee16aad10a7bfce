"""The metric tables say how far and whether it matters, without calling a tie what is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from matrix.flips import Flip
from matrix.judgement import Judgement
from matrix.noise import Floor, Rounding
from matrix.outputs import OutputDifference
from matrix.perplexity import Perplexity
from matrix.verdicts import Verdicts
from reports import distances
from reports.differences import differences
from reports.names import names_of

FLIP = Flip(position=(0, 1), baseline_id=1, candidate_id=2, margin=0.25, candidate_margin=0.5, gap=0.25)


@pytest.fixture
def judged(golden: Verdicts) -> Judgement:
    """Two variants of one cell that differ, with a noise floor."""
    return next(judged for judged in golden.within if judged.verdict == "drift")


def _outputs(judged: Judgement) -> OutputDifference:
    assert judged.comparison
    assert judged.comparison.outputs
    return judged.comparison.outputs


def _changed(judged: Judgement, *, floor: float | None = None, **logits: Any) -> Judgement:  # noqa: ANN401
    outputs = _outputs(judged)
    outputs = replace(outputs, logits=replace(outputs.logits, **logits))
    measured = None if floor is None else Floor(parts={"2 threads": floor}, limit=2.0, excluded={})
    assert judged.comparison
    rounding = Rounding(plausible=True, floor=measured)
    return replace(judged, comparison=replace(judged.comparison, outputs=outputs), rounding=rounding)


def _cell(table: pd.DataFrame, column: str) -> str:
    return str(table[column][0])


@pytest.mark.parametrize(
    ("gaps", "floor", "said"),
    [
        ((), None, "0"),
        ((0.1,), None, "1"),
        ((0.1,), 0.1, "1, a tie"),
        ((0.3,), 0.1, "1, no tie"),
        ((0.1, 0.2, 0.3), 0.1, "3, 2 of them ties"),
        ((0.1, 0.4, None), 0.1, "3, 1 of them a tie"),
        ((0.3, None), 0.1, "2, none of them ties"),
        ((0.1, 0.2), 0.1, "2, 2 of them ties"),
    ],
)
def test_ties_are_only_said_where_a_floor_was_measured(
    golden: Verdicts, judged: Judgement, gaps: tuple[float | None, ...], floor: float | None, said: str
) -> None:
    changed = _changed(judged, floor=floor, flip_count=len(gaps), flip_gaps=gaps)
    assert _cell(distances.effects(names_of(golden), [changed]), "flips") == said


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [(2.0, 2.1, "7.39 → 8.17 (+10.5 %)"), (2.0, 2.0, "7.39 (the same)"), (2.0, np.inf, "7.39 → inf")],
)
def test_perplexity_has_its_relative_change(
    golden: Verdicts, judged: Judgement, before: float, after: float, said: str
) -> None:
    sides = [Perplexity(tokens=3, mean_nll=nll, value=float(np.exp(nll))) for nll in (before, after)]
    outputs = replace(_outputs(judged), perplexity=(sides[0], sides[1]))
    assert judged.comparison
    changed = replace(judged, comparison=replace(judged.comparison, outputs=outputs))
    assert _cell(distances.effects(names_of(golden), [changed]), "perplexity") == said


def test_another_greedy_token_has_its_margin(golden: Verdicts, judged: Judgement) -> None:
    assert judged.comparison
    for margin, said in ((0.012, "4 (margin 0.012)"), (None, "4")):
        parted = replace(judged, comparison=replace(judged.comparison, generation=4, margin=margin))
        assert _cell(distances.effects(names_of(golden), [parted]), "first other greedy token") == said
    assert _cell(distances.effects(names_of(golden), [judged]), "first other greedy token") == "none"


def test_flips_are_listed_up_to_a_limit_and_equal_ones_once(golden: Verdicts, judged: Judgement) -> None:
    flips = tuple(replace(FLIP, position=(0, place)) for place in range(7))
    changed = _changed(judged, floor=0.1, flip_count=7, flips=flips, flip_gaps=(0.25,) * 7)
    table, more = distances.flips(names_of(golden), [changed, changed])
    assert (len(table), more) == (5, 2)
    assert list(table.iloc[0]) == ["sdpa against eager", "4.57.6", "(0, 0)", "1", "2", "0.25 → 0.5", "no"]


def test_no_flips_make_no_table(golden: Verdicts, judged: Judgement) -> None:
    table, more = distances.flips(names_of(golden), [_changed(judged, flip_count=0, flips=(), flip_gaps=())])
    assert (table.empty, more) == (True, 0)


def test_a_flip_under_other_ids_is_at_the_last_position(golden: Verdicts) -> None:
    drift = next(found for found in differences(golden, golden.judgements) if found.stage == "tokens")
    table, _ = distances.flips(names_of(golden), drift.judgements)
    assert list(table["position"]) == ["(0, last)"]
    assert "tie" not in table


def test_distances_do_not_depend_on_a_shift(golden: Verdicts, judged: Judgement) -> None:
    table = distances.distances(names_of(golden), [judged])
    assert {"centred L2", "log-softmax", "relative L2", "cosine"} <= {*table.columns}
    assert not {"KL max / mean", "flips"} & {*table.columns}


def test_an_output_that_is_no_logits_is_named_and_has_no_predictions(judged: Judgement, golden: Verdicts) -> None:
    assert judged.comparison
    outputs = replace(_outputs(judged), logits=None, perplexity=None)
    changed = replace(judged, comparison=replace(judged.comparison, output="pooler_output", outputs=outputs))
    names = names_of(golden)
    table = distances.distances(names, [changed])
    assert _cell(table, "output") == "pooler_output"
    assert "centred L2" not in table.columns
    assert "largest difference" in table.columns
    assert distances.effects(names, [changed]).empty == (changed.job.case.generate == 0)
    assert distances.flips(names, [changed])[0].empty
    assert "output" not in distances.distances(names, [judged]).columns
