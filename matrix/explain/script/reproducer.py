"""Reproducer: the text of one self-contained script that shows a difference."""

from __future__ import annotations

import json
import re
import string
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from matrix.case import Case, Variant

Stage = Literal["load", "tokens", "logits", "generation"]
"""What the script looks at: whether it loads, the ids of a text, the logits, or the greedy continuation."""

_TEMPLATE = Path(__file__).with_name("repro.py.txt")
_WIDTH = 116
_LOOKED_AT: Mapping[Stage, str] = {
    "load": "result of loading",
    "tokens": "ids",
    "logits": "logits",
    "generation": "greedy continuation",
}


@dataclass(frozen=True, kw_only=True)
class Seed:
    """A checkpoint that follows from text alone.

    Attributes:
        config: The whole config.json; unused where only the tokenizer is looked at.
        weights: Tensor → shape; the values follow from the name.
        files: Further small files of the checkpoint, remote code above all, name → text.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Sequence[int]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is reproduced.

    Attributes:
        axis: The package whose releases differ.
        good: The good release.
        bad: The bad release.
        alike: Requirements of both environments, such as `torch==2.13.0`.
        python: The minor version of Python that both ran under, such as `3.12`.
        stage: What is looked at.
        case: How the checkpoint is loaded; its inputs where `inputs` has none.
        variant: Dtype, attention and device.
        poisoned: Whether new memory is filled with NaN, so that memory that the load never wrote shows.
        gguf: Whether the checkpoint is a GGUF file.
        output: The output that is looked at, by name; the first one when None.
        masked: Whether an attention mask says which rows of it count.
    """

    axis: str
    good: str
    bad: str
    alike: tuple[str, ...]
    python: str
    stage: Stage
    case: Case
    variant: Variant
    poisoned: bool = False
    gguf: bool = False
    output: str | None = None
    masked: bool = True


def script(subject: Subject, inputs: Mapping[str, Any], seed: Seed | None, note: str) -> str:
    """The script's text.

    Args:
        subject: What is reproduced.
        inputs: What goes into the model, nested lists by name; `{"shape": […]}` stands for seeded numbers.
        seed: The checkpoint as text; None makes the script want `--checkpoint PATH`.
        note: What the reader should know of it, as a sentence.
    """
    template = _TEMPLATE.read_text(encoding="utf-8").replace("#core\n", "").replace("#end core\n", "")
    flags = _flags(subject, inputs, seeded=seed is not None) | ({"files"} if seed and seed.files else set())
    return _fill(template, flags, _words(subject, inputs, seed, note))


def core(subject: Subject, inputs: Mapping[str, Any]) -> str:
    """The functions of the script that write, load and look: what was measured is what is printed.

    Their globals are CONFIG, WEIGHTS, FILES and INPUTS, and what the script imports.
    """
    template = _TEMPLATE.read_text(encoding="utf-8")
    part = template[template.index("#core\n") + len("#core\n") : template.index("#end core\n")]
    return _fill(part, _flags(subject, inputs, seeded=True) | {"files"}, _words(subject, inputs, None, ""))


def _flags(subject: Subject, inputs: Mapping[str, Any], *, seeded: bool) -> set[str]:
    """Which blocks of the template stay."""
    drawn = any(isinstance(value, Mapping) for value in inputs.values())
    ran, model = subject.stage in {"logits", "generation"}, subject.stage != "tokens"
    given = {
        "seeded": seeded,
        "unseeded": not seeded,
        "weights": seeded and model,
        "numbers": (seeded and model) or drawn,
        "model": model,
        "torch": model,
        "ran": ran,
        "masked": "attention_mask" in inputs and subject.masked,
        "dtype": subject.variant.dtype != "default" and model,
        "poisoned": subject.poisoned,
        "gguf": subject.gguf,
        "counted": subject.stage in {"logits", "load"},
        "listed": subject.stage in {"generation", "tokens"},
        "loading": subject.stage == "load",
    }
    return {name for name, holds in given.items() if holds} | {subject.stage}


def _words(subject: Subject, inputs: Mapping[str, Any], seed: Seed | None, note: str) -> dict[str, str]:
    """What the template's names stand for."""
    looked_at = _LOOKED_AT[subject.stage]
    path = "" if seed else f" --checkpoint {place(subject)}"
    title = f"{subject.case.name}: {subject.axis} {subject.good} and {subject.bad} do not give the same {looked_at}."
    return {
        "axis": subject.axis,
        "good": subject.good,
        "bad": subject.bad,
        "python": subject.python,
        "title": title,
        "note": "\n".join(textwrap.wrap(note, _WIDTH)),
        "checkpoint": path,
        "alike": _literal(list(subject.alike)),
        "config": _literal(seed.config if seed else {}),
        "weights": _table(seed.weights if seed else {}),
        "files": _texts(seed.files if seed else {}),
        "inputs": _literal(inputs),
        "text": _literal(list(subject.case.text)),
        "auto_class": subject.case.auto_class,
        "dtype": subject.variant.dtype,
        "load": _load_arguments(subject),
        "device": "" if subject.variant.device == "cpu" else f'.to("{subject.variant.device}")',
        "tensors": _tensors(subject, inputs),
        "arguments": _forward_arguments(subject),
        "output": _output(subject),
        "generate": str(subject.case.generate),
        "and_torch": "" if subject.stage == "tokens" else ", torch {torch.__version__}",
        "options": "[]" if seed else '["--checkpoint", asked.checkpoint]',
        "checkpoint_is": "the GGUF file" if subject.gguf else "the folder of the checkpoint",
    }


