"""Checkout: a source tree judged like a release, in the words that `git bisect run` understands."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name, parse_wheel_filename

from matrix import environment
from matrix import run as runs
from matrix.bisect import predicate
from matrix.bisect.options import Asked
from matrix.bisect.predicate import Reading
from matrix.bisect.start import prepared
from matrix.bisect.steps import Steps, Taken
from matrix.bisect.validation import cell_of, validate
from matrix.errors import EnvironmentFailure, SpecError
from matrix.files import locked, new_folder
from matrix.state import State

if TYPE_CHECKING:
    from typing_extensions import Self

LABEL = "checkout"
"""Marks the value of the axis: `5.0.0.dev0+checkout`, the version that the tree says it is. All trees share a cell,
so that a search over a hundred commits leaves one environment behind, not a hundred."""

EXIT_CODES = {"good": 0, "bad": 1, "skip": 125, "unsure": 125}
"""What `git bisect run` takes for good, bad, and for a commit that cannot be tested."""

EXIT_STOP = 128
"""Ends `git bisect run`: any smaller code but 125 would count as bad (git documentation, "git bisect run")."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """A source tree as a wheel.

    Attributes:
        wheel: The file, in a folder named after the tree's content.
        tree: git's digest of the content, uncommitted changes included.
    """

    wheel: Path
    tree: str

    @property
    def version(self) -> str:
        """What the tree says it is, without any label of its own."""
        return parse_wheel_filename(self.wheel.name)[1].public

    @property
    def package(self) -> str:
        """The package's name."""
        return parse_wheel_filename(self.wheel.name)[0]


def judge(asked: Asked, folder: Path, arguments: Sequence[str], state: State) -> tuple[Reading, Taken | None, str]:
    """Build a source tree, judge it against the good end, and say what it is by the bad end's predicate.

    Returns:
        What it says, what was seen where it could be installed, and the tree's digest.

    Raises:
        MatrixError: When the ends do not differ, or the folder holds no such package.
    """
    given = asked.ends
    tree = _tree(folder)
    try:
        built = _build(folder, tree, state)
    except EnvironmentFailure as error:
        return Reading(mark="skip", why=f"cannot be built: {error}"), None, tree
    if built.package != canonicalize_name(given.axis):
        raise SpecError("the checkout holds another package", given=built.package, allowed=given.axis)
    value = f"{built.version}+{LABEL}"
    work = prepared(given, (given.good, value, given.bad), state)
    run = runs.new(state.searches, work.spec, "bisect", arguments, given.options.run_id)
    run.write()
    cell = cell_of(work, given.axis, value)
    with locked(state.folder / "checkouts.lock"), Steps(run, work) as steps:
        ready = validate(asked, steps)
        needs = [need for need in cell.requirements if not need.startswith(f"{given.axis}==")]
        try:
            lock = environment.lock((f"{given.axis} @ {built.wheel.as_uri()}", *needs), state, cell.python)
        except EnvironmentFailure as error:
            return Reading(mark="skip", why=f"cannot be installed: {error}"), None, tree
        steps.lock(cell, lock)
        (taken,) = steps.take([cell], repeats=not ready.predicate.uninitialised)[cell.id]
    return predicate.read(ready.predicate, taken.judged), taken, tree


def _tree(folder: Path) -> str:
    """Digest, as git makes it, of all that git does not ignore, committed or not; the clone stays as it is.

    Raises:
        SpecError: When the folder is no clone.
    """
    with tempfile.TemporaryDirectory() as scratch, _Index(folder, Path(scratch)) as index:
        return index.tree


class _Index:
    """An index and an object store of our own over a clone's: git writes there what is not committed.

    Args:
        folder: The clone, or a folder inside it.
        scratch: Where to write.
    """

    def __init__(self, folder: Path, scratch: Path) -> None:
        self._folder = folder
        top = self._git("rev-parse", "--show-toplevel", environ={})
        self.top = Path(top)
        objects = (folder / self._git("rev-parse", "--git-path", "objects", environ={})).resolve()
        (scratch / "objects").mkdir()
        self._environ = {
            "GIT_INDEX_FILE": str(scratch / "index"),
            "GIT_OBJECT_DIRECTORY": str(scratch / "objects"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects),
        }
        self.tree = ""

    def __enter__(self) -> Self:
        """Read what the folder holds now."""
        self._git("read-tree", "HEAD", environ=self._environ)
        self._git("-C", str(self.top), "add", "--all", environ=self._environ)
        self.tree = self._git("write-tree", environ=self._environ)
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing of the clone's was written."""

    def export(self, target: Path) -> None:
        """Write every file of the tree into an empty folder."""
        self._git("-C", str(self.top), "checkout-index", "--all", f"--prefix={target}/", environ=self._environ)

    def _git(self, *arguments: str, environ: Mapping[str, str]) -> str:
        variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        command = ["git", "-C", str(self._folder), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, env={**variables, **environ})
        except OSError as error:
            raise SpecError("git cannot be run", given=error, next_step="install git") from None
        if done.returncode:
            raise SpecError(
                "--checkout is no clone that git can read",
                given=f"{self._folder}: {done.stderr.strip()[:300]}",
                next_step="give the path of a local git clone",
            )
        return done.stdout.strip()


def _build(folder: Path, tree: str, state: State) -> Built:
    """Make a wheel of the tree, outside of the clone; a tree that was built before is not built again.

    Raises:
        EnvironmentFailure: With the builder's reason.
    """
    target = state.folder / "checkouts" / tree
    with locked(target.with_suffix(".lock")):
        if not target.exists():
            with tempfile.TemporaryDirectory() as scratch, new_folder(target) as made:
                source = Path(scratch) / "source"
                source.mkdir()
                (Path(scratch) / "git").mkdir()
                with _Index(folder, Path(scratch) / "git") as index:
                    index.export(source)
                    inside = folder.resolve().relative_to(index.top.resolve())
                environment.build_wheel(source / inside, made)
    wheels = sorted(target.glob("*.whl"))
    if len(wheels) != 1:
        shutil.rmtree(target, ignore_errors=True)
        raise EnvironmentFailure("the source tree builds no single wheel", given=[path.name for path in wheels])
    return Built(wheel=wheels[0], tree=tree)
