"""A harness without torch: speaks the real one's protocol; a job's case name says how it ends.

A case called `again-…` ends so only when it is loaded a second time.

Like the real one it runs by path, in another interpreter, and imports nothing of ours.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

ENVIRONMENT = {
    "cpu": "one CPU",
    "cpu_capability": "AVX2",
    "environ": dict(os.environ),
    "isolated": sys.flags.isolated,
    "pid": os.getpid(),
}


def main(path: Path) -> None:
    request = json.loads(path.read_text(encoding="utf-8"))
    events = Path(request["events"])
    jobs = [(ending(job), job) for job in request["jobs"]]
    if "early" in [name for name, _ in jobs]:
        sys.exit("ImportError: no module named torch")
    for name, job in jobs:
        if name == "between":
            sys.exit("the probe cannot be loaded")
        send(events, event="begin", job=job["id"])
        end(name)
        capture(job, name)
        if name == "after":
            os.kill(os.getpid(), signal.SIGSEGV)
        send(events, event="end", job=job["id"], status="captured")
    send(events, event="done")


def ending(job: dict[str, Any]) -> str:
    name: str = job["id"].split("/")[0]
    return name.removeprefix("again-") if job["take"] == "repeat" else name


def end(name: str) -> None:
    if name == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "hang":
        time.sleep(60)
    if name == "exit":
        sys.stderr.write("something broke\n\n")
        sys.exit(3)


def capture(job: dict[str, Any], name: str) -> None:
    response = {"schema": 1, "key": job["key"], "status": "captured", "environment": ENVIRONMENT}
    if name in {"fails", "full-disk"}:
        error = {"type": "OSError", "message": "no", "traceback": "", "transient": name == "full-disk"}
        response.update(status="probe_failed", failed_stage="load", error=error)
    folder = Path(job["folder"])
    scratch = folder.with_suffix(".scratch")
    scratch.mkdir(parents=True)
    (scratch / "response.json").write_text(json.dumps(response), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)


def send(path: Path, **event: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(event) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
