"""What differs between two models is found, ranked, and kept apart from what releases only write down otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from matrix.explain import anatomy, hypotheses
from matrix.explain.anatomy import Anatomy
from matrix.explain.hypotheses import Fact
from matrix.explain.swap import Part
from tests.matrix.builders import captured, tensor, write_capture

ACT = "transformers.activations"
ONES = tensor("norm.weight")
BUFFER = "rope.inv_freq"


def module(name: str, class_name: str = "Norm", python_module: str = "models.old", **scalars: Any) -> dict[str, Any]:  # noqa: ANN401
    """What an anatomy says about one module."""
    place = {"python_module": python_module, "file": "models/old.py", "line": 1}
    return {"name": name, "class_name": class_name, **place, "scalars": scalars}


def made(folder: Path, **facts: Any) -> Anatomy:  # noqa: ANN401 - what a response may hold
    """Write an anatomy and read it back; every buffer and plain tensor is kept, as the probe does."""
    volatile = [*facts.get("buffers", ()), *facts.get("plain", ())]
    names = [entry["name"] for entry in volatile] + list(facts.pop("keep", ()))
    facts = {"modules": [], "plain": [], "parameters": [ONES], **facts}
    further: dict[str, Any] = {
        "kept": {name: f"state/{name}" for name in names},
        "generation_config": facts.pop("generation_config", {}),
        "rungs": {},
        "site": "/site",
    }
    found = anatomy.read(write_capture(folder, **facts, **further))
    assert found
    return found


@pytest.fixture
def both(tmp_path: Path) -> Any:  # noqa: ANN401 - a function
    """Two anatomies from what each side's response has."""

    def make(good: dict[str, Any], bad: dict[str, Any]) -> tuple[Anatomy, Anatomy]:
        return made(tmp_path / "good", **good), made(tmp_path / "bad", **bad)

    return make


def test_equal_models_have_no_parts(both: Any) -> None:  # noqa: ANN401
    facts = {"modules": [module(""), module("norm", eps=1e-6)], "buffers": [tensor(BUFFER, persistent=False)]}
    pair = both(facts, facts)
    assert hypotheses.parts(*pair) == ()
    assert hypotheses.settled(*pair) == ()


def test_cheap_kinds_come_first(both: Any) -> None:  # noqa: ANN401
    names = ("eager", "sdpa")
    good, bad = both(
        *(
            {
                "attention": {"implementation": names[side], "classes": []},
                "config": {"_attn_implementation": names[side], "eps": side + 1, "dropped": 3}
                if not side
                else {"eps": 2},
                "modules": [module("norm", eps=side + 1), module("act", ("GELU", "Tanh")[side], ACT)],
                "buffers": [tensor(BUFFER, (side, 2.0), persistent=False)],
            }
            for side in (0, 1)
        )
    )
    assert hypotheses.parts(good, bad) == (
        Part(kind="attention", good="eager", bad="sdpa"),
        Part(kind="config", name="eps", good=1, bad=2),
        Part(kind="scalar", name="norm.eps", good=1, bad=2),
        Part(kind="class", name="act", good=f"{ACT}.GELU", bad=f"{ACT}.Tanh"),
        Part(kind="tensor", name=BUFFER),
        Part(kind="config", name="dropped", good=3),
    )


def test_memory_that_was_never_written_is_a_part_even_where_its_bytes_are_right(both: Any) -> None:  # noqa: ANN401
    buffers = [tensor("a", persistent=False), tensor(BUFFER, persistent=False)]
    good, bad = both({"buffers": buffers}, {"buffers": buffers, "uninitialised": [BUFFER]})
    assert [part.id for part in hypotheses.parts(good, bad)] == [f"tensor:{BUFFER}"]
    assert hypotheses.settled(good, bad) == (Fact(kind="uninitialised", name=BUFFER, bad="never written"),)


def test_a_dtype_is_one_part_and_not_one_for_each_parameter(both: Any) -> None:  # noqa: ANN401
    narrow = {**ONES, "dtype": "bfloat16", "sha256": "other"}
    wide_buffer = tensor(BUFFER, persistent=False)
    good, bad = both(
        {"parameters": [ONES], "buffers": [wide_buffer]}, {"parameters": [narrow], "buffers": [wide_buffer]}
    )
    assert hypotheses.parts(good, bad) == (Part(kind="dtype", good="float32", bad="bfloat16"),)
    assert hypotheses.keep(good.capture, bad.capture) == (BUFFER,)


@pytest.mark.parametrize(
    ("theta", "found"),
    [(10000.0, ()), (500000.0, (Part(kind="config", name="rope_parameters.rope_theta", good=10000.0, bad=500000.0),))],
)
def test_a_key_that_moved_counts_where_its_value_changed(both: Any, theta: float, found: tuple[Part, ...]) -> None:  # noqa: ANN401
    parameters = {"rope_parameters": {"rope_theta": theta, "rope_type": "default"}}
    pair = both({"config": {"rope_theta": 10000.0, "pruned_heads": {}, "bias": False}}, {"config": parameters})
    assert hypotheses.parts(*pair) == found


