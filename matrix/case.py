"""Cases and variants: what is loaded, what goes in, and with which options inside a cell."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from matrix.errors import SpecError

Dtype = Literal["float32", "bfloat16", "float16", "float64", "default"]
Cache = Literal["default", "on", "off"]
Option = Literal["dtype", "attention", "device", "threads", "cache"]
Probe = Literal["model", "tokenizer"]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One combination of options inside a cell.

    Attributes:
        dtype: The dtype that the model is loaded in; `default` passes nothing and records the release's choice.
        attention: The attention implementation asked for; `default` passes nothing and records the release's choice.
        device: The torch device.
        threads: Intra-op threads of torch.
        cache: Whether the forward and the generation keep keys and values; `default` leaves it to the config.
    """

    dtype: Dtype = "float32"
    attention: str = "default"
    device: str = "cpu"
    threads: int = 1
    cache: Cache = "default"

    @property
    def id(self) -> str:
        """A short name such as `float32-eager`; device, threads and cache appear only when they are not the default."""
        extra = [] if self.device == "cpu" else [self.device.replace(":", "")]
        extra += [] if self.threads == 1 else [f"threads{self.threads}"]
        extra += [] if self.cache == "default" else [f"cache-{self.cache}"]
        return "-".join([self.dtype, self.attention, *extra])


@dataclass(frozen=True, kw_only=True)
class Variants:
    """The values each option of a variant takes; a case may override any of them."""

    dtype: tuple[Dtype, ...] | None = None
    attention: tuple[str, ...] | None = None
    device: tuple[str, ...] | None = None
    threads: tuple[int, ...] | None = None
    cache: tuple[Cache, ...] | None = None

    def __post_init__(self) -> None:
        """Check what the types cannot say.

        Raises:
            SpecError: For names that are none, or less than one thread.
        """
        for name in (*(self.attention or ()), *(self.device or ())):
            if not re.fullmatch(r"[A-Za-z0-9_.:-]+", name):
                raise SpecError(
                    "a variant has a name that is none", given=name, allowed="such as eager, sdpa, cpu, cuda:0"
                )
        if any(threads < 1 for threads in self.threads or ()):
            raise SpecError("a variant has no thread to run on", given=self.threads, allowed="1 or more")

    def over(self, base: Variants) -> Variants:
        """These values where they are given, the base's elsewhere."""
        return Variants(**{f.name: getattr(self, f.name) or getattr(base, f.name) for f in fields(self)})

    def expand(self) -> tuple[Variant, ...]:
        """Every combination, in the order the values are written."""
        given = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name)}
        return tuple(Variant(**dict(zip(given, values, strict=True))) for values in itertools.product(*given.values()))


