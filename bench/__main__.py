"""`nox -s bench`: measure the ratios that the README quotes, each side by side with what it is a ratio of.

Wall and CPU seconds depend on the machine; the ratios are taken within one call and hold more widely.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from bench import naive
from bench.workload import IMPORTS, Workload, prepare
from matrix.environment import NOX_VARIABLE
from matrix.runner import probe_environment

_PROCESSES = 2
"""Of a cell, where nothing differs and no closer look is taken."""

_HEADERS = ("4 releases × 10 tiny checkpoints", "wall s", "CPU s", "ratio")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a piece of work took: wall seconds, and CPU seconds of all its processes."""

    wall: float
    cpu: float


def main(arguments: Sequence[str]) -> int:
    """Run the parts that were asked for and print one table each."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="matrix-bench-", dir=options.folder) as scratch:
        workload = prepare(Path(scratch))
        rows = _matrix_rows(workload, options.repeat)
        if not options.skip_naive:
            fresh = float(rows[0][1])
            slow = measure(lambda: naive.run(Path(scratch) / "naive", workload.checkpoints))
            rows.append(["naive: pip venvs, one process per checkpoint", f"{slow.wall:.1f}", f"{slow.cpu:.1f}", ""])
            rows.append(["naive ÷ ours with fresh environments (wall)", "", "", f"{slow.wall / fresh:.1f}×"])
        sys.stdout.write(tabulate(rows, headers=_HEADERS, disable_numparse=True) + "\n")
        sys.stdout.flush()
        if options.gib:
            cell = next((workload.project / ".nox").glob("cell-transformers-4-57-6*")) / "bin" / "python"
            compare = [
                sys.executable,
                "-E",
                "-m",
                "bench.compare",
                "--gib",
                str(options.gib),
                "--torch-python",
                str(cell),
            ]
            subprocess.run(compare, check=True)
    return 0


def _matrix_rows(workload: Workload, repeat: int) -> list[list[str]]:
    """Fresh environments once, then bare imports and a full re-run in turn, then nothing changed."""
    fresh = measure(lambda: _nox(workload))
    bare, warm, same = [], [], []
    for _ in range(repeat):
        bare.append(measure(lambda: _bare_imports(workload)))
        warm.append(measure(lambda: _nox(workload, "--fresh")))
        same.append(measure(lambda: _nox(workload)))
    ratio = statistics.median(w.cpu / b.cpu for w, b in zip(warm, bare, strict=True))
    return [
        _row("fresh environments, warm download cache", [fresh]),
        _row("the eight bare imports (two processes per cell), one after the other", bare),
        _row("warm environments, everything re-run", warm),
        ["re-run ÷ bare imports (CPU)", "", "", f"{ratio:.2f}×"],
        _row("nothing changed", same),
    ]


def _row(name: str, costs: Sequence[Cost]) -> list[str]:
    return [
        name,
        f"{statistics.median(c.wall for c in costs):.2f}",
        f"{statistics.median(c.cpu for c in costs):.2f}",
        "",
    ]


def measure(work: Callable[[], object]) -> Cost:
    """Wall and CPU seconds of the child processes that `work` starts and waits for."""
    before, start = _children(), time.perf_counter()
    work()
    return Cost(wall=time.perf_counter() - start, cpu=_children() - before)


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _nox(workload: Workload, *arguments: str) -> None:
    command = [os.environ[NOX_VARIABLE], "-m", "nox", "-s", "matrix", "--", "--spec", str(workload.spec), *arguments]
    done = subprocess.run(command, cwd=workload.project, capture_output=True, text=True, check=False)
    if done.returncode not in {0, 1}:
        sys.exit(f"bench: the matrix failed:\n{done.stdout}\n{done.stderr}")


def _bare_imports(workload: Workload) -> None:
    """What the imports alone cost in as many processes as a run has: every cell loads each checkpoint in two."""
    for venv in sorted((workload.project / ".nox").glob("cell-*")):
        for _ in range(_PROCESSES if venv.is_dir() else 0):
            command = [str(venv / "bin" / "python"), "-I", "-c", IMPORTS]
            subprocess.run(command, check=True, env=probe_environment({}, workload.spec.parent), capture_output=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nox -s bench --", description=__doc__)
    parser.add_argument("--repeat", type=int, default=3, help="how often warm work is repeated; medians are printed")
    parser.add_argument("--gib", type=float, default=2.0, help="size of the two captures to compare; 0 skips it")
    parser.add_argument("--skip-naive", action="store_true", help="leave out the naive way, which takes minutes")
    parser.add_argument("--folder", help="where to work; about 4 GB, on the file system of uv's cache for hard links")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
