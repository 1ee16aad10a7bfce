"""Commands: how to see one difference again with as few cells as show it."""

from __future__ import annotations

import contextlib
import io
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from matrix import options as command_line
from matrix import spec as specs
from matrix.cell import id_part
from matrix.options import Options
from matrix.spec import Profile
from matrix.verdicts import Verdicts
from reports.differences import Difference

_AXES = ("transformers", "torch")
"""Axes that the command line can choose values of."""

Values = Mapping[str, Sequence[str]]
"""Axis → its values in the reduced matrix, in the spec's order."""


def reproduce(verdicts: Verdicts, difference: Difference) -> str:
    """The command that runs one case in the last good and the first bad cell only."""
    good, bad = _ends(verdicts, difference)
    asked = _parse(shlex.split(verdicts.run.command))
    values = {name: _reduced(name, axis.values, good, bad) for name, axis in verdicts.run.spec.axes.items()}
    arguments = [
        *asked.checkpoints,
        *("--case", difference.case),
        *(part for axis in _AXES if axis in values for part in (f"--{axis}", *values[axis])),
        *_cells(verdicts, values, good, bad),
        *_baseline(verdicts, asked, values, good),
        *(["--within", difference.first.within] if difference.first.within else []),
        *_kept(verdicts, asked),
    ]
    return shlex.join(["nox", "-s", "matrix", "--", *arguments])


def _ends(verdicts: Verdicts, difference: Difference) -> tuple[dict[str, str], dict[str, str]]:
    """Axis values of the last good and the first bad cell; of the baseline and the first one where no axis explains.

    Two variants of one cell need no other.
    """
    baseline, shown = dict(verdicts.plan.baseline.axes), [dict(cell.axes) for cell in difference.cells]
    if difference.first.within:
        return shown[0], shown[0]
    for finding in verdicts.findings:
        good, bad = ({**baseline, finding.axis: value} for value in (finding.last_good, finding.first_bad))
        if finding.case == difference.case and bad in shown:
            return good, bad
    return baseline, shown[0]


def _reduced(axis: str, values: Sequence[str], good: Mapping[str, str], bad: Mapping[str, str]) -> list[str]:
    """The values of an axis that the command asks for; all of them where it cannot choose."""
    return [value for value in values if axis not in _AXES or value in {good[axis], bad[axis]}]


def _cells(verdicts: Verdicts, values: Values, good: Mapping[str, str], bad: Mapping[str, str]) -> list[str]:
    """Names the cells where the axes' values alone make more, where the spec names others, and a cell that is alone."""
    if good != bad and math.prod(map(len, values.values())) <= 2 and not verdicts.run.spec.cells:  # noqa: PLR2004 - good and bad
        return []
    return ["--cell", *dict.fromkeys("_".join(id_part(name, cell[name]) for name in values) for cell in (good, bad))]


def _baseline(verdicts: Verdicts, asked: Options, values: Values, good: Mapping[str, str]) -> list[str]:
    """Names the good cell's values wherever the spec would choose another, or none is known to be its choice."""
    given = (asked.baseline or "").split("_")
    usual = verdicts.run.spec.baseline
    parts = []
    for axis, choice in values.items():
        # the spec's own choice is not known where --baseline replaced it
        replaced = len(choice) > 1 and id_part(axis, verdicts.plan.baseline.axes[axis]) in given
        chosen = usual[axis] if usual.get(axis) in choice else choice[0]
        if replaced or chosen != good[axis]:
            parts.append(id_part(axis, good[axis]))
    return ["--baseline", "_".join(parts)] if parts else []


def _kept(verdicts: Verdicts, asked: Options) -> Iterator[str]:
    """What the run's own command said about the spec, where cases come from and how they are loaded."""
    pairs = {
        "--spec": None if asked.spec == specs.SHIPPED else asked.spec,
        "--profile": asked.profile if _profile_matters(verdicts, asked.profile) else None,
        "--auto-class": asked.auto_class,
        "--generate": asked.generate,
        "--probe": asked.probe,
    }
    yield from (str(part) for name, value in pairs.items() if value is not None for part in (name, value))
    if asked.trust_remote_code:
        yield "--trust-remote-code"
    yield from (part for axis in asked.axis for part in ("--axis", axis))
    variants = {
        "--dtype": asked.dtype,
        "--attention": asked.attention,
        "--device": asked.device,
        "--cache": asked.cache,
    }
    for name, listed in {**variants, "--threads": asked.threads, "--text": asked.text}.items():
        if listed:
            yield from (name, *map(str, listed))


def _profile_matters(verdicts: Verdicts, name: str | None) -> bool:
    """Whether a profile changes more than the values of axes that the command names itself."""
    profile = verdicts.run.spec.profiles.get(name or "", Profile())
    further = {axis: values for axis, values in profile.axes.items() if axis not in _AXES}
    return replace(profile, axes=further) != Profile()


def _parse(words: Sequence[str]) -> Options:
    arguments = words[words.index("--") + 1 :] if "--" in words else []
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return command_line.parse(arguments)
    except SystemExit:
        # written by another version, whose options are not ours: the case's name is still right
        return Options()
