"""What probes/anatomy.py writes is what is read."""

from __future__ import annotations

from pathlib import Path

from matrix.explain import anatomy
from matrix.explain.anatomy import ModuleFacts, Rung
from tests.matrix.builders import write_failed_capture
from tests.matrix.explain.traces import write_anatomy


def test_modules_rungs_and_places_are_read(tmp_path: Path) -> None:
    failed = {"logits": None, "error": "IndexError: too long", "again": True}
    found = write_anatomy(tmp_path, modules=[("", "Tiny"), ("model", "Inner")], rungs={"long": failed})
    expected = ModuleFacts(name="model", class_name="Inner", python_module="m", file="m.py", line=1, scalars={})
    assert found.module("model") == expected
    assert found.module("elsewhere") is None
    assert found.rungs == {"given": Rung(logits="logits/given"), "long": Rung(error="IndexError: too long")}
    assert found.site == Path("/site")


def test_a_probe_that_failed_left_no_anatomy(tmp_path: Path) -> None:
    assert anatomy.read(write_failed_capture(tmp_path)) is None
    assert anatomy.read(tmp_path / "never taken") is None
