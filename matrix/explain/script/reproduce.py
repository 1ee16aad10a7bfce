"""Reproduce: the smallest script that shows what was explained, taken only if it was seen to do so."""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matrix import plan
from matrix.case import Case
from matrix.cell import Cell
from matrix.console import tell
from matrix.explain.script import offer, reduce, shrink
from matrix.explain.script.offer import Reproducer
from matrix.explain.script.reduce import Candidate
from matrix.explain.script.reproducer import Stage, Subject
from matrix.explain.script.shrink import Shrunk
from matrix.explain.setting import Setting, sides
from matrix.explain.sources import code
from matrix.outputs import kept
from matrix.plan import Job
from matrix.sources import Source

_SHARE = 0.01
"""Of the case's own relative difference, what a reduced model must show: one that merely rounds shows far less."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A script to be: what it is about, and the smaller models to try for it.

    Attributes:
        setting: What is explained.
        job: With the smallest input that shows it.
        subject: What the script reproduces.
        source: The checkpoint, or the tokenizer where only that matters.
        files: Its small files; None where they are too long for a script.
        config: Its config; empty where no smaller model can be made of it.
        tried: The smaller models and inputs, smallest first.
    """

    setting: Setting
    job: Job
    subject: Subject
    source: Source
    files: Mapping[str, str] | None
    config: Mapping[str, Any]
    tried: tuple[Candidate, ...]

    @property
    def inputs(self) -> dict[str, Any]:
        """What goes into the model."""
        return _inputs(self.job, self.subject.stage)

    @property
    def first(self) -> dict[Cell, list[Job]]:
        """What the good cell is asked: it writes down what each smaller checkpoint holds."""
        return {self.setting.good: [self._asked]} if self.tried else {}

    @property
    def second(self) -> dict[Cell, list[Job]]:
        """What the bad cell is asked after that."""
        captures = {"good": self.setting.key(self.setting.good, self._asked)} if self.tried else {}
        return {self.setting.bad: [replace(self._asked, captures=captures)]} if self.tried else {}

    @property
    def _asked(self) -> Job:
        return replace(self.job, take="shrink", ask=shrink.ask(self.subject, self.tried, self.files or {}, self.config))


def draft(setting: Setting, job: Job, stage: Stage) -> Draft:
    """What a script may be made of; nothing is run yet.

    Args:
        setting: What is explained.
        job: With the smallest input that shows it.
        stage: What the script looks at.
    """
    found = setting.work.sources[job.case.name]
    source = found.tokenizer if stage == "tokens" else found.checkpoint
    files = None if source.file else shrink.small_files(source.folder, stage)
    config = {} if source.file or stage == "tokens" else reduce.read_config(source.folder)
    tried = reduce.candidates(config, _inputs(job, stage)) if config and files is not None else ()
    subject = _subject(setting, job, stage, source)
    return Draft(setting=setting, job=job, subject=subject, source=source, files=files, config=config, tried=tried)


def reproducer(made: Draft) -> Reproducer | None:
    """The script that shows the difference in both environments; None where none does."""
    setting, source = made.setting, made.source
    pythons = [code.interpreter(cell) for cell in setting.cells]
    if not pythons[0] or not pythons[1] or setting.work.spec.axes[setting.ends.axis].kind != "requirement":
        return None
    tell("writing a reproducer and running it under both …")
    with tempfile.TemporaryDirectory(prefix="matrix-repro-") as scratch:
        return offer.offer(
            made.subject,
            offer.attempts(made.subject, _smaller(made), made.files, made.config, made.inputs),
            (pythons[0], pythons[1]),
            Path(scratch),
            checkpoint=source.folder / source.file if source.file else source.folder,
            error=_error(setting),
        )


def _smaller(made: Draft) -> tuple[Candidate, Shrunk, Shrunk] | None:
    """The smallest reduced model that both cells show the difference with; None where none does."""
    found = []
    for asked in (made.first, made.second) if made.tried else ():
        ((cell, (job,)),) = asked.items()
        folder = made.setting.folder(cell, job)
        # it may have been taken beside a swap; --fresh would take it once more
        if not (folder / "response.json").exists():
            made.setting.take(asked)
        if (seen := shrink.read(folder)) is None:
            return None
        found.append(seen)
    if not found:
        return None
    good, bad = found
    error, least = _error(made.setting), _least(made.setting)
    chosen = shrink.pick(made.tried, good, bad, subject=made.subject, error=error, least=least)
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
        output=_named(setting),
        masked=_masked(setting),
    )


def _named(setting: Setting) -> str | None:
    """The output that differs, where it is not the first that the model returns."""
    good = setting.judged.baseline.captured
    before = good.output if good and "loss" in good.further else None
    return setting.output or before


def _masked(setting: Setting) -> bool:
    """Whether the attention mask says which rows of the output count."""
    good = setting.judged.baseline.captured
    if good is None:
        return False
    name = setting.output or good.output
    return kept(good, tuple(good.outputs[good.stored(name)]["shape"]), name) is not None


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
    lists = {"input_ids": job.case.input_ids, "attention_mask": job.case.attention_mask, **job.case.inputs}
    labels = {"labels": _labels(lists)} if job.case.loss and stage != "generation" else {}
    return {name: rows for name, rows in {**lists, **labels}.items() if rows}


def _labels(lists: Mapping[str, Any]) -> tuple[tuple[int, ...], ...]:
    """The ids as labels, those under the mask as -100, which no loss counts; the decoder's where there are such."""
    decoder = "decoder_" if "decoder_input_ids" in lists else ""
    ids, mask = lists[f"{decoder}input_ids"], lists.get(f"{decoder}attention_mask")
    kept_rows = mask or tuple((1,) * len(row) for row in ids)
    pairs = zip(ids, kept_rows, strict=True)
    return tuple(tuple(one if keep else -100 for one, keep in zip(*pair, strict=True)) for pair in pairs)


def _error(setting: Setting) -> str | None:
    """The type of error that the bad side raises; None where it runs."""
    bad = sides(setting)[1]
    return bad.failure.type if bad and bad.failure else None


def _least(setting: Setting) -> float:
    """How far apart a reduced model's logits must lie, relative to the largest, to be more than rounding."""
    comparison = setting.judged.comparison
    share = comparison.outputs.values.l2_rel if comparison and comparison.outputs else 0.0
    return _SHARE * share if math.isfinite(share) else 0.0
