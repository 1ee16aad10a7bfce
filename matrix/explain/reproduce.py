"""Reproduce: the smallest script that shows what was explained, taken only if it was seen to do so."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from matrix import evidence, plan
from matrix.case import Case
from matrix.console import tell
from matrix.explain import code, offer, reduce, shrink
from matrix.explain.offer import Reproducer
from matrix.explain.reduce import Candidate
from matrix.explain.reproducer import Stage, Subject
from matrix.explain.setting import Setting, sides
from matrix.explain.shrink import Shrunk
from matrix.plan import Job
from matrix.sources import Source

_ROUNDING = 64
"""Unit roundoffs of the largest logit that a reduced model may differ by and still only round: its sums are short."""

_CLEAR = 1024
"""So many of them are certainly more; a case that differs by less is shown by any difference."""


def reproducer(setting: Setting, job: Job, stage: Stage) -> Reproducer | None:
    """A script that shows the difference in both environments; None where none does.

    Args:
        setting: What is explained.
        job: With the smallest input that shows it.
        stage: What the script looks at.
    """
    checkpoint, tokenizer = setting.work.sources[job.case.name]
    source = tokenizer if stage == "tokens" else checkpoint
    pythons = [code.interpreter(cell) for cell in setting.cells]
    if not pythons[0] or not pythons[1]:
        return None
    tell("writing a reproducer and running it under both …")
    subject, inputs = _subject(setting, job, stage, source), _inputs(job)
    files = shrink.small_files(source.folder)
    config = {} if source.file or stage == "tokens" else reduce.read_config(source.folder)
    pair = _smaller(setting, job, subject, config, files) if config and files is not None else None
    with tempfile.TemporaryDirectory(prefix="matrix-repro-") as scratch:
        return offer.offer(
            subject,
            offer.attempts(pair, files or {}, config, inputs),
            (pythons[0], pythons[1]),
            Path(scratch),
            checkpoint=source.folder / source.file if source.file else source.folder,
            error=_error(setting),
        )


def _smaller(
    setting: Setting, job: Job, subject: Subject, config: Mapping[str, Any], files: Mapping[str, str]
) -> tuple[Candidate, Shrunk, Shrunk] | None:
    """The smallest reduced model that both cells show the difference with; None where none does."""
    tried = reduce.candidates(config, _inputs(job))
    if not tried:
        return None
    asked = replace(job, take="shrink", ask=shrink.ask(subject, tried, files, config))
    setting.take({setting.good: [asked]})
    good = shrink.read(setting.folder(setting.good, asked))
    if good is None:
        return None
    second = replace(asked, captures={"good": setting.key(setting.good, asked)})
    setting.take({setting.bad: [second]})
    bad = shrink.read(setting.folder(setting.bad, second))
    if bad is None:
        return None
    chosen = shrink.pick(tried, good, bad, subject=subject, error=_error(setting), least=_least(setting))
    return (chosen, good, bad) if chosen else None


def _subject(setting: Setting, job: Job, stage: Stage, source: Source) -> Subject:
    ends, fixed = setting.ends, dict(setting.good.axes)
    fixed.pop(ends.axis)
    kinds = setting.work.spec.axes
    pinned = [f"{name}=={value}" for name, value in fixed.items() if kinds[name].kind == "requirement"]
    further = plan.requirements((job.case,), setting.work.spec.requirements)
    good = sides(setting)[0]
    text = (setting.tokens or setting.judged).job.case.text
    python = (good.environment["python"] if good else sys.version.split()[0]).rpartition(".")[0]
    return Subject(
        axis=ends.axis,
        good=ends.good,
        bad=ends.bad,
        alike=(*pinned, *further),
        python=python,
        stage=stage,
        case=shown_case(job.case, text, stage),
        variant=job.variant,
        poisoned=_poisoned(setting),
        gguf=source.file is not None,
    )


def shown_case(case: Case, text: tuple[str, ...], stage: Stage) -> Case:
    """The case that a script is about: with the text where that is the question, else with the ids alone.

    Args:
        case: With the ids that the good side's tokenizer made.
        text: What they were made of; empty where the case has ids of its own.
        stage: What the script looks at.
    """
    return replace(case, text=text, input_ids=(), attention_mask=(), inputs={}) if stage == "tokens" else case


def _poisoned(setting: Setting) -> bool:
    """Whether what is explained is memory that the bad side never wrote."""
    bad = sides(setting)[1]
    return bool(bad and bad.uninitialised and setting.judged.verdict == "unstable")


def _inputs(job: Job) -> dict[str, Any]:
    lists = {"input_ids": job.case.input_ids, "attention_mask": job.case.attention_mask}
    return {name: rows for name, rows in {**lists, **job.case.inputs}.items() if rows}


def _error(setting: Setting) -> str | None:
    """The type of error that the bad side raises; None where it runs."""
    bad = sides(setting)[1]
    return bad.failure.type if bad and bad.failure else None


def _least(setting: Setting) -> float:
    """How far apart a reduced model's logits must lie, relative to the largest, to be more than rounding."""
    comparison, good = setting.judged.comparison, sides(setting)[0]
    if comparison is None or comparison.outputs is None or good is None:
        return 0.0
    unit = 2.0 ** -evidence.bits(good.outputs["logits"]["dtype"])
    values = comparison.outputs.values
    scale = max(abs(values.baseline_value), values.max_abs) if values.baseline_value is not None else values.max_abs
    return _ROUNDING * unit if values.max_abs > _CLEAR * unit * scale else 0.0
