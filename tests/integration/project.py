"""A copy of the project, as a fresh clone would be, and how tests call it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix.state import ROOT

_IGNORED = (".git", ".nox", ".matrix", "__pycache__", "out", ".*_cache")
_SPEC = """schema = 1
baseline = {{ transformers = "4.57.6" }}
[axes.transformers]
values = {releases}
[axes.torch]
values = ["2.13.0"]
[variants]
attention = ["eager"]
{cases}
"""
_CASE = """
[[case]]
name = "{name}"
checkpoint = "{checkpoint}"
trust_remote_code = true
input_ids = [[3, 17, 45, 92, 8, 61, 23, 77]]
timeout = 120
"""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One finished call of nox."""

    code: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Project:
    """A copy of the project in a folder of its own."""

    folder: Path

    def nox(self, *arguments: str, environ: dict[str, str] | None = None) -> Call:
        """Run nox in the copy, as a person would."""
        command = [sys.executable, "-m", "nox", *arguments]
        variables = {**os.environ, **(environ or {})}
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, env=variables)
        return Call(code=done.returncode, text=done.stdout + done.stderr)

    def matrix(self, *arguments: str, environ: dict[str, str] | None = None) -> Call:
        """Run `nox -s matrix -- …`."""
        return self.nox("-s", "matrix", "--", *arguments, environ=environ)

    def spec(self, name: str, releases: list[str], cases: dict[str, Path | str]) -> Path:
        """Write a spec of one eager float32 variant."""
        path = self.folder / f"{name}.toml"
        text = "".join(_CASE.format(name=case, checkpoint=checkpoint) for case, checkpoint in cases.items())
        path.write_text(_SPEC.format(releases=json.dumps(releases), cases=text), encoding="utf-8")
        return path

    def report(self) -> dict[str, Any]:
        """The newest report.json."""
        path = self.folder / "reports" / "out" / "latest" / "report.json"
        return json.loads(path.read_text(encoding="utf-8"))

    def verdicts(self) -> dict[tuple[str, str], str]:
        """(case, transformers release) → verdict in the newest report."""
        axes = {cell["id"]: cell["axes"]["transformers"] for cell in self.report()["cells"]}
        return {(c["case"], axes[c["candidate"]]): c["verdict"] for c in self.report()["comparisons"]}

    def run_folder(self) -> Path:
        """The folder of the run that the newest report is about."""
        return self.folder / ".matrix" / "runs" / self.report()["run"]["id"]


def copy(folder: Path) -> Project:
    """Copy the project without anything that was built in it."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*_IGNORED), symlinks=True)
    return Project(folder=folder)


def tiny(name: str) -> Path:
    """The folder of a shipped recipe."""
    return ROOT / "matrix" / "tiny" / name
