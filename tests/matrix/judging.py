"""What the judge's tests share: two small captures, judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matrix import judge as judges
from matrix import noise
from matrix.capture import Capture
from matrix.case import Case, Variant
from matrix.cell import Cell
from matrix.compare import Comparison, compare_captures
from matrix.evidence import Evidence
from matrix.judgement import Judgement, Side
from matrix.plan import Job
from matrix.repeats import Repeat
from tests.matrix.builders import captured

JOB = Job(case=Case(name="tiny", checkpoint="tiny"), variant=Variant(attention="eager"))
BASELINE = Cell(axes={"transformers": "1.0", "torch": "9.0"})
CANDIDATE = Cell(axes={"transformers": "2.0", "torch": "9.0"})

Facts = dict[str, Any]
Looks = tuple[Evidence | None, Evidence | None]


def judged(
    folder: Path,
    baseline: Facts | None = None,
    candidate: Facts | None = None,
    *,
    looks: Looks | None = None,
    plausible: bool = False,
    repeats: tuple[Capture | None, Capture | None] = (None, None),
) -> Judgement:
    """Judge two complete captures: with closer looks at both, and with second loads of them, where there are any."""
    a, b = captured(folder / "a", **(baseline or {})), captured(folder / "b", **(candidate or {}))
    comparison = compare_captures(a, b)
    largest = comparison.outputs.values.max_abs if comparison.outputs else 0.0
    rounding = noise.weigh(*looks, largest, plausible=plausible) if looks else None
    return judge_sides(side(BASELINE, a, repeats[0]), side(CANDIDATE, b, repeats[1]), comparison, rounding)


def judge_sides(
    baseline: Side, candidate: Side, comparison: Comparison | None = None, rounding: noise.Rounding | None = None
) -> Judgement:
    """Judge two sides of the one job."""
    return judges.judge(Judgement(job=JOB, baseline=baseline, candidate=candidate), comparison, rounding)


def side(cell: Cell, seen: Capture, again: Capture | None = None) -> Side:
    """One side with a capture and a second load of the same variant, complete or not."""
    repeat = Repeat(first=seen, second=again) if again else None
    return Side(cell=cell, status=seen.status, reason=None, capture=seen, repeat=repeat)


def verdict(found: Judgement) -> tuple[str, str | None, str | None]:
    """The verdict and where it starts."""
    return found.verdict, found.stage, found.where
