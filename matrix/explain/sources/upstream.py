"""Upstream: where a file of an installed release lies in its own repository."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

from matrix.repositories import REPOSITORIES

_BEFORE = {"transformers": "src/", "torch": ""}
"""Package whose code is shown → what stands before the package in its repository's paths."""

REMOTE = "transformers_modules"
"""The package that transformers imports remote code from."""


def path(file: str) -> str:
    """Such as `src/transformers/models/llama/modeling_llama.py`; of remote code, the file in the model's repository.

    Args:
        file: Relative to site-packages where it lies there, else as the interpreter has it.
    """
    parts = PurePath(file).parts
    if parts and parts[0] in _BEFORE:
        return _BEFORE[parts[0]] + PurePath(file).as_posix()
    return PurePath(file).name if REMOTE in parts or PurePath(file).is_absolute() else PurePath(file).as_posix()


def version(site: Path, package: str) -> str | None:
    """The version that is installed there, such as `2.13.0+cpu`; None where there is none."""
    found = sorted(site.glob(f"{package}-*.dist-info"))
    return found[0].name.removeprefix(f"{package}-").removesuffix(".dist-info") if found else None


def link(site: Path, file: str, line: int) -> str | None:
    """The line in the repository at the release's tag; None for what is no final release of a known repository."""
    package = PurePath(file).parts[0] if file else ""
    installed = version(site, package) if package in _BEFORE else None
    # local versions name a build of the same source
    public = (installed or "").split("+")[0]
    if not re.fullmatch(r"\d+(\.\d+)*(\.post\d+)?", public):
        return None
    return f"{REPOSITORIES[package]}/blob/v{public}/{path(file)}#L{line}"
