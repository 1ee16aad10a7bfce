"""A cell: one environment of the matrix, named after its axis values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

CellStatus = Literal["captured", "env_failed", "probe_failed", "crashed", "timed_out", "skipped", "not_run"]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One environment.

    Attributes:
        axes: Axis name → value, in the order of the spec.
        requirements: What its environment is resolved from, as requirement strings.
        python: The interpreter's version, such as `3.12`; the one that runs nox when None.
        environ: Environment variables of the probe that belong to the cell.
    """

    axes: Mapping[str, str]
    requirements: tuple[str, ...] = ()
    python: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict)

    def __hash__(self) -> int:
        """Cells are keys; their ids are unique within a matrix."""
        return hash(self.id)

    @property
    def id(self) -> str:
        """Such as `transformers-5.2.0_torch-2.13.0`: safe as a folder and as a nox session's parameter."""
        return "_".join(id_part(name, value) for name, value in self.axes.items())

    @property
    def tags(self) -> list[str]:
        """What `nox -t` may select it by: one tag per axis value."""
        return [f"{name}-{value}" for name, value in self.axes.items()]

    @property
    def title(self) -> str:
        """For people: `transformers 5.2.0, torch 2.13.0`."""
        return ", ".join(f"{name} {value}" for name, value in self.axes.items())


def id_part(name: str, value: str) -> str:
    """One axis value's part of a cell's id, without the underscore that joins the parts."""
    return re.sub(r"[^A-Za-z0-9.+-]", "-", f"{name}-{value}")
