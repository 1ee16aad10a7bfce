"""The package alpha, its releases and its captures."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from matrix.state import State
from tests.matrix.bisect.project import Project


@pytest.fixture(scope="session")
def resolved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Locks of alpha's releases: uv resolves each of them once for all tests."""
    return tmp_path_factory.mktemp("resolved") / "locks"


@pytest.fixture
def project(tmp_path: Path, state: State, wheels: Path, resolved: Path) -> Project:
    made = Project(tmp_path, state, wheels)
    made.release(*(f"{number}.0" for number in range(1, 13)))
    if not resolved.exists():
        made.lock(*(f"{number}.0" for number in range(1, 13)))
        shutil.copytree(state.locks, resolved)
    shutil.copytree(resolved, state.locks, dirs_exist_ok=True)
    return made
