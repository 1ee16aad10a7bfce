"""Checkpoints that a release makes of its own config classes, in a real cell."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.integration.project import Project, tiny

pytestmark = [pytest.mark.integration]
SCRIPT = Path(__file__).with_name("author_in_cell.py")


def test_authored_checkpoints_are_the_same_bytes_again_and_every_tensor_of_them_matters(
    clone: Project, tmp_path: Path
) -> None:
    clone.matrix("--spec", str(clone.spec("author", ["4.57.6", "5.2.0"], {"llama-tiny": tiny("llama-tiny")})))
    python = clone.folder / ".nox" / "cell-transformers-4-57-6_torch-2-13-0" / "bin" / "python"
    command = [python, "-I", SCRIPT, clone.folder / "probes", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
