"""Which code is looked at, and whose it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from matrix.cell import Cell
from matrix.explain.anatomy import Anatomy, ModuleFacts
from matrix.explain.cause import Cause
from matrix.explain.raised import Frame, Raised
from matrix.explain.sources import code
from matrix.explain.sources.code import Suspect
from matrix.explain.swap import Part
from tests.matrix.builders import tensor
from tests.matrix.explain.traces import write_anatomy
from tests.reports.explained import CAUSE, ROPE

MODULES = [("", "Model"), ("model.rotary_emb", "Rotary")]


def suspect(folder: Path, name: str = "model.rotary_emb", **facts: object) -> Suspect:
    good = write_anatomy(folder / "good", modules=MODULES)
    return Suspect(good=good, bad=write_anatomy(folder / "bad", modules=MODULES, **facts), name=name, cause=CAUSE)


def test_the_suspects_class_is_found_on_both_sides(tmp_path: Path) -> None:
    found = suspect(tmp_path)
    assert [module.class_name for module in found.modules] == ["Rotary", "Rotary"]
    assert found.part == ROPE


def test_a_module_that_one_side_lacks_is_the_model_itself(tmp_path: Path) -> None:
    assert suspect(tmp_path, "model.gone").modules[0].class_name == "Model"


def test_what_decides_a_buffer(tmp_path: Path) -> None:
    assert suspect(tmp_path, buffers=[tensor(ROPE, persistent=False)]).state == "buffers"


def sites(folder: Path, *texts: str) -> tuple[Path, Path]:
    made = []
    for name, text in zip("ab", texts, strict=True):
        file = folder / name / "transformers" / "x.py"
        file.parent.mkdir(parents=True)
        file.write_text(text, encoding="utf-8")
        made.append(folder / name)
    return made[0], made[1]


GOOD = "class A:\n    def load(self):\n        return 1\n"
BAD = "class A:\n    def load(self):\n        raise ValueError\n"
FRAME = Frame(file="transformers/x.py", line=3, function="load")


def test_the_function_that_raises_is_compared(tmp_path: Path) -> None:
    error = Raised(side="bad", stage="load", message="ValueError", frame=FRAME)
    (piece,) = code.of_failure(error, sites(tmp_path, GOOD, BAD))
    assert (piece.title, piece.path) == ("A.load", "src/transformers/x.py")
    assert "-        return 1" in piece.diff
    assert "+        raise ValueError" in piece.diff


@pytest.mark.parametrize("frame", [None, Frame(file="/home/me/x.py", line=1, function="f")])
def test_an_error_outside_of_the_releases_shows_no_code(tmp_path: Path, frame: Frame | None) -> None:
    error = Raised(side="bad", stage="load", message="ValueError", frame=frame)
    assert code.of_failure(error, sites(tmp_path, GOOD, BAD)) == ()


def test_an_environment_is_found_where_nox_builds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / ".nox" / "cell-transformers-5-2-0_torch-2-13-0-cpu" / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    monkeypatch.setattr(code, "ROOT", tmp_path)
    assert code.site(Cell(axes={"transformers": "5.2.0", "torch": "2.13.0+cpu"})) == site
    assert code.site(Cell(axes={"transformers": "5.2.1"})) is None
    assert code.interpreter(Cell(axes={"transformers": "5.2.1"})) is None


LINEAR = "torch/nn/modules/linear.py"
LAYERS = {
    "": ("TinyForCausalLM", "transformers/tiny.py"),
    "model": ("TinyModel", "transformers/tiny.py"),
    "model.layers": ("ModuleList", "torch/nn/modules/container.py"),
    "model.layers.0": ("Linear", LINEAR),
}


def _side(folder: Path, torch: str) -> Anatomy:
    found = write_anatomy(folder)
    facts = tuple(
        ModuleFacts(name=name, class_name=kind, python_module="m", file=file, line=1, scalars={})
        for name, (kind, file) in LAYERS.items()
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
