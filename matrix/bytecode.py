"""Bytecode: what one environment's first imports compiled is lent to others that hold the same source files.

Compiling torch alone takes seconds in every fresh environment, and neighbouring releases of transformers share most of
their files. What is lent carries the hash of its source, which Python compares at every import (PEP 552): bytecode of
another source is compiled again, never used.
"""

from __future__ import annotations

import _imp
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from matrix.files import write_bytes

_CHECKED = (0b11).to_bytes(4, "little")
"""PEP 552: the .pyc holds its source's hash, and Python is to check it."""

_BY_TIME = bytes(4)
_HEADER = 16


@contextlib.contextmanager
def shared(venv: Path, store: Path) -> Iterator[None]:
    """Lend an environment that was just made what others compiled, and keep what it compiles itself."""
    lend(venv, store)
    yield
    keep(venv, store)


def lend(venv: Path, store: Path) -> None:
    """Link every stored .pyc into an environment that was just made."""
    for name, _, compiled in _modules(venv):
        # absent for modules that no cell has imported yet
        with contextlib.suppress(OSError):
            compiled.parent.mkdir(exist_ok=True)
            os.link(store / name, compiled)


def keep(venv: Path, store: Path) -> None:
    """Store every .pyc that an environment's imports have made, under the hash of its source."""
    for name, source, compiled in _modules(venv):
        # an optimisation that fails, on a full disk say, must cost nobody a capture
        with contextlib.suppress(OSError):
            if compiled.exists() and not (store / name).exists() and (made := _checked(source, compiled)):
                write_bytes(store / name, made)


def _checked(source: Path, compiled: Path) -> bytes | None:
    """A .pyc that is checked by its source's hash instead of its time; None where it is not of this source."""
    content, text = compiled.read_bytes(), source.read_bytes()
    magic, flags, time, size = content[:4], content[4:8], content[8:12], content[12:_HEADER]
    written = int(source.stat().st_mtime) & 0xFFFFFFFF
    if flags != _BY_TIME or int.from_bytes(time, "little") != written or int.from_bytes(size, "little") != len(text):
        return None
    # importlib.util.source_hash, for the Python that compiled it; one that hashes otherwise compiles again
    return magic + _CHECKED + _imp.source_hash(int.from_bytes(magic, "little"), text) + content[_HEADER:]


def _modules(venv: Path) -> Iterator[tuple[str, Path, Path]]:
    """Every module of every installed package: (its place in the store, its source, its .pyc's place)."""
    for site in venv.glob("lib/python*/site-packages"):
        # the cell's Python, which need not be ours (PEP 3147)
        tag = site.parent.name.replace("python", "cpython-").replace(".", "")
        for record in site.glob("*.dist-info/RECORD"):
            for line in record.read_text(encoding="utf-8").splitlines():
                source, _, digest = line.partition(",")
                kind, _, digest = digest.partition(",")[0].partition("=")
                if source.endswith(".py") and not source.startswith((".", "/", '"')) and kind == "sha256":
                    path = site / source
                    yield f"{tag}/{digest[:2]}/{digest}", path, path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc"
