"""Bytecode: what one environment's first imports compiled is lent to the next one that holds the same packages.

Compiling torch alone takes seconds in every fresh environment, and all cells of a torch build hold the same torch.
Python checks a .pyc against its source's time and size, so a stale one is compiled again, never used.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def shared(venv: Path, store: Path) -> Iterator[None]:
    """Lend an environment that was just made what others compiled, and keep what it compiles itself."""
    lend(venv, store)
    yield
    keep(venv, store)


def lend(venv: Path, store: Path) -> None:
    """Link every stored .pyc into an environment that was just made."""
    for package, source, compiled in _modules(venv):
        stored = store / package / source
        # absent for modules that no cell has imported yet
        with contextlib.suppress(OSError):
            compiled.parent.mkdir(exist_ok=True)
            os.link(stored, compiled)


def keep(venv: Path, store: Path) -> None:
    """Link every .pyc that an environment's imports have made into the store."""
    for package, source, compiled in _modules(venv):
        stored = store / package / source
        # an optimisation that fails, on a full disk say, must cost nobody a capture
        with contextlib.suppress(OSError):
            if compiled.exists() and not stored.exists():
                stored.parent.mkdir(parents=True, exist_ok=True)
                os.link(compiled, stored)


def _modules(venv: Path) -> Iterator[tuple[str, str, Path]]:
    """Every module of every installed package: (name-version, source inside the package, its .pyc's place)."""
    for site in venv.glob("lib/python*/site-packages"):
        # the cell's Python, which need not be ours (PEP 3147)
        tag = site.parent.name.replace("python", "cpython-").replace(".", "")
        for record in site.glob("*.dist-info/RECORD"):
            text = record.read_text(encoding="utf-8")
            # two builds of one version differ in their records
            build = hashlib.sha256(text.encode()).hexdigest()[:16]
            package = f"{tag}-{record.parent.name.removesuffix('.dist-info')}-{build}"
            for line in text.splitlines():
                source = line.partition(",")[0]
                if source.endswith(".py") and not source.startswith((".", "/", '"')):
                    path = site / source
                    yield package, source, path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc"
