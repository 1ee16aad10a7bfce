"""Small traces and anatomies for the tests of explain, written as the probes write them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors.numpy import save_file

from matrix.explain import anatomy, trace
from matrix.explain.anatomy import Anatomy
from matrix.explain.trace import Trace
from tests.matrix.builders import LOGITS, write_capture

EMPTY: Mapping[str, Any] = MappingProxyType({})


class Forward:
    """A forward to be written: its calls in the order in which they start."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.stored: dict[str, NDArray[Any]] = {}

    def call(  # noqa: PLR0913
        self,
        module: str,
        inside: int | None,
        inputs: Mapping[str, ArrayLike] = EMPTY,
        outputs: Mapping[str, ArrayLike] = EMPTY,
        *,
        nth: int = 0,
        piece: str | None = None,
        scalars: Mapping[str, Any] = EMPTY,
    ) -> int:
        """One call; its index."""
        entry = {"index": len(self.calls), "parent": inside, "module": module, "nth": nth, "piece": piece}
        sides = {"inputs": self._tensors(inputs), "outputs": self._tensors(outputs)}
        self.calls.append({**entry, **sides, "scalars": dict(scalars)})
        return len(self.calls) - 1

    def piece(self, name: str, inside: int, values: ArrayLike) -> int:
        """One functional piece of attention."""
        return self.call(self.calls[inside]["module"], inside, EMPTY, {"0": values}, piece=name)

    def write(self, folder: Path, **facts: Any) -> Trace:  # noqa: ANN401 - what a response may hold
        """Write the capture and read it back."""
        write_capture(folder, calls=self.calls, inert=True, pieces=True, **facts)
        save_file(self.stored, folder / "activations-00001.safetensors")
        found = trace.read(folder)
        assert found
        return found

    def _tensors(self, values: Mapping[str, ArrayLike]) -> dict[str, Any]:
        return {name: self._tensor(np.asarray(array)) for name, array in values.items()}

    def _tensor(self, array: NDArray[Any]) -> dict[str, Any]:
        array = np.ascontiguousarray(array.astype(np.float32) if array.dtype == np.float64 else array)
        digest = hashlib.sha256(array.tobytes()).hexdigest()
        name = f"{digest[:40]}-{array.dtype}-{'x'.join(map(str, array.shape))}"
        self.stored[name] = array
        facts = {"dtype": str(array.dtype), "shape": list(array.shape), "sha256": digest}
        return {**facts, "stored": name, "file": "activations-00001.safetensors"}


def write_anatomy(
    folder: Path,
    *,
    logits: Mapping[str, ArrayLike] | None = None,
    rungs: Mapping[str, Any] = EMPTY,
    modules: Sequence[tuple[str, str]] = (),
    **facts: Any,  # noqa: ANN401 - what a response may hold
) -> Anatomy:
    """Write the anatomy of modules (name, class) with the logits of some rungs, and read it back."""
    logits = {"given": LOGITS} if logits is None else logits
    said = {name: {"logits": f"logits/{name}", "error": None, "again": True, **rungs.get(name, {})} for name in logits}
    said |= {name: rung for name, rung in rungs.items() if name not in said}
    described = [
        {"name": name, "class_name": kind, "python_module": "m", "file": "m.py", "line": 1, "scalars": {}}
        for name, kind in modules
    ]
    tensors = {f"logits/{name}": values for name, values in logits.items()}
    content = {"modules": described, "plain": [], "kept": {}, "generation_config": {}, "site": "/site", **facts}
    write_capture(folder, tensors=tensors, rungs=said, **content)
    found = anatomy.read(folder)
    assert found
    return found
