"""Whose code is looked at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from matrix.explain.anatomy import Anatomy, ModuleFacts
from matrix.explain.cause import Cause
from matrix.explain.code import Suspect
from matrix.explain.swap import Part
from tests.matrix.builders import tensor
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


@pytest.mark.parametrize(
    ("good", "bad", "kind"),
    [
        (["head.weight"], ["head.weight"], "parameters"),
        (["embed.weight", "head.weight"], ["head.weight"], "tied"),
        (["head.weight"], ["embed.weight", "head.weight"], "tied"),
        (["head.weight"], [], None),
    ],
)
def test_what_decides_a_parameter(tmp_path: Path, good: list[str], bad: list[str], kind: str | None) -> None:
    sides = []
    for side, names in (("good", good), ("bad", bad)):
        tied = {"alias": "embed.weight"} if len(names) > 1 else {}
        parameters = [tensor(name, **(tied if name == "head.weight" else {})) for name in names]
        sides.append(write_anatomy(tmp_path / side, parameters=parameters))
    cause = Cause(
        kind="state",
        parts=(Part(kind="tensor", name="head.weight"),),
        share=1.0,
        left=0.0,
        sufficient=True,
        necessary=True,
        injected=1.0,
        control=None,
        forwards=1,
        trials=(),
        sentence="",
    )
    assert Suspect(good=sides[0], bad=sides[1], name="", cause=cause).state == kind
