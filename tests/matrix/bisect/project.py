"""A package with many releases whose captures are all in the store: a search over them starts no cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matrix import engine
from matrix.bisect import options, start
from matrix.bisect.bisection import Answer, bisect
from matrix.bisect.options import Asked
from matrix.state import State
from tests.matrix.builders import (
    moved,
    tensor,
    write_capture,
    write_checkpoint,
    write_evidence,
    write_failed_capture,
    write_wheel,
)

SPEC = """
schema = 1
[axes.alpha]
values = ["1.0"]
[variants]
attention = ["eager"]
[[case]]
name = "tiny"
checkpoint = "model"
input_ids = [[5, 6, 7]]
"""

Facts = Mapping[str, Any]

GOOD: Facts = {}
UNWRITTEN: Facts = {"uninitialised": ["model.inv_freq"], "buffers": [tensor("model.inv_freq")], "logits": moved(1)}
CHANGED: Facts = {"parameters": [tensor("model.weight", [3.0, 4.0])], "logits": moved(2)}
OTHER: Facts = {"config": {"hidden_size": 4, "rope": {"theta": 5.0}}, "logits": moved(3)}
FAILS: Facts = {"fails": True}


class Project:
    """A spec over releases of the package alpha, with a checkpoint beside it and an index of its own."""

    def __init__(self, folder: Path, state: State, wheels: Path) -> None:
        self.folder, self.state, self.wheels = folder, state, wheels
        write_checkpoint(folder / "model")
        (folder / "spec.toml").write_text(SPEC, encoding="utf-8")

    def release(self, *versions: str) -> None:
        """Publish releases of alpha."""
        for version in versions:
            write_wheel(self.wheels, "alpha", version)

    def arguments(self, good: str, bad: str, *more: str) -> list[str]:
        """A command line."""
        return [
            "tiny",
            "--spec",
            str(self.folder / "spec.toml"),
            "--axis",
            "alpha",
            "--good",
            good,
            "--bad",
            bad,
            *more,
        ]

    def asked(self, good: str, bad: str, *more: str) -> Asked:
        """A command line, parsed."""
        return options.parse(self.arguments(good, bad, *more), self.folder)

    def bisect(self, good: str, bad: str, *more: str) -> Answer:
        """Search."""
        return bisect(self.asked(good, bad, *more), self.arguments(good, bad, *more), self.state)

    def lock(self, *values: str) -> None:
        """Resolve the environments of these releases."""
        work = start.prepared(self.asked(values[0], values[-1]).ends, values, self.state)
        engine.with_locks(work, work.plan.cells)

    def capture(self, seen: Mapping[str, Facts], again: Mapping[str, Facts] | None = None) -> None:
        """Put every capture of these releases into the store, as if cells had run; `again` is what a repeat sees."""
        values = list(seen)
        work = start.prepared(self.asked(values[0], values[-1]).ends, values, self.state)
        work = engine.with_locks(work, work.plan.cells)
        for cell in work.plan.cells:
            value = cell.axes["alpha"]
            jobs = [*work.plan.loads(cell), *(replace(job, take="evidence") for job in work.plan.jobs)]
            for task in work.tasks(cell, jobs):
                facts = seen[value]
                if task.job.take == "repeat":
                    facts = (again or {}).get(value, facts)
                _write(Path(task.content["folder"]), task.job.take, facts)


def _write(folder: Path, take: str, facts: Facts) -> None:
    if facts.get("fails"):
        write_failed_capture(folder, **{name: value for name, value in facts.items() if name != "fails"})
    elif take == "evidence":
        write_evidence(folder, **{name: value for name, value in facts.items() if name == "logits"})
    else:
        write_capture(folder, **facts)


def course(seen: Sequence[Facts]) -> dict[str, Facts]:
    """Releases 1.0, 2.0, … of these facts."""
    return {f"{number}.0": facts for number, facts in enumerate(seen, start=1)}
