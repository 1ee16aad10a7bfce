from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Reproducer:
    text: str
    commands: tuple[str, ...]
    printed: Mapping[str, str]
    reduced: str
    needs_checkpoint: bool = False
