"""The corrected float64 forward, in a real cell: the environments of the tests have no torch."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.integration.project import Project, tiny

pytestmark = [pytest.mark.integration]
SCRIPT = Path(__file__).with_name("float64_in_cell.py")


def test_a_corrected_forward_is_float64_throughout_and_says_what_is_not(clone: Project) -> None:
    clone.matrix("--spec", str(clone.spec("float64", ["4.57.6", "5.2.0"], {"llama-tiny": tiny("llama-tiny")})))
    python = clone.folder / ".nox" / "cell-transformers-4-57-6_torch-2-13-0" / "bin" / "python"
    command = [python, "-I", SCRIPT, clone.folder / "probes" / "float64.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
