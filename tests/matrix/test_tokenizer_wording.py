"""A difference of two tokenizers is one sentence in which every string can be read and does no harm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from matrix import tokenizer_wording
from matrix.tokenizer_difference import TokenizerDifference, compare
from tests.matrix.tokenizing import VOCABULARY, facts, item, of_text, tokenized


def _compared(
    folder: Path, one: dict[str, Any], two: dict[str, Any], vocabulary: dict[str, int] = VOCABULARY
) -> TokenizerDifference:
    return compare(tokenized(folder / "a", one), tokenized(folder / "b", two, vocabulary))


def test_the_first_difference_and_how_much_else_differs(tmp_path: Path) -> None:
    one = facts(of_text("leading-space", [4, 5, 6, 7], text=" Hi"))
    two = facts(of_text("leading-space", [4, 5, 9], text=" Hi"))
    said = tokenizer_wording.drift(_compared(tmp_path, one, two))
    first = (
        "ids of \"leading-space\" ('\\x20Hi'): [4, 5, 9], the baseline's [4, 5, 6, 7] from place 2 on; what differs: "
    )
    assert said == first + ", ".join(
        f"{kind} (1 of 1)" for kind in ("ids", "ids with special tokens", "offsets", "token types")
    )


def test_a_long_list_is_shown_around_the_first_place_that_differs(tmp_path: Path) -> None:
    ids = list(range(50))
    found = _compared(tmp_path, facts([item("ids", "x", ids)]), facts([item("ids", "x", [*ids[:20], 99, *ids[21:]])]))
    assert tokenizer_wording.sides(found.changes[0]) == (
        "[…, 18, 19, 20, 21, 22, 23, 24, 25, …]",
        "[…, 18, 19, 99, 21, 22, 23, 24, 25, …]",
    )


def test_an_error_on_one_side_is_shown_as_it_is(tmp_path: Path) -> None:
    error = item("chat template", "user", error="ValueError: no template")
    found = _compared(tmp_path, facts([error]), facts([item("chat template", "user", "<s>Hi")]))
    assert tokenizer_wording.sides(found.changes[0]) == ("ValueError: no template", "'<s>Hi'")


def test_tokens_that_a_vocabulary_lost_and_won_are_named(tmp_path: Path) -> None:
    other = {"a": 0, "b": 1, "\u202ed": 3}
    found = _compared(tmp_path, facts(), facts(vocabulary=other), other)
    assert "1 only in the baseline ('c': 2) and 1 only here ('\\u202ed': 3)" in tokenizer_wording.drift(found)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a b", "'a b'"),
        (" a", "'\\x20a'"),
        ("a  b ", "'a\\x20\\x20b\\x20'"),
        ("a\u202eb\x00\n", "'a\\u202eb\\x00\\n'"),
        ("x" * 60, f"'{'x' * 48}' …"),
    ],
)
def test_strings_are_written_so_that_nothing_hides(text: str, written: str) -> None:
    assert tokenizer_wording.shown(text) == written
