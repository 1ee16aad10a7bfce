"""The command line of `nox -s matrix`, parsed once into a frozen value and applied to a spec."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from packaging.version import InvalidVersion, Version

from matrix import spec as specs
from matrix import table
from matrix.case import Case, Option, Probe, Variants
from matrix.cell import id_part
from matrix.errors import SpecError
from matrix.plan import requirements, shard
from matrix.spec import Axis, AxisKind, Spec


@dataclass(frozen=True, kw_only=True)
class Options:
    """What one call of `nox -s matrix` asks for; the fields are the command line's."""

    checkpoints: tuple[str, ...] = ()
    spec: Path = specs.SHIPPED
    transformers: tuple[str, ...] = ()
    torch: tuple[str, ...] = ()
    case: tuple[str, ...] = ()
    dtype: tuple[str, ...] = ()
    attention: tuple[str, ...] = ()
    device: tuple[str, ...] = ()
    threads: tuple[int, ...] = ()
    cache: tuple[str, ...] = ()
    within: tuple[Option, ...] = ()
    axis: tuple[str, ...] = ()
    cell: tuple[str, ...] = ()
    baseline: str | None = None
    profile: str | None = None
    jobs: int | None = None
    shard: str | None = None
    run_id: str | None = None
    fresh: bool = False
    trust_remote_code: bool = False
    adapter: str | None = None
    text: tuple[str, ...] = ()
    auto_class: str | None = None
    generate: int | None = None
    probe: Probe | None = None


def parse(arguments: Sequence[str]) -> Options:
    """Parse the arguments after `nox -s matrix --`; `--help` and a wrong use print and exit (0 and 2)."""
    given = vars(_parser().parse_intermixed_args(arguments))
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return Options(**values)


def apply(options: Options, spec: Spec) -> Spec:
    """The spec with the command line's wishes in it: what a run does is always one whole spec.

    Raises:
        SpecError: When an option names something that does not exist.
    """
    if options.profile:
        spec = specs.apply(spec, options.profile)
    spec = _with_cases(options, spec)
    spec = _with_axes(options, spec)
    chosen = Variants(**{option: getattr(options, option) or None for option in get_args(Option)})
    cases = tuple(
        replace(case, variants=chosen.over(case.variants), within=options.within or case.within) for case in spec.case
    )
    spec = replace(spec, case=cases, variants=chosen.over(spec.variants), within=options.within or spec.within)
    # through the parser once more, so that the command line is checked as strictly as the file
    return specs.parse(table.write(spec))


def _with_cases(options: Options, spec: Spec) -> Spec:
    if not options.checkpoints and (
        options.text
        or options.auto_class
        or options.generate
        or options.trust_remote_code
        or options.probe
        or options.adapter
    ):
        raise SpecError(
            "--text, --auto-class, --generate, --adapter, --probe and --trust-remote-code are for a CHECKPOINT,"
            " and none is given",
            next_step="give the CHECKPOINT first, or write the case into a spec",
        )
    cases = tuple(_own_case(options, checkpoint) for checkpoint in options.checkpoints) or spec.case
    # a selection changes what runs, never the environments it runs in
    spec = replace(spec, requirements=requirements(cases, spec.requirements))
    if options.case:
        cases = specs.select(cases, options.case)
    if options.shard:
        cases = shard(cases, *shard_of(options.shard))
    if options.shard and not cases:
        raise SpecError(
            "the shard holds no case", given=options.shard, next_step=f"use at most {len(spec.case)} shards"
        )
    return replace(spec, case=cases)


def _own_case(options: Options, checkpoint: str) -> Case:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", checkpoint.rstrip("/").rsplit("/", 1)[-1]).strip("-._") or "checkpoint"
    case = Case(
        name=name,
        checkpoint=_location(checkpoint),
        adapter=_location(options.adapter) if options.adapter else None,
        trust_remote_code=options.trust_remote_code,
        text=options.text,
        generate=options.generate or 0,
        probe=options.probe or "model",
    )
    return replace(case, auto_class=options.auto_class) if options.auto_class else case


def _location(name: str) -> str:
    """A path as seen from the folder that the command was typed in; names of the Hub and of packages as they are."""
    return name if re.match(r"(hub|package):", name) else str(Path(name).absolute())


def _with_axes(options: Options, spec: Spec) -> Spec:
    axes = dict(spec.axes)
    further = [_axis(text) for text in options.axis]
    for name, values in (("transformers", options.transformers), ("torch", options.torch), *further):
        if values:
            ordered = oldest_first(values)
            kind: AxisKind = "python" if name == "python" else "requirement"
            axes[name] = replace(axes[name], values=ordered) if name in axes else Axis(values=ordered, kind=kind)
    baseline = {name: value for name, value in spec.baseline.items() if value in axes[name].values}
    return _with_baseline(options, replace(spec, axes=axes, baseline=baseline, cells=options.cell or spec.cells))


def _axis(text: str) -> tuple[str, tuple[str, ...]]:
    """`tokenizers=0.21.0,0.21.4` as a name and its values."""
    name, _, values = text.partition("=")
    if not name or not values:
        raise SpecError("--axis is not NAME=VALUE,VALUE", given=text, allowed="such as tokenizers=0.21.0,0.21.4")
    return name, tuple(values.split(","))


def oldest_first(values: tuple[str, ...]) -> tuple[str, ...]:
    """Releases in the order of their versions; as given where one is none, which the spec will say."""
    try:
        return tuple(sorted(values, key=Version))
    except InvalidVersion:
        return values


