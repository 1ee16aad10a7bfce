"""A plan lays out every cell and every job, and refuses what cannot be laid out."""

from __future__ import annotations

from typing import Any

import pytest

from matrix import plan
from matrix.case import Case, Variant
from matrix.errors import SpecError
from matrix.plan import Job, Plan
from tests.matrix.builders import small_spec

TWO = {"transformers": {"values": ["1.0", "2.0"]}, "torch": {"values": ["8.0", "9.0"]}}


def _plan(**changes: Any) -> Plan:  # noqa: ANN401 - what a spec may hold
    return plan.plan(small_spec(**changes))


def test_cells_are_every_combination_of_the_axes_in_order() -> None:
    assert [cell.id for cell in _plan(axes=TWO).cells] == [
        "transformers-1.0_torch-8.0",
        "transformers-1.0_torch-9.0",
        "transformers-2.0_torch-8.0",
        "transformers-2.0_torch-9.0",
    ]


def test_an_axis_goes_where_its_kind_says() -> None:
    axes = {
        "transformers": {"values": ["1.0"]},
        "python": {"values": ["3.12"], "kind": "python"},
        "MODE": {"values": ["fast"], "kind": "env"},
    }
    (cell,) = _plan(axes=axes, baseline={}).cells
    assert cell.requirements == ("transformers==1.0", "safetensors")
    assert (cell.python, dict(cell.environ)) == ("3.12", {"MODE": "fast"})


@pytest.mark.parametrize(
    ("case", "needs"),
    [
        ({}, ("safetensors",)),
        ({"checkpoint": "x.gguf"}, ("accelerate", "gguf", "safetensors")),
        ({"load": {"device_map": "auto"}}, ("accelerate", "safetensors")),
        ({"requirements": ("einops>=0.7",)}, ("einops>=0.7", "safetensors")),
    ],
)
def test_an_environment_holds_what_its_cases_need(case: dict[str, Any], needs: tuple[str, ...]) -> None:
    assert plan.requirements((Case(**{"name": "a", "checkpoint": "a", **case}),)) == needs


def test_jobs_are_cases_under_their_own_variants() -> None:
    cases = [
        {"name": "a", "checkpoint": "a", "variants": {"attention": ["default"]}},
        {"name": "b", "checkpoint": "b", "variants": {"dtype": ["bfloat16", "float32"]}},
    ]
    ids = [job.id for job in _plan(case=cases).jobs]
    assert ids == ["a/float32-default", "b/bfloat16-eager", "b/float32-eager"]


def test_excluded_cells_are_skipped_with_the_reason() -> None:
    made = _plan(axes=TWO, exclude=[{"cells": {"transformers": "<2", "torch": "8.0"}, "reason": "too old"}])
    assert [(skip.cell.id, skip.reason) for skip in made.skipped] == [("transformers-1.0_torch-8.0", "too old")]
    assert len(made.cells) == 3


def test_the_baseline_takes_the_first_value_of_an_axis_it_does_not_name() -> None:
    assert _plan(axes=TWO, baseline={"transformers": "2.0"}).baseline.id == "transformers-2.0_torch-8.0"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"case": []}, "no case is selected"),
        ({"exclude": [{"cells": {}, "reason": "all"}]}, "every cell is excluded"),
        ({"exclude": [{"cells": {"transformers": "1.0"}, "reason": "x"}]}, "the baseline's cell is excluded"),
        ({"exclude": [{"cells": {"transformers": "1.0"}, "cases": ["tiny"], "reason": "x"}]}, "a case is excluded in"),
        ({"axes": {}, "baseline": {}}, "the spec has no axes"),
    ],
)
def test_a_plan_with_nothing_to_do_is_refused(changes: dict[str, Any], what: str) -> None:
    with pytest.raises(SpecError, match=what):
        _plan(**changes)


def test_cells_that_nox_would_put_into_one_folder_are_refused() -> None:
    axes = {"MODE": {"values": ["a.b", "a-b"], "kind": "env"}}
    with pytest.raises(SpecError, match="two cells would share an environment"):
        _plan(axes=axes, baseline={})


