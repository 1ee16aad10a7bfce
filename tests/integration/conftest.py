"""One copy of the project for the whole session: its environments are built once."""

from __future__ import annotations

import pytest

from tests.integration import project
from tests.integration.project import Project


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return project.copy(tmp_path_factory.mktemp("clone") / "project")
