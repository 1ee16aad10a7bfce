"""The tool against the truth: the whole corpus, on real releases."""

from __future__ import annotations

import re

import pytest

from matrix.state import ROOT
from tests.integration.project import Project

pytestmark = [pytest.mark.integration]


_SHARE = re.compile(r"\d+ of \d+ \([\d.]+ %\)")


def test_everything_known_is_found_and_nothing_else_and_the_readme_says_so(clone: Project) -> None:
    call = clone.nox("-s", "corpus")
    assert call.code == 0, call.text
    score = {line.split("  ")[0]: _SHARE.findall(line) for line in call.text.splitlines() if _SHARE.search(line)}
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    told = {line.split("|")[1].strip(): _SHARE.findall(line) for line in lines if _SHARE.search(line)}
    # where bits move is decided by the CPU
    assert {name: found for name, found in score.items() if name in told and "noise" not in name} == {
        name: found for name, found in told.items() if "noise" not in name
    }
