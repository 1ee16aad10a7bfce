"""A sweep over two releases of a package called transformers, whose captures are written by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from matrix import engine
from matrix.engine import Work
from matrix.files import write_json
from matrix.state import State
from matrix.sweep import cases, models, options, sweep
from matrix.sweep.answer import Answer, read
from matrix.sweep.author import Authored
from matrix.sweep.author import read as read_author
from matrix.sweep.cohort import Architecture, Cohort, cohorts
from matrix.sweep.options import Asked
from matrix.sweep.roster import Roster
from tests.matrix.builders import write_capture, write_checkpoint, write_failed_capture

CAUSAL, BASE = "AutoModelForCausalLM", "AutoModel"
SPEC = """schema = 1
[axes.transformers]
values = ["1.0", "2.0"]
[variants]
attention = ["eager", "sdpa"]
"""
KNOWS = {
    "1.0": {CAUSAL: {"old": ["Old"], "both": ["Both"]}, BASE: {"both": ["Both"]}},
    "2.0": {CAUSAL: {"both": ["Both"], "new": ["New"]}, BASE: {"both": ["Both"]}},
}
"""Release → what it knows."""

Facts = dict[str, Any]


def roster(knows: Mapping[str, Mapping[str, Sequence[str]]]) -> Roster:
    """What one release knows."""
    return Roster(
        architectures={auto: {name: tuple(found) for name, found in types.items()} for auto, types in knows.items()}
    )


def write_facts(folder: Path, **facts: Any) -> Path:  # noqa: ANN401 - what a response may hold
    """Write the capture of a probe with facts of its own."""
    write_json(folder / "response.json", {"schema": 1, "key": "key", "status": "captured", "environment": {}, **facts})
    return folder


def write_authored(folder: Path, *, untied: bool = False, **facts: Any) -> Path:  # noqa: ANN401 - likewise
    """Write what an author leaves: two inputs, and one or two checkpoints."""
    names = ["checkpoint", *(["untied"] if untied else [])]
    for name in names:
        write_checkpoint(folder / name, name=f"{folder.name}/{name}")
    given: Facts = {
        "auto_class": "AutoModelForCausalLM",
        "model_class": "TinyForCausalLM",
        "elements": 4,
        "shrunk": {"hidden_size": 4},
        "attention": ["eager", "sdpa"],
        "inputs": [
            {"name": "one", "input_ids": [[5]], "attention_mask": [], "inputs": {}},
            {"name": "padded", "input_ids": [[0, 6], [5, 6]], "attention_mask": [[0, 1], [1, 1]], "inputs": {}},
        ],
        "inert": [],
        "checkpoints": [{"folder": name, "tied": name == "checkpoint" and untied} for name in names],
    }
    return write_facts(folder, **{**given, **facts})


class Project:
    """A state folder and a spec.

    Args:
        folder: Where the spec lies.
        state: Where captures go.
    """

    def __init__(self, folder: Path, state: State) -> None:
        self.folder, self.state = folder, state
        self.spec = folder / "sweep.toml"
        self.spec.write_text(SPEC, encoding="utf-8")

    def run(self, *arguments: str) -> Answer:
        """Sweep; everything must be captured already."""
        given = ["--spec", str(self.spec), *arguments]
        return read(sweep.sweep(options.parse(given), given, self.state))

    def asked(self, *arguments: str) -> Asked:
        """The parsed command line."""
        return options.parse(["--spec", str(self.spec), *arguments])

    def capture(
        self,
        *arguments: str,
        seen: Mapping[tuple[str, str], Facts] | None = None,
        written: Mapping[str, Facts | None] | None = None,
    ) -> None:
        """Put every capture into the store, as if cells had run.

        Args:
            arguments: The command line.
            seen: (case, release) → facts that differ from the usual ones.
            written: Architecture → facts of its author; None where it could not be built.
        """
        asked = self.asked(*arguments)
        base = options.base(asked)
        work = models.work(base, asked, self.state, self.folder)
        for cell in work.plan.cells:
            (task,) = work.tasks(cell, [models.roster_job(base)])
            write_facts(Path(task.content["folder"]), architectures=KNOWS[cell.axes["transformers"]])
        rosters = {cell: roster(KNOWS[cell.axes["transformers"]]) for cell in work.plan.cells}
        for cohort in cohorts(base, rosters, models.wanted(asked, rosters.values()), asked.authors):
            made = dict(self._write(work, cohort, written or {}))
            self._capture(asked, cohort, made, seen or {})

    def _write(
        self, work: Work, cohort: Cohort, written: Mapping[str, Facts | None]
    ) -> Iterator[tuple[Architecture, Authored]]:
        for one in cohort.architectures:
            job = models.author_job(one)
            asking = Work(**{**vars(work), "sources": {one.name: next(iter(work.sources.values()))}})
            folder = Path(asking.tasks(cohort.cell, [job])[0].content["folder"])
            facts = written.get(one.name, {})
            if facts is None:
                write_failed_capture(folder, stage="model", message="no such class\nmore")
            else:
                write_authored(folder, **facts)
            if found := read_author(folder):
                yield one, found

    def _capture(
        self,
        asked: Asked,
        cohort: Cohort,
        made: Mapping[Architecture, Authored],
        seen: Mapping[tuple[str, str], Facts],
    ) -> None:
        spec = cases.spec_of(cohort, made, asked.generate)
        if spec is None or not cohort.compares:
            return
        work = engine.prepare(spec, asked.options, self.state)
        work = engine.with_locks(work, work.plan.cells)
        for cell in work.plan.cells:
            for task in work.tasks(cell, work.plan.loads(cell)):
                facts = seen.get((task.job.case.name, cell.axes["transformers"]), {})
                write_capture(Path(task.content["folder"]), **facts)


def keys(folder: Path) -> list[str]:
    """The keys of a JSON file."""
    return list(json.loads(folder.read_text(encoding="utf-8")))
