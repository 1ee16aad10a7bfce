"""Memory: what a job will hold at its highest, estimated before it starts, and how many cells fit side by side.

Measured as the peak of resident memory (`cost` of a response) with transformers 4.48.0 and 5.23.0, torch 2.13.0:

| capture | measured | estimate |
|---|---|---|
| main, any of the tiny checkpoints | 294 to 380 MiB | 384 MiB |
| main, safetensors, 166.5 Mi elements, float32 as float32 | 1040 to 1052 MiB | 1220 MiB |
| main, the same stored in bfloat16, as float32 | 1335 to 1345 MiB | 1636 MiB |
| main, the same in bfloat16 as bfloat16 | 718 to 736 MiB | 803 MiB |
| main, pytorch_model.bin, float32 as bfloat16 | 1334 MiB | 1632 MiB |
| main, GGUF of 4 bits, 128.3 Mi elements as float32 | 1556 to 1560 MiB | 1797 MiB |
| evidence, 166.5 Mi elements in float32 | 2380 to 2391 MiB | 2889 MiB |
| evidence, the same in bfloat16 | 2026 to 2034 MiB | 2472 MiB |
| evidence, GGUF of 4 bits | 1533 to 1553 MiB | 2334 MiB |

The estimate of a loaded checkpoint is 9 to 51 % above what was measured. A tiny model whose import alone takes 380 MiB
leaves it no room. Trace, anatomy and swap were measured on tiny checkpoints
only; that a swap holds two models is an assumption on the safe side.

What it does not know is the forward's own memory (activations); `_ROOM` leaves a quarter for it.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from matrix import gguf, wholeness
from matrix.case import Case
from matrix.plan import Job, Take
from matrix.sources import Source, Sources

IMPORTS = 384 << 20
"""Bytes of torch and transformers imported, with a model that weighs nothing (measured: 294 to 380 MiB)."""

_ROOM = 1.25
"""What is left for activations and for what the allocator does not give back."""

_SIZES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2, "default": 4}
"""Bytes of one element; releases of 4.x load float32 where no dtype is asked for."""

_UNPACKED = 2
"""Elements per byte of a GGUF file whose header cannot be read: 4 bits each."""

_WHOLE: Mapping[Take, int] = {"swap": 2}
"""How many whole models a take holds, where it is not one: a swap keeps what it takes out beside what it puts in."""

_WITHOUT: tuple[Take, ...] = ("roster", "author", "shrink")
"""Takes that load no checkpoint, or one made small."""

_FLOAT64 = 8
_LOGITS = 3
"""Copies of the logits that a capture holds: both forwards', and a cast of the last (modeling code's `.float()`)."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What the headers of a checkpoint's files say, without reading any weight.

    Attributes:
        elements: How many numbers the parameters have, about.
        bytes: Size of the files that a load reads.
        widest: The longest axis of any tensor: hardly ever less than the vocabulary; 0 where no header says.
        is_packed: Whether a load unpacks them first, beside the model.
    """

    elements: int
    bytes: int
    widest: int
    is_packed: bool = False


@functools.cache
def weights(source: Source) -> Weights:
    """What a source's files hold; sizes alone where their headers say nothing, as for .bin."""
    if source.file:
        return _packed(source)
    files = [file for file in wholeness.used(source.folder, str(source.folder)) if file.exists()]
    size = sum(file.stat().st_size for file in files)
    headers = [wholeness.header(file) for file in files if file.suffix == ".safetensors"]
    entries = [entry for header in headers if header for entry in header.values()]
    if not entries:
        return Weights(elements=size // _stored_size(source), bytes=size, widest=0)
    return _counted([tuple(entry["shape"]) for entry in entries], size)


def need(job: Job, sources: Sources) -> int:
    """Bytes that a job holds at its highest."""
    if job.take in _WITHOUT or job.case.probe == "tokenizer":
        return IMPORTS
    found = weights(sources.checkpoint)
    extra = weights(sources.adapter).bytes if sources.adapter else 0
    size = _SIZES.get(job.variant.dtype, 4)
    own = found.elements * size * _WHOLE.get(job.take, 1) + extra
    outputs = _LOGITS * _positions(job.case) * found.widest * max(size, _SIZES["float32"])
    if job.take == "evidence":
        coarse = found.elements * _SIZES.get(job.through.dtype, 4) if job.through else 0
        return IMPORTS + int(_ROOM * (own + _FLOAT64 * found.elements + coarse + 2 * outputs))
    return IMPORTS + int(_ROOM * (own + _beside(found, size) + outputs))


def largest(jobs: Iterable[Job], sources: Mapping[str, Sources]) -> int:
    """Bytes of the job that needs most; of none, what importing takes."""
    return max((need(job, sources[job.case.name]) for job in jobs), default=IMPORTS)


def at_a_time(needs: Sequence[int], available: int, cores: int) -> int:
    """How many cells may run side by side, so that even the largest of them fit together; at least one."""
    together, count = 0, 0
    for needed in sorted(needs, reverse=True):
        together += needed
        if together > available or count == cores:
            break
        count += 1
    return max(1, count)


def gib(count: int) -> str:
    """Bytes as a person reads them."""
    return f"{count / 2**30:.1f} GiB"


def _packed(source: Source) -> Weights:
    file = source.folder / str(source.file)
    size, shapes = file.stat().st_size, gguf.shapes(file)
    if shapes is None:
        return Weights(elements=_UNPACKED * size, bytes=size, widest=0, is_packed=True)
    counted = _counted(list(shapes), size)
    return Weights(elements=counted.elements, bytes=size, widest=counted.widest, is_packed=True)


def _counted(shapes: Sequence[tuple[int, ...]], size: int) -> Weights:
    widest = max((max(shape, default=1) for shape in shapes), default=0)
    return Weights(elements=sum(math.prod(shape) for shape in shapes), bytes=size, widest=widest)


def _beside(found: Weights, size: int) -> int:
    """What a load holds beside the model: the files' bytes where it casts them, and what it unpacks."""
    if found.is_packed:
        return found.bytes + found.elements * _SIZES["float32"]
    return found.bytes if _casts(found, size) else 0


def _casts(found: Weights, size: int) -> bool:
    """Whether the stored elements have another size; the headers are a few bytes of each file."""
    return bool(found.elements) and round(found.bytes / found.elements) != size


def _stored_size(source: Source) -> int:
    """Bytes of one element of a file that does not say it: what the config says, else those of float32."""
    path = source.folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return _SIZES.get(str(config.get("torch_dtype") or config.get("dtype")), _SIZES["float32"])


def _positions(case: Case) -> int:
    """Rows times length of what goes in; a text has no more tokens than bytes, and a few special ones."""
    if case.input_ids:
        return len(case.input_ids) * len(case.input_ids[0])
    texts = [*case.text, *map(str, case.chat)]
    return len(texts) * (max((len(text.encode()) for text in texts), default=0) + 8)
