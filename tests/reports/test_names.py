"""Reports name variants by what varies, and an option's value that says nothing by itself with its option."""

from __future__ import annotations

import pytest

from matrix.case import Variant
from reports.names import Names


@pytest.mark.parametrize(
    ("options", "variant", "name"),
    [
        (("attention",), Variant(attention="eager"), "eager"),
        (("attention", "cache"), Variant(attention="eager", cache="off"), "eager-cache-off"),
        (("attention", "cache"), Variant(attention="eager"), "eager"),
        (("cache",), Variant(cache="on"), "cache-on"),
        (("cache",), Variant(), "float32-default"),
    ],
)
def test_a_variant_is_named_by_what_varies(options: tuple[str, ...], variant: Variant, name: str) -> None:
    assert Names(axes=(), fixed={}, options=options).variant(variant) == name
