"""Formats: every module in this folder turns a judged run into one text; adding a format is adding a file.

The module's name is the format's. It offers `FILE` (what the report is called on disk) and `render(verdicts) -> str`,
which is deterministic: the same run gives the same bytes.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    # only a type here: importing it imports numpy, and naming the formats must stay cheap
    from matrix.verdicts import Verdicts


class Format(Protocol):
    """What a format's module offers."""

    FILE: str

    def render(self, verdicts: Verdicts) -> str:
        """The whole report in this format."""


def names() -> list[str]:
    """Every format there is, without importing any."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def load(name: str) -> Format:
    """Import one format; its libraries are paid for now."""
    return cast("Format", importlib.import_module(f"{__name__}.{name}"))
