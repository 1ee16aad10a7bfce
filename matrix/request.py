"""The request: what the harness of one cell is asked to do, and the key that tells whether it was done before."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from matrix import default_inputs
from matrix.case import Case
from matrix.cell import Cell
from matrix.environment import Lock
from matrix.machine import this_machine
from matrix.plan import Job, Take
from matrix.sources import Source, Sources
from matrix.state import ROOT, State

SCHEMA = 1
PROBES = ROOT / "probes"
HARNESS = PROBES / "harness.py"
PROBE: Mapping[Take, str] = {"main": "model", "repeat": "model"}
"""Which probe takes what: the name of its file, where that is not the take's own."""

INHERITED = ("ATEN_CPU_CAPABILITY", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
"""Variables of the person's environment that reach a probe and can change its bits."""

_LOADS: Mapping[Take, int] = {"evidence": 4, "anatomy": 4, "trace": 4, "swap": 8, "shrink": 8}
"""How many times as long as a plain capture a take may last: about as often as it loads or runs the model."""

_OF_A_CASE = (
    *("auto_class", "trust_remote_code", "load", "text", "chat", "padding", "input_ids", "attention_mask"),
    *("inputs", "forward", "loss", "generate"),
)
"""The part of a case that a probe reads; the rest decides what it is given."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One job in one cell, with everything that its outcome depends on.

    Attributes:
        job: The case and the variant, with inputs filled in.
        id: The job's id, and the name of the capture's folder inside the cell's.
        key: Digest over everything that the capture depends on.
        content: What the harness reads.
    """

    job: Job
    id: str
    key: str
    content: dict[str, Any]


def with_inputs(case: Case, checkpoint: Source, tokenizer: Source) -> Case:
    """The case with default inputs where it names none; a tokenizer alone has strings of its own.

    Raises:
        CheckpointError: When the checkpoint's config does not say what goes in.
    """
    if case.probe == "tokenizer":
        return case
    return default_inputs.fill(case, checkpoint.folder, has_tokenizer=tokenizer.has_tokenizer)


def task(cell: Cell, job: Job, lock: Lock, sources: Sources, state: State) -> Task:
    """Describe one job in one cell for the harness."""
    checkpoint, tokenizer, adapter = sources.checkpoint, sources.tokenizer, sources.adapter
    content: dict[str, Any] = {
        "id": job.id,
        "probe": _probe(job),
        "take": job.take,
        "through": asdict(job.through) if job.through else None,
        "timeout": job.case.timeout * _LOADS.get(job.take, 1),
        "ask": dict(job.ask),
        "captures": {role: str(state.captures / key) for role, key in job.captures.items()},
        "code": _code(checkpoint, tokenizer) if job.case.trust_remote_code else None,
        "case": _case(job.case),
        "variant": asdict(job.variant),
        "checkpoint": {"folder": str(checkpoint.folder), "file": checkpoint.file},
        "tokenizer": {"folder": str(tokenizer.folder), "file": tokenizer.file},
        "adapter": {"folder": str(adapter.folder)} if adapter else None,
    }
    key = _key(cell, content, lock, [*(source.digest for source in sources.all), *job.captures.values()])
    return Task(job=job, id=job.id, key=key, content={**content, "key": key, "folder": str(state.captures / key)})


def same_ids(job: Job, lists: Mapping[str, Sequence[Sequence[int]]]) -> Job:
    """The same job with explicit ids instead of text or chat: the baseline's, to separate the model from its tokenizer.

    Args:
        job: A job whose case has text or a chat.
        lists: Every list that the baseline's tokenizer made, by name; all of them go into the model.
    """
    rows = {name: tuple(tuple(row) for row in values) for name, values in lists.items() if values}
    ids, mask = rows.pop("input_ids"), rows.pop("attention_mask", ())
    further = {**job.case.inputs, **rows}
    case = replace(job.case, text=(), chat=(), padding=None, input_ids=ids, attention_mask=mask, inputs=further)
    return replace(job, case=case, same_ids=True)


def _probe(job: Job) -> str:
    """The file of the probe that takes a job."""
    name = PROBE.get(job.take, job.take)
    return job.case.probe if name == "model" else name


def _code(*sources: Source) -> str:
    """Digest of the remote code that a job may run: jobs of different code are kept apart from each other."""
    digest = hashlib.sha256()
    for source in sources:
        for file in sorted(path for path in source.folder.rglob("*.py") if path.is_file()):
            content = file.read_bytes()
            digest.update(f"{file.relative_to(source.folder)}\0{len(content)}\0".encode() + content)
        digest.update(b"\0")
    return digest.hexdigest()


def _case(case: Case) -> dict[str, Any]:
    """The part of a case that a probe reads."""
    return {name: getattr(case, name) for name in _OF_A_CASE}


def _key(cell: Cell, content: dict[str, Any], lock: Lock, digests: list[str]) -> str:
    """What decides a capture's bits: environment, probe, bytes, inputs, options and machine; never names or paths."""
    python = cell.python or sys.version
    variables = {**{name: os.environ.get(name) for name in INHERITED}, **cell.environ}
    options = [content[part] for part in ("case", "variant", "take", "through", "ask")]
    files = [content["checkpoint"]["file"], content["tokenizer"]["file"]]
    parts = [
        SCHEMA,
        lock.digest,
        python,
        variables,
        _probe_digest(content["probe"]),
        this_machine().fingerprint,
        options,
        files,
    ]
    return hashlib.sha256(json.dumps([*parts, digests], sort_keys=True).encode()).hexdigest()[:40]


@functools.cache
def _probe_digest(probe: str) -> str:
    """Digest of the code that takes a capture: the harness, the probe's file, and those that it imports."""
    names = {"harness", probe}
    while more := {found for name in names for found in _imported(name)} - names:
        names |= more
    return hashlib.sha256(b"\0".join((PROBES / f"{name}.py").read_bytes() for name in sorted(names))).hexdigest()


@functools.cache
def _imported(name: str) -> tuple[str, ...]:
    """The files beside a probe's that it imports, as `probe_NAME`."""
    return tuple(
        re.findall(r"^\s*(?:import|from) probe_(\w+)", (PROBES / f"{name}.py").read_text("utf-8"), re.MULTILINE)
    )


def harness_command(python: Path, request: Path) -> list[str]:
    """How the harness is started: isolated from PYTHON* variables, the working folder and its own folder."""
    return [str(python), "-I", str(HARNESS), str(request)]
