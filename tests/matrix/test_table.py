"""A dataclass is the whole description of a table: what it does not allow is refused with the way out named."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from matrix import table
from matrix.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class Inner:
    depth: int = 0


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    number: int = 1
    share: float = 0.5
    flag: bool = False
    colour: Literal["red", "green"] = "red"
    maybe: str | None = None
    rows: tuple[tuple[int, ...], ...] = ()
    inner: Inner = field(default_factory=Inner)
    by_name: Mapping[str, Inner] = field(default_factory=dict)
    anything: Any = None


FULL = {
    "name": "x",
    "number": 3,
    "share": 0.25,
    "flag": True,
    "colour": "green",
    "maybe": "y",
    "rows": [[1, 2], [3]],
    "inner": {"depth": 4},
    "by_name": {"a": {"depth": 5}},
    "anything": [1, [2, 3]],
}


def _refusal(**values: object) -> str:
    with pytest.raises(SpecError) as caught:
        table.read(Outer, {"name": "x", **values}, "the thing")
    return str(caught.value)


def test_a_full_table_becomes_frozen_values_and_comes_back_as_it_was() -> None:
    read = table.read(Outer, FULL, "the thing")
    assert (read.rows, read.inner, read.by_name) == (((1, 2), (3,)), Inner(depth=4), {"a": Inner(depth=5)})
    assert read.anything == (1, (2, 3))
    assert table.write(read) == FULL


def test_keys_at_their_default_are_left_out_when_written() -> None:
    assert table.write(table.read(Outer, {"name": "x", "number": 1}, "the thing")) == {"name": "x"}


def test_a_whole_number_is_a_fraction_too() -> None:
    share = table.read(Outer, {"name": "x", "share": 1}, "the thing").share
    assert (share, type(share)) == (1.0, float)


def test_null_is_allowed_where_a_value_may_be_absent() -> None:
    assert table.read(Outer, {"name": "x", "maybe": None}, "the thing").maybe is None


@pytest.mark.parametrize(
    ("values", "allowed"),
    [
        ({"number": "3"}, "a whole number"),
        ({"number": 3.0}, "a whole number"),
        ({"number": True}, "a whole number"),
        ({"share": True}, "a number"),
        ({"share": "0.5"}, "a number"),
        ({"flag": 1}, "true or false"),
        ({"name": 1}, "a string"),
        ({"maybe": 1}, "a string"),
        ({"rows": 1}, "a list"),
        ({"by_name": []}, "a table"),
    ],
)
def test_a_value_of_another_type_is_refused_with_the_type_that_is_allowed(
    values: dict[str, object], allowed: str
) -> None:
    message = _refusal(**values)
    assert f"key {next(iter(values))!r} has the wrong type" in message
    assert f"given:   {next(iter(values.values()))!r}" in message
    assert f"allowed: {allowed}" in message


def test_a_wrong_item_is_named_by_its_place() -> None:
    assert "the thing, key 'rows', item 1, item 0 has the wrong type" in _refusal(rows=[[1], ["2"]])
    assert "the thing, key 'by_name', key 'a', key 'depth' has the wrong type" in _refusal(by_name={"a": {"depth": ""}})


def test_an_unknown_key_is_refused_with_a_suggestion() -> None:
    message = _refusal(nmuber=3)
    assert "the thing has an unknown key" in message
    assert "did you mean 'number'?" in message


def test_an_unknown_key_that_resembles_none_lists_the_allowed_ones() -> None:
    message = _refusal(zzz=3)
    assert "remove the key" in message
    assert all(name.name in message for name in dataclasses.fields(Outer))


def test_a_value_that_is_no_choice_lists_the_choices() -> None:
    message = _refusal(colour="blue")
    assert "'blue'" in message
    assert "allowed: red, green" in message


def test_a_missing_key_is_named() -> None:
    with pytest.raises(SpecError, match="the thing lacks the key 'name'"):
        table.read(Outer, {}, "the thing")


def test_something_that_is_no_table_is_refused() -> None:
    with pytest.raises(SpecError, match="the thing is not a table"):
        table.read(Outer, [], "the thing")
    assert "key 'inner' is not a table" in _refusal(inner=3)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Numbers:
    share: float
    rows: tuple[float, ...] = ()
    maybe: float | None = None


@pytest.mark.parametrize("share", [0.1, float("inf"), float("-inf")])
def test_a_whole_table_is_json_with_every_key_and_reads_back(share: float) -> None:
    value = Numbers(share=share, rows=(1.5, share))
    text = json.dumps(table.whole(value), allow_nan=False)
    assert set(json.loads(text)) == {"share", "rows", "maybe"}
    assert table.read(Numbers, json.loads(text), "the numbers") == value


def test_not_a_number_reads_back_as_such() -> None:
    read = table.read(Numbers, json.loads(json.dumps(table.whole(Numbers(share=math.nan)))), "the numbers")
    assert math.isnan(read.share)