def _with_baseline(options: Options, spec: Spec) -> Spec:
    """Apply --baseline: a cell id, or a part of one such as `transformers-4.48.0`."""
    if options.baseline is None:
        return spec
    baseline = dict(spec.baseline)
    known = {id_part(name, value): (name, value) for name, axis in spec.axes.items() for value in axis.values}
    for part in options.baseline.split("_"):
        if part not in known:
            raise SpecError("--baseline is no cell of this matrix", given=part, allowed=list(known))
        axis, value = known[part]
        baseline[axis] = value
    return replace(spec, baseline=baseline)


def shard_of(text: str) -> tuple[int, int]:
    """`I/N` as two numbers.

    Raises:
        SpecError: When it is neither, or there is no such part.
    """
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    index, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= index <= count:
        raise SpecError("--shard is not I/N", given=text, allowed="such as 1/4, with 1 ≤ I ≤ N")
    return index, count


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nox -s matrix --",
        description="Run the same checkpoints with the same inputs through every transformers × torch cell and compare"
        " what each cell saw with the baseline's, bit for bit.",
        epilog="Exit code: 0 every verdict is identical, noise or known; 1 something else was found; 2 the request is"
        " wrong; 3 no usable capture at all.",
    )
    for add in (_what_to_run, _the_matrix, add_own_checkpoints, add_how_to_run):
        add(parser)
    return parser


def _what_to_run(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group("what to run (default: everything in the shipped spec)")
    what.add_argument(
        "checkpoints",
        nargs="*",
        metavar="CHECKPOINT",
        help="a folder, a .gguf file, hub:org/name@revision or package:name==version/path; replaces the spec's cases",
    )
    what.add_argument("--spec", type=Path, default=specs.SHIPPED, metavar="FILE", help="a spec of your own (TOML)")
    what.add_argument("--profile", metavar="NAME", help="a profile of the spec, such as full")
    what.add_argument("--case", nargs="+", default=(), metavar="NAME", help="only these cases")
    what.add_argument("--shard", metavar="I/N", help="only the I-th of N parts, split by case")


def _the_matrix(parser: argparse.ArgumentParser) -> None:
    axes = parser.add_argument_group("the matrix")
    axes.add_argument(
        "--transformers", nargs="+", default=(), metavar="V", help="releases, oldest first; any that exists"
    )
    axes.add_argument("--torch", nargs="+", default=(), metavar="V", help="torch builds, oldest first")
    axes.add_argument("--cell", nargs="+", default=(), metavar="ID", help="only these cells, and the baseline")
    axes.add_argument(
        "--baseline",
        metavar="ID",
        help="the cell that the others are compared with, or one of its values, such as transformers-4.57.6",
    )
    add_variants(axes)
    axes.add_argument(
        "--within",
        nargs="+",
        default=(),
        choices=get_args(Option),
        metavar="OPTION",
        help="also compare the variants inside each cell along dtype, attention, device, threads or cache, with the"
        " first value as baseline",
    )
    axes.add_argument(
        "--axis",
        action="append",
        default=[],
        metavar="NAME=V,V",
        help="one more axis: a package such as tokenizers=0.21.0,0.21.4, or python=3.11,3.12",
    )


def add_variants(parser: argparse._ActionsContainer) -> None:
    """The options inside a cell."""
    parser.add_argument(
        "--dtype", nargs="+", default=(), metavar="D", help="float32, bfloat16, float16, float64, default"
    )
    parser.add_argument(
        "--attention", nargs="+", default=(), metavar="A", help="eager, sdpa, … or default: what each release chooses"
    )
    parser.add_argument("--device", nargs="+", default=(), metavar="D", help="cpu, cuda, cuda:1, …")
    parser.add_argument("--threads", nargs="+", type=int, default=(), metavar="N", help="intra-op threads of torch")
    parser.add_argument(
        "--cache",
        nargs="+",
        default=(),
        metavar="C",
        help="keep keys and values: on, off or default (as each config says)",
    )


def add_own_checkpoints(parser: argparse.ArgumentParser) -> None:
    """What belongs to a checkpoint that no spec describes."""
    own = parser.add_argument_group("for checkpoints given on the command line")
    own.add_argument(
        "--trust-remote-code",
        action="store_true",
        help="run the checkpoint's own Python code, in a child process whose environment holds no tokens",
    )
    own.add_argument(
        "--text",
        nargs="+",
        default=(),
        metavar="TEXT",
        help="prompts; the default is a fixed sentence where there is a tokenizer, else fixed ids",
    )
    own.add_argument(
        "--auto-class",
        metavar="CLASS",
        help="an Auto class or model class of transformers (default: AutoModelForCausalLM)",
    )
    own.add_argument(
        "--adapter",
        metavar="ADAPTER",
        help="a PEFT adapter on top of the checkpoint: a folder, hub:org/name@revision or package:name==version/path",
    )
    own.add_argument("--generate", type=int, metavar="N", help="greedy tokens to generate (default: 0)")
    own.add_argument(
        "--probe",
        choices=get_args(Probe),
        help="model (default), or tokenizer: only what makes ids of text, over many tricky strings; needs no weights",
    )


def add_how_to_run(parser: argparse.ArgumentParser) -> None:
    """How many cells at a time, and what counts as done."""
    how = parser.add_argument_group("how to run")
    how.add_argument(
        "--jobs", type=int, metavar="N", help="cells at a time (default: what the cores and the memory allow)"
    )
    how.add_argument("--run-id", metavar="ID", help="name the run; an id that exists is continued")
    how.add_argument("--fresh", action="store_true", help="probe every cell again, even where nothing changed")
