"""Fixtures of the sweep's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix.state import State
from tests.matrix.builders import write_wheel
from tests.matrix.sweep.project import Project


@pytest.fixture
def project(tmp_path: Path, state: State, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for version in ("1.0", "2.0"):
        write_wheel(wheels, "transformers", version)
    # no index of torch builds is asked whether it answers
    monkeypatch.setenv("UV_TORCH_BACKEND", "cpu")
    return Project(tmp_path, state)
