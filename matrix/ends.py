"""Ends: one case, one axis and two of its values: what `explain` and `bisect` are about."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from matrix import options as command_line
from matrix import spec as specs
from matrix.errors import SpecError
from matrix.options import Options
from matrix.spec import Axis, Spec

_OPTIONS = {field.name for field in fields(Options)}


@dataclass(frozen=True, kw_only=True)
class Ends:
    """Two values of one axis between which one case changes.

    Attributes:
        axis: The axis's name; every other axis keeps one value.
        good: The value whose numbers are taken as right.
        bad: The value whose numbers are not.
        options: What case, with which variants, and how to run.
        json: Whether the answer is printed as JSON.
    """

    axis: str
    good: str
    bad: str
    options: Options
    json: bool = False


def parser(session: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """The command line that both commands share."""
    # no abbreviations: what goes on inside a clone, or next, is found by an option's whole name
    made = argparse.ArgumentParser(
        prog=f"nox -s {session} --", description=description, epilog=epilog, allow_abbrev=False
    )
    made.add_argument(
        "subject",
        metavar="CASE",
        help="a case of the spec, or a checkpoint: a folder, a .gguf file, hub:… or package:…",
    )
    made.add_argument("--good", required=True, metavar="V", help="the value of the axis whose numbers are right")
    made.add_argument("--bad", required=True, metavar="V", help="the value whose numbers are not")
    made.add_argument(
        "--axis", default="transformers", metavar="NAME", help="transformers (default), torch, or any other package"
    )
    made.add_argument("--spec", type=Path, default=specs.SHIPPED, metavar="FILE", help="a spec of your own (TOML)")
    for name in ("transformers", "torch"):
        made.add_argument(
            f"--{name}",
            metavar="V",
            help=f"the release of {name} where that is not the axis (default: the spec's baseline)",
        )
    command_line.add_variants(made)
    command_line.add_own_checkpoints(made)
    command_line.add_how_to_run(made)
    made.add_argument("--json", action="store_true", help="print the answer as JSON")
    return made


def read(given: Mapping[str, Any]) -> Ends:
    """The two ends that a parsed command line names; keys that are neither's are the command's own.

    Raises:
        SpecError: When the ends are one and the same.
    """
    if given["good"] == given["bad"]:
        raise SpecError("--good and --bad are the same", given=given["good"], next_step="name two values of the axis")
    values = {name: _frozen(value) for name, value in given.items() if name in _OPTIONS and name != "axis"}
    for name in ("transformers", "torch"):
        values[name] = (given[name],) if given[name] and name != given["axis"] else ()
    subject = "case" if _is_case(given["spec"], given["subject"]) else "checkpoints"
    options = Options(**{**values, subject: (given["subject"],)})
    return Ends(axis=given["axis"], good=given["good"], bad=given["bad"], options=options, json=given["json"])


def between(ends: Ends, values: Sequence[str] = ()) -> Spec:
    """The spec of one case along one axis, the good value as baseline; every other axis keeps its baseline's value.

    Args:
        ends: The two ends.
        values: All values of the axis, oldest first; the two ends when empty.

    Raises:
        SpecError: When the command line names something that does not exist.
    """
    spec = command_line.apply(ends.options, specs.read(ends.options.spec))
    fixed = {name: spec.baseline.get(name, axis.values[0]) for name, axis in spec.axes.items() if name != ends.axis}
    axes = {name: replace(spec.axes[name], values=(value,)) for name, value in fixed.items()}
    own = spec.axes.get(ends.axis, Axis(values=(), kind="python" if ends.axis == "python" else "requirement"))
    axes = {ends.axis: replace(own, values=command_line.oldest_first(tuple(values) or (ends.good, ends.bad))), **axes}
    return replace(spec, axes=axes, baseline={**fixed, ends.axis: ends.good}, exclude=(), known=(), cells=(), within=())


def _is_case(spec: Path, subject: str) -> bool:
    """Whether a name is a case of the spec; what is neither that nor a path is most likely a case misspelt.

    Raises:
        SpecError: When it is neither.
    """
    names = [case.name for case in specs.read(spec).case]
    if subject in names:
        return True
    if not re.match(r"(hub|package):", subject) and not Path(subject).exists():
        raise SpecError(
            "there is no such case, and no such checkpoint",
            given=subject,
            allowed=names,
            next_step="name a case of the spec, or a checkpoint that exists",
        )
    return False


def _frozen(value: Any) -> Any:  # noqa: ANN401 - whatever argparse made
    return tuple(value) if isinstance(value, list) else value
