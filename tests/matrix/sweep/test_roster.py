"""What a release knows is read from its capture."""

from __future__ import annotations

from pathlib import Path

from matrix.sweep import roster
from tests.matrix.builders import write_failed_capture
from tests.matrix.sweep.project import BASE, CAUSAL, KNOWS, write_facts
from tests.matrix.sweep.project import roster as made


def test_a_roster_keeps_the_releases_order(tmp_path: Path) -> None:
    found = roster.read(write_facts(tmp_path, architectures={CAUSAL: {"b": ["B", "C"], "a": ["A"]}}))
    assert found
    assert found.types(CAUSAL) == ("b", "a")
    assert found.architectures[CAUSAL]["b"] == ("B", "C")
    assert found.types("AutoModelForNothing") == ()


def test_what_failed_or_is_absent_is_no_roster(tmp_path: Path) -> None:
    assert roster.read(tmp_path / "absent") is None
    assert roster.read(write_failed_capture(tmp_path)) is None


def test_types_of_all_releases_stand_once_the_oldest_releases_first() -> None:
    rosters = [made(KNOWS[release]) for release in ("1.0", "2.0")]
    assert roster.all_types(rosters, [CAUSAL, BASE]) == ("old", "both", "new")
    assert roster.all_types(rosters, [BASE]) == ("both",)
