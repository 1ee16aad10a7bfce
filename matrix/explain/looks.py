"""Looks: the closer looks that an explanation takes in both cells, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from matrix.capture import Rows
from matrix.case import Case
from matrix.cell import Cell
from matrix.console import tell
from matrix.errors import NoCaptureError
from matrix.explain import anatomy, hypotheses, swap, trace
from matrix.explain.anatomy import Anatomy
from matrix.explain.forwards import ladder
from matrix.explain.forwards.ladder import GIVEN
from matrix.explain.setting import Setting, sides
from matrix.explain.swap import Part, Swap
from matrix.explain.trace import Trace
from matrix.plan import Job

Look = TypeVar("Look")

Beside = Mapping[Cell, Sequence[Job]]
"""Cell → what it is asked in the same go."""

NOTHING: Beside = MappingProxyType({})

_WIDE = ("float32", "float64", "default")


@dataclass(frozen=True, kw_only=True)
class Anatomies:
    """What both models are made of and say.

    Attributes:
        good: The good side's.
        bad: The bad side's.
        job: Which job took them.
        wide: The same pair in float32, where the variant is narrower; None where it is not, or it could not run.
        rungs: The ladder's inputs by name, without the case's own.
    """

    good: Anatomy
    bad: Anatomy
    job: Job
    wide: tuple[Anatomy, Anatomy] | None
    rungs: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Traces:
    """One forward of both models, every call of it, and the job that took it."""

    good: Trace
    bad: Trace
    job: Job


def anatomies(setting: Setting) -> Anatomies:
    """Take both models apart, and ask them inputs of growing size.

    Raises:
        NoCaptureError: When a side gives none.
    """
    good, bad = sides(setting)
    if good is None or bad is None:
        raise NoCaptureError("an end gives no capture", given=setting.judged.summary)
    tell("taking both models apart …")
    case = setting.job.case
    rungs = ladder.rungs(case.input_ids, case.attention_mask, _lists(case), good.config)
    ask = {"rungs": rungs, "keep": list(hypotheses.keep(good, bad)), **_output(setting)}
    job = replace(setting.job, take="anatomy", ask=ask)
    wide = replace(job, variant=replace(job.variant, dtype="float32"))
    jobs = [job] if job.variant.dtype in _WIDE else [job, wide]
    setting.take(dict.fromkeys(setting.cells, jobs))
    one, other = (_required(setting, cell, job, anatomy.read) for cell in setting.cells)
    found = [anatomy.read(setting.folder(cell, wide)) for cell in setting.cells] if len(jobs) > 1 else [None, None]
    pair = (found[0], found[1]) if found[0] and found[1] else None
    return Anatomies(good=one, bad=other, job=job, wide=pair, rungs=rungs)


def _lists(case: Case) -> dict[str, Rows]:
    """Further inputs that are lists of the ids' shape, as tokenizers make them."""
    shape = [len(row) for row in case.input_ids]
    rows = {n: v for n, v in case.inputs.items() if not isinstance(v, Mapping) and v and isinstance(v[0], tuple | list)}
    return {n: v for n, v in rows.items() if [len(row) for row in v] == shape and isinstance(v[0][0], int)}


def traces(setting: Setting, rung: str, rungs: Mapping[str, Mapping[str, Any]]) -> Traces:
    """Follow one forward of both models at one rung of the ladder.

    Raises:
        NoCaptureError: When a side gives none.
    """
    tell(f"following one forward of both models, input: {rung} …")
    # the input is no part of a job's id, and two rungs may be followed
    job = replace(at(setting.job, rung, rungs), take="trace", ask={"rung": rung, **_output(setting)})
    setting.take({cell: [job] for cell in setting.cells})
    good, bad = (_required(setting, cell, job, trace.read) for cell in setting.cells)
    return Traces(good=good, bad=bad, job=job)


def at(job: Job, rung: str, rungs: Mapping[str, Mapping[str, Any]]) -> Job:
    """The job with the input of one rung."""
    if rung == GIVEN:
        return job
    lists = {name: tuple(map(tuple, rows)) for name, rows in rungs[rung].items()}
    ids, mask = lists.pop("input_ids"), lists.pop("attention_mask", ())
    case = replace(
        job.case,
        text=(),
        chat=(),
        padding=None,
        input_ids=ids,
        attention_mask=mask,
        inputs={**job.case.inputs, **lists},
    )
    return replace(job, case=case)


def restored(
    setting: Setting, found: Anatomies, traced: Traces, parts: tuple[Part, ...], beside: Beside = NOTHING
) -> tuple[Job, Swap]:
    """Put the good side's parts into the bad side, and find the smallest set that restores most.

    Args:
        setting: What is explained.
        found: Both models.
        traced: One forward of both.
        parts: What differs.
        beside: What the other cell, which would be idle, is asked meanwhile.

    Raises:
        NoCaptureError: When the bad side gives no answer.
    """
    tell(f"swapping {len(parts)} differing parts into {setting.ends.bad} …")
    ask = {"mode": "restore", "parts": [_plain(part) for part in parts], **_output(setting)}
    return _swap(setting, setting.bad, traced.job, ask, _other(setting, setting.good, found, traced), beside)


def injected(
    setting: Setting, found: Anatomies, traced: Traces, back: tuple[Job, Swap], beside: Beside = NOTHING
) -> tuple[Job, Swap]:
    """Put the bad side's parts, as they were when the good ones restored it, into the good side.

    Args:
        setting: What is explained.
        found: Both models.
        traced: One forward of both.
        back: What restored the bad side.
        beside: What the other cell, which would be idle, is asked meanwhile.

    Raises:
        NoCaptureError: When the good side gives no answer.
    """
    tell(f"swapping what restores it into {setting.ends.good} …")
    ask = {"mode": "inject", "parts": [_plain(part) for part in back[1].chosen], **_output(setting)}
    captures = {**_other(setting, setting.bad, found, traced), "restored": setting.key(setting.bad, back[0])}
    return _swap(setting, setting.good, traced.job, ask, captures, beside)


def _swap(
    setting: Setting, cell: Cell, traced: Job, ask: Mapping[str, Any], captures: Mapping[str, str], beside: Beside
) -> tuple[Job, Swap]:
    own = {"own": setting.key(cell, traced)}
    job = replace(traced, take="swap", ask=ask, captures={**captures, **own})
    setting.take({cell: [job], **beside})
    return job, _required(setting, cell, job, swap.read)


def _other(setting: Setting, cell: Cell, found: Anatomies, traced: Traces) -> dict[str, str]:
    return {"anatomy": setting.key(cell, found.job), "trace": setting.key(cell, traced.job)}


def _output(setting: Setting) -> dict[str, str]:
    """The output that is followed, where it is not the main one."""
    return {"output": setting.output} if setting.output else {}


def _plain(part: Part) -> dict[str, Any]:
    return {"kind": part.kind, "name": part.name, "good": part.good, "bad": part.bad, "nth": part.nth}


def _required(setting: Setting, cell: Cell, job: Job, read: Callable[[Path], Look | None]) -> Look:
    look = read(setting.folder(cell, job))
    if look is None:
        raise NoCaptureError(
            f"{cell.title}: the closer look ({job.take}) gave no capture",
            given=setting.reason(cell, job),
            next_step=f"see {setting.run.cell(cell.id)}/harness.log",
        )
    return look
