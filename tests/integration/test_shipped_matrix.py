"""The main command of the README: the shipped matrix, on four releases and a real model."""

from __future__ import annotations

import pytest

from matrix.state import ROOT
from tests.integration.project import Project

pytestmark = [pytest.mark.integration]


@pytest.fixture(scope="module")
def shipped(clone: Project) -> Project:
    call = clone.matrix()
    assert call.code == 0, call.text
    return clone


def test_only_the_two_known_regressions_are_found(shipped: Project) -> None:
    found = {key: verdict for key, verdict in shipped.verdicts().items() if verdict != "identical"}
    assert found == {
        ("remote-code-rope", "5.2.0"): "unstable",
        ("remote-code-rope", "5.23.0"): "unstable",
        ("smollm2-gguf", "5.23.0"): "drift",
    }
    assert all(c["known"] for c in shipped.report()["comparisons"] if c["verdict"] != "identical")
    assert shipped.report()["stale_known"] == []


def test_the_real_model_differs_first_in_its_tokens_and_not_in_itself(shipped: Project) -> None:
    found = [c for c in shipped.report()["comparisons"] if c["case"] == "smollm2-gguf" and c["verdict"] == "drift"]
    assert {c["variant"]["attention"] for c in found} == {"eager", "sdpa"}
    assert {c["stage"] for c in found} == {"tokens"}
    assert {c["same_ids"]["verdict"] for c in found} == {"identical"}
    headline = _report(shipped).splitlines()[2]
    assert "tokens differ first; with the baseline's ids the model is identical" in headline


def test_the_readme_shows_the_table_of_this_run(shipped: Project) -> None:
    table = [line for line in _report(shipped).split("Columns:")[0].splitlines() if line.startswith("|")]
    assert len(table) == 7
    assert "\n".join(table) in (ROOT / "README.md").read_text()


def _report(project: Project) -> str:
    return (project.folder / "reports" / "out" / "latest" / "report.md").read_text()