def _fill(template: str, flags: set[str], words: Mapping[str, str]) -> str:
    """Keep the blocks `#if NAME … #end` whose name is a flag, and put the words in place of `$name`."""
    return string.Template("\n".join(_kept(template, flags)) + "\n").substitute(words)


def _kept(template: str, flags: set[str]) -> Iterator[str]:
    """The lines of the blocks that stay, never more than two blank ones in a row."""
    blocks: list[bool] = []
    blank = 0
    for line in template.splitlines():
        if line.startswith("#if "):
            blocks.append(line.removeprefix("#if ") in flags)
        elif line == "#end":
            blocks.pop()
        elif all(blocks):
            blank = 0 if line else blank + 1
            if blank <= 2:  # noqa: PLR2004 - as between functions
                yield line


def _load_arguments(subject: Subject) -> str:
    case, tokens = subject.case, subject.stage == "tokens"
    options: dict[str, Any] = {"trust_remote_code": True} if case.trust_remote_code else {}
    if subject.variant.attention != "default" and not tokens:
        options["attn_implementation"] = subject.variant.attention
    options |= {} if tokens else case.load
    spelled = ["folder", *(f"{name}={_inline(value)}" for name, value in options.items())]
    spelled += ["gguf_file=gguf"] if subject.gguf else []
    spelled += ["**dtype"] if subject.variant.dtype != "default" and not tokens else []
    line = ", ".join(spelled)
    return line if len(line) < _WIDTH - 64 else "\n        " + ",\n        ".join(spelled) + ",\n    "


def _forward_arguments(subject: Subject) -> str:
    """What else a forward is given, as the end of a call."""
    cache = {} if subject.variant.cache == "default" else {"use_cache": subject.variant.cache == "on"}
    return "".join(f", {name}={_inline(value)}" for name, value in {**subject.case.forward, **cache}.items())


def _output(subject: Subject) -> str:
    """How an output is taken from what a forward gives; a loss would come before the first one."""
    if subject.output is None:
        return "[0]"
    return re.sub(r"\.(\d+)$", r"[\1]", f".{subject.output}")


def _tensors(subject: Subject, inputs: Mapping[str, Any]) -> str:
    """The expression that makes tensors of INPUTS."""
    drawn = any(isinstance(value, Mapping) for value in inputs.values())
    made = "torch.tensor(rows)"
    if drawn:
        made = 'numbers(name, rows["shape"]).to(model.dtype) if isinstance(rows, dict) else torch.tensor(rows)'
    if subject.variant.device != "cpu":
        made = f'({made}).to("{subject.variant.device}")'
    return f"{{name: {made} for name, rows in INPUTS.items()}}"


def _literal(value: object, width: int = _WIDTH) -> str:
    """A Python literal, as many entries in a line as fit."""
    if isinstance(value, Mapping):
        entries = [f"{json.dumps(key, ensure_ascii=False)}: {_inline(item)}" for key, item in value.items()]
        brackets = "{}"
    elif isinstance(value, (list, tuple)):
        entries, brackets = [_inline(item) for item in value], "[]"
    else:
        return _inline(value)
    if sum(map(len, entries)) + 2 * len(entries) < width - 20:
        return brackets[0] + ", ".join(entries) + brackets[1]
    lines = [""]
    for entry in entries:
        if lines[-1] and len(lines[-1]) + len(entry) + 6 > width:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "    ") + entry + ","
    return "\n".join([brackets[0], *lines, brackets[1]])


def _inline(value: object) -> str:
    """A Python literal in one line, with double quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_inline(key)}: {_inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return repr(value)


def _table(weights: Mapping[str, Sequence[int]]) -> str:
    lines = [f'    "{name}": {list(shape)},\n' for name, shape in weights.items()]
    return "{\n" + "".join(lines) + "}"


def _texts(files: Mapping[str, str]) -> str:
    """File → text, as raw triple-quoted strings where the text allows it."""
    if not files:
        return "{}"
    return "{\n" + "".join(f'    "{name}": {_quoted(text)},\n' for name, text in files.items()) + "}"


def _quoted(text: str) -> str:
    for quotes in ("'''", '"""'):
        if quotes not in text and not re.search(rf"[\\{quotes[0]}]\Z", text) and "\r" not in text:
            return f"r{quotes}{text}{quotes}"
    return repr(text)


def place(subject: Subject) -> str:
    """What a script's command line calls the case's checkpoint."""
    return f"{subject.case.name}.gguf" if subject.gguf else subject.case.name
