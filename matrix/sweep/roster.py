"""Rosters: which architectures each release knows, as probes/roster.py lists them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from matrix import capture


@dataclass(frozen=True, kw_only=True)
class Roster:
    """What one release knows.

    Attributes:
        architectures: Auto class → model type → names of classes, in the release's own order.
    """

    architectures: Mapping[str, Mapping[str, tuple[str, ...]]]

    def types(self, auto_class: str) -> tuple[str, ...]:
        """The model types that an Auto class can make."""
        return tuple(self.architectures.get(auto_class, ()))


def read(folder: Path) -> Roster | None:
    """Read one roster; None when there is no complete one.

    Raises:
        CaptureError: When it is torn, or written by a newer version.
    """
    facts = capture.facts(folder)
    if facts is None:
        return None
    listed = facts["architectures"]
    return Roster(
        architectures={
            auto_class: {name: tuple(classes) for name, classes in types.items()}
            for auto_class, types in listed.items()
        }
    )


def all_types(rosters: Iterable[Roster], auto_classes: Iterable[str]) -> tuple[str, ...]:
    """Every model type that any release knows, each once: the first release's order, then what the next ones add.

    Args:
        rosters: Oldest release first.
        auto_classes: The classes that count, in their order.
    """
    wanted = tuple(auto_classes)
    return tuple(dict.fromkeys(name for roster in rosters for auto in wanted for name in roster.types(auto)))
