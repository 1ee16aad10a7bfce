"""What counts as a difference of two tokenizers, in which order, and what is only a note."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from matrix.tokenizer_difference import TokenizerDifference, changed_directly, compare
from tests.matrix.tokenizing import VOCABULARY, facts, item, of_text, tokenized

PLAIN, OTHER = of_text("plain", [0, 1]), of_text("plain", [0, 2])


@pytest.fixture
def compared(tmp_path: Path) -> Any:  # noqa: ANN401 - a function
    def of(one: dict[str, Any], two: dict[str, Any], vocabulary: dict[str, int] = VOCABULARY) -> TokenizerDifference:
        return compare(tokenized(tmp_path / "a", one), tokenized(tmp_path / "b", two, vocabulary))

    return of


def test_the_same_answers_are_no_difference(compared: Any) -> None:  # noqa: ANN401
    found = compared(facts(PLAIN), facts(PLAIN))
    assert (found.changes, found.notes) == ((), ())
    assert found.asked["ids"] == 1


def test_differences_come_in_causal_order_whatever_order_they_were_asked_in(compared: Any) -> None:  # noqa: ANN401
    first, second = of_text("first", [0, 1]), of_text("second", [5], decode="x")
    moved = of_text("first", [0, 1], decode="moved"), of_text("second", [6], decode="x")
    found = compared(facts([*first, *second]), facts([*moved[0], *moved[1]]))
    assert [change.baseline.place for change in found.changes] == [
        'ids of "second"',
        'ids with special tokens of "second"',
        'decode of "first"',
    ]
    assert found.by_kind == {"ids": 1, "ids with special tokens": 1, "decode": 1}


def test_the_first_position_that_differs(compared: Any) -> None:  # noqa: ANN401
    found = compared(facts(PLAIN), facts(OTHER))
    assert [change.position for change in found.changes[:2]] == [1, 2]
    (longer,) = compared(facts([item("ids", "x", [1, 2])]), facts([item("ids", "x", [1, 2, 3])])).changes
    assert longer.position == 2


def test_another_vocabulary_comes_first_and_its_tokens_are_named(compared: Any) -> None:  # noqa: ANN401
    other = {"a": 0, "b": 2, "d": 3}
    found = compared(facts(PLAIN), facts(OTHER, vocabulary=other), other)
    assert found.changes[0].baseline.place == "vocabulary"
    assert found.tokens == ((("b", 1), ("c", 2)), (("b", 2), ("d", 3)))


@pytest.mark.parametrize(
    ("one", "two", "differ"),
    [
        ({"error": "ValueError: a"}, {"error": "KeyError: b"}, False),
        ({"error": "ValueError: a"}, {"value": [1]}, True),
        ({"value": [1]}, {"error": "ValueError: a"}, True),
    ],
)
def test_what_both_sides_refuse_is_the_same_in_whatever_words(
    compared: Any,  # noqa: ANN401
    one: dict[str, Any],
    two: dict[str, Any],
    *,
    differ: bool,
) -> None:
    head = {"kind": "chat ids", "name": "user", "text": ""}
    assert bool(compared(facts([{**head, **one}]), facts([{**head, **two}])).changes) is differ


def test_offsets_that_one_side_lacks_are_a_note_and_other_offsets_a_difference(compared: Any) -> None:  # noqa: ANN401
    slow = [one if one["kind"] != "offsets" else item("offsets", "plain") for one in PLAIN]
    found = compared(facts(PLAIN), facts(slow))
    assert (found.changes, found.notes) == ((), ("only the baseline's tokenizer makes offsets",))
    moved = [one if one["kind"] != "offsets" else item("offsets", "plain", [[0, 2], [2, 3]]) for one in PLAIN]
    assert [change.baseline.place for change in compared(facts(PLAIN), facts(moved)).changes] == ['offsets of "plain"']


@pytest.mark.parametrize(("types", "differ"), [([0, 0], False), ([0, 1], True)])
def test_a_list_of_zeros_that_one_side_lacks_is_a_note(compared: Any, types: list[int], *, differ: bool) -> None:  # noqa: ANN401
    one = facts([item("token types", "plain", types), item("pairs", "p", {"input_ids": [1], "token_type_ids": types})])
    two = facts([item("token types", "plain"), item("pairs", "p", {"input_ids": [1]})])
    for found in (compared(one, two), compared(two, one)):
        assert [change.kind for change in found.changes] == (["token types", "pairs"] if differ else [])
        assert len(found.notes) == 1


def test_items_that_only_one_side_was_asked_are_left_to_the_special_tokens(compared: Any) -> None:  # noqa: ANN401
    found = compared(facts([*PLAIN, *of_text("<s> glued", [1])]), facts([*PLAIN, *of_text("<t> glued", [2])]))
    assert found.changes == ()
    assert found.asked["ids"] == 1


def test_bookkeeping_is_noted(compared: Any) -> None:  # noqa: ANN401
    one = facts(PLAIN, added=[{"id": 0, "content": "<s>", "lstrip": False}], backend={"decoder": "1", "merges": "2"})
    two = facts(
        PLAIN,
        settings={"class": "TinyTokenizer", "model_max_length": 8},
        added=[{"id": 0, "content": "<s>", "lstrip": True}],
        backend={"decoder": "3", "merges": "2"},
    )
    found = compared(one, two)
    assert found.changes == ()
    assert found.notes == (
        "the tokenizer's class is 'TinyTokenizer', the baseline's 'TinyTokenizerFast'",
        "the tokenizer's model_max_length is 8, the baseline's 64",
        "flags of added tokens differ: <s>",
        "the Rust tokenizer is built in another way: decoder",
    )


def test_what_the_package_alone_gives_is_compared_by_string(tmp_path: Path) -> None:
    direct = ({"plain": {"value": [1]}, "x": {"value": [2]}}, {"plain": {"value": [1]}, "x": {"value": [3]}})
    one, two = (tokenized(tmp_path / str(n), facts(direct=found)) for n, found in enumerate(direct))
    assert changed_directly(one, two) == ["x"]
    assert compare(one, two).notes == ("tokenizer.json gives other ids without transformers too: x",)
