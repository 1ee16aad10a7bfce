"""Requirements become a hashed lock once, a lock becomes an environment once; afterwards uv is not even needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from matrix import environment
from matrix.environment import Lock
from matrix.errors import EnvironmentFailure
from matrix.state import State


def _without_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on, whoever calls uv fails."""
    monkeypatch.setenv("UV", "/nonexistent/uv")


def _installed(venv: Path) -> set[str]:
    return {path.name.removesuffix(".dist-info") for path in venv.glob("lib/python*/site-packages/*.dist-info")}


@pytest.mark.usefixtures("wheels")
def test_a_lock_pins_everything_with_hashes(state: State) -> None:
    lock = environment.lock(["beta"], state)
    lines = lock.path.read_text().splitlines()
    assert [line.split(" ")[0] for line in lines if "==" in line] == ["alpha==2.0", "beta==1.0"]
    assert sum("--hash=sha256:" in line for line in lines) == 2
    assert lock.backend is None


@pytest.mark.usefixtures("wheels")
def test_a_second_lock_of_the_same_requirements_needs_no_uv(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    first = environment.lock(["alpha"], state)
    _without_uv(monkeypatch)
    assert environment.lock(["alpha"], state) == first


@pytest.mark.usefixtures("wheels")
def test_other_requirements_or_another_python_are_another_lock(state: State) -> None:
    locks = [environment.lock(["alpha"], state), environment.lock(["alpha<2"], state)]
    locks.append(environment.lock(["alpha"], state, python="3.10" if sys.version_info[:2] != (3, 10) else "3.11"))
    assert len({lock.path for lock in locks}) == 3


@pytest.mark.usefixtures("wheels")
@pytest.mark.parametrize(
    ("requirements", "parts"),
    [
        (["alpha==3.0"], ["alpha==3.0", "no version"]),
        (["beta", "alpha<2"], ["beta", "alpha>=2"]),
        (["gamma"], ["gamma"]),
    ],
)
def test_what_cannot_be_satisfied_is_explained_in_one_paragraph(
    state: State, requirements: list[str], parts: list[str]
) -> None:
    with pytest.raises(EnvironmentFailure) as caught:
        environment.lock(requirements, state)
    message = str(caught.value)
    assert "\n" not in message
    assert "hint" not in message
    assert [part for part in parts if part not in message] == [], message


@pytest.mark.usefixtures("wheels")
def test_a_failure_is_not_remembered(state: State, wheels: Path) -> None:
    aside = wheels / "alpha-2.0-py3-none-any.whl"
    aside.rename(wheels / "aside")
    with pytest.raises(EnvironmentFailure):
        environment.lock(["alpha==2.0"], state)
    (wheels / "aside").rename(aside)
    assert "alpha==2.0" in environment.lock(["alpha==2.0"], state).path.read_text()


@pytest.mark.usefixtures("wheels")
def test_a_sync_installs_exactly_the_lock_and_the_next_one_does_nothing(
    state: State, venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert environment.sync(venv, environment.lock(["beta"], state))
    assert _installed(venv) == {"alpha-2.0", "beta-1.0"}
    older = environment.lock(["alpha<2"], state)
    assert environment.sync(venv, older)
    assert _installed(venv) == {"alpha-1.0"}
    _without_uv(monkeypatch)
    assert not environment.sync(venv, older)


@pytest.mark.usefixtures("wheels")
def test_a_sync_that_was_killed_half_way_is_done_again(state: State, venv: Path) -> None:
    lock = environment.lock(["beta"], state)
    environment.sync(venv, lock)
    (stamp,) = (path for path in venv.iterdir() if path.is_file() and path.read_text() == lock.digest)
    stamp.unlink()
    for path in venv.glob("lib/python*/site-packages/beta*/*"):
        path.unlink()
    (site,) = venv.glob("lib/python*/site-packages")
    for folder in site.glob("beta*"):
        folder.rmdir()
    assert environment.sync(venv, lock)
    assert _installed(venv) == {"alpha-2.0", "beta-1.0"}


@pytest.mark.usefixtures("wheels")
def test_a_package_that_a_killed_sync_has_left_in_half_is_made_whole(state: State, venv: Path) -> None:
    lock = environment.lock(["beta"], state)
    environment.sync(venv, lock)
    (stamp,) = (path for path in venv.iterdir() if path.is_file() and path.read_text() == lock.digest)
    stamp.unlink()
    # uv links a package's files in any order: its metadata may be there before its modules
    (module,) = venv.glob("lib/python*/site-packages/beta/__init__.py")
    module.unlink()
    assert environment.sync(venv, lock)
    assert module.is_file()
    assert subprocess.run([environment.interpreter(venv), "-c", "import alpha, beta"], check=False).returncode == 0


@pytest.mark.usefixtures("wheels")
def test_a_sync_that_fails_says_why_and_does_not_look_finished(state: State, venv: Path) -> None:
    environment.sync(venv, environment.lock(["alpha"], state))
    path = state.locks / "forged.txt"
    path.write_text(f"alpha==1.0 --hash=sha256:{'0' * 64}\n")
    forged = Lock(path=path, digest="forged")
    for _ in range(2):
        with pytest.raises(EnvironmentFailure, match=r"[Hh]ash mismatch for `alpha==1\.0`"):
            environment.sync(venv, forged)


@pytest.mark.usefixtures("wheels")
def test_a_package_is_unpacked_without_its_dependencies(tmp_path: Path) -> None:
    environment.fetch_package("beta==1.0", tmp_path / "unpacked")
    assert (tmp_path / "unpacked" / "beta" / "__init__.py").is_file()
    assert not (tmp_path / "unpacked" / "alpha").exists()


def test_a_missing_uv_is_named_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "uv", None)
    with pytest.raises(EnvironmentFailure, match=r'uv is not installed\n.*pip install "nox\[uv\]"'):
        environment.uv_path()


def test_the_backend_stands_on_the_first_line_of_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock.txt"
    path.write_text("# torch-backend: cpu\ntorch==2.13.0\n")
    assert Lock(path=path, digest="x").backend == "cpu"


UNSATISFIABLE = """  × No solution found when resolving dependencies:
  ╰─▶ Because a==1 was not found
      and you require a==1,
      we can conclude that …

      hint: `a` was found on an index"""


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        (
            UNSATISFIABLE,
            "Because a==1 was not found and you require a==1, we can conclude that …",
        ),
        ("error: Failed to fetch: `x`\n  Caused by: timeout\n", "Failed to fetch: `x` Caused by: timeout"),
        ("", "uv failed without a message"),
    ],
)
def test_uvs_words_become_one_paragraph(stderr: str, reason: str) -> None:
    assert environment.reason(stderr) == reason
