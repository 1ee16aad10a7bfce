"""The hooks of a trace, in a real cell: the environments of the tests have no torch."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.integration.project import Project, tiny

pytestmark = [pytest.mark.integration]
SCRIPT = Path(__file__).with_name("trace_in_cell.py")


def test_hooks_see_every_call_and_change_nothing(clone: Project) -> None:
    clone.matrix("--spec", str(clone.spec("trace", ["4.57.6", "5.2.0"], {"llama-tiny": tiny("llama-tiny")})))
    python = clone.folder / ".nox" / "cell-transformers-4-57-6_torch-2-13-0" / "bin" / "python"
    done = subprocess.run([python, "-I", SCRIPT, clone.folder / "probes"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
