"""The tables about rounding say what was measured, and never more."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from matrix.judgement import Judgement
from matrix.noise import Floor, Rounding
from matrix.proof import Proof
from matrix.verdicts import Verdicts
from reports import orientation, rounding
from reports.differences import noisy
from reports.names import names_of

PROOF = Proof(before=1e-3, after=1e-9, cut=4e-5, resolution=1e-12, escaped={}, reach=0.1)
IDLE = "no axis that may round differs between the cells, so it excuses nothing and only float64 counts."
FLOOR = Floor(parts={"2 threads": 1e-4, "sdpa": 4e-4}, limit=2.0, excluded={})


@pytest.fixture
def judged(golden: Verdicts) -> Judgement:
    """The comparison that rounding explains, between two releases."""
    return noisy(golden)[0]


def _row(golden: Verdicts, judged: Judgement, found: Rounding) -> dict[str, str]:
    table = rounding.weighed(names_of(golden), [replace(judged, rounding=found)])
    return {str(name): str(table[name][0]) for name in table.columns}


def test_only_exactly_nothing_reads_as_nothing() -> None:
    assert rounding.left(replace(PROOF, after=0.0)) == "nothing"
    assert rounding.left(replace(PROOF, after=5e-324)) == "4.94e-324 (≤ 4e-08)"
    assert rounding.left(PROOF) == "1e-09 (≤ 4e-08)"
    assert rounding.left(replace(PROOF, after=0.1)) == "0.1 (over 4e-08)"
    assert rounding.left(replace(PROOF, after=math.inf)) == "inf"


def test_a_value_just_over_its_limit_does_not_read_as_the_limit() -> None:
    assert rounding.left(replace(PROOF, before=1.0, cut=1.0, after=1.00001)) == "1.00001 (over 1)"
    assert rounding.left(replace(PROOF, before=1.0, cut=1.0, after=1.0)) == "1 (≤ 1)"


def test_a_row_names_the_floor_its_source_and_what_escaped(golden: Verdicts, judged: Judgement) -> None:
    row = _row(golden, judged, Rounding(plausible=True, floor=FLOOR, proof=replace(PROOF, escaped={"aten::bmm": 2})))
    assert (row["noise floor"], row["measured from"]) == ("0.0004", "sdpa")
    assert row["k"] == "0.00387 (≤ 2)"
    assert row["escaped"] == "aten::bmm (2)"
    assert row["TransformerLens"] == "5e-05"


def test_what_was_not_measured_is_no_number(golden: Verdicts, judged: Judgement) -> None:
    row = _row(golden, judged, Rounding(plausible=True, lacking=("eager in float64: RuntimeError: no",)))
    assert (row["noise floor"], row["left in corrected float64"]) == ("—", "—")
    assert row.keys().isdisjoint({"k", "escaped", "measured from"})


def test_a_floor_of_zero_is_exceeded(golden: Verdicts, judged: Judgement) -> None:
    none = replace(FLOOR, parts={"2 threads": 0.0})
    assert _row(golden, judged, Rounding(plausible=True, floor=none))["k"] == "inf (over 2)"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Rounding(plausible=True, floor=FLOOR), ["Floor: the largest of 2 threads 0.0001, sdpa 0.0004."]),
        (
            Rounding(plausible=True, floor=replace(FLOOR, parts={"2 threads": 0.0}, excluded={"sdpa": 0.4})),
            ["Floor: 2 threads 0; not counted: sdpa 0.4, which is not known to be rounding."],
        ),
        (Rounding(plausible=True, lacking=("sdpa: ValueError: no",)), ["Could not be measured: sdpa: ValueError: no."]),
        (
            Rounding(plausible=False, floor=replace(FLOOR, parts={"2 threads": 1.0})),
            ["Floor: 2 threads 1; " + IDLE],
        ),
    ],
)
def test_the_sentence_below_says_what_the_floor_is_made_of(
    golden: Verdicts, judged: Judgement, found: Rounding, said: list[str]
) -> None:
    assert rounding.said(names_of(golden), [replace(judged, rounding=found)]) == said


def test_several_floors_are_told_apart(golden: Verdicts, judged: Judgement) -> None:
    known, lacking = Rounding(plausible=True, floor=FLOOR), Rounding(plausible=True, lacking=("sdpa: no",))
    pair = [replace(judged, rounding=found) for found in (known, lacking)]
    assert [line.split(":")[0] for line in rounding.said(names_of(golden), pair, cases=True)] == [
        "llama-kernels, eager in 5.23.0"
    ] * 2


def test_equal_rows_are_one_row_that_lists_its_cells(golden: Verdicts) -> None:
    table = rounding.weighed(names_of(golden), noisy(golden), cases=True)
    assert list(table["cell"]) == ["5.23.0", "4.57.6 and 5.2.0"]
    assert list(table["variant"]) == ["eager", "sdpa against eager"]


def test_orientation_is_silent_where_its_source_is() -> None:
    assert orientation.usual("float32", "sdpa") == 5e-4
    assert orientation.usual("bfloat16", "eager") == 1e-2
    assert [orientation.usual("bfloat16", "sdpa"), orientation.usual("float32", None)] == [None, None]