UNCHANGED = Variants()
"""Overrides nothing."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A checkpoint, its inputs and how to load it.

    Attributes:
        name: Unique, letters, digits, dots, dashes and underscores.
        checkpoint: A folder or a .gguf file relative to the spec, `hub:org/name@revision` or
            `package:name==version/path/inside`; may be left out where only a tokenizer is looked at, and is named.
        auto_class: An Auto class or any model class that transformers exports.
        trust_remote_code: Whether the checkpoint's own Python code may run, in the cell's process.
        probe: What looks at it: `model` loads and runs the model, `tokenizer` only what makes ids of text.
        adapter: A PEFT adapter's folder, found as a checkpoint is, that is loaded on top of the model.
        tokenizer: Where the tokenizer comes from; the checkpoint when absent.
        text: Prompts, through each cell's own tokenizer.
        chat: Conversations, each a list of messages with `role` and `content`, through the tokenizer's chat template.
        padding: The side on which several prompts are padded; the tokenizer's own when None.
        input_ids: Explicit ids, [batch, sequence]; instead of text.
        attention_mask: Explicit mask of the ids' shape, 1 where a position counts.
        inputs: Further inputs by name: explicit nested lists, or `{ shape = […], seed = 0 }`.
        forward: Further keyword arguments of the forward, as they are.
        loss: Whether the ids are the labels too, so that the model computes its loss; positions under the mask count
            for nothing.
        generate: Greedy tokens to generate after the forward.
        load: Extra from_pretrained arguments.
        variants: Overrides of the spec's variants.
        within: Options along which the variants of one cell are compared with each other, the first value as baseline;
            the spec's when None.
        requirements: Packages that this case needs in every environment, as requirement strings.
        timeout: Seconds that one capture of this case may take.
    """

    name: str
    checkpoint: str = ""
    auto_class: str = "AutoModelForCausalLM"
    trust_remote_code: bool = False
    probe: Probe = "model"
    adapter: str | None = None
    tokenizer: str | None = None
    text: tuple[str, ...] = ()
    chat: tuple[tuple[Mapping[str, Any], ...], ...] = ()
    padding: Literal["left", "right"] | None = None
    input_ids: tuple[tuple[int, ...], ...] = ()
    attention_mask: tuple[tuple[int, ...], ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    forward: Mapping[str, Any] = field(default_factory=dict)
    loss: bool = False
    generate: int = 0
    load: Mapping[str, Any] = field(default_factory=dict)
    variants: Variants = UNCHANGED
    within: tuple[Option, ...] | None = None
    requirements: tuple[str, ...] = ()
    timeout: int = 900

    def __post_init__(self) -> None:
        """Check what the types cannot say.

        Raises:
            SpecError: For a name that is no file name, or inputs that contradict each other.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise SpecError("a case has a name that is no file name", given=self.name, allowed="letters, digits, . - _")
        where = f"case {self.name!r}"
        _check_probe(self, where)
        self._check_prompts(where)
        self._check_labels(where)
        if self.attention_mask and _shape(self.attention_mask) != _shape(self.input_ids):
            given = f"input_ids {_shape(self.input_ids)}, attention_mask {_shape(self.attention_mask)}"
            raise SpecError(f"{where} has an attention_mask of another shape than its input_ids", given=given)
        if len(set(map(len, self.input_ids))) > 1:
            raise SpecError(
                f"{where} has rows of different lengths",
                given=[len(row) for row in self.input_ids],
                next_step="pad the rows and give an attention_mask",
            )
        for name, value in self.inputs.items():
            if isinstance(value, Mapping) and not {"shape"} <= {*value} <= {"shape", "seed"}:
                raise SpecError(
                    f"{where} has a seeded input without a shape",
                    given=f"{name}: {dict(value)}",
                    allowed="{ shape = […], seed = 0 }",
                )
        if self.generate < 0 or self.timeout <= 0:
            raise SpecError(f"{where} has a negative number of tokens or seconds", given=(self.generate, self.timeout))

    def _check_prompts(self, where: str) -> None:
        """Ids come from one source, and what belongs to a tokenizer needs one."""
        given = [name for name in ("text", "chat", "input_ids") if getattr(self, name)]
        if len(given) > 1 and self.probe == "model":
            raise SpecError(f"{where} has both {' and '.join(given)}", next_step="keep one of them")
        if given and given[0] != "input_ids" and self.attention_mask:
            raise SpecError(
                f"{where} has {given[0]} and an attention_mask", next_step="the tokenizer makes the mask of a text"
            )
        if given == ["input_ids"] and self.padding:
            raise SpecError(
                f"{where} has input_ids and padding",
                given=self.padding,
                next_step="pad the rows themselves and give an attention_mask; padding is for text and chat",
            )
        if any(not {"role", "content"} <= {*message} for messages in self.chat for message in messages):
            raise SpecError(
                f"{where} has a message without role or content",
                given=[sorted(message) for messages in self.chat for message in messages],
                allowed='chat = [[{ role = "user", content = "Hello" }]], a list of conversations',
            )

    def _check_labels(self, where: str) -> None:
        """Labels come from one source."""
        for table, names in (("inputs", self.inputs), ("forward", self.forward)):
            if self.loss and "labels" in names:
                raise SpecError(
                    f"{where} has both loss and labels in {table}",
                    next_step="loss = true takes the ids for the labels; keep it for language models, or give labels",
                )
        twice = sorted({"input_ids", "attention_mask", *self.inputs} & {*self.forward})
        if twice:
            raise SpecError(f"{where} gives an input in forward", given=twice, next_step="move it into inputs")


def _shape(rows: tuple[tuple[int, ...], ...]) -> list[int]:
    return [len(row) for row in rows]


_OF_A_MODEL = ("adapter", "input_ids", "attention_mask", "inputs", "forward", "loss", "generate", "load")
"""Keys of a case that say nothing to a tokenizer."""


def _check_probe(case: Case, where: str) -> None:
    """Check that a case names what it looks at, and nothing that its probe does not read."""
    if not (case.checkpoint or (case.probe == "tokenizer" and case.tokenizer)):
        raise SpecError(f"{where} lacks the key 'checkpoint'", allowed="a folder, a .gguf file, hub:… or package:…")
    unread = [name for name in _OF_A_MODEL if getattr(case, name)]
    if case.probe == "tokenizer" and unread:
        raise SpecError(
            f"{where} looks at the tokenizer alone, and has what only a model reads",
            given=", ".join(unread),
            allowed="text and chat",
            next_step='leave them out, or leave out probe = "tokenizer"',
        )
