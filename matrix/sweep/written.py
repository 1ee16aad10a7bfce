"""Written: a cohort's spec as a TOML file, so that `explain` and `bisect` can go on with its cases."""

from __future__ import annotations

from pathlib import Path

import tomli_w

from matrix import table
from matrix.files import write_text
from matrix.spec import Spec

FILE = "spec.toml"

_HEAD = "# Written by `nox -s sweep`: checkpoints are read from the captures in which a release wrote them.\n"


def write(spec: Spec, folder: Path) -> Path:
    """Write the spec beside its run, and return its path."""
    path = folder / FILE
    write_text(path, _HEAD + tomli_w.dumps(table.write(spec)))
    return path
