"""Whose it is that two tokenizers do not agree, by what the tokenizers package gives alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix.explain.tokens import owner_of, parts
from tests.matrix.tokenizing import facts, tokenized

SAME, OTHER = {"plain": {"value": [1]}}, {"plain": {"value": [2]}}
BUILT = {"normalizer": "null", "decoder": '{"type": "Fuse"}', "merges": "1"}
REBUILT = {**BUILT, "normalizer": '{"type": "NFC"}'}


def _pair(folder: Path, one: dict[str, Any], two: dict[str, Any], versions: tuple[str, str] = ("0.21", "0.22")) -> Any:  # noqa: ANN401
    found = []
    for name, content, version in zip("ab", (one, two), versions, strict=True):
        environment = {"versions": {"tokenizers": version, "transformers": name}}
        taken = tokenized(folder / name, facts(**content))
        found.append(replace(taken, capture=replace(taken.capture, environment=environment)))
    return found


@pytest.mark.parametrize(
    ("one", "two", "versions", "project"),
    [
        ({"direct": SAME}, {"direct": OTHER}, ("0.21", "0.22"), "tokenizers"),
        ({"direct": SAME}, {"direct": SAME}, ("0.21", "0.22"), "transformers"),
        ({"backend": BUILT}, {"backend": REBUILT}, ("0.21", "0.22"), "transformers"),
        ({}, {}, ("0.22", "0.22"), "transformers"),
    ],
)
def test_the_package_is_blamed_only_where_it_gives_other_ids_by_itself(
    tmp_path: Path, one: dict[str, Any], two: dict[str, Any], versions: tuple[str, str], project: str
) -> None:
    assert owner_of(*_pair(tmp_path, one, two, versions)).project == project


def test_where_nothing_tells_them_apart_both_are_named(tmp_path: Path) -> None:
    found = owner_of(*_pair(tmp_path, {}, {}))
    assert (found.project, [also.project for also in found.also]) == ("transformers", ["tokenizers"])


def test_parts_that_are_built_in_another_way_are_shown_on_both_sides(tmp_path: Path) -> None:
    one, two = _pair(tmp_path, {"backend": BUILT, "direct": SAME}, {"backend": REBUILT, "direct": SAME})
    assert list(parts(one, two)) == [
        "the tokenizers package is 0.21 on the good side and 0.22 on the bad one",
        "tokenizer.json, read by the tokenizers package alone on each side, gives the same ids of all 1 strings",
        'the Rust tokenizer\'s normalizer is {"type": "NFC"} instead of null',
    ]
