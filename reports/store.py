"""The store: where rendered reports lie, and whether one still says what would be said now."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from matrix.errors import CaptureError
from matrix.files import read_json, write_json, write_text
from matrix.run import Run, code_digest

OUT = Path(__file__).parent / "out"
SUMMARY = "summary.json"
LATEST = "latest"
SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What is remembered of a rendered report, enough to answer again without judging.

    Attributes:
        digest: Of everything that decides a report: equal ones give equal reports.
        exit_code: What the reporter returned.
        files: Format → the file it was written to.
        text: What was printed.
    """

    digest: str
    exit_code: int
    files: Mapping[str, str]
    text: str


def digest(run: Run) -> str:
    """Over everything that decides a report: our own code, run.json, and what became of every cell and job.

    Captures count by size, time and inode, not by content: one that is taken again is another file, and reading them
    all would cost more than the fast answer may.
    """
    digest = hashlib.sha256(code_digest().encode())
    digest.update((run.folder / "run.json").read_bytes())
    for path in sorted([*run.folder.glob("cells/*/cell.json"), *run.folder.glob("cells/**/response.json")]):
        stat, name = path.stat(), path.relative_to(run.folder).as_posix()
        digest.update(f"{name}\0{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}\n".encode())
    return digest.hexdigest()


def remembered(folder: Path, run: Run, formats: Iterable[str]) -> Summary | None:
    """The summary of a report that has these formats and still holds, or None."""
    try:
        content = read_json(folder / SUMMARY, schema=SCHEMA)
        summary = Summary(**{name: content[name] for name in ("digest", "exit_code", "files", "text")})
    except (CaptureError, KeyError):
        # absent, torn or of another version: rendering again is the answer to all of them
        return None
    whole = all(name in summary.files and (folder / summary.files[name]).exists() for name in formats)
    return summary if whole and summary.digest == digest(run) else None


def save(folder: Path, reports: Mapping[str, str], summary: Summary) -> None:
    """Write a report's files, then what is remembered of them, then point `latest` here.

    Args:
        folder: The report's folder.
        reports: Format → text.
        summary: What to remember.
    """
    for name, text in reports.items():
        write_text(folder / summary.files[name], text)
    write_json(folder / SUMMARY, {"schema": SCHEMA, **asdict(summary)})
    point(folder)


def point(folder: Path) -> None:
    """Make `latest` beside a report's folder lead to it; it leads somewhere at every moment."""
    scratch = folder.parent / f".{LATEST}.{os.getpid()}"
    scratch.unlink(missing_ok=True)
    scratch.symlink_to(folder.name, target_is_directory=True)
    scratch.replace(folder.parent / LATEST)
