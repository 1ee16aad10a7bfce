"""Captures: what one cell saw of one case under one variant, read from disk into frozen values."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix import request
from matrix.cell import CellStatus
from matrix.files import read_json

RESPONSE = "response.json"

Rows = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The ids that went into the model, and every other list the tokenizer made, [batch, sequence] each."""

    input_ids: Rows
    attention_mask: Rows
    further: Mapping[str, Rows]

    @property
    def lists(self) -> dict[str, Rows]:
        """Every list by name, the ids first."""
        return {"input_ids": self.input_ids, "attention_mask": self.attention_mask, **self.further}


@dataclass(frozen=True, kw_only=True)
class TensorState:
    """One parameter or buffer.

    Attributes:
        name: Its full name in the model.
        dtype: torch's name, such as `float32`.
        shape: Its shape.
        sha256: Digest of its bytes; `meta` when it was never given memory.
        finite: How many elements are finite.
        head: The first values, as Python writes them.
        persistent: Whether a state dict holds it.
        alias: The first name of the same memory, when this is not it.
        kept: False for a non-persistent buffer that was too large to keep: only digest and first values are known.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    sha256: str
    finite: int
    head: tuple[str, ...]
    persistent: bool
    alias: str | None
    kept: bool = True

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a capture could not be completed; a `transient` failure (too little memory) may go better the next time."""

    stage: str
    type: str
    message: str
    traceback: str
    transient: bool


@dataclass(frozen=True, kw_only=True)
class Capture:
    """One response.json; what a failed capture never saw is empty.

    Attributes:
        folder: Where response.json and tensors.safetensors lie.
        key: Equal keys mean that the same work was asked for.
        status: `captured` or `probe_failed`.
        failure: Set when the probe failed.
        environment: Versions, CPU and torch build of the process.
        loading: Missing, unexpected and mismatched keys and error messages.
        uninitialised: Tensors whose memory the load never wrote.
        model_class: The class that was loaded.
        attention: The attention implementation that was really used.
        config: The resolved config.
        tokens: The ids that went in; None for a case without ids.
        parameters: In the model's order.
        buffers: In the model's order.
        outputs: Name → dtype, shape and digest of each stored tensor.
        output: What the model calls its main output, which is stored as `logits`.
        further: Its other outputs by their own names, in order, a loss last; see `stored`.
        generated: The greedy tokens, [batch][new tokens].
        margins: How far the best score lay above the second best at each of them; empty when that was not recorded.
        cost: Stage → seconds and peak bytes.
        warnings: Messages of Python and of transformers.
    """

    folder: Path
    key: str
    status: CellStatus
    failure: Failure | None
    environment: Mapping[str, Any]
    loading: Mapping[str, tuple[str, ...]]
    uninitialised: tuple[str, ...]
    model_class: str
    attention: str | None
    config: Mapping[str, Any]
    tokens: Tokens | None
    parameters: tuple[TensorState, ...]
    buffers: tuple[TensorState, ...]
    outputs: Mapping[str, Mapping[str, Any]]
    output: str
    further: tuple[str, ...]
    generated: Rows
    margins: tuple[tuple[float, ...], ...]
    cost: Mapping[str, Mapping[str, float]]
    warnings: tuple[str, ...]

    @property
    def missing_keys(self) -> tuple[str, ...]:
        """Parameters that the load did not find in the checkpoint and drew from the random generator."""
        return self.loading.get("missing_keys", ())

    @property
    def mismatched_keys(self) -> tuple[str, ...]:
        """Parameters whose shape in the checkpoint is another, and that were drawn anew."""
        return self.loading.get("mismatched_keys", ())

    def stored(self, output: str) -> str:
        """The tensor that holds an output: one that this side does not have by name is its main one."""
        return f"output/{output}" if output in self.further else "logits"

    @property
    def tensors(self) -> Path:
        """The file that holds the outputs and the non-persistent buffers."""
        return self.folder / "tensors.safetensors"


