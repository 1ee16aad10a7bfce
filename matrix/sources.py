"""Sources: a checkpoint's name becomes a local folder with a digest, once, on the host; cells read it offline."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix import recipe
from matrix.case import Case
from matrix.environment import fetch_package
from matrix.errors import CheckpointError
from matrix.files import DigestMemory, new_folder
from matrix.state import State

_WEIGHTS = ("*.safetensors", "*.bin", "*.gguf", "*.pt", "*.pth")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tokenizer_config.json")
"""Files by which transformers recognises a checkpoint's weights and tokenizer."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A local copy of a checkpoint (or of a tokenizer).

    Attributes:
        folder: What from_pretrained is given.
        file: The .gguf file's name inside the folder, or None.
        digest: sha256 over names and bytes.
        bytes: Size on disk.
        has_tokenizer: Whether a tokenizer can be read from it.
    """

    folder: Path
    file: str | None
    digest: str
    bytes: int
    has_tokenizer: bool


class Resolver:
    """Resolves names relative to one spec; remembers what it has resolved."""

    def __init__(self, state: State, base: Path) -> None:
        self._state = state
        self._base = base
        self._memory = DigestMemory(state.digests)
        self._known: dict[str, Source] = {}

    def checkpoint(self, case: Case) -> Source:
        """The case's checkpoint.

        Raises:
            CheckpointError: When it is missing, half-written or cannot be fetched.
        """
        if case.probe == "tokenizer":
            return self.tokenizer(case)
        source = self._source(case.checkpoint, case.name)
        if source.file is None:
            _check_whole(source.folder, case.name)
        return source

    def tokenizer(self, case: Case) -> Source:
        """Where the case's tokenizer is read from.

        Raises:
            CheckpointError: When the case has text and there is no tokenizer.
        """
        source = self._source(case.tokenizer or case.checkpoint, case.name)
        only = case.probe == "tokenizer"
        if (case.text or case.chat or only) and not source.has_tokenizer:
            what = "is about a tokenizer" if only else "has text" if case.text else "has a chat"
            raise CheckpointError(
                f"case {case.name!r} {what}, but there is no tokenizer",
                given=source.folder,
                allowed=f"a folder with one of {', '.join(_TOKENIZERS)}",
                next_step="name a tokenizer" if only else "give input_ids instead of text, or name a tokenizer",
            )
        return source

    def save(self) -> None:
        """Keep the digests for the next run."""
        self._memory.save()

    def _source(self, name: str, case: str) -> Source:
        if name not in self._known:
            self._known[name] = self._describe(self._locate(name, case))
        return self._known[name]

    def _locate(self, name: str, case: str) -> Path:
        if name.startswith("package:"):
            return _from_package(name, self._state)
        if name.startswith("hub:"):
            return _from_hub(name, self._state)
        path = (self._base / Path(name).expanduser()).resolve()
        if not path.exists():
            raise CheckpointError(
                f"the checkpoint of case {case!r} does not exist",
                given=path,
                allowed="a folder, a .gguf file, hub:org/name@revision or package:name==version/path",
                next_step="check the path; relative paths start at the spec's folder",
            )
        return _from_recipe(path, self._state) if path.is_dir() and recipe.is_recipe(path) else path

    def _describe(self, path: Path) -> Source:
        if path.is_dir():
            files = [file for file in path.rglob("*") if file.is_file()]
            tokenizer = any((path / name).exists() for name in _TOKENIZERS)
            digest, folder, gguf = self._memory.folder(path), path, None
        elif path.suffix == ".gguf":
            files, tokenizer = [path], True
            digest = self._memory.file(path)
            folder, gguf = _alone(path, digest, self._state), path.name
        else:
            raise CheckpointError(
                "a checkpoint is a file that is not GGUF", given=path, allowed="a folder, or a .gguf file"
            )
        size = sum(file.stat().st_size for file in files)
        return Source(folder=folder, file=gguf, digest=digest, bytes=size, has_tokenizer=tokenizer)


def _alone(file: Path, digest: str, state: State) -> Path:
    """A folder that shows nothing but this file: whatever lies beside it would be read too, and is in no digest."""
    folder = state.checkpoints / f"gguf-{digest[:32]}"
    if not (folder / file.name).exists():
        shutil.rmtree(folder, ignore_errors=True)
        with new_folder(folder) as scratch:
            (scratch / file.name).symlink_to(file)
    return folder


def _from_recipe(folder: Path, state: State) -> Path:
    made = recipe.read(folder)
    target = state.checkpoints / f"{folder.name}-{recipe.digest(made)[:16]}"
    recipe.write(made, target)
    return target


def _from_package(name: str, state: State) -> Path:
    """Unpack one wheel, without installing it or running its code, and return the path inside."""
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


def _from_hub(name: str, state: State) -> Path:
    """Take a snapshot of a Hub repository, in a child process that alone sees the person's token."""
    found = re.fullmatch(r"hub:([\w.-]+(?:/[\w.-]+)?)(?:@([\w./-]+))?", name)
    if not found:
        raise CheckpointError("a Hub checkpoint is named in another way", given=name, allowed="hub:org/name@revision")
    folder = state.checkpoints / "hub" / f"{found[1].replace('/', '--')}@{(found[2] or 'main').replace('/', '--')}"
    if not folder.exists():
        with new_folder(folder) as scratch:
            _snapshot(found[1], found[2], scratch)
    return folder


