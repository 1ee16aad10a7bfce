"""A noise floor is measured in the baseline's own cell, and applies only where rounding may differ at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix import noise
from matrix.cell import Cell
from tests.matrix.builders import IDS, LEFT_PADDED, LOGITS, captured, moved


@pytest.mark.parametrize(
    ("axes", "applies"),
    [
        ({"transformers": "1.0", "torch": "9.0"}, False),
        ({"transformers": "2.0", "torch": "9.0"}, False),
        ({"transformers": "1.0", "torch": "8.0"}, True),
        ({"transformers": "2.0", "torch": "8.0"}, True),
    ],
)
def test_only_another_axis_than_transformers_may_round_differently(axes: dict[str, str], applies: bool) -> None:  # noqa: FBT001
    assert noise.applies(Cell(axes={"transformers": "1.0", "torch": "9.0"}), Cell(axes=axes)) is applies


def test_the_floor_is_the_largest_spread_over_the_kernels(tmp_path: Path) -> None:
    eager = captured(tmp_path / "a")
    near, far = captured(tmp_path / "b", logits=moved(0.25)), captured(tmp_path / "c", logits=moved(-0.5))
    floor = noise.measure(eager, {"sdpa": near, "flex": far}, "float32")
    assert floor
    assert (floor.max_abs, floor.limit, floor.ratio(1.0)) == (0.5, 2.0, 2.0)
    assert floor.source == "eager against sdpa and flex in the baseline's cell"


def test_a_kernel_that_gives_no_numbers_measures_nothing(tmp_path: Path) -> None:
    broken = captured(tmp_path / "b", logits=moved(float("inf")))
    assert noise.measure(captured(tmp_path / "a"), {"sdpa": broken}, "float16") is None


def test_sixteen_bits_have_a_wider_limit(tmp_path: Path) -> None:
    floor = noise.measure(captured(tmp_path / "a"), {"sdpa": captured(tmp_path / "b", logits=moved(1))}, "bfloat16")
    assert floor
    assert floor.limit == 3.0


def test_positions_under_the_mask_do_not_count(tmp_path: Path) -> None:
    sides = [captured(tmp_path / n, tokens=LEFT_PADDED, logits=moved(by, 0, 0, 0)) for n, by in (("a", 0), ("b", 9))]
    floor = noise.measure(sides[0], {"sdpa": sides[1]}, "float32")
    assert floor
    assert floor.max_abs == 0
    assert floor.ratio(1e-9) == float("inf")


def test_without_another_kernel_there_is_no_floor(tmp_path: Path) -> None:
    assert noise.measure(captured(tmp_path), {}, "float32") is None


def test_captures_of_other_ids_or_shapes_measure_nothing(tmp_path: Path) -> None:
    others = {
        "sdpa": captured(tmp_path / "b", tokens={**IDS, "input_ids": [[1, 2, 3]]}, logits=moved(1)),
        "flex": captured(tmp_path / "c", logits=LOGITS[:, :, :3].copy()),
    }
    assert noise.measure(captured(tmp_path / "a"), others, "float32") is None
