"""Commands: how to see one difference again with as few cells as show it."""

from __future__ import annotations

import contextlib
import io
import shlex
from collections.abc import Sequence

from matrix import options as command_line
from matrix import spec as specs
from matrix.options import Options
from matrix.verdicts import Verdicts
from reports.differences import Difference

_AXES = ("transformers", "torch")
"""Axes that the command line can choose values of."""


def reproduce(verdicts: Verdicts, difference: Difference) -> str:
    """The command that runs one case in the last good and the first bad cell only."""
    good, bad = _ends(verdicts, difference)
    order = {name: axis.values for name, axis in verdicts.run.spec.axes.items()}
    chosen: list[str] = []
    for axis in _AXES:
        if axis in good:
            values = sorted({good[axis], bad[axis]}, key=order[axis].index)
            chosen += [f"--{axis}", *values]
    asked = _parse(shlex.split(verdicts.run.command))
    arguments = [*asked.checkpoints, "--case", difference.case, *chosen, *_baseline(verdicts, good, bad)]
    return shlex.join(["nox", "-s", "matrix", "--", *arguments, *_cases_options(asked)])


def _ends(verdicts: Verdicts, difference: Difference) -> tuple[dict[str, str], dict[str, str]]:
    """Axis values of the last good and the first bad cell; of the baseline and the first one where no axis explains."""
    baseline, shown = dict(verdicts.plan.baseline.axes), [dict(cell.axes) for cell in difference.cells]
    for finding in verdicts.findings:
        good, bad = ({**baseline, finding.axis: value} for value in (finding.last_good, finding.first_bad))
        if finding.case == difference.case and bad in shown:
            return good, bad
    return baseline, shown[0]


def _baseline(verdicts: Verdicts, good: dict[str, str], bad: dict[str, str]) -> list[str]:
    """Names the good cell where the spec's baseline, or else the older value, would not be it."""
    usual = verdicts.run.spec.baseline
    changed = [axis for axis in _AXES if axis in good and good[axis] != bad[axis]]
    order = {name: axis.values.index for name, axis in verdicts.run.spec.axes.items()}
    clear = all(
        usual.get(axis) == good[axis]
        or (usual.get(axis) != bad[axis] and order[axis](good[axis]) < order[axis](bad[axis]))
        for axis in changed
    )
    return [] if clear else ["--baseline", "_".join(f"{axis}-{good[axis]}" for axis in changed)]


def _cases_options(asked: Options) -> list[str]:
    """What the run's own command said about where cases come from and how they are loaded."""
    pairs = {
        "--spec": None if asked.spec == specs.SHIPPED else asked.spec,
        "--profile": asked.profile,
        "--auto-class": asked.auto_class,
        "--generate": asked.generate,
    }
    given = [str(part) for name, value in pairs.items() if value is not None for part in (name, value)]
    given += ["--trust-remote-code"] if asked.trust_remote_code else []
    return given + (["--text", *asked.text] if asked.text else [])


def _parse(words: Sequence[str]) -> Options:
    arguments = words[words.index("--") + 1 :] if "--" in words else []
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return command_line.parse(arguments)
    except SystemExit:
        # written by another version, whose options are not ours: the case's name is still right
        return Options()
