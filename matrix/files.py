"""Files on disk: atomic writes, digests that are remembered, and locks between processes."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matrix.errors import CaptureError


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader, or a run that was killed, sees the old content or the new one, never a part."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """The same of bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(content)
            file.close()
            # a temporary file is its owner's alone; a report is for whoever may read the folder
            Path(file.name).chmod(0o644)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def write_json(path: Path, content: object) -> None:
    """Write JSON atomically, with stable key order as given."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path, *, schema: int) -> dict[str, Any]:
    """Read one of our JSON files.

    Raises:
        CaptureError: When it is missing, torn, or written by a newer version of this tool.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CaptureError("a file of the run cannot be read", given=f"{path} ({error.strerror})") from None
    except ValueError as error:
        raise CaptureError(
            "a file of the run is not JSON", given=f"{path}: {error}", next_step="run again with --fresh"
        ) from None
    if not isinstance(content, dict) or not isinstance(content.get("schema"), int):
        raise CaptureError("a file of the run has no schema number", given=path, next_step="run again with --fresh")
    if content["schema"] > schema:
        raise CaptureError(
            "a file of the run is written by a newer version of this tool",
            given=f"{path}, schema {content['schema']}",
            allowed=f"schema {schema} or older",
            next_step="update this tool, or run again with --fresh",
        )
    return content


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A temporary folder that becomes `target` in one step when the block ends well; an existing target wins."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        yield scratch
        scratch.chmod(0o755)
        try:
            scratch.rename(target)
        except OSError:
            # another process may have finished the same folder first: its content is the same
            if not target.exists():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file: a second process waits until the first is done, and a killed one lets go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def link_tree(source: Path, target: Path) -> None:
    """Make `target` show the files of `source`, hard-linked where the file system allows, in one step."""
    shutil.rmtree(target, ignore_errors=True)
    with new_folder(target) as scratch:
        _link_all(source, scratch)


def _link_all(source: Path, target: Path) -> None:
    for entry in os.scandir(source):
        if entry.is_dir(follow_symlinks=False):
            (target / entry.name).mkdir()
            _link_all(Path(entry.path), target / entry.name)
        else:
            _link(Path(entry.path), target / entry.name)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def sha256(path: Path) -> str:
    """Digest of one file's bytes, streamed."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class DigestMemory:
    """Digests of files that are known by path, size and modification time, so that big files are read once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, list[Any]] = {}
        with contextlib.suppress(OSError, ValueError):
            self._known = json.loads(path.read_text(encoding="utf-8"))
        self._dirty = False

    def file(self, path: Path) -> str:
        """The file's sha256, remembered while its size, inode and modification time stay as they were."""
        stat = path.stat()
        stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_ctime_ns]
        known = self._known.get(str(path))
        if known is None or known[:-1] != stamp:
            known = [*stamp, sha256(path)]
            self._known[str(path)] = known
            self._dirty = True
        return str(known[-1])

    def folder(self, folder: Path) -> str:
        """Digest of every file's name and bytes below a folder; hidden files and bytecode do not count."""
        digest = hashlib.sha256()
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in name.split("/")):
                digest.update(f"{name}\0{self.file(path)}\n".encode())
        return digest.hexdigest()

    def save(self) -> None:
        """Keep what was learned for the next run."""
        if self._dirty:
            write_json(self._path, self._known)
