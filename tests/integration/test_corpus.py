"""The tool against the truth: the whole corpus, on real releases."""

from __future__ import annotations

import pytest

from tests.integration.project import Project

pytestmark = [pytest.mark.integration]


def test_everything_known_is_found_and_nothing_else(clone: Project) -> None:
    call = clone.nox("-s", "corpus")
    assert call.code == 0, call.text
