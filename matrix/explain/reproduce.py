"""Reproduce: the smallest script that shows what was explained, taken only if it was seen to do so."""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from matrix import plan
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

_SHARE = 0.01
"""Of the case's own relative difference, what a reduced model must show: one that merely rounds shows far less."""


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
    if not pythons[0] or not pythons[1] or setting.work.spec.axes[setting.ends.axis].kind != "requirement":
        return None
    tell("writing a reproducer and running it under both …")
    subject, inputs = _subject(setting, job, stage, source), _inputs(job, stage)
    files = None if source.file else shrink.small_files(source.folder, stage)
    config = {} if source.file or stage == "tokens" else reduce.read_config(source.folder)
    pair = _smaller(setting, job, subject, config, files) if config and files is not None else None
    with tempfile.TemporaryDirectory(prefix="matrix-repro-") as scratch:
        return offer.offer(
            subject,
            offer.attempts(subject, pair, files, config, inputs),
            (pythons[0], pythons[1]),
            Path(scratch),
            checkpoint=source.folder / source.file if source.file else source.folder,
            error=_error(setting),
        )


def _smaller(
    setting: Setting, job: Job, subject: Subject, config: Mapping[str, Any], files: Mapping[str, str]
) -> tuple[Candidate, Shrunk, Shrunk] | None:
    """The smallest reduced model that both cells show the difference with; None where none does."""
    tried = reduce.candidates(config, _inputs(job, subject.stage))
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


def _inputs(job: Job, stage: Stage) -> dict[str, Any]:
    if stage == "load":
        return {}
    lists = {"input_ids": job.case.input_ids, "attention_mask": job.case.attention_mask}
    return {name: rows for name, rows in {**lists, **job.case.inputs}.items() if rows}


def _error(setting: Setting) -> str | None:
    """The type of error that the bad side raises; None where it runs."""
    bad = sides(setting)[1]
    return bad.failure.type if bad and bad.failure else None


def _least(setting: Setting) -> float:
    """How far apart a reduced model's logits must lie, relative to the largest, to be more than rounding."""
    comparison = setting.judged.comparison
    share = comparison.outputs.values.l2_rel if comparison and comparison.outputs else 0.0
    return _SHARE * share if math.isfinite(share) else 0.0
