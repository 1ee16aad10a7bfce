from __future__ import annotations

from pathlib import Path
from typing import Any

from matrix.explain import cause
from matrix.explain.swap import Part, Swap, Trial
from tests.matrix.builders import captured

ROPE = Part(kind="tensor", name="model.rotary_emb.inv_freq")
ACT = Part(kind="scalar", name="model.layers.0.mlp.act_fn", good={"function": "a.silu"}, bad={"function": "a.gelu"})


def swap(folder: Path, *chosen: Part, control: Trial | None = None, **best: Any) -> Swap:  # noqa: ANN401 - a trial's
    trial = Trial(parts=tuple(part.id for part in chosen), **best)
    trials = (Trial(parts=("tensor:a",), share=0.0, identical=False), *([trial] if chosen else []))
    taken = captured(folder)
    return Swap(capture=taken, repeats=True, forwards=3, trials=trials, replayed=(), chosen=chosen, control=control)


def test_a_part_that_restores_and_reproduces_is_proven(tmp_path: Path) -> None:
    found = cause.weigh(
        swap(
            tmp_path / "a",
            ROPE,
            share=1.0,
            identical=True,
            max_abs=0.0,
            control=Trial(parts=("x",), share=0.0, identical=False),
        ),
        swap(tmp_path / "b", ROPE, share=1.0, identical=True, max_abs=0.0),
        "4.57.6",
        "5.2.0",
    )
    assert (found.kind, found.sufficient, found.necessary, found.proven, found.control) == (
        "state",
        True,
        True,
        True,
        True,
    )
    assert found.forwards == 6
    assert found.sentence == (
        "swapping `model.rotary_emb.inv_freq` from 4.57.6 into 5.2.0 restores 100 % of the difference (bit-identical);"
        " swapping it from 5.2.0 into 4.57.6 gives 5.2.0's logits bit for bit"
    )


def test_nothing_is_proven_where_a_control_changes_something(tmp_path: Path) -> None:
    whole = {"share": 1.0, "identical": True, "max_abs": 0.0}
    moved = Trial(parts=("x",), share=0.1, identical=False)
    pair = swap(tmp_path / "a", ROPE, control=moved, **whole), swap(tmp_path / "b", ROPE, **whole)
    found = cause.weigh(*pair, "4.57.6", "5.2.0")
    assert (found.sufficient, found.necessary, found.proven) == (True, True, False)


def test_nearly_all_is_never_a_hundred_per_cent(tmp_path: Path) -> None:
    found = cause.weigh(swap(tmp_path, ACT, share=0.9999999, identical=False, max_abs=3e-9), None, "a", "b")
    assert (found.kind, found.proven) == ("attribute", False)
    assert "99.99 % of the difference (3e-09 is left)" in found.sentence


def test_parts_that_restore_without_reproducing_are_not_proven(tmp_path: Path) -> None:
    found = cause.weigh(
        swap(tmp_path / "a", ROPE, ACT, share=1.0, identical=True),
        swap(tmp_path / "b", ROPE, ACT, share=0.5, identical=False),
        "a",
        "b",
    )
    assert (found.sufficient, found.necessary, found.proven) == (True, False, False)
    assert "swapping them from b into a goes 50 % of the way" in found.sentence


def test_nothing_that_helps_is_unknown(tmp_path: Path) -> None:
    assert cause.weigh(swap(tmp_path / "a", share=None, identical=False), None, "a", "b").kind == "unknown"
    worse = cause.weigh(swap(tmp_path / "b", ROPE, share=-0.5, identical=False), None, "a", "b")
    assert worse.kind == "unknown"
    assert "no part" in worse.sentence


def test_a_control_that_changes_something_is_said(tmp_path: Path) -> None:
    control = Trial(parts=("tensor:same",), share=0.1, identical=False)
    assert (
        cause.weigh(swap(tmp_path, ROPE, share=1.0, identical=True, control=control), None, "a", "b").control is False
    )
