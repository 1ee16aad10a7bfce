"""Which code is looked at, and whose it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix.cell import Cell
from matrix.explain import code
from matrix.explain.code import Suspect
from matrix.explain.raised import Frame, Raised
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


def test_the_kind_of_state_decides_which_loading_code_is_shown(tmp_path: Path) -> None:
    assert suspect(tmp_path / "a", buffers=[tensor(ROPE, persistent=False)]).state == "buffers"
    assert suspect(tmp_path / "b", parameters=[tensor(ROPE)]).state == "parameters"
    assert suspect(tmp_path / "c", parameters=[tensor(ROPE, alias="other")]).state == "tied"


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
