"""Compared: a cohort's run, and what it says about each of its architectures."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.judgement import Judgement
from matrix.run import Run
from matrix.state import ROOT
from matrix.sweep import tally, written
from matrix.sweep.answer import Found, Unbuilt
from matrix.sweep.author import Authored
from matrix.sweep.cases import architecture_of
from matrix.sweep.cohort import Architecture, Cohort
from matrix.sweep.differences import differences
from matrix.sweep.models import Made
from matrix.verdicts import Verdicts, judge_run


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One cohort, and what became of it.

    Attributes:
        cohort: Who writes what.
        made: Everything that was written.
        run: Its run, whose captures are all taken; None where nothing was written, or there are no two cells.
    """

    cohort: Cohort
    made: Made
    run: Run | None

    def found(self, one: Architecture) -> Found:
        """Everything that is said about one architecture."""
        author = self.made.checkpoints.get(one)
        names = self._cases.get(one, ())
        if self.run is None or author is None or not names:
            return self._unbuilt(one, author)
        judged, removed = self._judged.get(one, ()), self.cohort.removed.get(one, ())
        seen = tally.seen(judged, removed)
        return Found(
            type=one.type,
            head=one.head,
            author=self.cohort.author,
            built=True,
            spec=shown(self.run.folder / written.FILE),
            baseline=self.run.plan.baseline.id,
            model_class=author.model_class,
            elements=author.elements,
            attention=tuple(dict.fromkeys(judge.job.variant.attention for judge in judged)),
            cases=names,
            inert=author.inert,
            unwritten=tally.unwritten(judged, self.cohort.author),
            repaired={made.folder.name: made.repaired for made in author.checkpoints if made.repaired},
            seen={cell.id: seen[cell.id] for cell in self.run.plan.cells if cell.id in seen},
            known=tally.known(judged),
            differences=differences(judged, self._verdicts),
        )

    def _unbuilt(self, one: Architecture, author: Authored | None) -> Found:
        """One without a case; where nothing was tried, because there is nothing to compare, there is no reason."""
        reason = self.made.unbuilt.get(one)
        if author:
            offered = ", ".join(author.attention) or "none"
            reason = Unbuilt(step="attention", reason=f"offers none of the kernels that are asked for, only: {offered}")
        return Found(type=one.type, head=one.head, author=self.cohort.author, built=False, unbuilt=reason, seen={})

    @functools.cached_property
    def _verdicts(self) -> Verdicts:
        assert self.run
        return judge_run(self.run)

    @functools.cached_property
    def _judged(self) -> Mapping[Architecture, Sequence[Judgement]]:
        found: dict[Architecture, list[Judgement]] = {}
        for judged in self._verdicts.judgements:
            found.setdefault(architecture_of(judged.job.case), []).append(judged)
        return found

    @functools.cached_property
    def _cases(self) -> Mapping[Architecture, tuple[str, ...]]:
        found: dict[Architecture, list[str]] = {}
        for case in self.run.spec.case if self.run else ():
            found.setdefault(architecture_of(case), []).append(case.name)
        return {one: tuple(names) for one, names in found.items()}


def shown(path: Path) -> str:
    """A path as it can be given to our own commands, which run in the project's folder."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
