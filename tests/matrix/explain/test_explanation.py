from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.errors import CaptureError
from matrix.explain import explanation as explanations
from matrix.explain.raised import Raised
from tests.reports.explained import CAUSE, explanation


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    found = explanation(cause=replace(CAUSE, parts=()))
    explanations.write(found, tmp_path)
    assert explanations.read(tmp_path) == found
    content = json.loads((tmp_path / "explain.json").read_text(), parse_constant=pytest.fail)
    assert (content["schema"], content["raised"]) == (1, None)
    assert content["place"]["by_position"] == [0.0, 0.46, "inf"]


def test_a_newer_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "explain.json").write_text('{"schema": 2}')
    with pytest.raises(CaptureError, match="newer"):
        explanations.read(tmp_path)


def test_only_a_cause_proven_both_ways_or_a_shown_error_is_proven() -> None:
    assert explanation().proven
    assert not explanation(cause=replace(CAUSE, necessary=False)).proven
    assert not explanation(cause=None).proven
    error = Raised(side="bad", stage="load", message="no", frame=None)
    assert explanation(cause=None, raised=error).proven
    assert not explanation(cause=None, raised=error, reproducer=None).proven
    assert explanation(cause=None, stage="tokens", shown=None).proven
