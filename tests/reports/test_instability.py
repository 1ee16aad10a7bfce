"""A cell that does not agree with itself is shown as what it is, with tables only of what exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix.verdicts import judge_run
from reports import formats
from reports.headline import headline
from tests.matrix.builders import IDS, RunFolder, moved, small_spec, tensor

ONE, TWO = ("1.0", "9.0"), ("2.0", "9.0")
OTHER = {"tokens": {**IDS, "input_ids": [[5, 6, 8]]}}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """Two releases with the same capture, and a second load of the first."""
    axes = {"transformers": {"values": ["1.0", "2.0"]}, "torch": {"values": ["9.0"]}}
    return RunFolder(tmp_path, small_spec(axes=axes)).capture(*ONE).repeat(*ONE).capture(*TWO)


def _report(folder: RunFolder) -> str:
    return formats.load("markdown").render(judge_run(folder.run))


def _headline(folder: RunFolder) -> str:
    return headline(judge_run(folder.run))


def test_two_loads_of_another_parameter_are_shown_side_by_side(folder: RunFolder) -> None:
    folder.repeat(*TWO, parameters=[tensor("model.weight", [1.0, 3.0])])
    assert "tiny is unstable since 2.0 (two loads disagree: parameter model.weight)." in _headline(folder)
    report = " ".join(_report(folder).split())
    assert "| element | 1.0 (baseline) | 2.0 | 2.0, second load |" in report
    assert "| 1 | 2 | 2 | 3 |" in report
    assert "two loads, in two processes, give model.weight different values" in report


def test_a_baseline_that_is_unstable_is_named(folder: RunFolder) -> None:
    folder.repeat(*ONE, parameters=[tensor("model.weight", [1.0, 3.0])])
    assert "(two loads disagree in the baseline: parameter model.weight)." in _headline(folder)
    assert "| 1.0 (baseline), second load |" in " ".join(_report(folder).split())


def test_other_logits_of_a_second_load_need_no_table_of_values(folder: RunFolder) -> None:
    folder.repeat(*TWO, logits=moved(0.5))
    assert "tiny is unstable since 2.0 (other logits when repeated)." in _headline(folder)
    report = _report(folder)
    assert "give logits that differ by up to 0.5" in report
    assert "First values" not in report


def test_other_tokens_of_a_second_load(folder: RunFolder) -> None:
    folder.repeat(*TWO, **OTHER)
    assert "tiny is unstable since 2.0 (two loads make other tokens)." in _headline(folder)
    assert "Ids of every cell" not in _report(folder)


def test_a_load_that_fails_the_second_time_shows_its_message(folder: RunFolder) -> None:
    folder.failed(*TWO, job="tiny/float32-eager@repeat")
    assert "tiny is unstable since 2.0 (one load works, another fails at load: ImportError)." in _headline(folder)
    report = _report(folder)
    assert "```text\nImportError: no such name\nmore\n```" in report
    assert "- 2.0 (float32-eager): one load works and another fails at load" in report
    assert "First values" not in report
    assert "Not captured" not in report
