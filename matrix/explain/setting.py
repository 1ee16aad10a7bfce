"""Setting: the two cells, and the one job on which they disagree, that an explanation is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from matrix import ends as two_ends
from matrix import engine, outcome, request
from matrix import run as runs
from matrix.capture import Capture
from matrix.cell import Cell
from matrix.console import tell
from matrix.ends import Ends
from matrix.engine import Work
from matrix.errors import EnvironmentFailure, NoCaptureError, SpecError
from matrix.judgement import QUIET, Judgement
from matrix.plan import Job
from matrix.run import Run
from matrix.state import State
from matrix.verdicts import judge_run

OTHER_IDS = "the tokenizers make other ids of the same text; everything below was computed from the good side's ids"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is to be explained, and the means to look closer.

    Attributes:
        ends: What was asked.
        run: Where captures are shown.
        work: How they are taken.
        job: The case with explicit inputs, under the variant that differs.
        judged: What the matrix says of it; of the same ids, where the tokenizers make others.
        tokens: The judgement of the text, where the tokenizers make other ids; None where they do not.
    """

    ends: Ends
    run: Run
    work: Work
    job: Job
    judged: Judgement
    tokens: Judgement | None

    @property
    def good(self) -> Cell:
        """The cell whose numbers are taken as right."""
        return self.work.plan.baseline

    @property
    def bad(self) -> Cell:
        """The other cell."""
        return next(cell for cell in self.work.plan.cells if cell != self.good)

    @property
    def output(self) -> str | None:
        """The output that differs, where the main one does not and only that can show it; None for the main one."""
        good, comparison = self.judged.baseline.captured, self.judged.comparison
        return comparison.output if good and comparison and comparison.output in good.further else None

    @property
    def cells(self) -> tuple[Cell, Cell]:
        """The good one and the bad one."""
        return self.good, self.bad

    def take(self, jobs: Mapping[Cell, Sequence[Job]]) -> None:
        """Take further captures in both cells at once."""
        engine.capture(self.run, self.work, jobs, again=True)

    def folder(self, cell: Cell, job: Job) -> Path:
        """Where a capture is shown."""
        return self.run.cell(cell.id) / job.id

    def key(self, cell: Cell, job: Job) -> str:
        """The key of a capture, which another job may read."""
        return self.work.tasks(cell, [job])[0].key

    def reason(self, cell: Cell, job: Job) -> str:
        """Why there is no capture of a job."""
        found = [done for done in outcome.read(self.run.cell(cell.id)) if done.id == job.id]
        return (found[-1].reason or found[-1].status) if found else "it was never begun"


def settle(ends: Ends, arguments: Sequence[str], state: State) -> Setting:
    """Run the matrix of the two ends, and take the first job on which they disagree.

    Raises:
        SpecError: When the two ends do not differ.
        NoCaptureError: When an end gives no capture.
        MatrixError: For a wrong request.
    """
    work = engine.prepare(two_ends.between(ends), ends.options, state)
    work = engine.with_locks(work, work.plan.cells)
    run = runs.new(state.searches, work.spec, "explain", arguments, ends.options.run_id)
    run.write()
    tell(f"comparing {ends.axis} {ends.good} with {ends.bad} …")
    engine.complete(run, work, work.plan.cells)
    judged = _chosen(judge_run(run).judgements, work)
    if judged.stage == "tokens" and judged.same_ids:
        return Setting(ends=ends, run=run, work=work, job=_job(judged), judged=judged.same_ids, tokens=judged)
    return Setting(ends=ends, run=run, work=work, job=_job(judged), judged=judged, tokens=None)


def _chosen(judgements: Sequence[Judgement], work: Work) -> Judgement:
    """The first judgement that needs attention, else the first whose bits differ."""
    failed = [lock for lock in work.locks.values() if isinstance(lock, EnvironmentFailure)]
    if failed:
        raise NoCaptureError("an end cannot be installed", given=failed[0], next_step="choose another release")
    loud = [judged for judged in judgements if judged.verdict not in QUIET]
    found = next(iter(loud), None) or next((judged for judged in judgements if judged.verdict == "noise"), None)
    if found is None:
        raise SpecError(
            "the two ends do not differ: every variant has the same bits",
            given=", ".join(judged.job.id for judged in judgements),
            next_step="choose other ends, or other variants with --dtype and --attention",
        )
    if found.verdict == "missing":
        raise NoCaptureError("an end gives nothing to compare", given=found.summary)
    return found


def _job(judged: Judgement) -> Job:
    """The job with the ids that the good side's tokenizer made, so that no tokenizer has a say any more."""
    good = judged.baseline.captured
    if (judged.job.case.text or judged.job.case.chat) and good and good.tokens:
        return replace(request.same_ids(judged.job, good.tokens.lists), same_ids=True)
    return judged.job


def sides(setting: Setting) -> tuple[Capture | None, Capture | None]:
    """The two captures that were judged."""
    return setting.judged.baseline.capture, setting.judged.candidate.capture
