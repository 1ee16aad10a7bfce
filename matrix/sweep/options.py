"""The command line of `nox -s sweep`, parsed once into a frozen value."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from matrix import options as command_line
from matrix import spec as specs
from matrix.case import Case
from matrix.errors import SpecError
from matrix.options import Options
from matrix.spec import Spec
from matrix.sweep.heads import HEADS

_WHAT = (
    "Compare every architecture that the releases know. For each type, the oldest release that knows it writes a tiny"
    " checkpoint of random weights; every release from there on loads it, and what it computes is compared with the"
    " baseline's, bit for bit."
)
_CODES = (
    "Exit code: 0 every verdict is identical, noise or known; 1 something else was found; 2 the request is wrong;"
    " 3 no usable capture at all. What could not be built, and what a release no longer knows, is listed and is no"
    " failure."
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What one call of `nox -s sweep` asks for.

    Attributes:
        types: Model types; all of them when empty.
        heads: Names of heads.
        authors: Releases that may write checkpoints; every one when empty.
        shard: (index, count), 1-based; None for everything.
        generate: Greedy tokens after each forward of a head that generates.
        options: Axes, variants and how to run.
    """

    types: tuple[str, ...] = ()
    heads: tuple[str, ...] = tuple(HEADS)
    authors: tuple[str, ...] = ()
    shard: tuple[int, int] | None = None
    generate: int = 0
    options: Options = Options()  # noqa: RUF009 - frozen

    def digest(self, spec: Spec) -> str:
        """Over everything that decides what is swept: equal ones are the same sweep."""
        own = asdict(replace(self, options=Options()))
        own.pop("options")
        return hashlib.sha256(json.dumps([own, spec.sha256], sort_keys=True).encode()).hexdigest()


def parse(arguments: Sequence[str]) -> Asked:
    """Parse the arguments after `nox -s sweep --`; `--help` and a wrong use print and exit (0 and 2).

    Raises:
        SpecError: For a number that is none, or a shard that does not exist.
    """
    given = vars(_parser().parse_intermixed_args(arguments))
    if given["jobs"] is not None and given["jobs"] < 1:
        raise SpecError("--jobs is not a number of cells", given=given["jobs"], allowed="1 or more")
    if given["generate"] < 0:
        raise SpecError("--generate is not a number of tokens", given=given["generate"], allowed="0 or more")
    values: dict[str, Any] = {name: tuple(given[name]) for name in ("transformers", "torch", "attention", "dtype")}
    values |= {name: given[name] for name in ("spec", "baseline", "jobs", "run_id", "fresh")}
    return Asked(
        types=tuple(dict.fromkeys(given["types"])),
        heads=tuple(name for name in HEADS if name in given["heads"]),
        authors=tuple(given["author"]),
        shard=command_line.shard_of(given["shard"]) if given["shard"] else None,
        generate=given["generate"],
        options=Options(**values),
    )


def base(asked: Asked) -> Spec:
    """The spec's axes, baseline, variants and exclusions, with a stand-in for the cases that are yet to be made.

    Raises:
        SpecError: When the command line names something that does not exist.
    """
    spec = command_line.apply(asked.options, specs.read(asked.options.spec))
    if "transformers" not in spec.axes:
        raise SpecError("a sweep needs the axis transformers", given=", ".join(spec.axes), next_step="add it")
    values = spec.axes["transformers"].values
    for author in asked.authors:
        if author not in values:
            raise SpecError("--author is none of the releases", given=author, allowed=values)
    whole = tuple(exclusion for exclusion in spec.exclude if not exclusion.cases)
    stand_in = Case(name="architectures", checkpoint=".", input_ids=((1,),))
    return replace(spec, case=(stand_in,), exclude=whole, within=(), profiles={}, cells=())


def _parser() -> argparse.ArgumentParser:
    # no abbreviations: what is printed to go on repeats the options by their whole names
    parser = argparse.ArgumentParser(prog="nox -s sweep --", description=_WHAT, epilog=_CODES, allow_abbrev=False)
    what = parser.add_argument_group("what to compare (default: every architecture, causal LMs and base models)")
    what.add_argument("types", nargs="*", metavar="TYPE", help="model types, such as llama and gpt2")
    what.add_argument(
        "--heads",
        nargs="+",
        default=tuple(HEADS),
        choices=tuple(HEADS),
        metavar="HEAD",
        help="; ".join(f"{name}: {head.auto_class}" for name, head in HEADS.items()),
    )
    what.add_argument("--shard", metavar="I/N", help="only the I-th of N parts, split by type")
    what.add_argument("--generate", type=int, default=0, metavar="N", help="greedy tokens of causal LMs (default: 0)")
    axes = parser.add_argument_group("the matrix (default: the shipped spec's)")
    axes.add_argument("--spec", type=Path, default=specs.SHIPPED, metavar="FILE", help="a spec of your own (TOML):"
        " its axes, baseline, variants, requirements and exclusions; its cases are not run")  # fmt: skip
    axes.add_argument("--transformers", nargs="+", default=(), metavar="V", help="releases, oldest first")
    axes.add_argument("--torch", nargs="+", default=(), metavar="V", help="torch builds, oldest first")
    axes.add_argument("--author", nargs="+", default=(), metavar="V", help="only these releases write checkpoints;"
        " older ones are then not compared (default: for each type, the oldest that knows it)")  # fmt: skip
    axes.add_argument("--baseline", metavar="ID", help="the cell that the others are compared with, or one of its"
        " values, such as transformers-4.57.6")  # fmt: skip
    axes.add_argument("--attention", nargs="+", default=(), metavar="A", help="eager, sdpa; what a model does not"
        " offer is left out")  # fmt: skip
    axes.add_argument("--dtype", nargs="+", default=(), metavar="D", help="float32, bfloat16, float16, float64")
    command_line.add_how_to_run(parser)
    return parser
