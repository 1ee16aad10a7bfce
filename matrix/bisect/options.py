"""The command line of `nox -s bisect`, parsed once into a frozen value."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from matrix import ends
from matrix.ends import Ends
from matrix.errors import SpecError
from matrix.judgement import Verdict
from matrix.spec import Stage
from matrix.state import ROOT

VERDICTS: tuple[Verdict, ...] = ("noise", "drift", "unstable", "error")

_OWN = {"--good": 1, "--bad": 1, "--run-id": 1, "--checkout": 1}
_FLAGS = ("--json", "--fresh", "--pre", "--all", "--commits")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What one call of `nox -s bisect` asks for.

    Attributes:
        ends: The case, the axis and its two ends.
        pre: Whether pre-releases are looked at, too.
        all: Whether every release is looked at.
        verdict: The verdict that counts as bad; the bad end's when None.
        stage: The stage that must differ.
        where: The tensor, config key or error that must be among what differs.
        commits: Whether to explain how to go on inside the range.
        checkout: A source tree that is judged instead of releases.
    """

    ends: Ends
    pre: bool = False
    all: bool = False
    verdict: Verdict | None = None
    stage: Stage | None = None
    where: str | None = None
    commits: bool = False
    checkout: Path | None = None


def parse(arguments: Sequence[str], folder: Path) -> Asked:
    """Parse the arguments after `nox -s bisect --`; `--help` and a wrong use print and exit (0 and 2).

    Args:
        arguments: The command line.
        folder: Where it was typed: a checkout's path is relative to it.

    Raises:
        SpecError: When the command line contradicts itself.
    """
    parser = ends.parser(
        "bisect",
        "Find the first release in which a case is bad: both ends are looked at, then as few of the releases between"
        " them as tell.",
        "Exit code: 0 found; 1 inconclusive; 2 the request is wrong, or the ends do not differ; 3 an end could not be"
        " captured. With --checkout, as `git bisect run` reads it: 0 good, 1 bad, 125 cannot be tested, 128 stop.",
    )
    what = parser.add_argument_group("what to look for (default: what differs in the bad end)")
    what.add_argument("--verdict", choices=VERDICTS, help="this verdict is bad")
    what.add_argument("--stage", choices=get_args(Stage), help="a difference at this stage is bad")
    what.add_argument("--where", metavar="NAME", help="a difference of this tensor, config key or error is bad")
    which = parser.add_argument_group("which releases")
    which.add_argument("--pre", action="store_true", help="pre-releases, too")
    which.add_argument("--all", action="store_true", help="look at every release between the ends")
    source = parser.add_argument_group("inside the range")
    source.add_argument("--commits", action="store_true", help="explain how to go on with `git bisect run`")
    source.add_argument(
        "--checkout", metavar="PATH", help="judge this source tree of the axis's package instead of releases"
    )
    given = vars(parser.parse_args(arguments))
    checkout = (folder / given["checkout"]).resolve() if given["checkout"] else None
    if checkout and not checkout.is_dir():
        raise SpecError("--checkout is no folder", given=checkout, next_step="give the path of a source tree")
    jobs = given["jobs"]
    if jobs is not None and jobs < 1:
        raise SpecError("--jobs is not a number of cells", given=jobs, allowed="1 or more")
    own = {name: given[name] for name in ("pre", "all", "verdict", "stage", "where", "commits")}
    return Asked(ends=ends.read(given), checkout=checkout, **own)


def command(session: str, arguments: Sequence[str], good: str, bad: str, *more: str) -> str:
    """A command line for the same case and other ends, as it can be pasted."""
    kept = [*_kept(arguments), "--good", good, "--bad", bad, *more]
    return shlex.join(["nox", "-s", session, "--", *kept])


def checkout_command(arguments: Sequence[str], good: str, bad: str) -> str:
    """What `git bisect run` is to run inside a clone."""
    whole = command("bisect", arguments, good, bad, "--checkout", ".")
    return whole.replace("nox -s", f"nox -f {shlex.quote(str(ROOT / 'noxfile.py'))} -s", 1)


def _kept(arguments: Sequence[str]) -> list[str]:
    """The arguments without the ends and what belongs to one call alone."""
    kept, skip = [], 0
    for word in arguments:
        name, _, value = word.partition("=")
        if skip:
            skip -= 1
        elif name in _OWN:
            skip = 0 if value else _OWN[name]
        elif word not in _FLAGS:
            kept.append(word)
    return kept
