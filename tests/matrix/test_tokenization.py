"""A capture of a tokenizer becomes frozen values; a place's name says what was asked of which string."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix import tokenization
from matrix.errors import CaptureError
from matrix.tokenization import Item
from tests.matrix.builders import write_failed_capture
from tests.matrix.tokenizing import facts, item, of_text, tokenized, write


def test_lists_become_tuples_and_errors_stay_beside_them(tmp_path: Path) -> None:
    seen = tokenized(tmp_path, facts([*of_text("plain", [1, 2]), item("chat ids", "user", error="ValueError: none")]))
    found = {(one.kind, one.name): one for one in seen.items}
    assert found["ids", "plain"].value == (1, 2)
    assert found["offsets", "plain"].value == ((0, 1), (1, 2))
    assert found["chat ids", "user"] == Item(kind="chat ids", name="user", text="text", error="ValueError: none")


def test_added_tokens_are_told_by_their_ids_and_a_slow_tokenizer_has_no_backend(tmp_path: Path) -> None:
    seen = tokenized(tmp_path, facts(added=[{"id": 5, "content": "<s>", "special": True}]))
    assert seen.added == {5: {"content": "<s>", "special": True}}
    assert (seen.backend, seen.direct) == ({}, {})


@pytest.mark.parametrize(
    ("kind", "name", "place"),
    [
        ("ids", "leading-space", 'ids of "leading-space"'),
        ("special tokens", "bos", "special tokens"),
        ("chat template", "user", "chat template"),
        ("vocabulary", "", "vocabulary"),
    ],
)
def test_a_place_has_a_stable_name(kind: tokenization.Kind, name: str, place: str) -> None:
    assert Item(kind=kind, name=name, text="").place == place


def test_a_tokenizer_that_failed_has_no_tokenization(tmp_path: Path) -> None:
    assert tokenization.read(write_failed_capture(tmp_path)) is None


def test_a_vocabulary_that_is_gone_is_said_in_one_sentence(tmp_path: Path) -> None:
    seen = tokenized(tmp_path, facts())
    assert tokenization.vocabulary(seen) == {("a", 0), ("b", 1), ("c", 2)}
    (write(tmp_path, facts()) / "vocabulary.json").unlink()
    with pytest.raises(CaptureError, match="cannot be read"):
        tokenization.vocabulary(seen)
