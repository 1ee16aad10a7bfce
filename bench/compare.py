"""Throughput of `matrix.metrics.compare` against `torch.testing.assert_close`.

    python -m bench.compare --gib 2 --torch-python PATH

Writes two float32 captures that differ by noise, compares them with both in child processes of one thread each, and
prints how many gigabytes of one capture each gets through per CPU-second. Only the comparison itself is timed, page
faults of the memory map included; the files have just been written, so they come from the page cache.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

ROOT: Final = Path(__file__).resolve().parent.parent
COLUMNS: Final = 4096
BLOCK_ROWS: Final = 1024
NOISE: Final = 1e-6
ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asks for."""

    gib: float
    repeat: int
    torch_python: str
    child: str | None
    captures: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The CPU-seconds of one way to compare captures of `size` bytes each; the best of all repeats."""

    size: int
    seconds: float

    @property
    def rate(self) -> float:
        """Gigabytes (1e9 bytes of one capture) per CPU-second."""
        return self.size / self.seconds / 1e9


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, or one of its children; return the exit code."""
    request = _parse(arguments)
    if request.child:
        sys.stdout.write(f"{_seconds(CHILDREN[request.child], *request.captures)}\n")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        captures = Path(folder, "baseline.safetensors"), Path(folder, "candidate.safetensors")
        size = _write(*captures, rows=max(1, round(request.gib * 2**30 / (4 * COLUMNS))))
        ours = _measure("matrix", sys.executable, captures, size, request.repeat)
        theirs = _measure("torch", request.torch_python, captures, size, request.repeat)
    sys.stdout.write(
        f"matrix.metrics.compare {ours.rate:.2f} GB/CPU-s, torch.testing.assert_close {theirs.rate:.3f} GB/CPU-s, "
        f"ratio {ours.rate / theirs.rate:.1f} (float32, {size / 2**30:.2f} GiB a side, best of {request.repeat})\n"
    )
    return 0


def _parse(arguments: Sequence[str] | None) -> Request:
    parser = argparse.ArgumentParser(description="Throughput of our comparison against torch.testing.assert_close.")
    parser.add_argument("--gib", type=float, default=2.0, help="size of each capture in GiB (default 2)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each comparison; the best counts (default 3)")
    parser.add_argument("--torch-python", default=sys.executable, help="interpreter with torch and safetensors")
    parser.add_argument("--child", choices=sorted(CHILDREN), help=argparse.SUPPRESS)
    parser.add_argument("captures", nargs="*", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    return Request(**{**vars(options), "captures": tuple(options.captures)})


def _write(baseline: Path, candidate: Path, *, rows: int) -> int:
    """Write both captures block by block; return the bytes of one tensor."""
    size = rows * COLUMNS * 4
    random = np.random.default_rng(0)
    with baseline.open("wb") as a, candidate.open("wb") as b:
        for file in (a, b):
            file.write(_header(rows, size))
        for start in range(0, rows, BLOCK_ROWS):
            shape = min(BLOCK_ROWS, rows - start), COLUMNS
            block: NDArray[np.float32] = random.standard_normal(shape, dtype=np.float32)
            a.write(block.data)
            b.write((block + np.float32(NOISE) * random.standard_normal(shape, dtype=np.float32)).data)
    return size


def _header(rows: int, size: int) -> bytes:
    header = json.dumps({"x": {"dtype": "F32", "shape": [rows, COLUMNS], "data_offsets": [0, size]}}).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header


def _measure(child: str, python: str, captures: tuple[Path, Path], size: int, repeat: int) -> Timing:
    command = [python, "-m", "bench.compare", "--child", child, *map(str, captures)]
    environment = {**os.environ, **ONE_THREAD}
    seconds = [
        float(subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE).stdout)
        for _ in range(repeat)
    ]
    return Timing(size=size, seconds=min(seconds))


def _seconds(prepare: Callable[[Path, Path], Callable[[], object]], baseline: Path, candidate: Path) -> float:
    run = prepare(baseline, candidate)
    start = time.process_time()
    run()
    return time.process_time() - start


def _prepare_matrix(baseline: Path, candidate: Path) -> Callable[[], object]:
    compare = importlib.import_module("matrix.metrics").compare
    open_file = importlib.import_module("matrix.tensorfile").TensorFile
    a, b = (open_file(path).array("x") for path in (baseline, candidate))
    return lambda: compare(a, b)


def _prepare_torch(baseline: Path, candidate: Path) -> Callable[[], object]:
    torch = importlib.import_module("torch")
    load = importlib.import_module("safetensors.torch").load_file
    torch.set_num_threads(1)
    a, b = (load(path)["x"] for path in (baseline, candidate))
    return lambda: torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-3)


CHILDREN: Final = {"matrix": _prepare_matrix, "torch": _prepare_torch}

if __name__ == "__main__":
    sys.exit(main())
