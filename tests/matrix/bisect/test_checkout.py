"""A source tree judged like a release: what identifies it, and that a clone stays as it is."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from matrix.bisect import checkout
from matrix.bisect.__main__ import main
from matrix.errors import SpecError


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    (folder / "alpha").mkdir(parents=True)
    (folder / "alpha" / "__init__.py").write_text("version = 1\n")
    (folder / ".gitignore").write_text("*.pyc\nbuild/\n")
    _git(tmp_path, "init", "--quiet", str(folder))
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "-m", "one")
    return folder


def _everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_tree_without_changes_is_the_commits(clone: Path) -> None:
    assert checkout._tree(clone) == _git(clone, "rev-parse", "HEAD^{tree}")


def test_what_is_not_committed_counts_and_what_is_ignored_does_not(clone: Path) -> None:
    committed = checkout._tree(clone)
    (clone / "build").mkdir()
    (clone / "build" / "junk").write_text("junk")
    assert checkout._tree(clone) == committed
    (clone / "alpha" / "__init__.py").write_text("version = 2\n")
    changed = checkout._tree(clone)
    (clone / "alpha" / "new.py").write_text("")
    assert len({committed, changed, checkout._tree(clone)}) == 3


def test_the_clone_is_left_as_it_is(clone: Path) -> None:
    (clone / "alpha" / "__init__.py").write_text("version = 2\n")
    before = _everything(clone)
    checkout._tree(clone)
    assert _everything(clone) == before


def test_the_tree_is_the_same_inside_git_bisect_run(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    committed = checkout._tree(clone)
    # git sets these for what it runs
    monkeypatch.setenv("GIT_DIR", str(clone / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", "elsewhere")
    assert checkout._tree(clone / "alpha") == committed


def test_what_is_no_clone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no clone that git can read"):
        checkout._tree(tmp_path)


@pytest.mark.parametrize("arguments", [["--unknown"], ["nobody", "--good", "1.0", "--bad", "2.0"]])
def test_inside_git_bisect_run_no_refusal_may_count_as_bad(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--checkout", "."]) == checkout.EXIT_STOP
    assert main(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err