_SNAPSHOT = """
import sys, huggingface_hub
repo, revision, folder = sys.argv[1:]
try:
    huggingface_hub.snapshot_download(repo, revision=revision or None, local_dir=folder)
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def _snapshot(repo: str, revision: str | None, folder: Path) -> None:
    command = [sys.executable, "-E", "-c", _SNAPSHOT, repo, revision or "", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    if done.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        raise CheckpointError(
            "a checkpoint could not be fetched from the Hub",
            given=f"{repo}@{revision or 'main'}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}",
            next_step="check the name, the revision and the network, or give a local folder",
        )
    shutil.rmtree(folder / ".cache", ignore_errors=True)


def _check_whole(folder: Path, case: str) -> None:
    """A folder that a download or a save left half-written is refused here, not by every cell in turn."""
    where = f"the checkpoint of case {case!r}"
    if not (folder / "config.json").exists():
        raise CheckpointError(
            f"{where} has no config.json", given=folder, next_step="give a folder written by save_pretrained"
        )
    _json_table(folder / "config.json", where)
    if not any(file for pattern in _WEIGHTS for file in folder.glob(pattern)):
        raise CheckpointError(f"{where} has no weights", given=folder, allowed=", ".join(_WEIGHTS))
    for index in _indexes(folder):
        weights = _json_table(index, where).get("weight_map", {})
        shards = set(weights.values()) if isinstance(weights, dict) else set()
        if missing := sorted(shard for shard in shards if not (folder / shard).exists()):
            raise CheckpointError(
                f"{where} lacks shards that {index.name} lists",
                given=", ".join(missing[:5]),
                next_step="download it again",
            )
    for file in folder.glob("*.safetensors"):
        _check_safetensors(file, where)


def _indexes(folder: Path) -> list[Path]:
    """The index that transformers goes by: that of safetensors where there are any, and none beside a single file."""
    for kind in ("model.safetensors", "pytorch_model.bin"):
        if (folder / kind).exists():
            return []
        if (folder / f"{kind}.index.json").exists():
            return [folder / f"{kind}.index.json"]
    return []


def _json_table(file: Path, where: str) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{where} has a {file.name} that is not JSON", given=error) from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{where} has a {file.name} that is not a JSON object", given=type(content).__name__)
    return content


def _check_safetensors(file: Path, where: str) -> None:
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        try:
            header = json.loads(stream.read(length)) if 8 + length <= size else None
        except ValueError:
            header = None
    if not isinstance(header, dict) or 8 + length + _data_bytes(header) != size:
        raise CheckpointError(f"{where} has a file that is cut off", given=file, next_step="download or save it again")


def _data_bytes(header: Mapping[str, Any]) -> int:
    entries = [entry for name, entry in header.items() if name != "__metadata__"]
    if not all(isinstance(entry, dict) and isinstance(entry.get("data_offsets"), list) for entry in entries):
        return -1
    return max((entry["data_offsets"][-1] for entry in entries), default=0)
