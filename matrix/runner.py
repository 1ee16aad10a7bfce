"""The runner: drives one cell's harness, and turns whatever happens to it into data.

Runs inside nox's interpreter, one process per cell.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from matrix import bytecode, environment, outcome, request
from matrix.environment import Lock
from matrix.errors import EnvironmentFailure
from matrix.files import locked, read_json, write_json
from matrix.outcome import Outcome
from matrix.state import State

_POLL_SECONDS = 0.05
_GRACE_SECONDS = 60.0
"""How long a process may take between two jobs, and to end after the last: code that a model left running may not."""

_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", *request.INHERITED)
"""Variables of the person's environment that a probe sees; everything else, tokens above all, stays out."""


def run(folder: Path, venv: Path) -> None:
    """Build a cell's environment and run what its request asks for; leaves `cell.json`, never raises for a failed cell.

    Args:
        folder: The cell's folder inside the run, holding request.json.
        venv: The virtual environment that nox made for the cell.
    """
    # a session that is stopped takes its harness along: `finally` runs only for exceptions
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    start = time.monotonic()
    asked = read_json(folder / outcome.REQUEST, schema=request.SCHEMA)
    with locked(venv.parent / f".{venv.name}.lock"):
        try:
            new = environment.sync(venv, Lock(path=Path(asked["lock"]["path"]), digest=asked["lock"]["digest"]))
        except EnvironmentFailure as error:
            outcomes = [
                Outcome(id=job["id"], key=job["key"], status="env_failed", reason=str(error)) for job in asked["jobs"]
            ]
        else:
            with bytecode.shared(venv, State().bytecode) if new else nullcontext():
                outcomes = list(_run_jobs(folder, venv, asked))
    outcome.write(folder, asked, outcomes, time.monotonic() - start)


def _run_jobs(folder: Path, venv: Path, asked: Mapping[str, Any]) -> Iterator[Outcome]:
    """Run every job; repeats have a process of their own, and the opposite order: nothing before them is the same."""
    repeats = [job for job in asked["jobs"] if job["take"] == "repeat"]
    for jobs in ([job for job in asked["jobs"] if job["take"] != "repeat"], repeats[::-1]):
        yield from _run_process(folder, venv, asked, {job["id"]: job for job in jobs})


def _run_process(
    folder: Path, venv: Path, asked: Mapping[str, Any], waiting: dict[str, dict[str, Any]]
) -> Iterator[Outcome]:
    """Run the harness until every job has an outcome; a job that takes the interpreter down loses only itself."""
    while waiting:
        todo = [job for job in waiting.values() if not outcome.is_captured(job)]
        failures = _run_harness(folder, venv, asked, todo) if todo else []
        for job in [job for job in waiting.values() if outcome.is_captured(job)]:
            del waiting[job["id"]]
            yield outcome.adopt(folder, job)
        # a capture may have been written before the interpreter went down
        lost = [failure for failure in failures if waiting.pop(failure.id, None)]
        yield from lost
        if waiting and not failures:
            reason = "the harness ended without a capture"
            yield from (
                Outcome(id=job["id"], key=job["key"], status="not_run", reason=reason) for job in waiting.values()
            )
            return


def _run_harness(folder: Path, venv: Path, asked: Mapping[str, Any], jobs: list[dict[str, Any]]) -> list[Outcome]:
    """One process over the jobs. Empty when it went through, else the outcome of the job that took it down.

    Where no job had begun, imports are at fault, which would fail for every job in turn: all of them get the outcome.
    """
    watch = Watch(folder / "events.jsonl", {job["id"]: float(job["timeout"]) for job in jobs})
    with tempfile.TemporaryDirectory(prefix="matrix-cell-") as scratch, (folder / "harness.log").open("ab") as log:
        path, start = Path(scratch) / "request.json", log.tell()
        write_json(path, {"schema": request.SCHEMA, "events": str(watch.path), "jobs": jobs})
        process = subprocess.Popen(
            request.harness_command(environment.interpreter(venv), path),
            cwd=scratch,
            env=probe_environment(asked["environ"], Path(scratch)),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            ended = _wait(process, watch)
        finally:
            _stop(process)
    if ended == 0 and watch.done:
        return []
    words = (folder / "harness.log").read_bytes()[start:].decode(errors="replace")
    running = [job for job in jobs if job["id"] == watch.running]
    stopped = running or [job for job in jobs if not outcome.is_captured(job)]
    lost = stopped[:1] if watch.begun else stopped
    stage = watch.stage if running else None
    return [Outcome(id=job["id"], key=job["key"], stage=stage, **_failure(ended, job, words)) for job in lost]


def probe_environment(environ: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """A probe's whole environment: offline, without tokens, with a home and caches of its own, one thread per pool."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TQDM_DISABLE": "1"}
    own = {"HOME": str(scratch), "HF_HOME": str(scratch / "hf"), "XDG_CACHE_HOME": str(scratch / "cache")}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
    return {**kept, **offline, **own, **threads, "TOKENIZERS_PARALLELISM": "false", **environ}


class Watch:
    """Follows the event lines of one harness: which job runs, and until when it may."""

    def __init__(self, path: Path, timeouts: Mapping[str, float]) -> None:
        self.path = path
        self.running: str | None = None
        self.stage: str | None = None
        self.begun = False
        self.done = False
        self._timeouts = timeouts
        # nothing runs yet, but imports may hang too
        self._deadline = time.monotonic() + max(timeouts.values())
        self._offset = path.stat().st_size if path.exists() else 0

    def late(self) -> bool:
        """Read what is new; whether the running job has used up its time."""
        if self.path.exists() and self.path.stat().st_size > self._offset:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._offset += len(line)
                    # a process that was killed may have torn its last line
                    with contextlib.suppress(ValueError):
                        self._take(json.loads(line))
        return time.monotonic() > self._deadline

    def _take(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "begin":
            self.running, self.stage, self.begun = event["job"], None, True
            self._deadline = time.monotonic() + self._timeouts[event["job"]]
        elif event["event"] == "stage":
            self.stage = event["stage"]
        else:
            self.done = event["event"] == "done"
            self.running, self._deadline = None, time.monotonic() + _GRACE_SECONDS


def _wait(process: subprocess.Popen[bytes], watch: Watch) -> int | None:
    """The exit code, or None when the running job ran out of time."""
    while process.poll() is None:
        if watch.late():
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_SECONDS)
    watch.late()
    return process.returncode


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the harness and whatever it has started: its children belong to the same group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _failure(ended: int | None, job: Mapping[str, Any], words: str) -> dict[str, Any]:
    if ended is None:
        return {"status": "timed_out", "reason": f"no capture within {job['timeout']} seconds"}
    name = signal.Signals(-ended).name if ended < 0 else f"exit code {ended}"
    tail = [line for line in words.splitlines() if line.strip()][-1:]
    return {
        "status": "crashed",
        "reason": f"the interpreter ended with {name}" + (f": {tail[0][:300]}" if tail else ""),
    }
