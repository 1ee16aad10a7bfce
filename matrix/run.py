"""A run: one folder that holds what was asked, on which machine, and what every cell saw."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from matrix import spec as specs
from matrix import table
from matrix.errors import CaptureError, SpecError
from matrix.files import read_json, write_json
from matrix.machine import this_machine
from matrix.plan import Plan, plan
from matrix.spec import Spec
from matrix.state import ROOT

SCHEMA = 1

LATEST = "latest"
"""Names the newest run's reports, so no run may be called so."""

RUN_VARIABLE = "MATRIX_RUN"
"""Tells noxfile.py which run's cells to offer as sessions; without it they are the shipped spec's."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run's folder and what run.json says.

    Attributes:
        folder: `.matrix/runs/<id>`.
        spec: The effective spec: file, profile and command line in one.
        started: UTC, ISO 8601.
        command: The command line that made it.
        host: The machine's facts.
        digest: Over everything that decides the report; None while the run is unfinished or could go better next time.
    """

    folder: Path
    spec: Spec
    started: str
    command: str
    host: Mapping[str, Any]
    digest: str | None = None

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.folder.name

    @functools.cached_property
    def plan(self) -> Plan:
        """The cells and jobs that the spec asks for."""
        return plan(self.spec)

    def cell(self, cell_id: str) -> Path:
        """The folder of one cell."""
        return self.folder / "cells" / cell_id

    def write(self) -> None:
        """Write run.json atomically."""
        content = {
            "schema": SCHEMA,
            "id": self.id,
            "started": self.started,
            "command": self.command,
            "host": self.host,
            "digest": self.digest,
            "spec_sha256": self.spec.sha256,
            "baseline": self.plan.baseline.id,
            "cells": [cell.id for cell in self.plan.cells],
            "spec": table.write(self.spec),
        }
        write_json(self.folder / "run.json", content)


def new(home: Path, spec: Spec, session: str, arguments: Sequence[str], run_id: str | None = None) -> Run:
    """A run to be started, or the one of that id to be continued.

    Args:
        home: The folder of all runs of its kind.
        spec: What it is to do.
        session: The nox session that asks for it.
        arguments: Its command line.
        run_id: Its name; made of the time when None.

    Raises:
        SpecError: When the id is no file name, or belongs to a run of another spec.
    """
    if run_id and (run_id == LATEST or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", run_id)):
        raise SpecError("--run-id is no name for a run", given=run_id, allowed="letters, digits, . - _, and not latest")
    now = datetime.now(timezone.utc)
    # to the millisecond, and with the process: two runs may be started at once
    folder = home / (run_id or f"{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03d}{os.getpid() % 1000:03d}")
    if (folder / "run.json").exists():
        existing = read(folder)
        if existing.spec.sha256 != spec.sha256:
            raise SpecError("--run-id belongs to a run of another spec", given=run_id, next_step="choose another id")
        return existing
    command = shlex.join(["nox", "-s", session, *(["--", *arguments] if arguments else [])])
    started = now.isoformat(timespec="seconds")
    return Run(folder=folder, spec=spec, started=started, command=command, host=asdict(this_machine()))


def read(folder: Path) -> Run:
    """Read a run's run.json.

    Raises:
        CaptureError: When there is none, or it is written by a newer version.
    """
    content = read_json(folder / "run.json", schema=SCHEMA)
    try:
        facts = {name: content[name] for name in ("started", "command", "host", "digest")}
        return Run(folder=folder, spec=specs.parse(content["spec"]), **facts)
    except KeyError as error:
        raise CaptureError("a run.json lacks a key", given=f"{folder}: {error}", next_step="delete that run") from None


def find(home: Path, name: str | None) -> Run:
    """The run of that id (or path), or the newest one.

    Raises:
        CaptureError: When there is no such run.
    """
    runs = sorted(home.glob("*/run.json"), key=lambda path: path.stat().st_mtime_ns)
    if name is None and runs:
        return read(runs[-1].parent)
    for folder in [home / name, Path(name)] if name else []:
        if (folder / "run.json").exists():
            return read(folder)
    known = ", ".join(path.parent.name for path in runs[-5:]) or "no run yet"
    raise CaptureError("there is no such run", given=name, allowed=known, next_step="nox -s matrix makes one")


def unchanged(home: Path, spec: Spec, keys: Mapping[str, Sequence[str]], run_id: str | None) -> Run | None:
    """The newest finished run (or the one of that id) whose report would be the same as one made now."""
    try:
        last = find(home, run_id)
    except CaptureError:
        return None
    return last if last.digest == _digest(spec, keys) else None


def finished(run: Run, keys: Mapping[str, Sequence[str]] | None) -> Run:
    """The run with the digest that tells whether it must be done again; None keeps it open.

    Args:
        run: The run whose captures are all taken.
        keys: Cell id → the keys of its captures; None when something failed that may work the next time.
    """
    return replace(run, digest=_digest(run.spec, keys) if keys is not None else None)


def _digest(spec: Spec, keys: Mapping[str, Sequence[str]]) -> str:
    """Over everything that decides a report: the spec, the captures' keys and our own code."""
    text = json.dumps([spec.sha256, sorted(keys.items()), code_digest()])
    return hashlib.sha256(text.encode()).hexdigest()


def code_digest() -> str:
    """Digest of our own code: what it says about the same captures may change when it does."""
    digest = hashlib.sha256()
    for folder in ("matrix", "reports"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".j2"} and "out" not in path.relative_to(ROOT).parts:
                digest.update(path.read_bytes())
    return digest.hexdigest()
