# ruff: noqa: INP001 - no package: transformers imports this file from the checkpoint folder
"""Configuration of Minnow, a small causal language model."""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig


class MinnowConfig(PretrainedConfig):
    """Sizes and constants of a Minnow model."""

    model_type = "minnow"

    def __init__(  # noqa: PLR0913
        self,
        *,
        vocab_size: int = 32000,
        hidden_size: int = 512,
        intermediate_size: int = 1408,
        num_hidden_layers: int = 8,
        num_attention_heads: int = 8,
        max_position_embeddings: int = 2048,
        rms_norm_eps: float = 1e-6,
        rope_theta: float = 10000.0,
        initializer_range: float = 0.02,
        tie_word_embeddings: bool = True,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Keep the sizes; everything else goes to the base class."""
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.intermediate_size = intermediate_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.max_position_embeddings = max_position_embeddings
        self.rms_norm_eps = rms_norm_eps
        self.rope_theta = rope_theta
        self.initializer_range = initializer_range
        super().__init__(tie_word_embeddings=tie_word_embeddings, **kwargs)
