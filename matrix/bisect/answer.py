"""The answer as bisect.json, schema 1: everything that a script, or the reporter, may want to know about a search.

`mark` is what a release says about the predicate: good, bad, skip (cannot be tried, or hides it) or unsure (does not
agree with itself). `last_good` and `first_bad` are the first change's; `candidates` are the releases that may be the
first bad one, and one of them only where the status is found or several.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from matrix.bisect import options, predicate, upstream
from matrix.bisect.bisection import Answer, Step
from matrix.bisect.search import Transition
from matrix.plan import Job

SCHEMA = 1

EXIT_CODES = {"found": 0, "several": 0, "range": 1, "inconclusive": 1}


def content(answer: Answer, arguments: Sequence[str]) -> dict[str, Any]:
    """The whole file, with keys in a fixed order."""
    asked, job, values = answer.asked, answer.ready.bad.judged.job, answer.releases
    first = answer.transitions[0]
    good, bad = values[first.last], values[first.first]
    axis = asked.ends.axis
    arguments = [*arguments, *_pinned(answer, job)]
    explain = options.command("explain", _without(arguments), good, bad)
    return {
        "schema": SCHEMA,
        "run": {
            "id": answer.run.id,
            "started": answer.run.started,
            "host": dict(answer.run.host),
            "spec_sha256": answer.run.spec.sha256,
            "command": answer.run.command,
        },
        "status": answer.status,
        "exit_code": EXIT_CODES[answer.status],
        "headline": headline(answer),
        "case": job.case.name,
        "variant": asdict(job.variant),
        "axis": axis,
        "held_fixed": {name: value for name, value in answer.run.plan.baseline.axes.items() if name != axis},
        "good": asked.ends.good,
        "bad": asked.ends.bad,
        "predicate": {**asdict(answer.ready.predicate), "sentence": answer.ready.predicate.sentence},
        "last_good": good,
        "first_bad": bad,
        "candidates": _candidates(answer, first),
        "transitions": [_transition(answer, found) for found in answer.transitions],
        "releases": list(values),
        "steps": [_step(values[position], step) for position, step in answer.steps.items()],
        "untested": [value for position, value in enumerate(values) if position not in answer.steps],
        "notes": list(_notes(answer)),
        "compare": upstream.compare(axis, good, bad),
        "commits": upstream.commits(axis, arguments, good, bad) if asked.commits else None,
        "next": explain,
        "cost": {"seconds": answer.seconds, "cpu_seconds": answer.cpu_seconds},
    }


def headline(answer: Answer) -> str:
    """The answer in one or two sentences."""
    job, axis, values = answer.ready.bad.judged.job, answer.asked.ends.axis, answer.releases
    who, what = f"{job.case.name} ({job.options})", answer.ready.predicate.sentence
    first = answer.transitions[0]
    good, bad = values[first.last], values[first.first]
    if answer.status == "found":
        return f"{who} is bad since {axis} {bad}: {what}. The last good release is {good}."
    if len(answer.transitions) > 1:
        said = f"{who} comes and goes along {axis} ({what}): the difference {_course(answer)}"
        return f"{said}." if answer.status == "several" else f"Inconclusive: {said}; some of these say nothing."
    among = f"Inconclusive: {who} is good in {axis} {good} and bad in {bad} ({what})"
    if answer.status == "range":
        return f"{among}; first bad is one of {', '.join(_candidates(answer, first))}, some of which say nothing."
    unsure = [values[p] for found in answer.transitions for p in found.between if answer.steps[p].mark == "unsure"]
    return f"{among}, but {', '.join(unsure)} cannot be told: the verdict comes and goes there."


def _course(answer: Answer) -> str:
    """`appears in 4.50.0, disappears in 5.0.0 and appears again in 5.2.0`."""
    words, seen = [], False
    for found in answer.transitions:
        verb = ("appears again" if seen else "appears") if found.appears else "disappears"
        seen = seen or found.appears
        words.append(f"{verb} in {' or '.join(_candidates(answer, found))}")
    return " and ".join([", ".join(words[:-1]), words[-1]])


def _candidates(answer: Answer, found: Transition) -> list[str]:
    return [answer.releases[position] for position in (*found.between, found.first)]


def _transition(answer: Answer, found: Transition) -> dict[str, Any]:
    ends = {"last": answer.releases[found.last], "first": answer.releases[found.first]}
    return {"appears": found.appears, **ends, "candidates": _candidates(answer, found)}


def _step(release: str, step: Step) -> dict[str, Any]:
    judged = step.judged
    return {
        "release": release,
        "mark": step.mark,
        "verdict": judged.verdict if judged else None,
        "stage": judged.stage if judged else None,
        "where": judged.where if judged else None,
        "summary": judged.summary if judged else "the good end: what all others are compared with",
        "why": step.why,
        "seconds": step.seconds,
    }


def _notes(answer: Answer) -> Iterator[str]:
    yield from answer.ready.notes
    last = answer.ready.bad.judged
    for found in answer.transitions:
        judged = answer.steps[found.first].judged
        if not (found.appears and judged):
            continue
        release, end = answer.releases[found.first], answer.asked.ends.bad
        if judged.verdict == last.verdict == "error" and judged.summary != last.summary:
            yield f"{release} {judged.summary}; the bad end {end} {last.summary}: these may be two failures"
        elif judged.where != last.where:
            more = f"; --where {last.where} searches for that" if last.where else ""
            yield f"{release} shows {predicate.named(judged)}, the bad end {end} {predicate.named(last)}{more}"


def _pinned(answer: Answer, job: Job) -> list[str]:
    """The variant as options where the case has several: between other ends, another might be the first to differ."""
    several = [vars(other.variant) for other in answer.run.plan.jobs]
    chosen = {name: value for name, value in vars(job.variant).items() if len({other[name] for other in several}) > 1}
    return [word for name, value in chosen.items() for word in (f"--{name}", str(value))]


def _without(arguments: Sequence[str]) -> list[str]:
    """The arguments without what `explain` does not know."""
    kept, skip = [], False
    for word in arguments:
        name, _, value = word.partition("=")
        if skip:
            skip = False
        elif name in {"--verdict", "--stage", "--where"}:
            skip = not value
        else:
            kept.append(word)
    return kept
