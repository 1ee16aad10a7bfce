"""Fixtures of the engine's tests: state folders, and a package index that is a folder of hand-made wheels."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from matrix import environment, pip_config
from matrix.state import State
from tests.matrix.builders import write_wheel


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(folder=tmp_path / "state").create()


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only packages that uv knows; uv never goes to a network."""
    folder = tmp_path / "wheels"
    for version in ("1.0", "2.0"):
        write_wheel(folder, "alpha", version)
    write_wheel(folder, "beta", "1.0", requires=["alpha>=2"])
    write_wheel(folder, "safetensors", "9.9")
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    settings = {"FIND_LINKS": str(folder), "OFFLINE": "1", "NO_INDEX": "1", "NO_CONFIG": "1"}
    for name, value in {**settings, "CACHE_DIR": str(tmp_path / "uv-cache")}.items():
        monkeypatch.setenv(f"UV_{name}", value)
    pip_config.uv_environment.cache_clear()
    yield folder
    pip_config.uv_environment.cache_clear()


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An empty virtual environment of the interpreter that runs the tests."""
    folder = tmp_path / "venv"
    command = [environment.uv_path(), "venv", "--quiet", "--no-config", "--python", sys.executable, str(folder)]
    subprocess.run(command, check=True)
    return folder
