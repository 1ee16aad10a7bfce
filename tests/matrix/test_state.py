"""The state folder hides itself from any repository it lies in."""

from __future__ import annotations

from pathlib import Path

from matrix.state import State


def test_a_created_folder_ignores_itself_and_keeps_what_is_there(tmp_path: Path) -> None:
    state = State(folder=tmp_path / "deep" / "state")
    assert state.create() is state
    ignore = state.folder / ".gitignore"
    assert ignore.read_text() == "*\n"
    ignore.write_text("# mine\n")
    state.create()
    assert ignore.read_text() == "# mine\n"


def test_everything_lies_below_the_folder(tmp_path: Path) -> None:
    state = State(folder=tmp_path)
    paths = {state.runs, state.captures, state.checkpoints, state.locks, state.digests}
    assert len(paths) == 5
    assert all(path.parent == tmp_path for path in paths)
