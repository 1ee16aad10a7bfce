"""sweep.json is written and read back, and says by the exit code what was found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.errors import EXIT_FOUND, EXIT_OK, MatrixError
from matrix.sweep import answer
from matrix.sweep.answer import Answer, Difference, Found, Seen

FOUND = Found(type="llama", head="causal-lm", author="1.0", built=True, seen={"new": "drift"})
DIFFERENCE = Difference(
    cell="new", case="llama.causal-lm.one", attention="eager", dtype="float32", verdict="drift", stage=None, where=None,
    summary="…", max_abs=float("inf"), l2_rel=None, shown=(), quiet=(), axis="transformers", good="1.0", bad="2.0",
)  # fmt: skip
OLDER = replace(DIFFERENCE, cell="oldest", max_abs=0.5)
ANSWER = Answer(
    id="a-sweep", started="now", command="nox -s sweep", digest="", baseline="old", cells=(), heads=("causal-lm",),
    shard=None, held_fixed={"torch": "9.0"}, architectures=(replace(FOUND, differences=(DIFFERENCE, OLDER)),),
)  # fmt: skip


def test_what_is_written_is_read_back_infinities_too(tmp_path: Path) -> None:
    answer.write(ANSWER, tmp_path)
    assert answer.read(tmp_path) == ANSWER
    content = json.loads((tmp_path / answer.FILE).read_text(encoding="utf-8"))
    assert content["schema"] == 1
    (found,) = content["architectures"]
    assert found["difference"] == found["differences"][0]
    assert [change["max_abs"] for change in found["differences"]] == ["inf", 0.5]


def test_an_answer_that_has_only_the_first_change_is_read_too(tmp_path: Path) -> None:
    answer.write(ANSWER, tmp_path)
    content = json.loads((tmp_path / answer.FILE).read_text(encoding="utf-8"))
    del content["architectures"][0]["differences"]
    (tmp_path / answer.FILE).write_text(json.dumps(content), encoding="utf-8")
    assert answer.read(tmp_path).architectures[0].differences == (DIFFERENCE,)


def test_what_is_quiet_everywhere_has_no_first_change(tmp_path: Path) -> None:
    answer.write(replace(ANSWER, architectures=(FOUND,)), tmp_path)
    content = json.loads((tmp_path / answer.FILE).read_text(encoding="utf-8"))
    assert content["architectures"][0]["difference"] is None
    assert answer.read(tmp_path).architectures[0].difference is None


def test_there_is_no_answer_before_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(MatrixError, match="cannot be read"):
        answer.read(tmp_path)


@pytest.mark.parametrize(
    ("seen", "known", "code"),
    [
        ({}, (), EXIT_OK),
        ({"a": "identical", "b": "noise", "c": "removed"}, (), EXIT_OK),
        ({"a": "drift"}, ("a",), EXIT_OK),
        ({"a": "drift", "b": "drift"}, ("a",), EXIT_FOUND),
        ({"a": "unstable"}, (), EXIT_FOUND),
        ({"a": "error"}, (), EXIT_FOUND),
        ({"a": "missing"}, (), EXIT_FOUND),
    ],
)
def test_only_what_is_neither_quiet_nor_known_nor_removed_fails(
    seen: dict[str, Seen], known: tuple[str, ...], code: int
) -> None:
    found = replace(FOUND, seen=seen, known=known)
    assert replace(ANSWER, architectures=(found,)).exit_code == code
