"""Differing tokenizers have a table of their own, in which foreign strings do no harm."""

from __future__ import annotations

import json
from pathlib import Path

from matrix import verdicts
from reports import formats
from reports.tokenizers import MAX_ITEMS, chosen, left_out
from tests.matrix.tokenizing import facts, of_text, run

HOSTILE = "| a `b` <script> @someone \u202e\x00\n# head"


def _render(folder: Path, kind: str, *, count: int = 1, text: str = "text") -> str:
    one = [item for n in range(count) for item in of_text(f"s{n}", [0, n], text=text)]
    two = [item for n in range(count) for item in of_text(f"s{n}", [0, n + 99], text=text)]
    return formats.load(kind).render(verdicts.judge_run(run(folder, facts(one), facts(two), facts(two)).run))


def test_the_table_shows_text_and_both_sides_answers(tmp_path: Path) -> None:
    report = " ".join(_render(tmp_path, "markdown").split())
    assert "tok drifts since 2.0" in report.replace("transformers ", "")
    assert "| ids of \"s0\" | 'text' | \\[0, 0\\] | \\[0, 99\\] |" in report
    assert "| ids | 1 | 1 |" in report
    assert "(tokenizer)" in report


def test_strings_cannot_leave_their_cell(tmp_path: Path) -> None:
    report = _render(tmp_path, "markdown", text=HOSTILE)
    (row, *_) = [line for line in report.splitlines() if line.startswith('| ids of "s0"')]
    assert "'\\| a \\`b\\` &lt;script&gt; @\u200bsomeone \\\\u202e\\\\x00\\\\n# head'" in row
    assert "\u202e" not in report


def test_a_long_table_is_cut_and_says_so(tmp_path: Path) -> None:
    report = _render(tmp_path, "markdown", count=MAX_ITEMS + 5)
    assert report.count("\n| ids of") < MAX_ITEMS
    (found, *_) = verdicts.judge_run(run(tmp_path / "x", *_many()).run).judgements
    assert found.tokenizer
    assert {change.kind for change in chosen(found.tokenizer)} == {*found.tokenizer.by_kind}
    assert left_out(found.tokenizer) == ("35 more answers left out.",)
    assert f"{2 * (MAX_ITEMS + 5) - MAX_ITEMS} more answers left out" in report


def _many() -> tuple[dict[str, object], dict[str, object]]:
    one = [item for n in range(30) for item in of_text(f"s{n}", [0, n])]
    return facts(one), facts([item for n in range(30) for item in of_text(f"s{n}", [0, n + 99])])


def test_json_counts_what_differs(tmp_path: Path) -> None:
    content = json.loads(_render(tmp_path, "json"))
    assert content["comparisons"][0]["metrics"] == {
        "items": 6,
        "differing": 2,
        "differing_by_kind": {"ids": 1, "ids with special tokens": 1},
    }
    assert content["comparisons"][0]["where"] == 'ids of "s0"'


def test_the_terminal_says_where_it_starts(tmp_path: Path) -> None:
    assert 'first in ids of "s0"' in " ".join(_render(tmp_path, "terminal").split())
