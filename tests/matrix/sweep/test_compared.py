"""Paths of a sweep as they can be given to our own commands, which run in the project's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix.state import ROOT
from matrix.sweep.compared import shown


@pytest.mark.parametrize(
    ("path", "words"),
    [(ROOT / ".matrix" / "spec.toml", ".matrix/spec.toml"), (Path("/elsewhere/spec.toml"), "/elsewhere/spec.toml")],
)
def test_a_path_in_the_project_is_relative_to_it(path: Path, words: str) -> None:
    assert shown(path) == words
