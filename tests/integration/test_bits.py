"""Digests of large tensors, in a real cell: the environments of the tests have no torch."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.integration.project import Project, tiny

pytestmark = [pytest.mark.integration]
SCRIPT = Path(__file__).with_name("bits_in_cell.py")


def test_digests_block_by_block_are_those_of_the_whole_and_storing_copies_no_more_than_it_must(clone: Project) -> None:
    clone.matrix("--spec", str(clone.spec("bits", ["4.57.6", "5.2.0"], {"llama-tiny": tiny("llama-tiny")})))
    python = clone.folder / ".nox" / "cell-transformers-4-57-6_torch-2-13-0" / "bin" / "python"
    command = [python, "-I", SCRIPT, clone.folder / "probes"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
