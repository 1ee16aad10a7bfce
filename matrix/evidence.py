"""Evidence: the closer look that cells take where bits differ, what asks for it, and what it holds."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from matrix import capture, request
from matrix.capture import Capture, Tokens
from matrix.case import Option, Variant
from matrix.cell import Cell
from matrix.outputs import differing
from matrix.pairs import Pair, pairs
from matrix.plan import Job
from matrix.run import Run

_BITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
"""Significant bits of each dtype (IEEE 754; bfloat16 is the upper half of float32)."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One capture of probes/evidence.py.

    Attributes:
        capture: Its folder and tensors; `logits` are the plain ones.
        dtype: The dtype that the model was loaded in.
        kernel: The attention kernel that was used.
        roundings: Another way to round the output → the tensor that holds it; None where the bits are the same.
        exact: Kernel → the tensor with the output in corrected float64.
        escaped: Kernel → the operations that stayed below float64 in spite of the correction, and how often.
        lacking: What could not run → why.
        misrounded: Parameters that the coarser load of two dtypes does not hold as rounding would make them.
        contents: Parameter or buffer → digest of its values as a multiset.
        elsewhere: The same of the further outputs, by name: `roundings` and `exact`.
        output: The output that `roundings` and `exact` are of.
    """

    capture: Capture
    dtype: str
    kernel: str
    roundings: Mapping[str, str | None]
    exact: Mapping[str, str]
    escaped: Mapping[str, Mapping[str, int]]
    lacking: Mapping[str, str]
    misrounded: tuple[str, ...]
    contents: Mapping[str, str]
    elsewhere: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    output: str = "logits"

    @property
    def plain(self) -> str:
        """The tensor that holds the output as the model computes it."""
        return self.capture.stored(self.output)

    def of(self, output: str) -> Evidence:
        """The same closer look at one output, the main one if it has none of that name."""
        if output not in self.capture.further:
            return replace(self, output=output)
        ways = self.elsewhere.get(output, {})
        return replace(self, output=output, roundings=ways.get("roundings", {}), exact=ways.get("exact", {}))


def read(folder: Path) -> Evidence | None:
    """Read one closer look; None when there is no complete one.

    Raises:
        CaptureError: When it is torn, or written by a newer version.
    """
    found = capture.complete(folder)
    if found is None:
        return None
    taken, content = found
    names = ("dtype", "kernel", "roundings", "exact", "escaped", "lacking", "contents")
    further = {"misrounded": tuple(content.get("misrounded", ())), "elsewhere": content.get("elsewhere", {})}
    return Evidence(capture=taken, output=taken.output, **further, **{name: content[name] for name in names})


def wanted(run: Run, cells: Sequence[Cell]) -> dict[Cell, list[Job]]:
    """What must be looked at again: both sides of every pair whose bits differ, or whose parameters' names do.

    Args:
        run: The run.
        cells: The candidates of the pairs.

    Raises:
        CaptureError: When a capture is torn.
    """
    # pairs come job by job: a few captures are enough to read each once, and a run may have many
    read_once = functools.lru_cache(maxsize=4)(lambda cell, job: capture.read(run.cell(cell) / job))
    jobs: dict[Cell, dict[str, Job]] = {}
    # a tokenizer computes nothing that a closer look could explain
    models = (pair for pair in pairs(run.spec, run.plan) if pair.job.case.probe == "model")
    for pair in (pair for pair in models if pair.cell in cells):
        good = read_once(pair.baseline.id, pair.reference.id)
        again = read_once(pair.cell.id, replace(pair.job, same_ids=True).id) if pair.within is None else None
        bad = again or read_once(pair.cell.id, pair.job.id)
        if good and bad and _is_open(good, bad, pair.within):
            tokens = good.tokens if again else None
            for cell, job in ((pair.baseline, of_reference(pair, good, bad)), (pair.cell, of_job(pair, good, bad))):
                asked = _with_ids(job, tokens) if cell == pair.cell and again else job
                jobs.setdefault(cell, {})[asked.id] = asked
    return {cell: list(found.values()) for cell, found in jobs.items()}


def of_reference(pair: Pair, good: Capture, bad: Capture) -> Job:
    """The closer look that the baseline's side of a pair needs."""
    return replace(pair.reference, take="evidence", through=_through(pair, good, bad, pair.job.variant))


def of_job(pair: Pair, good: Capture, bad: Capture) -> Job:
    """The closer look that the candidate's side of a pair needs."""
    return replace(pair.job, take="evidence", through=_through(pair, bad, good, pair.reference.variant))


def bits(dtype: str) -> int:
    """Significant bits of a dtype; those below 16 bits compute in bfloat16."""
    return _BITS.get(dtype, _BITS["bfloat16"])


def _through(pair: Pair, own: Capture, other: Capture, variant: Variant) -> Variant | None:
    """The other side's variant, where it is the coarser of two dtypes."""
    return variant if pair.within == "dtype" and bits(_dtype(other)) < bits(_dtype(own)) else None


def _dtype(side: Capture) -> str:
    """The dtype that a model was loaded in: its first floating parameter's."""
    return next((state.dtype for state in side.parameters if state.dtype in _BITS), "float32")


def _is_open(good: Capture, bad: Capture, within: Option | None) -> bool:
    """Whether two captures differ in a way that a closer look can explain."""
    if any(side.status != "captured" or side.uninitialised for side in (good, bad)) or _ids(good) != _ids(bad):
        return False
    if good.outputs["logits"]["shape"] != bad.outputs["logits"]["shape"]:
        return False
    # other values are a change, whatever rounding did besides
    return (within == "dtype" or not _is_altered(good, bad)) and any(_differing(good, bad))


def _is_altered(good: Capture, bad: Capture) -> bool:
    """Whether a parameter of the same name and form holds other values."""
    forms = {(state.name, state.dtype, state.shape): state.sha256 for state in good.parameters}
    found = ((forms.get((state.name, state.dtype, state.shape)), state.sha256) for state in bad.parameters)
    return any(before is not None and before != now for before, now in found)


def _differing(good: Capture, bad: Capture) -> Iterator[bool]:
    """Cheapest first."""
    yield good.generated != bad.generated
    yield _contents(good) != _contents(bad)
    yield next(differing(good, bad), None) is not None


def _contents(side: Capture) -> Counter[tuple[str, tuple[int, ...]]]:
    """What the parameters hold, whatever they are called: one that is only renamed needs no closer look."""
    return Counter((state.sha256, state.shape) for state in side.parameters)


def _ids(side: Capture) -> object:
    return side.tokens.input_ids if side.tokens else None


def _with_ids(job: Job, tokens: Tokens | None) -> Job:
    return request.same_ids(job, tokens.lists) if tokens else job
