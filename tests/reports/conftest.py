"""The golden run, whole and in copies that a test may change on disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from matrix import run as runs
from matrix.verdicts import Verdicts, judge_run

GOLDEN = Path(__file__).parent.parent / "golden"
NEWEST = "transformers-5.23.0_torch-2.13.0"
MIDDLE = "transformers-5.2.0_torch-2.13.0"

Edit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A copy of the golden run."""

    folder: Path

    def edit(self, path: str, change: Edit) -> None:
        """Change one JSON file of the run."""
        file = self.folder / path
        content = json.loads(file.read_text(encoding="utf-8"))
        change(content)
        file.write_text(json.dumps(content), encoding="utf-8")

    def spec(self, change: Edit) -> None:
        """Change the run's spec."""
        self.edit("run.json", lambda run: change(run["spec"]))

    def only(self, *cases: str, known: bool = False) -> None:
        """Keep some of the cases, and no known verdicts unless asked to."""

        def change(spec: dict[str, Any]) -> None:
            spec["case"] = [case for case in spec["case"] if case["name"] in cases]
            spec["known"] = spec["known"] if known else []

        self.spec(change)

    def fail(self, cell: str, job: str, message: str) -> None:
        """Turn one capture into a failure to load."""
        error = {"type": "ValueError", "message": message, "traceback": "", "transient": False}

        def change(response: dict[str, Any]) -> None:
            response.update(status="probe_failed", failed_stage="load", error=error, uninitialised=[])

        self.edit(f"cells/{cell}/{job}/response.json", change)

    def lose(self, cell: str, reason: str) -> None:
        """Turn a cell into one whose environment could not be built."""
        self.edit(f"cells/{cell}/cell.json", lambda c: c.update(status="env_failed", reason=reason, jobs=[]))

    def judge(self) -> Verdicts:
        """Judge the run as it is now."""
        return judge_run(runs.read(self.folder))


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    folder = tmp_path / "runs" / "run"
    shutil.copytree(GOLDEN / "run", folder)
    return Copy(folder=folder)


@pytest.fixture(scope="session")
def golden() -> Verdicts:
    return judge_run(runs.read(GOLDEN / "run"))
