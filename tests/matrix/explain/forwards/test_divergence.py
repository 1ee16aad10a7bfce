"""The first divergence is the innermost call that makes something else of the same, and nothing harmless is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matrix.explain.forwards.align import Renamed, align
from matrix.explain.forwards.divergence import Divergence, first
from tests.matrix.explain.traces import Forward

IDS = np.array([[5, 6, 7]])
HIDDEN = np.arange(6, dtype=np.float32).reshape(1, 3, 2)
LEAST = np.finfo(np.float32).min
SCORES = np.array([[[[1, LEAST, LEAST], [1, 2, LEAST], [1, 2, 3]]]], np.float32)
MASK = np.array([[0, 1, 1]])

Find = Callable[..., Divergence | None]


@pytest.fixture
def find(tmp_path: Path) -> Find:
    """Write a model on both sides, `moved` on the bad one only, and look."""

    def look(build: Callable[[Forward, int, Any], object], good: Any, bad: Any, mask: Any = None) -> Divergence | None:  # noqa: ANN401
        sides = []
        for name, change in (("good", good), ("bad", bad)):
            forward = Forward()
            top = forward.call("", None, {"input_ids": IDS}, {"logits": HIDDEN + np.float32(name == "bad")})
            build(forward, top, change)
            sides.append(forward.write(tmp_path / name))
        return first(sides[0], sides[1], align(sides[0], sides[1]), mask)

    return look


def layers(forward: Forward, top: int, by: Any) -> None:  # noqa: ANN401
    """A norm and a layer of two parts; `by` moves what the layer's second part makes of the same."""
    forward.call("norm", top, {"x": HIDDEN}, {"0": HIDDEN * 2})
    layer = forward.call("layer", top, {"x": HIDDEN * 2}, {"0": HIDDEN * 3 + by})
    forward.call("layer.a", layer, {"x": HIDDEN * 2}, {"0": HIDDEN * 4})
    forward.call("layer.b", layer, {"x": HIDDEN * 4}, {"0": HIDDEN * 5 + by})
    forward.call("head", top, {"x": HIDDEN * 3 + by}, {"0": HIDDEN + by})


def test_the_innermost_call_that_makes_something_else_of_the_same(find: Find) -> None:
    by = np.zeros((1, 3, 2), np.float32)
    by[0, 1:] = (0.5, -2)
    found = find(layers, np.zeros_like(by), by)
    assert found
    assert (found.good.id, found.bad.id) == (("layer.b", 0, None), ("layer.b", 0, None))
    assert found.same_inputs == ("x",)
    assert found.by_position == (0, 2, 2)
    assert [change.name for change in found.outputs] == ["0"]
    assert found.outputs[0].distance.max_abs == 2
    assert [later.module for later in found.later] == ["", "layer", "layer.b", "head"]
    assert found.later[2].l2_rel == pytest.approx(np.sqrt(8.5) / np.linalg.norm(HIDDEN * 5))


def test_the_same_logits_have_no_divergence(tmp_path: Path) -> None:
    forward = Forward()
    layers(forward, forward.call("", None, {"input_ids": IDS}, {"logits": HIDDEN}), 0)
    sides = forward.write(tmp_path / "good"), forward.write(tmp_path / "bad")
    assert first(*sides, align(*sides)) is None


