# /// script
# dependencies = ["nox[uv]>=2026.8.10"]
# ///
"""Sessions only: what they do is in matrix/ (captures), reports/ (reports), tests/ and bench/."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))  # the nox command leaves the project's folder out

from matrix import environment, run, runner, spec  # noqa: E402
from matrix.errors import MatrixError  # noqa: E402
from matrix.files import locked  # noqa: E402
from matrix.plan import plan  # noqa: E402
from matrix.state import FOLDER_VARIABLE, State  # noqa: E402

nox.needs_version = ">=2026.8.10"
nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["matrix"]

SIDE_BY_SIDE = ["-n", "auto", "--maxprocesses", "4", "--dist", "loadfile", "--no-loadscope-reorder"]
"""Tests of one file stay together: those with real releases share the environments of one copy of the project."""

RUN = os.environ.get(run.RUN_VARIABLE)
try:
    CELLS = plan(run.read(Path(RUN)).spec if RUN else spec.read(spec.SHIPPED)).cells
except MatrixError as error:
    sys.exit(f"error: {error}")


def run_python(session: nox.Session, group: str, *arguments: str) -> None:
    """Run our own Python code in the environment of a dependency group; its exit code becomes nox's."""
    requirements = nox.project.dependency_groups(nox.project.load_toml(ROOT / "pyproject.toml"), group)
    venv = Path(session.virtualenv.location)
    try:
        with locked(venv.parent / f".{venv.name}.lock"):
            environment.sync(venv, environment.lock(requirements, State().create()))
    except MatrixError as error:
        # nox's own code for an error would be 1, which inside git bisect run is a bad commit
        session.warn(f"our own environment cannot be built: {error}")
        sys.exit(128)
    variables = {**os.environ, environment.NOX_VARIABLE: sys.executable, "UV": environment.uv_path()}
    variables[FOLDER_VARIABLE] = session.invoked_from
    # -E: an inherited PYTHONDONTWRITEBYTECODE would make every start compile everything again
    code = subprocess.call([environment.interpreter(venv), "-E", *arguments], env=variables, cwd=ROOT)
    if code:
        sys.exit(code)  # nox knows only 0 and 1


@nox.session
def matrix(session: nox.Session) -> None:
    """Run the matrix and print its report: `nox -s matrix -- --help`."""
    run_python(session, "engine", "-m", "matrix", *session.posargs)


@nox.session(allow_parallel=True)
@nox.parametrize("cell_id, python", [nox.param(c.id, c.python, id=c.id, tags=c.tags) for c in CELLS])
def cell(session: nox.Session, cell_id: str) -> None:
    """Build one environment and probe in it; alone, a run of this cell and the baseline."""
    if RUN:
        runner.run(Path(RUN) / "cells" / cell_id, Path(session.virtualenv.location))
    else:
        command = [sys.executable, "-m", "nox", "-f", __file__, "-s", "matrix", "--", "--cell", cell_id]
        if subprocess.call([*command, *session.posargs]):
            session.error("something was found, or nothing could be captured")


@nox.session
def report(session: nox.Session) -> None:
    """Render a run's report again without running anything: `nox -s report -- [RUN]`."""
    run_python(session, "engine", "-m", "reports", *session.posargs)


@nox.session
def explain(session: nox.Session) -> None:
    """Say where a difference starts, and prove what causes it: `nox -s explain -- CASE --good V --bad V`."""
    run_python(session, "engine", "-m", "matrix.explain", *session.posargs)


@nox.session
def bisect(session: nox.Session) -> None:
    """Find the first release with a difference: `nox -s bisect -- CASE --good V --bad V`."""
    run_python(session, "engine", "-m", "matrix.bisect", *session.posargs)


@nox.session
def sweep(session: nox.Session) -> None:
    """Compare every architecture that the releases know, on checkpoints made for it: `nox -s sweep -- [TYPE…]`."""
    run_python(session, "engine", "-m", "matrix.sweep", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests, those with real releases included; arguments go to pytest."""
    run_python(session, "tests", "-m", "pytest", *SIDE_BY_SIDE, *session.posargs)


@nox.session
def corpus(session: nox.Session) -> None:
    """Score the tool on real releases whose truth is known: `nox -s corpus -- --help`."""
    run_python(session, "engine", "-m", "tests.corpus", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and types."""
    run_python(session, "lint", "-m", "ruff", "check")
    run_python(session, "lint", "-m", "ruff", "format", "--check")
    run_python(session, "lint", "-m", "mypy")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the ratios that the README quotes, side by side with the naive way."""
    run_python(session, "tests", "-m", "bench", *session.posargs)
