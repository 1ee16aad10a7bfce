"""What one environment compiled is lent to the next that holds the same package."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from matrix import bytecode, environment
from matrix.state import State


def _use(venv: Path) -> None:
    subprocess.run([environment.interpreter(venv), "-I", "-c", "import alpha"], check=True)


def _compiled(venv: Path) -> list[Path]:
    return list(venv.glob("lib/python*/site-packages/alpha/__pycache__/*.pyc"))


@pytest.mark.usefixtures("wheels")
def test_bytecode_is_kept_and_lent_to_a_new_environment(state: State, venv: Path) -> None:
    lock = environment.lock(["alpha"], state)
    environment.sync(venv, lock)
    with bytecode.shared(venv, state.bytecode):
        assert _compiled(venv) == []
        _use(venv)
    (made,) = _compiled(venv)
    (stored,) = (path for path in state.bytecode.rglob("*") if path.is_file())
    assert stored.samefile(made)
    made.unlink()
    bytecode.lend(venv, state.bytecode)
    assert made.samefile(stored)


@pytest.mark.usefixtures("wheels")
def test_another_version_of_a_package_is_lent_nothing(state: State, venv: Path) -> None:
    environment.sync(venv, environment.lock(["alpha==1.0"], state))
    _use(venv)
    bytecode.keep(venv, state.bytecode)
    environment.sync(venv, environment.lock(["alpha==2.0"], state))
    for path in _compiled(venv):
        path.unlink()
    bytecode.lend(venv, state.bytecode)
    assert _compiled(venv) == []
