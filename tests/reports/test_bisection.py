"""The answer of a search as Markdown, as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from matrix.files import write_json
from reports import bisection


def _step(release: str, mark: str, **facts: Any) -> dict[str, Any]:  # noqa: ANN401 - as in JSON
    seen = {"verdict": "drift", "stage": "buffers", "where": "model.inv_freq", "summary": "…", "why": None}
    return {"release": release, "mark": mark, **seen, "seconds": 4.25, **facts}


CONTENT: dict[str, Any] = {
    "schema": 1,
    "run": {"id": "a-run", "started": "2026-01-01T00:00:00+00:00", "command": "nox -s bisect -- tiny"},
    "exit_code": 0,
    "headline": "tiny (float32-eager) is bad since transformers 5.0.0: drift at buffers.",
    "variant": {"dtype": "float32", "attention": "eager"},
    "held_fixed": {"torch": "2.13.0"},
    "predicate": {"sentence": "drift at buffers", "where": None},
    "releases": ["4.57.6", "4.57.7", "5.0.0", "5.10"],
    "steps": [
        _step("4.57.6", "good", verdict=None, stage=None, where=None),
        _step("4.57.7", "skip", verdict="error", why="fails for another reason: a | pipe\n# and a heading"),
        _step("5.10", "bad"),
    ],
    "notes": ["every release gets the good end's ids"],
    "compare": "https://github.com/huggingface/transformers/compare/v4.57.6...v5.0.0",
    "commits": None,
    "next": "nox -s explain -- tiny --good 4.57.6 --bad 5.0.0",
    "cost": {"seconds": 61.3, "cpu_seconds": 70.9},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_json(tmp_path / "a-run" / bisection.FILE, CONTENT)
    return tmp_path / "a-run"


def test_the_text_ends_with_the_next_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bisection.main([str(folder)], out=tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("tiny (float32-eager) is bad since transformers 5.0.0")
    assert printed.splitlines()[-1] == "Next: nox -s explain -- tiny --good 4.57.6 --bad 5.0.0"
    assert "Looked at 3 of 4 releases in 61 s (71 s of CPU time)." in printed
    assert "5.10 " in printed


def test_both_files_are_written_and_json_is_printed_as_it_is(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bisection.main([str(folder), "--json"], out=tmp_path / "out")
    assert json.loads(capsys.readouterr().out) == CONTENT
    assert json.loads((tmp_path / "out" / "a-run" / bisection.FILE).read_text(encoding="utf-8")) == CONTENT
    assert (tmp_path / "out" / "a-run" / bisection.MARKDOWN).is_file()


def test_foreign_text_breaks_no_table() -> None:
    text = bisection.render(CONTENT)
    assert "a \\| pipe # and a heading" in text
    assert "compare/v4.57.6...v5.0.0)" in text
    assert [line.count(" | ") for line in text.splitlines() if line.startswith("| 5.10")] == [5]


def test_the_commands_inside_the_range_are_shown_when_asked_for() -> None:
    content = {**CONTENT, "commits": ["git clone x", "git bisect start v5.0.0 v4.57.6"]}
    for text in (bisection.render(content), bisection.terminal(content, Path("bisect.md"))):
        assert "git bisect start v5.0.0 v4.57.6" in text
        assert "merge base" in text
    assert "git bisect" not in bisection.render(CONTENT)


def test_an_answer_of_a_newer_version_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(tmp_path / bisection.FILE, {**CONTENT, "schema": 99})
    assert bisection.main([str(tmp_path)], out=tmp_path / "out") == 2
    assert "newer version" in capsys.readouterr().err
