"""Offer: run a script under both releases, and offer it only when it shows the difference."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matrix.explain.script import reproducer, shrink, trim
from matrix.explain.script.reduce import Candidate
from matrix.explain.script.reproducer import Seed, Subject
from matrix.explain.script.shrink import Shrunk
from matrix.runner import probe_environment

GOOD, BAD = "good", "bad"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A script that may show the difference.

    Attributes:
        inputs: Nested lists by name.
        seed: The checkpoint as text; None for the case's own.
        reduced: What was made smaller, as one sentence.
        values: What both sides must give, where that was measured and nothing else is trusted.
    """

    inputs: Mapping[str, Any]
    seed: Seed | None
    reduced: str
    values: tuple[tuple[float, ...], tuple[float, ...]] | None = None


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the script saw under one release.

    Attributes:
        printed: What it printed.
        digest: Of the values, or of the error's type; empty where the script itself broke down.
        values: The logits or ids; empty after an error.
        error: Type and first line, where the release raised.
    """

    printed: str
    digest: str
    values: tuple[float, ...] = ()
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Reproducer:
    """A script that showed the difference when it ran.

    Attributes:
        text: The script.
        commands: How to run it, and what for.
        good: What it saw under the good release.
        bad: What it saw under the bad release.
        reduced: What was made smaller, as one sentence.
        needs_checkpoint: Whether it wants the case's checkpoint.
    """

    text: str
    commands: Mapping[str, str]
    good: Seen
    bad: Seen
    reduced: str
    needs_checkpoint: bool


def attempts(
    subject: Subject,
    pair: tuple[Candidate, Shrunk, Shrunk] | None,
    files: Mapping[str, str] | None,
    config: Mapping[str, Any],
    inputs: Mapping[str, Any],
) -> Iterator[Attempt]:
    """What to offer, best first: the picked candidate with its code trimmed, the same whole, the case's checkpoint.

    Args:
        subject: What is reproduced.
        pair: The candidate that was picked, with the good and the bad cell's captures; None where none shows it.
        files: The checkpoint's small files; None where they are too long.
        config: The checkpoint's own config.
        inputs: The inputs that show the difference on the case's own checkpoint.
    """
    if subject.stage == "tokens":
        said = "Only the tokenizer is loaded."
        if files:
            yield Attempt(inputs={}, seed=Seed(files=files), reduced=said)
        yield Attempt(inputs={}, seed=None, reduced=f"{said} Its files are the case's own.")
        return
    if pair and files is not None:
        yield from _made_up(*pair, files, config, inputs)
    said = "The weights are those of the GGUF file." if subject.gguf else "The weights are the checkpoint's own."
    yield Attempt(inputs=inputs, seed=None, reduced=f"Nothing smaller was found to show the difference. {said}")


def _made_up(
    chosen: Candidate,
    good: Shrunk,
    bad: Shrunk,
    files: Mapping[str, str],
    config: Mapping[str, Any],
    inputs: Mapping[str, Any],
) -> Iterator[Attempt]:
    said = shrink.sentence(chosen, config, inputs)
    values = [one.tried[chosen.model, chosen.run].values for one in (good, bad)]
    measured = [() if one is None else tuple(one.tolist()) for one in values]
    short = trim.trimmed(files, trim.union(good.called[chosen.model], bad.called[chosen.model]))
    whole = shrink.seed(chosen, good, files)
    if short != files:
        words = f"{said} Of the model's own code, what never ran is left out."
        seed = replace(whole, files=short)
        yield Attempt(inputs=chosen.inputs, seed=seed, reduced=words, values=(measured[0], measured[1]))
    yield Attempt(inputs=chosen.inputs, seed=whole, reduced=said)


def offer(
    subject: Subject,
    tried: Iterable[Attempt],
    interpreters: tuple[Path, Path],
    scratch: Path,
    *,
    checkpoint: Path,
    error: str | None = None,
) -> Reproducer | None:
    """Write and run one script after the other; the first that shows the difference, None where none does.

    Args:
        subject: What is reproduced.
        tried: The scripts, best first.
        interpreters: Python of the good and of the bad environment.
        scratch: An existing folder.
        checkpoint: The case's own checkpoint.
        error: The type of error that the bad side is known for.
    """
    for attempt in tried:
        text = reproducer.script(subject, attempt.inputs, attempt.seed, attempt.reduced)
        place = None if attempt.seed else checkpoint
        seen = execute(text, dict(zip((GOOD, BAD), interpreters, strict=True)), scratch, place)
        if shows(seen[GOOD], seen[BAD], error) and _as_measured(attempt, seen[GOOD], seen[BAD]):
            return Reproducer(
                text=text,
                commands=commands(subject, needs_checkpoint=attempt.seed is None),
                good=seen[GOOD],
                bad=seen[BAD],
                reduced=attempt.reduced,
                needs_checkpoint=attempt.seed is None,
            )
    return None


def execute(
    text: str, interpreters: Mapping[str, Path], scratch: Path, checkpoint: Path | None = None, timeout: float = 900
) -> dict[str, Seen]:
    """Run a script under each side's own interpreter, offline and without the person's environment.

    Args:
        text: The script.
        interpreters: Side → Python of its environment.
        scratch: An existing folder for the script, its caches and what it saw.
        checkpoint: The case's checkpoint, for a script that wants it.
        timeout: Seconds per side.
    """
    path = scratch / "repro.py"
    path.write_text(text, encoding="utf-8")
    folders = [scratch / f"side-{index}" for index in range(len(interpreters))]
    with ThreadPoolExecutor() as pool:
        seen = pool.map(
            lambda python, folder: _run(path, python, folder, checkpoint, timeout), interpreters.values(), folders
        )
        return dict(zip(interpreters, seen, strict=True))


def shows(good: Seen, bad: Seen, error: str | None = None) -> bool:
    """Whether two sides of a script show the difference that was looked for.

    Args:
        good: What the good release makes of it; it must work.
        bad: What the bad release makes of it.
        error: The type of error that the bad side is known for; None where it runs.
    """
    if not good.digest or not bad.digest or good.error or good.digest == bad.digest:
        return False
    return (bad.error or "").partition(":")[0] == (error or "")


def commands(subject: Subject, *, needs_checkpoint: bool) -> dict[str, str]:
    """How to run a script → what for."""
    path = f" --checkpoint {reproducer.place(subject)}" if needs_checkpoint else ""
    return {
        f"uv run repro.py{path}": f"both releases of {subject.axis}, and how far apart they are",
        f"uv run repro.py{path} --{subject.axis} {subject.bad}": "one release",
        f"python repro.py{path} --here": "the interpreter at hand",
    }


def _run(path: Path, python: Path, folder: Path, checkpoint: Path | None, timeout: float) -> Seen:
    folder.mkdir(exist_ok=True)
    saved = folder / "seen.json"
    saved.unlink(missing_ok=True)
    where = ["--checkpoint", str(checkpoint)] if checkpoint else []
    try:
        done = subprocess.run(
            [str(python), "-I", str(path), "--here", "--save", str(saved), *where],
            cwd=folder,
            env=probe_environment({}, folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Seen(printed=f"nothing within {timeout:g} seconds", digest="")
    if done.returncode or not saved.exists():
        return Seen(printed=(done.stdout + done.stderr).strip()[-2000:], digest="")
    found = json.loads(saved.read_text(encoding="utf-8"))
    values = tuple(map(float, found["values"]))
    return Seen(printed=done.stdout.strip(), digest=found["digest"], values=values, error=found["error"])


def _as_measured(attempt: Attempt, good: Seen, bad: Seen) -> bool:
    """Whether both sides gave the very numbers that were measured; values that are no numbers count by their name."""
    return attempt.values is None or _spelled(attempt.values) == _spelled((good.values, bad.values))


def _spelled(sides: Sequence[Sequence[float]]) -> list[list[str]]:
    return [list(map(repr, values)) for values in sides]
