"""Every cell is compared with the baseline's, and where it is asked for, variants with each other in each cell."""

from __future__ import annotations

from typing import Any

from matrix import pairs, plan
from tests.matrix.builders import small_spec

CASE = {"name": "tiny", "checkpoint": "tiny"}
VARIANTS = {"dtype": ["float32", "bfloat16"], "attention": ["eager", "sdpa"]}


def _pairs(**changes: Any) -> list[pairs.Pair]:  # noqa: ANN401 - what a spec may hold
    spec = small_spec(**changes)
    return list(pairs.pairs(spec, plan.plan(spec)))


def _within(**changes: Any) -> list[tuple[str, str, str | None]]:  # noqa: ANN401 - what a spec may hold
    """Baseline and candidate variants of the first cell."""
    found = [pair for pair in _pairs(**changes) if pair.within and pair.cell.axes["transformers"] == "1.0"]
    assert all(pair.baseline == pair.cell and pair.reference.case == pair.job.case for pair in found)
    return [(pair.reference.variant.id, pair.job.variant.id, pair.within) for pair in found]


def test_every_other_cell_is_compared_with_the_baselines_job_by_job() -> None:
    found = _pairs(variants={"attention": ["eager", "sdpa"]}, baseline={"transformers": "2.0"})
    shown = [(pair.job.variant.attention, pair.cell.axes["transformers"]) for pair in found]
    assert shown == [("eager", "1.0"), ("eager", "3.0"), ("sdpa", "1.0"), ("sdpa", "3.0")]
    assert {(pair.baseline.axes["transformers"], pair.reference == pair.job, pair.within) for pair in found} == {
        ("2.0", True, None)
    }


def test_within_every_cell_each_value_is_compared_with_the_first() -> None:
    found = _pairs(variants={"attention": ["eager", "sdpa", "flex"]}, within=["attention"])[-6:]
    assert [(pair.cell.axes["transformers"], pair.job.variant.attention) for pair in found] == [
        (release, kernel) for kernel in ("sdpa", "flex") for release in ("1.0", "2.0", "3.0")
    ]
    assert {pair.reference.variant.attention for pair in found} == {"eager"}


def test_only_the_option_that_is_compared_differs() -> None:
    assert _within(variants=VARIANTS, within=["dtype"]) == [
        ("float32-eager", "bfloat16-eager", "dtype"),
        ("float32-sdpa", "bfloat16-sdpa", "dtype"),
    ]


def test_several_options_are_compared_one_at_a_time() -> None:
    assert _within(variants=VARIANTS, within=["dtype", "attention"]) == [
        ("float32-eager", "float32-sdpa", "attention"),
        ("float32-eager", "bfloat16-eager", "dtype"),
        ("float32-sdpa", "bfloat16-sdpa", "dtype"),
        ("bfloat16-eager", "bfloat16-sdpa", "attention"),
    ]


def test_a_case_says_for_itself_what_is_compared_and_against_which_value() -> None:
    own = {"within": ["attention"], "variants": {"attention": ["sdpa", "eager"]}}
    found = _within(variants=VARIANTS, within=["dtype"], case=[{**CASE, **own}])
    assert found == [
        ("float32-sdpa", "float32-eager", "attention"),
        ("bfloat16-sdpa", "bfloat16-eager", "attention"),
    ]
    assert _within(variants=VARIANTS, within=["dtype"], case=[{**CASE, "within": []}]) == []


def test_an_option_with_one_value_has_nothing_to_be_compared_with() -> None:
    assert _within(within=["dtype", "attention", "device", "threads"]) == []


def test_a_tokenizer_has_no_variants_to_compare() -> None:
    assert _within(case=[{**CASE, "probe": "tokenizer"}], variants=VARIANTS, within=["attention", "dtype"]) == []


def test_generating_without_a_cache_is_compared_with_generating_with_one() -> None:
    found = _within(variants={"attention": ["eager"], "cache": ["on", "off"]}, within=["cache"])
    assert found == [("float32-eager-cache-on", "float32-eager-cache-off", "cache")]


def test_what_a_cell_leaves_out_is_compared_with_nothing() -> None:
    gone = {"cells": {"transformers": "2.0"}, "cases": ["tiny"], "reason": "gone"}
    spec = small_spec(exclude=[gone], variants=VARIANTS, within=["dtype"])
    found = list(pairs.pairs(spec, plan.plan(spec)))
    assert {pair.cell.axes["transformers"] for pair in found if pair.within is None} == {"3.0"}
    assert {pair.cell.axes["transformers"] for pair in found if pair.within} == {"1.0", "3.0"}
