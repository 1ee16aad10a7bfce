"""`python -m reports [RUN]`: judge a run, render it in every format and print the summary.

Nothing heavy is imported before it is known that something has to be rendered.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from matrix import run as runs
from matrix.console import say
from matrix.errors import EXIT_FOUND, EXIT_OK, MatrixError
from matrix.run import Run
from matrix.state import State
from reports import console, formats, store
from reports.store import Summary

TERMINAL = "terminal"
"""The format that is printed; it is rendered whatever else is asked for."""


def main(arguments: Sequence[str], *, state: State | None = None, out: Path = store.OUT) -> int:
    """Report on one run; the exit code says whether anything was found that is not known.

    Args:
        arguments: The command line after `nox -s report --`.
        state: Where runs lie; `.matrix/` by default.
        out: Where reports go.
    """
    asked = _parser().parse_args(arguments)
    wanted = sorted({*(asked.format or formats.names()), TERMINAL})
    try:
        run = runs.find((state or State()).runs, asked.run)
        folder = out / run.id
        if summary := store.remembered(folder, run, wanted):
            store.point(folder)
            console.show(f"{summary.text}{_where(folder, summary)}, unchanged\n")
        else:
            summary = _render(run, folder, wanted)
            console.show(f"{summary.text}{_where(folder, summary)}\n")
    except MatrixError as error:
        say(f"error: {error}")
        return error.exit_code
    return summary.exit_code


def _render(run: Run, folder: Path, wanted: Sequence[str]) -> Summary:
    """Judge a run and write its report.

    Raises:
        NoCaptureError: When no cell gave a capture.
        CaptureError: When a file of the run is torn, or written by a newer version.
    """
    from reports import usable  # noqa: PLC0415 - numpy, and with the formats pandas and jinja2: only where needed

    # first: what changes while the run is judged must not count as seen
    digest = store.digest(run)
    verdicts = usable.judged(run)
    modules = {name: formats.load(name) for name in wanted}
    texts = {name: module.render(verdicts) for name, module in modules.items()}
    summary = Summary(
        digest=digest,
        exit_code=EXIT_FOUND if verdicts.fails else EXIT_OK,
        files={name: module.FILE for name, module in modules.items()},
        text=texts[TERMINAL],
    )
    store.save(folder, texts, summary)
    return summary


def _where(folder: Path, summary: Summary) -> str:
    """The report's path as it can be opened from here."""
    name = next((summary.files[name] for name in ("markdown", *summary.files) if name in summary.files), "")
    path = os.path.relpath(folder / name)
    return f"\nReport: {folder / name if path.startswith('..') else path}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nox -s report --",
        description="Judge a run of the matrix from its folder and render the report, without running anything. The"
        " headline and the table are printed; the files go to reports/out/RUN/, and reports/out/latest leads there.",
        epilog="Exit code: 0 every verdict is identical, noise or known; 1 something else was found; 2 the request is"
        " wrong; 3 the run has no usable capture at all.",
    )
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's id or folder (default: the newest run)")
    files = [name for name in formats.names() if name != TERMINAL]
    only = f"write only these files: {', '.join(files)} (default: all)"
    parser.add_argument("--format", nargs="+", choices=files, metavar="NAME", help=only)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
