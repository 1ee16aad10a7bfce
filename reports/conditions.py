"""Conditions: what was the same in every cell of a run, and what was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TypeGuard

from matrix.capture import Capture
from matrix.case import Variant
from matrix.cell import Cell
from matrix.verdicts import Verdicts
from reports import captures
from reports.names import count, listing

_FACTS = {"python": "Python", "torch": "torch", "cpu": "CPU", "cpu_capability": "CPU capability", "cuda": "CUDA"}


def environments(verdicts: Verdicts) -> list[tuple[Cell, dict[str, str]]]:
    """Every cell that has a capture, with its facts and package versions, in the run's order."""
    found: dict[str, Capture] = {}
    for job in verdicts.plan.jobs:
        found = {**captures.of(verdicts, job), **found}
    cells = [report.cell for report in verdicts.cells if report.cell.id in found]
    return [(cell, _facts(found[cell.id].environment)) for cell in cells]


def differing(environments: Sequence[Mapping[str, str]]) -> list[str]:
    """Names of what is not the same everywhere: transformers and torch first, then the other facts, then packages."""
    names = dict.fromkeys(name for found in environments for name in found)
    different = {name for name in names if len({found.get(name) for found in environments}) > 1}
    order = ["transformers", "torch", *_FACTS.values(), *sorted(names, key=str.lower)]
    return [name for name in dict.fromkeys(order) if name in different]


def held_fixed(verdicts: Verdicts) -> str:
    """What was the same in every cell, as one enumeration."""
    found = [facts for _, facts in environments(verdicts)]
    if not found:
        return "nothing was captured"
    changing = set(differing(found))
    facts = {name: found[0][name] for name in _FACTS.values() if name in found[0] and name not in changing}
    packages = sum(name not in changing and name not in _FACTS.values() for name in found[0])
    return ", ".join(
        [
            *(f"{name} {value}" for name, value in facts.items()),
            *_options([job.variant for job in verdicts.plan.jobs if job.case.probe == "model"]),
            f"the versions of {count(packages, 'further package')}",
        ]
    )


def repeated(verdicts: Verdicts) -> str:
    """What was done more than once, as a sentence; nothing where nothing was."""
    cases = captures.repeated(verdicts)
    if not cases:
        return ""
    whole = len(cases) == len(verdicts.run.spec.case)
    who = "Each case was" if whole else f"{listing(cases)} {'was' if len(cases) == 1 else 'were'}"
    devices = {job.variant.device for job in verdicts.plan.jobs}
    exact = "" if devices == {"cpu"} else "; TF32 was off on GPUs"
    return f"{who} loaded twice, in two processes, and run forward twice after each load{exact}."


def commits(verdicts: Verdicts) -> str:
    """Which commits of the Hub the checkpoints were, as a sentence; nothing where none comes from there."""
    named = {case.name: (case.checkpoint, case.tokenizer, case.adapter) for case in verdicts.run.spec.case}
    found = [
        f"{name}: {listing(dict.fromkeys(source.removeprefix('hub:') for source in sources if _is_on_hub(source)))}"
        for name, sources in named.items()
        if any(map(_is_on_hub, sources))
    ]
    return f"From the Hub, by commit: {'; '.join(found)}." if found else ""


def _is_on_hub(source: str | None) -> TypeGuard[str]:
    return bool(source and source.startswith("hub:"))


def _facts(environment: Mapping[str, object]) -> dict[str, str]:
    facts = {label: str(environment[key]) for key, label in _FACTS.items() if environment.get(key)}
    versions = environment.get("versions", {})
    # torch's own version names its build, which the package's version may not
    return {**(versions if isinstance(versions, dict) else {}), **facts}


def _options(variants: Sequence[Variant]) -> list[str]:
    """Every option of the variants with the values that every cell was given; no word of a cache that nobody set."""
    values = {f.name: [str(getattr(variant, f.name)) for variant in variants] for f in fields(Variant)}
    said = {name: listing(dict.fromkeys(taken)) for name, taken in values.items() if taken}
    return [f"{name} {taken}" for name, taken in said.items() if (name, taken) != ("cache", "default")]
