"""Small real parts for the engine's tests: wheels, checkpoints, captures and runs, written by hand."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matrix import capture, evidence, outcome, spec
from matrix import run as runs
from matrix.capture import Capture
from matrix.cell import Cell, CellStatus
from matrix.evidence import Evidence
from matrix.outcome import Outcome
from matrix.run import Run
from matrix.spec import Spec
from matrix.state import State

IDS = {"input_ids": [[5, 6, 7]], "attention_mask": [[1, 1, 1]]}
LEFT_PADDED = {"input_ids": [[0, 6, 7]], "attention_mask": [[0, 1, 1]]}
LOGITS = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
"""One row of three positions over four tokens."""

CONFIG = {"hidden_size": 4, "rope": {"theta": 10000.0}, "transformers_version": "4.57.6"}
DTYPES = {"float32": "F32", "float64": "F64", "int64": "I64"}


def moved(by: float, *index: int) -> NDArray[np.float32]:
    """The logits with one element moved."""
    changed = LOGITS.copy()
    changed[index or (0, 2, 3)] += np.float32(by)
    return changed


def write_tensors(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a safetensors file."""
    header, data = {}, b""
    for name, array in arrays.items():
        start, data = len(data), data + array.tobytes()
        entry = {"dtype": DTYPES[str(array.dtype)], "shape": list(array.shape), "data_offsets": [start, len(data)]}
        header[name] = entry
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def tensor(name: str, values: ArrayLike = (1.0, 2.0), *, persistent: bool = True, alias: str | None = None) -> Any:  # noqa: ANN401
    """What a response says about one parameter or buffer."""
    array = np.asarray(values, np.float32)
    return {
        "name": name,
        "dtype": "float32",
        "shape": list(array.shape),
        "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
        "finite": int(np.isfinite(array).sum()),
        "head": [repr(float(value)) for value in array.reshape(-1)[:8]],
        "persistent": persistent,
        "alias": alias,
    }


def write_capture(
    folder: Path,
    *,
    logits: NDArray[Any] = LOGITS,
    tensors: Mapping[str, ArrayLike] | None = None,
    cpu: str = "one CPU",
    **facts: Any,  # noqa: ANN401 - what a response may hold
) -> Path:
    """Write a complete capture; further facts replace those of a response.json."""
    stored = {name: np.asarray(values, np.float32) for name, values in (tensors or {}).items()}
    response = {
        "environment": {"cpu": cpu, "cpu_capability": "AVX2"},
        "loading": {"missing_keys": []},
        "uninitialised": [],
        "model_class": "TinyForCausalLM",
        "attention": {"implementation": "eager", "classes": ["TinyAttention"]},
        "config": CONFIG,
        "tokens": IDS,
        "parameters": [tensor("model.weight")],
        "buffers": [],
        "generated": [],
    }
    return _write(folder, {**response, **facts}, {**stored, "logits": logits})


def write_evidence(
    folder: Path,
    *,
    logits: NDArray[Any] = LOGITS,
    roundings: Mapping[str, NDArray[Any] | None] = MappingProxyType({}),
    exact: Mapping[str, NDArray[Any]] = MappingProxyType({}),
    tensors: Mapping[str, ArrayLike] = MappingProxyType({}),
    **facts: Any,  # noqa: ANN401 - what a response may hold
) -> Path:
    """Write a complete closer look: other roundings of the logits (None: the same bits), and float64 by kernel."""
    response = {
        "environment": {},
        "config": CONFIG,
        "tokens": IDS,
        "dtype": "float32",
        "kernel": "eager",
        "roundings": {name: None if values is None else f"rounding/{name}" for name, values in roundings.items()},
        "exact": {kernel: f"exact/{kernel}" for kernel in exact},
        "lifted": {kernel: {"tensors": 1, "calls": 0} for kernel in exact},
        "escaped": {kernel: {} for kernel in exact},
        "lacking": {},
        "contents": {},
    }
    stored = {name: np.asarray(values, np.float32) for name, values in tensors.items()}
    stored |= {f"rounding/{name}": values for name, values in roundings.items() if values is not None}
    wide = {f"exact/{kernel}": values.astype(np.float64) for kernel, values in exact.items()}
    return _write(folder, {**response, **facts}, {"logits": logits, **stored, **wide})


