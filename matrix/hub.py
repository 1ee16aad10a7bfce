"""The Hub: a repository's revision becomes a commit, and the commit a local folder, once, on the host.

A child process alone talks to the Hub and alone sees the person's token; cells read the folder, offline.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix.console import say
from matrix.errors import CheckpointError
from matrix.files import new_folder, write_text
from matrix.state import State

CHILD = Path(__file__).with_name("hub_child.py")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True)
class Name:
    """What `hub:org/name@revision` names: a branch, a tag or a commit of a repository; `main` where none is given."""

    repository: str
    revision: str

    @property
    def label(self) -> str:
        """The repository as a part of a file's name."""
        return self.repository.replace("/", "--")

    @property
    def is_commit(self) -> bool:
        """Whether the revision cannot come to mean other bytes."""
        return bool(_COMMIT.fullmatch(self.revision))


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A commit's files on this machine."""

    commit: str
    folder: Path


def parse(name: str) -> Name:
    """The parts of `hub:org/name@revision`.

    Raises:
        CheckpointError: When it is named in another way.
    """
    found = re.fullmatch(r"hub:([\w.-]+(?:/[\w.-]+)?)(?:@([\w./-]+))?", name)
    if not found:
        raise CheckpointError("a Hub checkpoint is named in another way", given=name, allowed="hub:org/name@revision")
    return Name(repository=found[1], revision=found[2] or "main")


def fetch(name: str, state: State) -> Snapshot:
    """A revision's files: a commit is fetched once, a branch or a tag is asked for again every time.

    Where the Hub cannot be reached, what was fetched before counts, or the Hub's own cache on this machine; one line
    says so.

    Raises:
        CheckpointError: When the name is none, the Hub refuses it, or nothing on this machine can stand in for it.
    """
    wanted, home = parse(name), state.checkpoints / "hub"
    if wanted.is_commit and _folder(home, wanted, wanted.revision).exists():
        return Snapshot(commit=wanted.revision, folder=_folder(home, wanted, wanted.revision))
    answer = _ask({"do": "resolve", "repository": wanted.repository, "revision": wanted.revision})
    if "unreachable" in answer:
        return _offline(wanted, home, answer)
    if "commit" not in answer:
        raise _refusal(wanted, answer["error"])
    target = _folder(home, wanted, answer["commit"])
    if not target.exists():
        _download(wanted, answer, target)
    write_text(_reference(home, wanted), answer["commit"])
    return Snapshot(commit=answer["commit"], folder=target)


def _download(wanted: Name, found: Mapping[str, Any], target: Path) -> None:
    with new_folder(target) as scratch:
        named = {"commit": found["commit"], "files": found["files"], "folder": str(scratch)}
        done = _ask({"do": "download", "repository": wanted.repository, **named})
        if "error" in done:
            raise _refusal(wanted, done["error"])


def _offline(wanted: Name, home: Path, answer: Mapping[str, Any]) -> Snapshot:
    """What an earlier run fetched for the same name, else what the Hub's cache holds of it."""
    reference = _reference(home, wanted)
    known = reference.read_text(encoding="utf-8") if reference.exists() else None
    commit, folder = known, _folder(home, wanted, known) if known else None
    if not folder or not folder.exists():
        if "cached" not in answer:
            raise _refusal(wanted, f"{answer['unreachable']}; the Hub's cache on this machine does not hold it either")
        commit, folder = answer["commit"], _shown(answer, home / f"{wanted.label}@{answer['commit']}-cached")
    said = f"{wanted.repository}@{wanted.revision} is taken as it was seen last, commit {str(commit)[:12]}"
    say(f"checkpoint: the Hub cannot be reached ({answer['unreachable'][:100]}); {said}")
    return Snapshot(commit=str(commit), folder=folder)


def _shown(answer: Mapping[str, Any], target: Path) -> Path:
    """The files of the cache that a load needs, as links: the cache may have fewer of them than the commit has."""
    target.mkdir(parents=True, exist_ok=True)
    for path in target.rglob("*"):
        if path.is_symlink():
            path.unlink()
    for name in answer["files"]:
        link = target / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((Path(answer["cached"]) / name).resolve())
    return target


def _folder(home: Path, wanted: Name, commit: str) -> Path:
    return home / f"{wanted.label}@{commit}"


def _reference(home: Path, wanted: Name) -> Path:
    """Remembers which commit a branch or tag was, as the Hub's own cache does."""
    return home / "refs" / wanted.label / wanted.revision


def _ask(question: Mapping[str, Any]) -> dict[str, Any]:
    """Put a question to the child; whatever else a library prints is kept apart from the answer."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "answer.json"
        command = [sys.executable, "-I", str(CHILD), json.dumps(question), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
        if not path.exists():
            return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1]}
        answer: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return answer


def _refusal(wanted: Name, reason: str) -> CheckpointError:
    return CheckpointError(
        "a checkpoint could not be fetched from the Hub",
        given=f"{wanted.repository}@{wanted.revision}: {reason}",
        next_step="check the name, the revision and the network, or give a local folder",
    )
