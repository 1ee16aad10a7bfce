"""Text of models, errors and specs passes through a whole report without breaking it."""

from __future__ import annotations

from typing import Any

import pytest

from reports import formats
from tests.reports.conftest import MIDDLE, NEWEST, Copy

OLDEST = "transformers-4.57.6_torch-2.13.0"
HOSTILE = "a|b\n# c `d` ```\n</details><script>x</script> @someone 2.10"


@pytest.fixture
def report(copy: Copy) -> str:
    def poison(spec: dict[str, Any]) -> None:
        spec["known"][0].update(reason=HOSTILE, link="javascript:alert(1)")
        spec["known"][1]["reason"] = HOSTILE

    def rename(response: dict[str, Any]) -> None:
        response["environment"]["versions"].update({"numpy": "2.10", "evil|name": "<b>"})

    def lack(response: dict[str, Any]) -> None:
        response.update(lacking={HOSTILE: HOSTILE}, escaped={response["kernel"]: {HOSTILE: 1}})

    copy.spec(poison)
    for job in ("gemma2-tiny/float32-sdpa", "llama-kernels/float32-eager"):
        copy.edit(f"cells/{OLDEST}/{job}@evidence/response.json", lack)
    copy.fail(MIDDLE, "llama-tiny/float32-eager", HOSTILE)
    copy.lose(NEWEST, HOSTILE)
    copy.edit(f"cells/{MIDDLE}/remote-code-rope/float32-eager/response.json", rename)
    return formats.load("markdown").render(copy.judge())


def _outside_fences(report: str) -> list[str]:
    lines, fence = [], ""
    for line in report.splitlines():
        ticks = line[: len(line) - len(line.lstrip("`"))]
        if not fence and len(ticks) >= 3:
            fence = ticks
        elif fence and line == fence:
            fence = ""
        elif not fence:
            lines.append(line)
    assert not fence
    return lines


def test_nothing_hostile_is_left_outside_of_fences(report: str) -> None:
    text = "\n".join(_outside_fences(report))
    assert "<script" not in text
    assert "@someone" not in text
    assert "](javascript" not in text
    assert "\n# c" not in text
    assert text.count("<details>") == text.count("</details>")


def test_every_row_of_a_table_has_as_many_cells_as_its_head(report: str) -> None:
    width = None
    for line in _outside_fences(report):
        if not line.startswith("|"):
            width = None
            continue
        bars = line.replace("\\|", "").count("|")
        width = width or bars
        assert bars == width, line


def test_a_version_keeps_its_last_zero(report: str) -> None:
    row = next(line for line in report.splitlines() if line.startswith("| numpy "))
    assert "| 2.10 " in row


def test_the_message_is_there_in_full(report: str) -> None:
    assert "</details><script>x</script> @someone 2.10\n````" in report


def test_what_could_not_be_measured_is_there_on_one_line(report: str) -> None:
    lines = [line for line in report.splitlines() if "ould not be measured: " in line]
    assert lines
    assert all(line.startswith("- ") and "&lt;script&gt;" in line for line in lines)
    assert "a\\|b" in next(line for line in report.splitlines() if "(1)" in line and line.startswith("|"))
