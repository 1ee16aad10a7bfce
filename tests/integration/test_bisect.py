"""The first bad release on real releases around 5.0, and what a second call does."""

from __future__ import annotations

import json

import pytest

from tests.integration.project import Project

pytestmark = [pytest.mark.integration]

ENDS = ["remote-code-rope", "--good", "4.57.4", "--bad", "5.2.0", "--attention", "eager"]


def test_the_lost_buffer_is_bad_since_5_0_0_and_a_second_call_takes_nothing_again(clone: Project) -> None:
    call = clone.nox("-s", "bisect", "--", *ENDS)
    assert call.code == 0, call.text
    assert "is bad since transformers 5.0.0" in call.text
    assert "Next: nox -s explain -- remote-code-rope --attention eager --good 4.57.6 --bad 5.0.0" in call.text
    answer = clone.folder / "reports" / "out" / "latest" / "bisect.json"
    content = json.loads(answer.read_text(encoding="utf-8"))
    assert (content["status"], content["last_good"], content["first_bad"]) == ("found", "4.57.6", "5.0.0")
    assert content["predicate"]["uninitialised"] is True
    captures = sorted(path.name for path in (clone.folder / ".matrix" / "captures").iterdir())
    again = clone.nox("-s", "bisect", "--", *ENDS)
    assert again.code == 0, again.text
    assert sorted(path.name for path in (clone.folder / ".matrix" / "captures").iterdir()) == captures