def test_what_differs_between_modules_is_the_code_of_the_one_around_them(find: Find) -> None:
    def scaled(forward: Forward, top: int, by: float) -> None:
        forward.call("embed", top, {"ids": IDS}, {"0": HIDDEN})
        forward.call("layer", top, {"x": HIDDEN * by}, {"0": HIDDEN * 3 * by})
        forward.call("later", top, {"ids": IDS}, {"0": HIDDEN + by})

    found = find(scaled, 1.0, 2.0)
    assert found
    assert found.good.module == ""
    assert found.notes == ("layer is given another x",)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"mask": SCORES == LEAST}, {"mask": SCORES}),
        ({"mask": SCORES}, {}),
        ({"mask": SCORES}, {"mask": np.maximum(SCORES, -10000)}),
        ({"positions": IDS[0]}, {"positions": IDS}),
    ],
)
def test_another_form_of_an_input_is_no_other_input(find: Find, good: Any, bad: Any) -> None:  # noqa: ANN401
    def masked(forward: Forward, top: int, inputs: Any) -> None:  # noqa: ANN401
        forward.call("layer", top, {"x": HIDDEN, **inputs}, {"0": HIDDEN + (inputs is bad)})

    found = find(masked, good, bad)
    assert found
    assert found.good.module == "layer"


@pytest.mark.parametrize(("rows", "other"), [(1, "model"), (2, "model"), (1, ""), (2, "")])
def test_a_mask_that_no_longer_shuts_padding_out_is_another_input(tmp_path: Path, rows: int, other: str) -> None:
    ids, mask = np.repeat(IDS, 2, axis=0), np.array([[1, 1, 1], [0, 1, 1]])
    hidden, both = np.repeat(HIDDEN, 2, axis=0), np.repeat(SCORES, 2, axis=0)
    shut = both.copy()
    shut[1, :, :, 0] = LEAST
    sides = []
    # the same for all rows may stand there once; where nothing is padded, that says the same
    for name, given in (("good", shut if other else both), ("bad", both[:rows])):
        forward, by = Forward(), np.float32(name == "bad")
        top = forward.call("", None, {"input_ids": ids}, {"logits": hidden + by})
        model = forward.call("model", top, {"input_ids": ids}, {"0": hidden + by})
        layer = forward.call("model.layer", model, {"x": hidden, "mask": given}, {"0": hidden + by})
        forward.piece("weights", layer, both * 0 + by)
        sides.append(forward.write(tmp_path / name))
    found = first(sides[0], sides[1], align(sides[0], sides[1]), mask)
    assert found
    assert found.good.module == (other or "model.layer")
    assert found.notes == (("model.layer is given another mask",) if other else ())


def test_other_forms_and_arguments_are_told(find: Find) -> None:
    def layer(forward: Forward, top: int, side: int) -> None:
        extra = {"mask": SCORES if side else SCORES == LEAST, **({"cache": IDS} if side else {})}
        outputs = {"0": HIDDEN + side, **({"1": IDS} if side else {})}
        forward.call("layer", top, {"x": HIDDEN, **extra}, outputs, scalars={"scale": side, "flag": None})

    found = find(layer, 0, 1)
    assert found
    assert found.notes == (
        "input mask is bool [1, 1, 3, 3] on the good side, float32 [1, 1, 3, 3] on the bad side",
        "only the bad side has the input cache",
        "the bad side has 1 more outputs",
        "argument scale is 0 on the good side, 1 on the bad side",
    )


def test_what_only_a_masked_position_holds_is_no_difference(find: Find) -> None:
    by = np.zeros((1, 3, 2), np.float32)
    by[0, 0] = 9

    def padded(forward: Forward, top: int, side: int) -> None:
        forward.call("norm", top, {"x": HIDDEN}, {"0": HIDDEN + by * side})
        forward.call("fc", top, {"x": (HIDDEN + by * side)[0]}, {"0": (HIDDEN + by * side)[0]})
        forward.call("layer", top, {"x": HIDDEN + by * side}, {"0": HIDDEN + by * side + side})

    found = find(padded, 0, 1, MASK)
    assert found
    assert found.good.module == "layer"
    assert found.same_inputs == ("x",)
    assert found.by_position == (0, 1, 1)
    unmasked = find(padded, 0, 1)
    assert unmasked
    assert unmasked.good.module == "norm"


