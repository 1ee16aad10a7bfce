"""Calls are aligned by name first, and modules of one side only by what they hold and make."""

from __future__ import annotations

from pathlib import Path

from matrix.explain.forwards.align import Alignment, align
from tests.matrix.builders import tensor
from tests.matrix.explain.traces import Forward, write_anatomy


def names(found: Alignment) -> list[tuple[str, str]]:
    return [(a.module, b.module) for a, b in found.pairs]


def forward(*modules: str, start: int = 0) -> Forward:
    """Modules that each make something of their own, inside the model."""
    made = Forward()
    top = made.call("", None, {}, {"0": [0.0]})
    for number, module in enumerate(modules):
        made.call(module, top, {}, {"0": [1.0 + number + start]})
    return made


def test_the_same_names_belong_together_and_a_call_too_many_stays_alone(tmp_path: Path) -> None:
    good, bad = forward("a", "b"), forward("b", "a")
    bad.call("a", 0, nth=1)
    found = align(good.write(tmp_path / "good"), bad.write(tmp_path / "bad"))
    assert names(found) == [("", ""), ("a", "a"), ("b", "b")]
    assert found.good_alone == ()
    assert [call.id for call in found.bad_alone] == [("a", 1, None)]


def test_pieces_are_counted_within_their_call(tmp_path: Path) -> None:
    made = Forward()
    for nth in range(2):
        made.piece("query", made.call("shared", None, nth=nth), [float(nth)])
    found = align(made.write(tmp_path / "good"), made.write(tmp_path / "bad"))
    assert [(a.index, b.index) for a, b in found.pairs] == [(0, 0), (1, 1), (2, 2), (3, 3)]


def test_a_renamed_module_is_known_by_its_outputs(tmp_path: Path) -> None:
    good, bad = forward("a", "old").write(tmp_path / "good"), forward("a", "new").write(tmp_path / "bad")
    found = align(good, bad)
    assert names(found) == [("", ""), ("a", "a"), ("old", "new")]
    assert [(entry.good, entry.bad, entry.how) for entry in found.renamed] == [("old", "new", "output")]


def test_a_renamed_module_is_known_by_its_parameters_also_when_it_makes_something_else(tmp_path: Path) -> None:
    sides = forward("wrap", "wrap.fc").write(tmp_path / "good"), forward("x", "x.y", start=9).write(tmp_path / "bad")
    kinds = [("wrap", "Block"), ("wrap.fc", "Linear")], [("x", "Block"), ("x.y", "Linear")]
    anatomies = (
        write_anatomy(tmp_path / "a", modules=kinds[0], parameters=[tensor("wrap.fc.weight", [1, 2])]),
        write_anatomy(tmp_path / "b", modules=kinds[1], parameters=[tensor("x.y.w", [1, 2])]),
    )
    found = align(*sides, anatomies)
    # both hold the same parameters: the class says which is the wrapper
    assert {(entry.good, entry.bad, entry.how) for entry in found.renamed} == {
        ("wrap", "x", "parameters"),
        ("wrap.fc", "x.y", "parameters"),
    }


def test_what_holds_nothing_and_makes_something_else_is_known_by_its_place(tmp_path: Path) -> None:
    good = forward("mlp", "mlp.act").write(tmp_path / "good")
    bad = forward("mlp", "mlp.activation", start=9).write(tmp_path / "bad")
    for kind, expected in (("GELU", [("mlp.act", "mlp.activation", "place")]), ("SiLU", [])):
        a = write_anatomy(tmp_path / f"a-{kind}", modules=[("mlp", "MLP"), ("mlp.act", "GELU")], parameters=[])
        b = write_anatomy(tmp_path / f"b-{kind}", modules=[("mlp", "MLP"), ("mlp.activation", kind)], parameters=[])
        assert [(entry.good, entry.bad, entry.how) for entry in align(good, bad, (a, b)).renamed] == expected


def test_what_has_nothing_in_common_stays_alone(tmp_path: Path) -> None:
    found = align(forward("old").write(tmp_path / "good"), forward("new", start=9).write(tmp_path / "bad"))
    assert names(found) == [("", "")]
    assert [call.module for call in (*found.good_alone, *found.bad_alone)] == ["old", "new"]
