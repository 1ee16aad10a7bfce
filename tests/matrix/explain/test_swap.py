"""A swap is read back as the probe wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from matrix.explain import swap
from matrix.explain.swap import Part, Replayed
from tests.matrix.builders import write_capture, write_failed_capture

BUFFER = {"kind": "tensor", "name": "rope.inv_freq", "good": None, "bad": None, "nth": None}
FACTS: dict[str, Any] = {
    "repeats": True,
    "forwards": 5,
    "trials": [
        {"parts": ["tensor:a", "tensor:rope.inv_freq"], "share": 1.0, "identical": True, "max_abs": 0.0, "error": None},
        {"parts": ["tensor:a"], "share": None, "identical": False, "max_abs": None, "error": "TypeError: no"},
        {"parts": ["tensor:rope.inv_freq"], "share": 1.0, "identical": True, "max_abs": 0.0, "error": None},
    ],
    "replayed": [{"module": "rope", "nth": 0, "same": False, "max_abs": 1.5, "l2_rel": 0.5, "handed": "act(x)"}],
    "chosen": [BUFFER],
    "control": {"parts": ["tensor:w"], "share": 0.0, "identical": False, "max_abs": 2.0, "error": None},
}


def read(folder: Path, **facts: Any) -> swap.Swap:  # noqa: ANN401 - what a response may hold
    found = swap.read(write_capture(folder, **{**FACTS, **facts}))
    assert found
    return found


def test_a_swap_is_read_back(tmp_path: Path) -> None:
    found = read(tmp_path / "swap")
    assert found.chosen == (Part(kind="tensor", name="rope.inv_freq"),)
    assert found.replayed == (Replayed(module="rope", nth=0, same=False, max_abs=1.5, l2_rel=0.5, handed="act(x)"),)
    assert [trial.error for trial in found.trials] == [None, "TypeError: no", None]
    assert found.control
    assert (found.control.parts, found.control.share) == (("tensor:w",), 0.0)


def test_the_best_trial_is_that_of_the_chosen_set(tmp_path: Path) -> None:
    assert read(tmp_path / "one").best == read(tmp_path / "two").trials[2]
    assert read(tmp_path / "three", chosen=[]).best is None


def test_a_swap_without_a_control_is_read(tmp_path: Path) -> None:
    assert read(tmp_path / "swap", control=None).control is None


@pytest.mark.parametrize("failed", [False, True])
def test_without_a_complete_capture_there_is_no_swap(tmp_path: Path, failed: bool) -> None:  # noqa: FBT001
    assert swap.read(write_failed_capture(tmp_path / "failed") if failed else tmp_path) is None


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (Part(kind="attention", good="eager", bad="sdpa"), "attention:"),
        (Part(kind="output", name="mlp", nth=2), "output:mlp#2"),
        (Part(kind="scalar", name="norm.eps", good=1e-6, bad=1e-5), "scalar:norm.eps"),
    ],
)
def test_a_part_has_an_id(part: Part, name: str) -> None:
    assert part.id == name
