"""The machine's state folder `.matrix/`: where runs, captures, locks and checkpoints lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder."""

FOLDER_VARIABLE = "MATRIX_FOLDER"
"""Tells us where a command was typed: nox goes to the noxfile's folder before anything else."""


@dataclass(frozen=True, kw_only=True)
class State:
    """Paths below one state folder, hidden and self-ignoring like `.nox/`."""

    folder: Path = ROOT / ".matrix"

    @property
    def runs(self) -> Path:
        """One folder per run."""
        return self.folder / "runs"

    @property
    def searches(self) -> Path:
        """One folder per run of `explain` and `bisect`."""
        return self.folder / "searches"

    @property
    def sweeps(self) -> Path:
        """One folder per sweep, which holds a run per cohort."""
        return self.folder / "sweeps"

    @property
    def captures(self) -> Path:
        """Every capture taken on this machine, by key; runs show them through links."""
        return self.folder / "captures"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints written from recipes, unpacked from packages or fetched from the Hub."""
        return self.folder / "checkpoints"

    @property
    def locks(self) -> Path:
        """Resolved environments, and lock files between processes."""
        return self.folder / "locks"

    @property
    def bytecode(self) -> Path:
        """Compiled modules by package and version."""
        return self.folder / "bytecode"

    @property
    def digests(self) -> Path:
        """Remembered digests of large files."""
        return self.folder / "digests.json"

    def create(self) -> State:
        """Make the folder, with a .gitignore that hides it from any repository it lies in."""
        self.folder.mkdir(parents=True, exist_ok=True)
        ignore = self.folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
        return self