def read(folder: Path) -> Capture | None:
    """Read one capture; None when there is none.

    Raises:
        CaptureError: When it is torn, or written by a newer version.
    """
    try:
        stat = (folder / RESPONSE).stat()
    except OSError:
        return None
    return _known(folder, (stat.st_ino, stat.st_mtime_ns, stat.st_size))


@functools.lru_cache(maxsize=64)
def _known(folder: Path, _stamp: tuple[int, int, int]) -> Capture | None:
    """A capture that was read lately: its files never change, and a run looks at each from several sides."""
    content = _content(folder)
    return None if content is None else _capture(folder, content)


def complete(folder: Path) -> tuple[Capture, dict[str, Any]] | None:
    """A capture that did not fail, and everything its response holds, for a probe with facts of its own.

    Raises:
        CaptureError: When it is torn, or written by a newer version.
    """
    content = _content(folder)
    return (_capture(folder, content), content) if content and content["status"] == "captured" else None


def facts(folder: Path) -> dict[str, Any] | None:
    """What a response holds that did not fail, for a probe whose facts are no model's; None when there is none.

    Raises:
        CaptureError: When it is torn, or written by a newer version.
    """
    content = _content(folder)
    return content if content and content["status"] == "captured" else None


def failure(folder: Path) -> Failure | None:
    """Why a probe failed, whatever its facts are; None where it did not, or left nothing.

    Raises:
        CaptureError: When it is torn, or written by a newer version.
    """
    content = _content(folder)
    error = content.get("error") if content else None
    return _failure(content["failed_stage"], error) if content and error else None


def _content(folder: Path) -> dict[str, Any] | None:
    path = folder / RESPONSE
    return read_json(path, schema=request.SCHEMA) if path.exists() else None


def _capture(folder: Path, content: Mapping[str, Any]) -> Capture:
    error = content.get("error")
    return Capture(
        folder=folder,
        key=content["key"],
        status=content["status"],
        failure=_failure(content["failed_stage"], error) if error else None,
        environment=content["environment"],
        loading={name: tuple(values) for name, values in content.get("loading", {}).items()},
        uninitialised=tuple(content.get("uninitialised", ())),
        model_class=content.get("model_class", ""),
        attention=content.get("attention", {}).get("implementation"),
        config=content.get("config", {}),
        tokens=_tokens(content.get("tokens")),
        parameters=states(content.get("parameters", ())),
        buffers=states(content.get("buffers", ())),
        outputs=content.get("tensors", {}),
        output=content.get("output", "logits"),
        further=tuple(content.get("further", ())),
        generated=_rows(content.get("generated", ())),
        margins=tuple(tuple(map(float, row)) for row in content.get("margins", ())),
        cost=content.get("cost", {}),
        warnings=tuple(content.get("warnings", ())),
    )


def read_tokens(folder: Path) -> Tokens | None:
    """Only the ids of a capture; None when it has none."""
    content = _content(folder)
    return _tokens(content.get("tokens")) if content else None


def _failure(stage: str, error: Mapping[str, Any]) -> Failure:
    return Failure(stage=stage, **{name: error[name] for name in ("type", "message", "traceback", "transient")})


def _tokens(lists: Mapping[str, Any] | None) -> Tokens | None:
    if not lists:
        return None
    rows = {name: _rows(values) for name, values in lists.items()}
    return Tokens(input_ids=rows.pop("input_ids"), attention_mask=rows.pop("attention_mask", ()), further=rows)


def states(entries: Any) -> tuple[TensorState, ...]:  # noqa: ANN401 - straight from JSON
    """Parameters or buffers as a response describes them."""
    return tuple(
        TensorState(**{**entry, "shape": tuple(entry["shape"]), "head": tuple(entry["head"])}) for entry in entries
    )


def _rows(values: Any) -> Rows:  # noqa: ANN401 - straight from JSON
    return tuple(tuple(row) for row in values)