@pytest.mark.parametrize(
    ("good", "bad", "differs"),
    [
        ({"function": "old.silu"}, {"function": "new.silu"}, False),
        ({"function": "torch.nn.functional.silu"}, {"function": "torch.nn.functional.gelu"}, True),
        (0.125, 0.0625, True),
        (None, 4096, True),
        ([1, 2], [1, 2], False),
    ],
)
def test_a_function_that_only_moved_is_the_same(both: Any, good: Any, bad: Any, differs: bool) -> None:  # noqa: ANN401, FBT001
    pair = both({"modules": [module("mlp", act=good)]}, {"modules": [module("mlp", act=bad)]})
    wanted = (Part(kind="scalar", name="mlp.act", good=good, bad=bad),) if differs else ()
    assert hypotheses.parts(*pair) == wanted


def test_a_class_that_holds_something_is_a_fact_and_no_part(both: Any) -> None:  # noqa: ANN401
    pair = both({"modules": [module("norm", "Old")]}, {"modules": [module("norm", "New", "models.new")]})
    assert hypotheses.parts(*pair) == ()
    assert hypotheses.settled(*pair) == (Fact(kind="class", name="norm", good="models.old.Old", bad="models.new.New"),)


def test_a_class_in_another_file_is_the_same(both: Any) -> None:  # noqa: ANN401
    pair = both({"modules": [module("act", "GELU")]}, {"modules": [module("act", "GELU", "models.new")]})
    assert (hypotheses.parts(*pair), hypotheses.settled(*pair)) == ((), ())


def test_a_parameter_that_is_gone_is_a_part_and_a_buffer_is_not(both: Any) -> None:  # noqa: ANN401
    lost = {"parameters": [ONES, tensor("proj.bias")], "buffers": [tensor("attn.bias", persistent=False)]}
    good, bad = both({**lost, "keep": ["proj.bias"]}, {})
    assert [part.id for part in hypotheses.parts(good, bad)] == ["tensor:proj.bias"]
    assert hypotheses.keep(good.capture, bad.capture) == ("proj.bias", "norm.weight")


def test_what_was_not_kept_cannot_be_put_in(both: Any) -> None:  # noqa: ANN401
    pair = both({"parameters": [tensor("w", (1.0, 2.0))]}, {"parameters": [tensor("w", (1.0, 3.0))]})
    assert hypotheses.parts(*pair) == ()


def test_tied_tensors_are_one_part(both: Any) -> None:  # noqa: ANN401
    sides = ([tensor("embed", (1.0, side)), tensor("head", (1.0, side), alias="embed")] for side in (1.0, 2.0))
    pair = both(*({"parameters": rows, "keep": ["embed", "head"]} for rows in sides))
    assert [part.id for part in hypotheses.parts(*pair)] == ["tensor:embed"]


def test_a_tie_that_is_gone_is_a_part(both: Any) -> None:  # noqa: ANN401
    tied = [tensor("embed"), tensor("head", alias="embed")]
    pair = both({"parameters": tied, "keep": ["head"]}, {"parameters": [tensor("embed"), tensor("head", (9.0, 9.0))]})
    assert [part.id for part in hypotheses.parts(*pair)] == ["tensor:head"]


def test_tensors_left_on_meta_and_missing_keys_are_facts(both: Any) -> None:  # noqa: ANN401
    meta = {**tensor(BUFFER, persistent=False), "sha256": "meta"}
    pair = both(
        {"buffers": [tensor(BUFFER, persistent=False)], "loading": {"missing_keys": ["both"]}},
        {"buffers": [meta], "loading": {"missing_keys": ["both", "head"]}},
    )
    word = "not in the checkpoint"
    assert hypotheses.settled(*pair) == (
        Fact(kind="meta", name=BUFFER, bad="on meta"),
        Fact(kind="missing", name="head", bad=word),
        Fact(kind="missing", name="both", good=word, bad=word),
    )


def test_the_control_is_equal_small_and_certain(tmp_path: Path) -> None:
    rows = [tensor("big", range(100)), tensor("small", (5.0,)), tensor("drawn", ()), tensor("w", (1.0, 2.0))]
    good = captured(tmp_path / "good", parameters=rows)
    changed = [*rows[:3], tensor("w", (1.0, 3.0))]
    bad = captured(tmp_path / "bad", parameters=changed, loading={"missing_keys": ["drawn"]}, uninitialised=["big"])
    assert hypotheses.keep(good, bad) == ("w", "big", "small")


def test_what_generate_is_told_otherwise_is_said(both: Any) -> None:  # noqa: ANN401
    good = {"forced_eos_token_id": 2, "num_beams": 1, "temperature": 1.0, "top_k": 50, "transformers_version": "4"}
    bad = {"temperature": None, "num_beams": 1, "top_k": 40, "transformers_version": "5"}
    pair = both({"generation_config": good}, {"generation_config": bad})
    assert hypotheses.generation(*pair, "4.57.6", "5.2.0") == (
        "the generation config's `forced_eos_token_id` is 2 by 4.57.6 and None by 5.2.0",
        "the generation config's `top_k` is 50 by 4.57.6 and 40 by 5.2.0",
    )
