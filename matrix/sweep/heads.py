"""Heads: which classes of transformers stand for what a model is used for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Head:
    """One way to use an architecture.

    Attributes:
        auto_class: The Auto class that loads it.
        noun: For people, such as `causal LM`.
        generates: Whether `--generate` asks it for tokens.
    """

    auto_class: str
    noun: str
    generates: bool = False


HEADS: Mapping[str, Head] = MappingProxyType(
    {
        "causal-lm": Head(auto_class="AutoModelForCausalLM", noun="causal LM", generates=True),
        "base": Head(auto_class="AutoModel", noun="base model"),
    }
)
"""Name → head, in the order in which a sweep goes through them; one more is one more line."""
