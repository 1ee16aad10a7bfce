"""The cells' sessions are driven by nox; one that leaves nothing behind is recorded with nox's own words."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from matrix import environment, sessions
from matrix.files import read_json
from matrix.outcome import write_failure
from matrix.run import RUN_VARIABLE, Run
from matrix.state import ROOT
from tests.matrix.builders import RunFolder, small_spec


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return RunFolder(tmp_path, small_spec()).run


def _nox_that(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the interpreter that runs nox be a shell script."""
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv(environment.NOX_VARIABLE, str(path))


def test_without_cells_nothing_is_started(run: Run) -> None:
    sessions.drive(run, [], 1)
    assert not (run.folder / "nox.log").exists()


def test_nox_is_told_the_run_the_cells_and_how_many_at_a_time(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _nox_that(f'echo "$@"; echo "run=${RUN_VARIABLE}"', tmp_path, monkeypatch)
    sessions.drive(run, run.plan.cells[:2], 3)
    log = (run.folder / "nox.log").read_text()
    assert f"-m nox -f {ROOT / 'noxfile.py'} -j 3" in log
    assert "cell(transformers-1.0_torch-9.0) cell(transformers-2.0_torch-9.0)" in log
    assert f"run={run.folder}" in log


def test_a_cell_that_nox_never_ran_says_why(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = run.plan.cells
    _nox_that(f"echo 'starting'; echo 'Error: no interpreter for cell({second.id})'; exit 1", tmp_path, monkeypatch)
    write_failure(run.cell(first.id), first, "env_failed", "kept")
    sessions.drive(run, [first, second], 1)
    reasons = [read_json(run.cell(cell.id) / "cell.json", schema=1)["reason"] for cell in (first, second)]
    assert reasons == ["kept", f"nox did not run the session: Error: no interpreter for cell({second.id})"]
    assert not run.cell(third.id).exists()


def test_an_interpreter_that_is_not_there_is_a_failed_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    axes = {"python": {"values": ["3.8", "3.11"], "kind": "python"}}
    run = RunFolder(tmp_path, small_spec(axes=axes, baseline={})).run
    (cell, _) = run.plan.cells
    _nox_that(f"echo 'Session cell({cell.id}) skipped: Python interpreter 3.8 not found.'", tmp_path, monkeypatch)
    sessions.drive(run, [cell], 1)
    content = read_json(run.cell(cell.id) / "cell.json", schema=1)
    assert content["status"] == "env_failed"
    assert content["reason"].startswith("there is no Python 3.8 on this machine")


def test_a_silent_nox_is_said_to_be_silent(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _nox_that("exit 1", tmp_path, monkeypatch)
    (cell, *_) = run.plan.cells
    sessions.drive(run, [cell], 1)
    content = read_json(run.cell(cell.id) / "cell.json", schema=1)
    assert (content["status"], content["reason"]) == ("not_run", "nox did not run the session")


def test_a_thread_is_told_to_stop(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _nox_that("exec sleep 60", tmp_path, monkeypatch)
    stop = threading.Event()
    stop.set()
    started = time.monotonic()
    sessions.drive(run, run.plan.cells[:1], 1, stop=stop)
    assert time.monotonic() - started < 30
