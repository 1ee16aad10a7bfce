"""What one environment compiled is lent to the next that holds the same package."""

from __future__ import annotations

import os
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
    made.unlink()
    bytecode.lend(venv, state.bytecode)
    assert made.samefile(stored)
    assert _says_it_matches(venv)


@pytest.mark.usefixtures("wheels")
def test_lent_bytecode_is_never_used_for_another_source(state: State, venv: Path) -> None:
    environment.sync(venv, environment.lock(["alpha==1.0"], state))
    with bytecode.shared(venv, state.bytecode):
        _use(venv)
    (made,) = _compiled(venv)
    made.unlink()
    bytecode.lend(venv, state.bytecode)
    source = made.parent.parent / "__init__.py"
    text, times = source.read_text(), source.stat()
    source.unlink()  # hard-linked from a cache
    source.write_text(text + "CHANGED = 1\n")
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    code = "import alpha; print(alpha.CHANGED)"
    done = subprocess.run([environment.interpreter(venv), "-I", "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "1\n"


@pytest.mark.usefixtures("wheels")
def test_another_version_of_a_package_is_lent_what_it_shares_and_no_more(state: State, venv: Path) -> None:
    environment.sync(venv, environment.lock(["alpha==1.0"], state))
    _use(venv)
    bytecode.keep(venv, state.bytecode)
    (first,) = _compiled(venv)
    same = (first.parent.parent / "__init__.py").read_bytes()
    environment.sync(venv, environment.lock(["alpha==2.0"], state))
    for path in _compiled(venv):
        path.unlink()
    bytecode.lend(venv, state.bytecode)
    shares = (first.parent.parent / "__init__.py").read_bytes() == same
    assert bool(_compiled(venv)) is shares


def _says_it_matches(venv: Path) -> bool:
    """Whether Python takes the .pyc as it is."""
    command = [environment.interpreter(venv), "-I", "-v", "-c", "import alpha"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    return any("matches" in line and "alpha" in line for line in said.splitlines())
