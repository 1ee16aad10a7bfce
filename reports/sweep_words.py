"""The words of a sweep: the headline, what shows a difference, and the commands that go on from there."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence

from matrix.cell import Cell
from matrix.sweep import cases
from matrix.sweep.answer import QUIET, SEVERITY, Answer, Difference, Found, Seen, Shown
from matrix.sweep.heads import HEADS
from reports.names import Names, count, listing

_VERBS: dict[Seen, tuple[str, str]] = {
    "identical": ("is identical", "are identical"),
    "noise": ("agrees up to rounding", "agree up to rounding"),
    "drift": ("drifts", "drift"),
    "unstable": ("is unstable", "are unstable"),
    "error": ("fails on one side", "fail on one side"),
    "missing": ("gave nothing to compare", "gave nothing to compare"),
    "removed": ("was removed", "were removed"),
}
"""What one architecture does, and what several do, in the order in which a headline says it."""

UNTIED = "the untied checkpoint"


def names_of(answer: Answer) -> Names:
    """What tells the cells of a sweep apart."""
    axes = answer.cells[0].axes
    varying = tuple(axis for axis in axes if len({cell.axes[axis] for cell in answer.cells}) > 1)
    fixed = {axis: value for axis, value in axes.items() if axis not in varying}
    return Names(axes=varying, fixed=fixed, options=())


def labels(answer: Answer) -> dict[str, str]:
    """Cell id → its name for people."""
    names = names_of(answer)
    return {cell.id: names.cell(Cell(axes=cell.axes)) for cell in answer.cells}


def worst(found: Found) -> Seen | None:
    """The worst verdict over every cell; None where nothing was compared."""
    return max(found.seen.values(), key=SEVERITY.index, default=None)


def loud(answer: Answer) -> list[Found]:
    """Everything that is neither identical nor noise nor merely removed somewhere."""
    return [found for found in answer.architectures if any(_is_loud(verdict) for verdict in found.seen.values())]


def changes(answer: Answer) -> list[tuple[Found, Difference]]:
    """Every change of everything that is loud, each architecture's together."""
    return [(found, change) for found in loud(answer) for change in found.differences]


def headline(answer: Answer) -> str:
    """What was swept, what could be built, and what became of it."""
    known = [(head, [f for f in answer.architectures if f.head == head]) for head in answer.heads]
    heads = [(head, found) for head, found in known if found]
    total = " and ".join(count(len(found), HEADS[head].noun) for head, found in heads)
    built = " and ".join(str(sum(one.built for one in found)) for _, found in heads)
    cells = list(labels(answer).values())
    part = f" (part {answer.shard})" if answer.shard else ""
    lead = f"Of {total}{part}, {built} {'was' if built == '1' else 'were'} built and compared{_not_built(answer)}"
    said = list(_outcomes(answer))
    between = f"between {cells[0]} and {cells[-1]}" if len(cells) > 1 else f"in {cells[0]}"
    return f"{lead}. {between.capitalize()}, {listing(said, limit=len(_VERBS))}." if said else f"{lead}."


def _not_built(answer: Answer) -> str:
    """`; 38 could not be built, and 43 are known to no two releases that could be compared`."""
    failed = sum(found.unbuilt is not None for found in answer.architectures)
    alone = sum(not found.built and not found.unbuilt for found in answer.architectures)
    said = [f"{failed} could not be built"] if failed else []
    said += (
        [f"{alone} {'is' if alone == 1 else 'are'} known to no two releases that could be compared"] if alone else []
    )
    return f"; {' and '.join(said)}" if said else ""


def _outcomes(answer: Answer) -> Iterator[str]:
    """`71 are identical`: an architecture counts once, with the worst of all its cells."""
    counts = Counter(verdict for found in answer.architectures if (verdict := worst(found)))
    for verdict, (one, several) in _VERBS.items():
        if number := counts[verdict]:
            yield f"{number} {one if number == 1 else several}"


def sentence(found: Found, difference: Difference, cells: dict[str, str]) -> str:
    """Such as `drift in 5.2.0, at the buffers: …, padded only`."""
    at = f", at {difference.stage}" if difference.stage else ""
    where = f" (`{difference.where}`)" if difference.where else ""
    base = cells[found.baseline] if found.baseline else ""
    said = f"{difference.verdict} in {cells[difference.cell]} against {base}{at}{where}: {difference.summary}"
    return f"{said}; known: {difference.known}" if difference.known else said


def shows(difference: Difference) -> str:
    """Which inputs and kernels show it: `everything`, `padded only`, `sdpa only`, `the untied checkpoint only`."""
    several = len({shown.dtype for shown in (*difference.shown, *difference.quiet)}) > 1
    loud, quiet = (set(_pairs(side, several)) for side in (difference.shown, difference.quiet))
    if not quiet:
        return "everything"
    pairs = _pairs(difference.shown, several)
    inputs, kernels = (list(dict.fromkeys(pair[index] for pair in pairs)) for index in (0, 1))
    if not any(kernel in kernels for _, kernel in quiet):
        return f"{listing(kernels)} only"
    if not any(name in inputs for name, _ in quiet):
        return f"{listing(inputs)} only"
    if loud == {(name, kernel) for name in inputs for kernel in kernels} & (loud | quiet):
        return f"{listing(inputs)} with {listing(kernels)} only"
    return listing(f"{name} with {kernel}" for name, kernel in pairs)


def commands(found: Found, difference: Difference, answer: Answer) -> list[str]:
    """How to go on: why, and since which release; nothing where there is nothing to look at."""
    if difference.verdict == "missing" or found.spec is None:
        return []
    axis = ["--axis", difference.axis] if difference.axis != "transformers" else []
    dtype = [] if "dtype" in answer.held_fixed else ["--dtype", difference.dtype]
    given = [difference.case, "--spec", found.spec, *axis, "--attention", difference.attention, *dtype]
    given += ["--good", difference.good, "--bad", difference.bad]
    return [shlex.join(["nox", "-s", session, "--", *given]) for session in ("explain", "bisect")]


def _is_loud(verdict: Seen) -> bool:
    return verdict not in QUIET and verdict != "removed"


def _pairs(side: Sequence[Shown], several: bool) -> list[tuple[str, str]]:  # noqa: FBT001 - passed on
    return [(_input(shown), _kernel(shown, several)) for shown in side]


def _input(shown: Shown) -> str:
    """The untied checkpoint has one input, and is what tells it from the others."""
    return UNTIED if shown.input.startswith(f"{cases.UNTIED}.") else shown.input


def _kernel(shown: Shown, several: bool) -> str:  # noqa: FBT001 - whether dtypes vary, which tells kernels apart
    return f"{shown.dtype}-{shown.attention}" if several else shown.attention