def pieces(forward: Forward, top: int, change: Any) -> None:  # noqa: ANN401
    """Attention in pieces, some of which are replaced."""
    attention = forward.call("attention", top, {"x": HIDDEN}, {"0": HIDDEN + len(change)})
    forward.call("attention.q", attention, {"x": HIDDEN}, {"0": HIDDEN * 2})
    values = {"query": HIDDEN[:, None], "scores": SCORES, "weights": SCORES * 0 + 1, "context": HIDDEN[:, None] * 7}
    for name, value in {**values, **change}.items():
        forward.piece(name, attention, value)


def test_a_piece_of_attention_is_named(find: Find) -> None:
    other = {"query": HIDDEN[:, None] + 1, "scores": SCORES + 1, "weights": SCORES * 0, "context": HIDDEN[:, None]}
    found = find(pieces, {}, other)
    assert found
    assert found.good.id == ("attention", 0, "query")
    assert found.by_position == (1, 1, 1)


@pytest.mark.parametrize("other", [np.maximum(SCORES, -1e9), np.where(SCORES == LEAST, -np.inf, SCORES)])
def test_scores_that_are_shut_out_by_another_number_are_the_same(find: Find, other: Any) -> None:  # noqa: ANN401
    found = find(pieces, {}, {"scores": other, "context": HIDDEN[:, None]})
    assert found
    assert found.good.piece == "context"


def test_scores_that_the_softmax_makes_the_same_of_are_the_same(find: Find) -> None:
    found = find(pieces, {}, {"scores": SCORES + 1, "context": HIDDEN[:, None]})
    assert found
    assert found.good.piece == "context"


def test_heads_of_padded_rows_are_left_out(find: Find) -> None:
    other = np.repeat(HIDDEN[:, None], 3, axis=1)
    other_moved = other.copy()
    other_moved[:, :, 0] += 5
    found = find(pieces, {"query": other}, {"query": other_moved, "context": HIDDEN[:, None]}, MASK)
    assert found
    assert found.good.piece == "context"


def test_outputs_are_matched_by_key_or_by_place(find: Find) -> None:
    def wrapped(forward: Forward, top: int, side: int) -> None:
        outputs = {"last": HIDDEN, "pooled": HIDDEN * 2} if side else {"0": HIDDEN, "1": HIDDEN * 2 + 1}
        forward.call("layer", top, {"x": HIDDEN}, outputs)

    found = find(wrapped, 0, 1)
    assert found
    assert [change.name for change in found.outputs] == ["1"]


def test_a_wider_dtype_with_the_same_values_is_no_difference_and_one_with_others_is(find: Find) -> None:
    def typed(forward: Forward, top: int, values: Any) -> None:  # noqa: ANN401
        forward.call("norm", top, {"x": HIDDEN}, {"0": values[0]})
        forward.call("layer", top, {"x": HIDDEN}, {"0": values[1]})

    fraction = HIDDEN + np.float32(1 / 3)
    found = find(typed, (HIDDEN, fraction), (HIDDEN.astype(np.float16), fraction.astype(np.float16)))
    assert found
    assert found.good.module == "layer"


def test_a_renamed_module_with_more_outputs_has_another_interface(tmp_path: Path) -> None:
    sides = []
    for side in (0, 1):
        forward = Forward()
        top = forward.call("", None, {"input_ids": IDS}, {"logits": HIDDEN + side})
        forward.call("router", top, {"x": HIDDEN}, {"0": HIDDEN + side, **({"1": HIDDEN} if side else {})})
        forward.call("experts", top, {"x": HIDDEN}, {"0": HIDDEN + side})
        sides.append(forward.write(tmp_path / str(side)))
    by_name = align(sides[0], sides[1])
    renamed = replace(by_name, renamed=(Renamed(good="router", bad="router", how="parameters"),))
    found = [first(sides[0], sides[1], alignment) for alignment in (by_name, renamed)]
    assert [divergence and divergence.good.module for divergence in found] == ["router", "experts"]
