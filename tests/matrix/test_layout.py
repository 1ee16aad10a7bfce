"""Tensors that hold the same values in another layout are told from those that came and went."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matrix.capture import TensorState
from matrix.changes import changed_state
from matrix.layout import relaid
from tests.matrix.builders import captured, content, tensor

A, B, C = [[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]], [[9.0, 10.0], [11.0, 12.0]]
Values = dict[str, Any]


def _states(values: Values, aliases: dict[str, str] | None = None) -> list[dict[str, Any]]:
    return [tensor(name, array, alias=(aliases or {}).get(name)) for name, array in values.items()]


def _contents(values: Values) -> dict[str, str]:
    return {name: content(array) for name, array in values.items()}


def _relaid(old: Values, new: Values, contents: tuple[Values, Values] | None = None) -> set[str]:
    sides = [
        [TensorState(**{**state, "shape": tuple(state["shape"])}) for state in _states(values)] for values in (old, new)
    ]
    return {*relaid(*sides, contents or (_contents(old), _contents(new)))}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param({"a.q": A, "a.k": B, "a.v": C}, {"a.qkv": [*A, *B, *C]}, id="fused"),
        pytest.param({"a.qkv": [*A, *B, *C]}, {"a.q": A, "a.k": B, "a.v": C}, id="split"),
        pytest.param({"a.weight": [[1.0, 2.0, 3.0]]}, {"a.weight": [[1.0], [2.0], [3.0]]}, id="transposed"),
        pytest.param(
            {"m.experts.0.up": A, "m.experts.1.up": B, "m.experts.0.down": C, "m.experts.1.down": A},
            {"m.experts.up": [A, B], "m.experts.down": [C, A]},
            id="experts",
        ),
        pytest.param({"old.weight": A}, {"new.weight": [1.0, 2.0, 3.0, 4.0]}, id="in another module"),
    ],
)
def test_the_same_values_in_another_layout_are_found(old: Values, new: Values) -> None:
    assert _relaid(old, new) == {*old, *new}


def test_a_module_that_adds_up_is_taken_and_the_rest_is_left() -> None:
    old = {"l.0.q": A, "l.0.k": B, "l.1.q": A, "l.1.k": B}
    new = {"l.0.qk": [*A, *B], "l.1.qk": [*A, *C]}
    assert _relaid(old, new) == {"l.0.q", "l.0.k", "l.0.qk"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param({"a.q": A, "a.k": B}, {"a.qk": [*A, *C]}, id="other values"),
        pytest.param({"a.q": A, "a.k": B}, {"a.qk": A}, id="one is gone"),
        pytest.param({"a.q": A}, {"a.qq": [*A, *A]}, id="one twice"),
        pytest.param({"a.q": A}, {}, id="nothing new"),
        pytest.param({}, {"a.q": A}, id="nothing old"),
    ],
)
def test_values_that_do_not_add_up_are_not_matched(old: Values, new: Values) -> None:
    assert _relaid(old, new) == set()


def test_sums_that_agree_by_chance_need_as_many_values_too() -> None:
    same = {"a.q": "0" * 16}, {"a.p": "0" * 16}
    assert _relaid({"a.q": A}, {"a.p": [1.0]}, same) == set()
    assert _relaid({"a.q": A}, {"a.p": [1.0] * 4}, same) == {"a.q", "a.p"}


def test_contents_add_up_modulo_two_to_the_64() -> None:
    contents = {"a.q": "f" * 16, "a.k": f"{2:016x}"}, {"a.p": f"{1:016x}"}
    assert _relaid({"a.q": A, "a.k": B}, {"a.p": [A, B]}, contents) == {"a.q", "a.k", "a.p"}


@pytest.mark.parametrize("unknown", [{}, {"a.q": "meta"}])
def test_a_tensor_that_was_not_looked_at_is_not_matched(unknown: Values) -> None:
    new = {"a.p": [1.0, 2.0, 3.0, 4.0]}
    assert _relaid({"a.q": A}, new, (unknown, _contents(new))) == set()


def _changes(
    folder: Path, old: Values, new: Values, aliases: tuple[dict[str, str], dict[str, str]] = ({}, {})
) -> list[tuple[str, str]]:
    """What is not the same in the parameters of two captures that were looked at; tied tensors under one name."""
    a, b = (
        captured(folder / name, parameters=_states(values, alias))
        for name, values, alias in zip("ab", (old, new), aliases, strict=True)
    )
    first = (
        {name: array for name, array in values.items() if name not in tied}
        for values, tied in zip((old, new), aliases, strict=True)
    )
    seen = [_contents(values) for values in first]
    return [(change.change, change.name) for change in changed_state(a, b, (seen[0], seen[1]))]


def test_parameters_that_were_fused_are_one_change(tmp_path: Path) -> None:
    assert _changes(tmp_path, {"a.q": A, "a.k": B}, {"a.qk": [*A, *B]}) == [("relaid", "a.qk")]


def test_a_parameter_of_the_same_name_and_another_shape_is_relaid_or_changed(tmp_path: Path) -> None:
    flat = [1.0, 2.0, 3.0, 4.0]
    assert _changes(tmp_path / "same", {"w": A}, {"w": flat}) == [("relaid", "w")]
    assert _changes(tmp_path / "other", {"w": A}, {"w": [*flat[:3], 5.0]}) == [("changed", "w")]


def test_a_parameter_of_the_same_name_and_shape_is_changed_however_its_values_are_ordered(tmp_path: Path) -> None:
    assert _changes(tmp_path, {"w": A}, {"w": A[::-1]}) == [("changed", "w")]


def test_renamed_tensors_are_paired_before_layouts_are_looked_at(tmp_path: Path) -> None:
    found = _changes(tmp_path, {"a.x": A, "a.q": B, "a.k": C}, {"a.y": A, "a.qk": [*B, *C]})
    assert found == [("renamed", "a.x"), ("relaid", "a.qk")]


def test_a_tied_tensor_is_known_by_the_name_that_was_looked_at(tmp_path: Path) -> None:
    ties = {"head.w": "embed.w"}
    old, new = {"embed.w": A, "head.w": A}, {"embed.w": np.reshape(A, 4), "head.w": np.reshape(A, 4)}
    assert _changes(tmp_path, old, new, (ties, ties)) == [("relaid", "embed.w"), ("relaid", "head.w")]


def test_without_a_closer_look_tensors_come_and_go(tmp_path: Path) -> None:
    a, b = (captured(tmp_path / n, parameters=_states(v)) for n, v in (("a", {"a.q": A}), ("b", {"a.p": [A]})))
    assert [(change.change, change.name) for change in changed_state(a, b)] == [("removed", "a.q"), ("added", "a.p")]


def test_a_tied_tensor_counts_once_however_the_other_side_ties() -> None:
    tied = [TensorState(**{**s, "shape": tuple(s["shape"])}) for s in _states({"m.a": A, "m.b": A}, {"m.b": "m.a"})]
    alone = [TensorState(**{**s, "shape": tuple(s["shape"])}) for s in _states({"m.c": [1.0, 2.0, 3.0, 4.0]})]
    contents = _contents({"m.a": A}), _contents({"m.c": A})
    assert relaid(tied, alone, contents) == {"m.a", "m.b", "m.c"}
