"""The explanation: everything that was found out about one difference, as explain.json holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix import table
from matrix.explain.cause import Cause
from matrix.explain.raised import Raised
from matrix.explain.script.offer import Reproducer
from matrix.explain.signs.signatures import Signature
from matrix.explain.sources.owner import Owner
from matrix.explain.sources.source import SourceDiff
from matrix.files import read_json, write_json
from matrix.judgement import Verdict
from matrix.spec import Stage

SCHEMA = 1
FILE = "explain.json"


@dataclass(frozen=True, kw_only=True)
class Question:
    """What was asked.

    Attributes:
        run: The run's id.
        command: The command line.
        started: UTC, ISO 8601.
        case: The case's name.
        checkpoint: Where it comes from, as the spec names it.
        remote_code: Whether the checkpoint's own code runs.
        variant: The variant's id, such as `float32-eager`.
        axis: Along which axis.
        good: The value that is taken as right.
        bad: The value that is not.
    """

    run: str
    command: str
    started: str
    case: str
    checkpoint: str
    remote_code: bool
    variant: str
    axis: str
    good: str
    bad: str


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two cells.

    Attributes:
        cell: Its id.
        axes: Axis → value.
        environment: Python, platform, torch, CPU and the like, as the probe saw them.
        versions: Package → version of everything installed.
    """

    cell: str
    axes: Mapping[str, str]
    environment: Mapping[str, Any]
    versions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The smallest input that shows the difference.

    Attributes:
        rung: Its name on the ladder; `given` is the case's own input.
        lists: What goes in, by name; empty where the case's inputs are no ids.
        tried: Rung → `same`, `differs` or what went wrong, in the order in which they were tried.
    """

    rung: str
    lists: Mapping[str, tuple[tuple[int, ...], ...]]
    tried: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Module:
    """A module's class, and where its code stands.

    Attributes:
        class_name: Such as `LlamaAttention`.
        file: Relative to site-packages where it lies there.
        line: First line of the class.
    """

    class_name: str
    file: str
    line: int


@dataclass(frozen=True, kw_only=True)
class Step:
    """How far apart one module's outputs lie.

    Attributes:
        module: The module's name.
        nth: Which call of it.
        piece: The functional piece, if it is one.
        max_abs: The largest difference.
        l2_rel: The L2 norm of the difference over the good side's.
        handed: Of a replayed call, the argument of a module inside it in which the difference shows first, such as
            `model.layers.0.mlp.down_proj(input)`; None where it shows in its own output.
    """

    module: str
    nth: int
    piece: str | None
    max_abs: float | None
    l2_rel: float | None
    handed: str | None = None


@dataclass(frozen=True, kw_only=True)
class Place:
    """The first divergence: the first call, innermost, whose inputs are the same and whose output is not.

    Attributes:
        step: Which call, and how far apart its outputs lie.
        good: Its class on the good side.
        bad: Its class on the bad side.
        same: The inputs that are the same bits.
        notes: What else is to be said of it.
        by_position: The largest difference at each position of the sequence; empty where there is no sequence.
        later: Every later call whose outputs differ, in the order in which they ran.
    """

    step: Step
    good: Module
    bad: Module
    same: tuple[str, ...]
    notes: tuple[str, ...]
    by_position: tuple[float, ...]
    later: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What each module of the bad side makes of the good side's inputs.

    Attributes:
        calls: How many calls were compared.
        faulty: Those whose output is another, in the order in which they ran.
        incomparable: How many calls have outputs of another form on either side.
    """

    calls: int
    incomparable: int
    faulty: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What was found out about one difference; what could not be asked, or has no answer, is None or empty.

    Attributes:
        question: What was asked.
        sides: The good cell and the bad one.
        verdict: What the matrix says.
        stage: The earliest stage that differs.
        where: What differs there first.
        summary: The matrix's sentence.
        notes: What else is to be said.
        shown: The smallest input that shows it.
        inert: Whether, on both sides, the logits with hooks are those without, bit for bit.
        place: The first divergence.
        replay: The clean replay.
        cause: What two swaps prove.
        facts: Findings that needed no forward, as sentences: memory that was never written, keys that are missing.
        raised: The error that only one side raises.
        signatures: Patterns that name a likely cause.
        changes: The code that changed between the two sides.
        owner: Whose bug it is.
        reproducer: A script that was seen to show the difference.
    """

    question: Question
    sides: tuple[Side, ...]
    verdict: Verdict
    stage: Stage | None
    where: str | None
    summary: str
    notes: tuple[str, ...] = ()
    shown: Shown | None = None
    inert: bool | None = None
    place: Place | None = None
    replay: Replay | None = None
    cause: Cause | None = None
    facts: tuple[str, ...] = ()
    raised: Raised | None = None
    signatures: tuple[Signature, ...] = ()
    changes: tuple[SourceDiff, ...] = ()
    owner: Owner | None = None
    reproducer: Reproducer | None = None

    @property
    def proven(self) -> bool:
        """Whether the cause is sufficient and necessary, or the difference is an error or tokens that were shown."""
        plain = self.raised is not None or (self.stage == "tokens" and self.shown is None)
        return bool(self.cause and self.cause.proven) or (plain and self.reproducer is not None)


def write(explanation: Explanation, folder: Path) -> None:
    """Write explain.json into a run's folder, atomically."""
    write_json(folder / FILE, {"schema": SCHEMA, **table.whole(explanation)})


def read(folder: Path) -> Explanation:
    """Read a run's explain.json.

    Raises:
        CaptureError: When there is none, or it is written by a newer version.
    """
    content = read_json(folder / FILE, schema=SCHEMA)
    return table.read(Explanation, {name: value for name, value in content.items() if name != "schema"}, FILE)
