"""Whose code is looked at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from matrix.explain.anatomy import Anatomy, ModuleFacts
from matrix.explain.code import Suspect
from tests.matrix.explain.traces import write_anatomy

LINEAR = "torch/nn/modules/linear.py"
MODULES = {
    "": ("TinyForCausalLM", "transformers/tiny.py"),
    "model": ("TinyModel", "transformers/tiny.py"),
    "model.layers": ("ModuleList", "torch/nn/modules/container.py"),
    "model.layers.0": ("Linear", LINEAR),
}


def _side(folder: Path, torch: str) -> Anatomy:
    found = write_anatomy(folder)
    facts = tuple(
        ModuleFacts(name=name, class_name=kind, python_module="m", file=file, line=1, scalars={})
        for name, (kind, file) in MODULES.items()
    )
    environment = {**found.capture.environment, "versions": {"torch": torch}}
    return replace(found, modules=facts, capture=replace(found.capture, environment=environment))


@pytest.mark.parametrize(("torch", "name"), [("2.13.0", "TinyModel"), ("2.6.0", "Linear")])
def test_a_module_of_torchs_is_its_callers_affair_unless_torch_moved(tmp_path: Path, torch: str, name: str) -> None:
    good, bad = _side(tmp_path / "good", "2.13.0"), _side(tmp_path / "bad", torch)
    suspect = Suspect(good=good, bad=bad, name="model.layers.0", cause=None)
    assert [facts.class_name for facts in suspect.modules] == [name, name]