def test_shards_part_the_cases() -> None:
    cases = tuple(Case(name=name, checkpoint=name) for name in "abcde")
    parts = [plan.shard(cases, index, 2) for index in (1, 2)]
    assert sorted(case.name for part in parts for case in part) == list("abcde")


@pytest.mark.parametrize(
    ("facts", "marks"),
    [
        ({}, ""),
        ({"take": "repeat"}, "@repeat"),
        ({"take": "evidence"}, "@evidence"),
        ({"same_ids": True}, "@baseline-ids"),
        ({"same_ids": True, "take": "evidence"}, "@baseline-ids@evidence"),
        (
            {"take": "evidence", "through": Variant(dtype="bfloat16", attention="eager")},
            "@evidence@through-bfloat16-eager",
        ),
    ],
)
def test_a_jobs_id_says_what_is_taken_of_which_case_and_variant(facts: dict[str, Any], marks: str) -> None:
    job = Job(case=Case(name="tiny", checkpoint="tiny"), variant=Variant(attention="eager"), **facts)
    assert job.id == f"tiny/float32-eager{marks}"


def test_each_case_is_repeated_once_per_dtype_and_device_under_its_first_other_options() -> None:
    made = _plan(
        case=[{"name": name, "checkpoint": name} for name in ("a", "b")],
        variants={
            "dtype": ["float32", "bfloat16"],
            "attention": ["sdpa", "eager"],
            "device": ["cpu", "cuda"],
            "threads": [2, 1],
        },
    )
    assert [job.id for job in made.repeats] == [
        f"{case}/{dtype}-sdpa{device}-threads2@repeat"
        for case in ("a", "b")
        for dtype in ("float32", "bfloat16")
        for device in ("", "-cuda")
    ]
    assert {job.take for job in made.jobs} == {"main"}


def test_a_tokenizer_has_one_job_whatever_the_variants_say() -> None:
    case = {"name": "tok", "tokenizer": "tok.gguf", "probe": "tokenizer"}
    found = _plan(case=[case], variants={"dtype": ["float32", "bfloat16"], "attention": ["eager", "sdpa"]})
    assert [job.id for job in found.loads(found.cells[0])] == ["tok/tokenizer", "tok/tokenizer@repeat"]
    assert "gguf" in found.cells[0].requirements


def test_a_cell_leaves_out_the_cases_that_are_excluded_there() -> None:
    cases = [{"name": name, "checkpoint": name} for name in ("a", "b")]
    made = _plan(case=cases, exclude=[{"cells": {"transformers": ">=3"}, "cases": ["b"], "reason": "gone"}])
    assert [cell.axes["transformers"] for cell in made.cells] == ["1.0", "2.0", "3.0"]
    names = [[job.id for job in made.loads(cell)] for cell in made.cells]
    assert (
        names[0]
        == names[1]
        == [
            "a/float32-eager",
            "b/float32-eager",
            "a/float32-eager@repeat",
            "b/float32-eager@repeat",
        ]
    )
    assert names[2] == ["a/float32-eager", "a/float32-eager@repeat"]
    assert not made.asks(made.cells[2], made.jobs[1])


@pytest.mark.parametrize(
    ("other", "repeats"),
    [
        ({"input_ids": [[7]]}, 1),
        ({"inputs": {"pixel_values": {"shape": [1], "seed": 0}}, "generate": 2}, 1),
        ({"checkpoint": "y"}, 2),
        ({"auto_class": "AutoModel"}, 2),
        ({"load": {"tie_word_embeddings": False}}, 2),
        ({"variants": {"dtype": ["bfloat16"]}}, 2),
        ({"text": ["hello"]}, 2),
    ],
)
def test_one_second_load_speaks_for_cases_that_load_the_same(other: dict[str, Any], repeats: int) -> None:
    made = _plan(case=[{"name": "a", "checkpoint": "x"}, {"name": "b", "checkpoint": "x", **other}])
    assert len(made.repeats) == repeats
    assert made.repeat_of(made.jobs[0]) == made.repeats[0]
    assert made.repeat_of(made.jobs[1]) == made.repeats[-1]