def _write(folder: Path, response: dict[str, Any], stored: Mapping[str, NDArray[Any]]) -> Path:
    """Write both files of a complete capture, as the harness does."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / "tensors.safetensors", stored)
    described = {
        name: {"dtype": str(a.dtype), "shape": list(a.shape), "sha256": hashlib.sha256(a.tobytes()).hexdigest()}
        for name, a in stored.items()
    }
    head = {"schema": 1, "key": "key", "status": "captured", "warnings": [], "tensors": described}
    cost = {"load": {"seconds": 0.1, "peak_bytes": 1}}
    (folder / "response.json").write_text(json.dumps({**head, "cost": cost, **response}), encoding="utf-8")
    return folder


def write_failed_capture(
    folder: Path, *, stage: str = "load", transient: bool = False, message: str = "no such name\nmore"
) -> Path:
    """Write the capture of a probe that raised."""
    error = {"type": "ImportError", "message": message, "traceback": "…", "transient": transient}
    response = {"schema": 1, "key": "key", "status": "probe_failed", "failed_stage": stage, "error": error}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "response.json").write_text(json.dumps({**response, "environment": {}}), encoding="utf-8")
    return folder


def content(values: ArrayLike) -> str:
    """A digest of values that adds up, whatever their order: any mixing of single values will do."""
    numbers = np.asarray(values, np.float32).reshape(-1)
    mixed = (int.from_bytes(hashlib.sha256(number.tobytes()).digest()[:8], "little") for number in numbers)
    return f"{sum(mixed) % 2**64:016x}"


def captured(folder: Path, **facts: Any) -> Capture:  # noqa: ANN401 - what a response may hold
    """Write a capture and read it back."""
    found = capture.read(write_capture(folder, **facts))
    assert found
    return found


def looked(folder: Path, **facts: Any) -> Evidence:  # noqa: ANN401 - what a response may hold
    """Write a closer look and read it back."""
    found = evidence.read(write_evidence(folder, **facts))
    assert found
    return found


def write_wheel(folder: Path, name: str, version: str, requires: Sequence[str] = (), files: str = "") -> Path:
    """Write the smallest wheel that an installer accepts: one module, and the metadata."""
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    contents = {
        f"{name}/__init__.py": f"version = {version!r}\n",
        **({f"{name}/{files}": "weights"} if files else {}),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{path},{_record_hash(text)},{len(text)}" for path, text in contents.items()]
    contents[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text)
    return wheel


def _record_hash(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def write_checkpoint(folder: Path, **config: Any) -> Path:  # noqa: ANN401 - what a config may hold
    """Write a checkpoint folder without a tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"vocab_size": 32, **config}), encoding="utf-8")
    write_tensors(folder / "model.safetensors", {"weight": np.ones(4, np.float32)})
    return folder


def table(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - what a spec may hold
    """A small spec as TOML would parse to: one case, two releases, one build, one kernel."""
    content = {
        "schema": 1,
        "baseline": {"transformers": "1.0", "torch": "9.0"},
        "axes": {"transformers": {"values": ["1.0", "2.0", "3.0"]}, "torch": {"values": ["9.0"]}},
        "variants": {"dtype": ["float32"], "attention": ["eager"]},
        "case": [{"name": "tiny", "checkpoint": "tiny", "input_ids": [[5, 6, 7]]}],
    }
    return {**content, **changes}


def small_spec(**changes: Any) -> Spec:  # noqa: ANN401 - what a spec may hold
    """The small spec, parsed."""
    return spec.parse(table(**changes))


class RunFolder:
    """A run's folder, filled by hand.

    Args:
        folder: The state folder.
        spec: What was asked.
    """

    def __init__(self, folder: Path, spec: Spec) -> None:
        self.run: Run = runs.new(State(folder=folder).runs, spec, "matrix", [], "a-run")
        self.run.write()
        self._outcomes: dict[str, list[Outcome]] = {}

    def cell(self, *values: str) -> Cell:
        """The cell of these axis values."""
        return next(cell for cell in self.run.plan.cells if tuple(cell.axes.values()) == values)

    def capture(self, *values: str, job: str = "tiny/float32-eager", **facts: Any) -> RunFolder:  # noqa: ANN401
        """Give a cell a complete capture."""
        write_capture(self.run.cell(self.cell(*values).id) / job, **facts)
        return self.outcome(*values, job=job, status="captured")

    def repeat(self, *values: str, job: str = "tiny/float32-eager", **facts: Any) -> RunFolder:  # noqa: ANN401
        """Give a cell a second load of a job."""
        return self.capture(*values, job=f"{job}@repeat", **facts)

    def evidence(
        self,
        *values: str,
        job: str = "tiny/float32-eager",
        through: str | None = None,
        **facts: Any,  # noqa: ANN401 - what a response may hold
    ) -> RunFolder:
        """Give a cell a closer look at a job."""
        name = f"{job}@evidence" + (f"@through-{through}" if through else "")
        write_evidence(self.run.cell(self.cell(*values).id) / name, **facts)
        return self.outcome(*values, job=name, status="captured")

    def failed(
        self, *values: str, job: str = "tiny/float32-eager", stage: str = "load", transient: bool = False
    ) -> RunFolder:
        """Give a cell the capture of a probe that raised."""
        write_failed_capture(self.run.cell(self.cell(*values).id) / job, stage=stage, transient=transient)
        return self.outcome(*values, job=job, status="probe_failed", reason=f"{stage}: ImportError: no such name")

    def outcome(
        self, *values: str, status: CellStatus, reason: str | None = None, job: str = "tiny/float32-eager"
    ) -> RunFolder:
        """Say what became of one job of a cell."""
        cell = self.cell(*values)
        found = self._outcomes.setdefault(cell.id, [])
        found.append(Outcome(id=job, key="key", status=status, reason=reason))
        asked = {"schema": 1, "id": cell.id, "axes": dict(cell.axes), "lock": {"digest": "lock"}}
        outcome.write(self.run.cell(cell.id), asked, found, 1.0)
        return self

    def env_failed(self, *values: str, reason: str = "no such release") -> RunFolder:
        """Let a cell have no environment."""
        cell = self.cell(*values)
        outcome.write_failure(self.run.cell(cell.id), cell, "env_failed", reason)
        return self
