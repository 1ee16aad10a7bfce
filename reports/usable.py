"""Usable: whether a run holds anything that a report can be made of."""

from __future__ import annotations

from matrix.errors import NoCaptureError
from matrix.run import Run
from matrix.verdicts import Verdicts, judge_run


def judged(run: Run) -> Verdicts:
    """The judged run.

    Raises:
        NoCaptureError: When no cell gave a capture.
        CaptureError: When a file of the run is torn, or written by a newer version.
    """
    verdicts = judge_run(run)
    outcomes = [outcome for report in verdicts.cells for outcome in report.outcomes.values() if outcome.is_main]
    if not any(outcome.status == "captured" for outcome in outcomes):
        reasons = dict.fromkeys(f"{report.cell.title}: {report.reason or report.status}" for report in verdicts.cells)
        raise NoCaptureError(
            "no cell of the run gave a usable capture",
            given="; ".join(reasons),
            next_step=f"see {run.folder}, then run the matrix again",
        )
    return verdicts
