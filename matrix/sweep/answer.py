"""The answer of a sweep, as sweep.json holds it, schema 1: what was built, what was compared, and what was found.

One entry of `architectures` per type and head. `seen` has one entry per cell that is compared with the baseline's: the
worst verdict over every input, kernel and dtype, or `removed` where the release no longer knows the type; it is empty
where nothing was built or no second cell knows the type. `difference` is the first of `differences`, for those who want
one. JSON has no infinities and no NaN: they are the strings
"inf", "-inf" and "nan".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from matrix import table
from matrix.cell import CellStatus
from matrix.errors import EXIT_FOUND, EXIT_OK
from matrix.files import read_json, write_json
from matrix.spec import Stage

SCHEMA = 1
FILE = "sweep.json"

Seen = Literal["identical", "noise", "missing", "unstable", "drift", "error", "removed"]
SEVERITY: tuple[Seen, ...] = ("identical", "noise", "removed", "missing", "unstable", "drift", "error")
"""The worst comes last: an architecture counts once per cell."""

QUIET: frozenset[Seen] = frozenset({"identical", "noise"})


@dataclass(frozen=True, kw_only=True)
class CellSeen:
    """One cell of the sweep.

    Attributes:
        id: Its id.
        axes: Axis → value.
        status: `captured` where it could say which types it knows; otherwise what became of it.
        reason: Why it could not.
        knows: Head → how many types its release knows.
    """

    id: str
    axes: Mapping[str, str]
    status: CellStatus
    reason: str | None
    knows: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What shows a difference: one input, under one kernel and dtype."""

    input: str
    attention: str
    dtype: str


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One change of one architecture: the first cell that shows it, and what is worst of what is new there.

    Attributes:
        cell: The candidate's id.
        case: The case that shows most of what is not as in the cells before.
        attention: The kernel under which it does.
        dtype: And the dtype.
        verdict: What is said of it.
        stage: The earliest stage that differs.
        where: The tensor, config key or position it differs at.
        summary: One sentence.
        max_abs: The largest difference of the outputs; None where none were compared.
        l2_rel: ‖baseline - candidate‖ / ‖baseline‖, nine digits; None likewise.
        shown: Everything that is not quiet there.
        quiet: Everything that was compared there and is.
        axis: The axis along which it starts.
        good: The last good value of that axis; the baseline's where no nearer cell agrees.
        bad: The value of this cell.
        known: Why it was expected; None where it was not.
    """

    cell: str
    case: str
    attention: str
    dtype: str
    verdict: Seen
    stage: Stage | None
    where: str | None
    summary: str
    max_abs: float | None
    l2_rel: float | None
    shown: tuple[Shown, ...]
    quiet: tuple[Shown, ...]
    axis: str
    good: str
    bad: str
    known: str | None = None


@dataclass(frozen=True, kw_only=True)
class Unbuilt:
    """Why there is no checkpoint of an architecture: the step at which it could not be made, and the reason."""

    step: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Found:
    """One architecture.

    Attributes:
        type: The model type.
        head: The head's name.
        author: The release that wrote its checkpoints; None where none could be asked.
        built: Whether it has a checkpoint and a case.
        unbuilt: Why not, where it was tried in vain.
        spec: The file that holds its cases, for `explain` and `bisect`.
        baseline: The cell that the others were compared with.
        model_class: The class that was built.
        elements: How many numbers its parameters hold.
        attention: Kernels that were compared.
        cases: Names of its cases.
        inert: Parameters that its checkpoints cannot show: no output depends on them.
        unwritten: Parameters that other releases have and its author does not, so that no checkpoint holds them.
        repaired: Checkpoint → what its author does not load as it wrote it.
        seen: Cell id → the worst verdict there.
        known: The cells where all that is not quiet was expected.
        differences: One per change: newer cells first, from the baseline outwards, then older ones.
    """

    type: str
    head: str
    author: str | None
    built: bool
    unbuilt: Unbuilt | None = None
    spec: str | None = None
    baseline: str | None = None
    model_class: str | None = None
    elements: int | None = None
    attention: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    inert: tuple[str, ...] = ()
    unwritten: tuple[str, ...] = ()
    repaired: Mapping[str, str] = field(default_factory=dict)
    seen: Mapping[str, Seen]
    known: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def name(self) -> str:
        """Such as `llama.causal-lm`."""
        return f"{self.type}.{self.head}"

    @property
    def difference(self) -> Difference | None:
        """The first change; None where all that was compared is quiet."""
        return self.differences[0] if self.differences else None

    @property
    def fails(self) -> bool:
        """Whether anything was found that is neither quiet nor known; what was removed upstream is no failure."""
        return any(
            verdict not in QUIET and verdict != "removed" and cell not in self.known
            for cell, verdict in self.seen.items()
        )


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A whole sweep.

    Attributes:
        id: The sweep's folder.
        started: UTC, ISO 8601.
        command: The command line that made it.
        digest: Over everything that decides it.
        baseline: The baseline's cell; an architecture that its release does not know is compared with its author's.
        cells: In the spec's order.
        heads: Names of the heads that were asked for.
        shard: Which part of the types was swept, such as `1/4`; None for all of them.
        held_fixed: What was the same everywhere, by name.
        architectures: Head by head, types in the oldest roster's order.
    """

    id: str
    started: str
    command: str
    digest: str
    baseline: str
    cells: tuple[CellSeen, ...]
    heads: tuple[str, ...]
    shard: str | None
    held_fixed: Mapping[str, str]
    architectures: tuple[Found, ...]

    @property
    def exit_code(self) -> int:
        """What the session returns."""
        return EXIT_FOUND if any(found.fails for found in self.architectures) else EXIT_OK


def write(answer: Answer, folder: Path) -> None:
    """Write sweep.json, atomically."""
    content = table.whole(answer)
    for found in content["architectures"]:
        found["difference"] = next(iter(found["differences"]), None)
    write_json(folder / FILE, {"schema": SCHEMA, **content})


def read(folder: Path) -> Answer:
    """Read a sweep's sweep.json.

    Raises:
        CaptureError: When there is none, or it is written by a newer version.
    """
    content = read_json(folder / FILE, schema=SCHEMA)
    for found in content["architectures"]:
        # an answer of before there were several has only the first
        first = found.pop("difference", None)
        found.setdefault("differences", [first] if first else [])
    return table.read(Answer, {name: value for name, value in content.items() if name != "schema"}, FILE)
