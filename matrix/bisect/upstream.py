"""Upstream: where a package's sources lie, what changed between two of its tags, and how to go on there."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from packaging.version import Version

from matrix.bisect import options
from matrix.repositories import REPOSITORIES


def compare(package: str, good: str, bad: str) -> str | None:
    """The page that shows every commit between two releases; None for a package that is not known."""
    repository = REPOSITORIES.get(package)
    older, newer = sorted((good, bad), key=Version)
    return f"{repository}/compare/v{older}...v{newer}" if repository else None


def commits(package: str, arguments: Sequence[str], good: str, bad: str) -> list[str]:
    """The commands that go on with git inside a range, one a line."""
    repository = REPOSITORIES.get(package, f"URL-OF-{package}")
    older, newer = sorted((good, bad), key=Version)
    judge, terms = options.checkout_command(arguments, good, bad), []
    if Version(bad) < Version(good):
        # git looks for the commit that repairs it: what is bad is old there, and exit codes mean old and new
        terms = ["--term-old=broken", "--term-new=repaired"]
        judge = f"sh -c {shlex.quote(f'{judge}; code=$?; test $code -gt 1 && exit $code; exit $((1 - code))')}"
    return [
        f"git clone {repository} && cd {repository.rpartition('/')[2]}",
        " ".join(["git bisect start", *terms, f"v{newer}", f"v{older}"]),
        f"git bisect run {judge}",
    ]
