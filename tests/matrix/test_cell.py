"""A cell is named after its axis values, safely for folders and nox."""

from __future__ import annotations

import re

from matrix.cell import Cell

CELL = Cell(axes={"transformers": "5.2.0", "torch": "2.13.0"})


def test_a_cell_has_an_id_tags_and_a_title() -> None:
    assert CELL.id == "transformers-5.2.0_torch-2.13.0"
    assert CELL.tags == ["transformers-5.2.0", "torch-2.13.0"]
    assert CELL.title == "transformers 5.2.0, torch 2.13.0"


def test_an_id_holds_nothing_that_a_file_system_or_nox_would_mind() -> None:
    strange = Cell(axes={"ATEN_CPU_CAPABILITY": "a b/c(d),e='f'", "torch": "2.13.0+cpu"})
    assert re.fullmatch(r"[A-Za-z0-9.+_-]+", strange.id)
    assert strange.id.count("_") == 1


def test_equal_cells_are_one_key() -> None:
    assert {CELL: 1}[Cell(axes=dict(CELL.axes))] == 1
