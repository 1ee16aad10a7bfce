"""Strict reading of plain tables (TOML or JSON) into frozen dataclasses, and back.

A dataclass is the whole description of a table: its fields are the keys that are allowed, their annotations the types,
their defaults the defaults. Adding a key to the spec is adding a field.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from matrix.errors import SpecError

T = TypeVar("T")


def read(kind: type[T], table: object, where: str) -> T:
    """Read one table into the dataclass `kind`.

    Args:
        kind: A dataclass whose fields are the allowed keys.
        table: The parsed table.
        where: The table's name in messages, such as `[[case]] number 2`.

    Raises:
        SpecError: For an unknown or missing key, or a value of another type.
    """
    if not isinstance(table, Mapping):
        raise SpecError(f"{where} is not a table", given=repr(table), allowed="a table of keys and values")
    hints = _hints(typing.cast("Any", kind))
    for key in table:
        if key not in hints:
            raise _unknown(str(key), where, hints)
    missing = [name for name in _required(kind) if name not in table]
    if missing:
        raise SpecError(f"{where} lacks the key {missing[0]!r}", given=_keys(table), allowed=_keys(hints))
    return kind(**{name: _value(hints[name], value, f"{where}, key {name!r}") for name, value in table.items()})


def write(value: Any) -> Any:  # noqa: ANN401 - whatever a field holds
    """Turn a dataclass back into the plain table that `read` accepts; keys at their default are left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {field.name: write(item) for field, item in pairs if item != _default(field)}
    if isinstance(value, Mapping):
        return {key: write(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [write(item) for item in value]
    return value


def whole(value: Any) -> Any:  # noqa: ANN401 - whatever a field holds
    """Turn a dataclass into a table of every key, as JSON holds it: a number that JSON lacks becomes its name."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: whole(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): whole(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [whole(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - dataclass types have no common base
    return typing.get_type_hints(kind)


def _default(field: dataclasses.Field[Any]) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _required(kind: Any) -> list[str]:  # noqa: ANN401 - dataclass types have no common base
    return [field.name for field in dataclasses.fields(kind) if _default(field) is dataclasses.MISSING]


def _keys(table: Mapping[str, object]) -> str:
    return ", ".join(sorted(table)) or "no key"


def _unknown(key: str, where: str, hints: Mapping[str, Any]) -> SpecError:
    close = difflib.get_close_matches(key, hints, n=1)
    step = f"did you mean {close[0]!r}?" if close else "remove the key"
    return SpecError(f"{where} has an unknown key", given=repr(key), allowed=_keys(hints), next_step=step)


def _value(hint: Any, value: object, where: str) -> Any:  # noqa: ANN401 - returns what the hint says
    """Check `value` against one annotation and convert lists to tuples and tables to dataclasses."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return _frozen(value)
    if origin is typing.Literal:
        return _choice(arguments, value, where)
    if origin in {typing.Union, types.UnionType}:
        return _union(arguments, value, where)
    if origin is not None:
        return _container(origin, arguments, value, where)
    if dataclasses.is_dataclass(hint):
        return read(typing.cast("type[Any]", hint), value, where)
    # a fraction may be written as a whole number, and JSON has no others than finite ones
    fraction = hint is float and (type(value) is int or value in _NOT_FINITE)
    return _checked(hint, float(typing.cast("float", value)) if fraction else value, where)


def _container(origin: type, arguments: tuple[Any, ...], value: object, where: str) -> object:
    if origin is tuple:
        items = _checked(list, value, where)
        return tuple(_value(arguments[0], item, f"{where}, item {index}") for index, item in enumerate(items))
    pairs = _checked(dict, value, where).items()
    return {str(key): _value(arguments[1], item, f"{where}, key {key!r}") for key, item in pairs}


def _union(options: tuple[Any, ...], value: object, where: str) -> Any:  # noqa: ANN401
    if value is None and types.NoneType in options:
        return None
    kinds = [option for option in options if option is not types.NoneType]
    return _value(kinds[0], value, where)


def _choice(allowed: tuple[Any, ...], value: object, where: str) -> object:
    if value not in allowed:
        raise SpecError(f"{where} has a value that does not exist", given=repr(value), allowed=map(str, allowed))
    return value


def _checked(kind: type[T], value: object, where: str) -> T:
    # bool is an int to Python, never to a reader of a spec
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise SpecError(f"{where} has the wrong type", given=repr(value), allowed=_TYPE_NAMES.get(kind, kind.__name__))
    return value


def _frozen(value: object) -> object:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


_NOT_FINITE = ("nan", "inf", "-inf")

_TYPE_NAMES = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}
