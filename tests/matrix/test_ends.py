from __future__ import annotations

from pathlib import Path

import pytest

from matrix import ends
from matrix.ends import Ends
from matrix.errors import SpecError
from matrix.plan import plan
from tests.matrix.builders import write_checkpoint

GIVEN = ["--good", "4.57.6", "--bad", "5.2.0"]


def read(*arguments: str) -> Ends:
    return ends.read(vars(ends.parser("explain", "what", "codes").parse_args(arguments)))


def test_a_case_of_the_shipped_spec_along_transformers() -> None:
    asked = read("llama-tiny", *GIVEN)
    spec = ends.between(asked)
    made = plan(spec)
    assert (asked.axis, asked.options.case, asked.options.checkpoints) == ("transformers", ("llama-tiny",), ())
    assert [cell.id for cell in made.cells] == ["transformers-4.57.6_torch-2.13.0", "transformers-5.2.0_torch-2.13.0"]
    assert made.baseline.axes == {"transformers": "4.57.6", "torch": "2.13.0"}
    assert {job.case.name for job in made.jobs} == {"llama-tiny"}
    assert spec.known == ()


def test_a_bad_release_may_be_older_than_the_good_one() -> None:
    spec = ends.between(read("llama-tiny", "--good", "5.2.0", "--bad", "4.48.0"))
    assert plan(spec).baseline.axes["transformers"] == "5.2.0"


def test_the_torch_axis_keeps_one_transformers() -> None:
    asked = read("llama-tiny", "--good", "2.6.0", "--bad", "2.13.0", "--axis", "torch", "--transformers", "5.2.0")
    assert [cell.id for cell in plan(ends.between(asked)).cells] == [
        "torch-2.6.0_transformers-5.2.0",
        "torch-2.13.0_transformers-5.2.0",
    ]


def test_an_axis_that_no_spec_names() -> None:
    asked = read("llama-tiny", "--good", "0.21.0", "--bad", "0.21.4", "--axis", "tokenizers")
    cells = plan(ends.between(asked)).cells
    assert [cell.axes["tokenizers"] for cell in cells] == ["0.21.0", "0.21.4"]
    assert {cell.axes["transformers"] for cell in cells} == {"4.57.6"}
    assert "tokenizers==0.21.4" in cells[1].requirements


def test_every_value_between_the_ends_is_a_cell() -> None:
    cells = plan(ends.between(read("llama-tiny", *GIVEN), ["4.57.6", "5.0.0", "5.1.0", "5.2.0"])).cells
    assert [cell.axes["transformers"] for cell in cells] == ["4.57.6", "5.0.0", "5.1.0", "5.2.0"]


def test_a_checkpoint_of_ones_own(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "mine")
    asked = read(str(tmp_path / "mine"), *GIVEN, "--trust-remote-code", "--dtype", "bfloat16", "--attention", "sdpa")
    (case,) = ends.between(asked).case
    assert (case.name, case.checkpoint, case.trust_remote_code) == ("mine", str(tmp_path / "mine"), True)
    assert [job.variant.id for job in plan(ends.between(asked)).jobs] == ["bfloat16-sdpa"]


def test_equal_ends_are_refused() -> None:
    with pytest.raises(SpecError, match="the same"):
        read("llama-tiny", "--good", "5.2.0", "--bad", "5.2.0")


def test_a_name_that_is_neither_case_nor_checkpoint_is_refused_with_the_cases() -> None:
    with pytest.raises(SpecError, match="llama-tiny"):
        read("lama-tiny", *GIVEN)
