# ruff: noqa: INP001 - no package: transformers imports this file from the checkpoint folder
"""Minnow: a small causal language model with rotary positions, RMSNorm and a gated MLP."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from .configuration_minnow import MinnowConfig


class RMSNorm(nn.Module):
    """Root-mean-square normalisation with a learned scale (Zhang and Sennrich, 2019)."""

    def __init__(self, size: int, eps: float) -> None:
        """Start as the identity scale."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Normalise the last axis in float32."""
        wide = hidden.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * wide.to(hidden.dtype)


class RotaryEmbedding(nn.Module):
    """Cosines and sines of the rotary position embedding (Su et al., 2021)."""

    def __init__(self, dim: int, base: float) -> None:
        """Precompute one frequency per pair of channels."""
        super().__init__()
        self.dim = dim
        self.base = base
        self.register_buffer("inv_freq", self.compute_inv_freq(), persistent=False)

    def compute_inv_freq(self) -> torch.Tensor:
        """Return base ** (-2i / dim) for i in 0 .. dim/2 - 1, as float32 [dim / 2]."""
        return 1.0 / (self.base ** (torch.arange(0, self.dim, 2, dtype=torch.int64).float() / self.dim))

    @torch.no_grad()
    def forward(self, position_ids: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        """Return cosine and sine, each [batch, 1, sequence, dim], for positions [batch, sequence]."""
        angles = position_ids[:, :, None].float() * self.inv_freq[None, None, :].float()
        angles = torch.cat((angles, angles), dim=-1).unsqueeze(1)
        return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate_half(x: torch.Tensor) -> torch.Tensor:
    """Rotate each pair of channels by a quarter turn."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


class Attention(nn.Module):
    """Multi-head self-attention, eager or through torch's scaled dot product."""

    def __init__(self, config: MinnowConfig) -> None:
        """Create the four projections."""
        super().__init__()
        self.config = config
        self.num_heads = config.num_attention_heads
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(self, hidden: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Attend over hidden [batch, sequence, hidden] under an additive mask [batch, 1, sequence, sequence]."""
        batch, length, _ = hidden.shape
        query, key, value = (
            projection(hidden).view(batch, length, self.num_heads, self.head_dim).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        query = query * cos + rotate_half(query) * sin
        key = key * cos + rotate_half(key) * sin
        attend = self.sdpa if self.config._attn_implementation == "sdpa" else self.eager  # noqa: SLF001
        mixed = attend(query, key, value, mask).transpose(1, 2).reshape(batch, length, -1)
        return self.o_proj(mixed)

    def sdpa(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Let torch choose the kernel."""
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)

    def eager(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Spell the attention out, with the softmax in float32."""
        scores = query @ key.transpose(2, 3) * self.head_dim**-0.5 + mask
        return scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype) @ value


class MLP(nn.Module):
    """SiLU-gated feed-forward network."""

    def __init__(self, config: MinnowConfig) -> None:
        """Create the three projections."""
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Gate, then project back."""
        return self.down_proj(F.silu(self.gate_proj(hidden)) * self.up_proj(hidden))


class DecoderLayer(nn.Module):
    """Pre-norm attention and MLP, each with a residual."""

    def __init__(self, config: MinnowConfig) -> None:
        """Create the two blocks and their norms."""
        super().__init__()
        self.input_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.attention = Attention(config)
        self.mlp_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = MLP(config)

    def forward(self, hidden: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Apply both blocks to hidden [batch, sequence, hidden]."""
        hidden = hidden + self.attention(self.input_norm(hidden), cos, sin, mask)
        return hidden + self.mlp(self.mlp_norm(hidden))


class MinnowPreTrainedModel(PreTrainedModel):
    """Loading and initialisation shared by all Minnow models."""

    config_class = MinnowConfig
    base_model_prefix = "model"
    _no_split_modules = ("DecoderLayer",)
    _supports_sdpa = True

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, mean=0.0, std=self.config.initializer_range)
        elif isinstance(module, RMSNorm):
            nn.init.ones_(module.weight)


class MinnowModel(MinnowPreTrainedModel):
    """The decoder without a head."""

    def __init__(self, config: MinnowConfig) -> None:
        """Create embeddings, layers, the final norm and one rotary embedding for all layers."""
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.rotary_emb = RotaryEmbedding(config.hidden_size // config.num_attention_heads, config.rope_theta)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the token embeddings."""
        return self.embed_tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the token embeddings."""
        self.embed_tokens = value

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the last hidden state [batch, sequence, hidden] for ids and mask [batch, sequence]."""
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        if position_ids is None:
            # Padding on the left must not shift the positions of the text.
            position_ids = (attention_mask.long().cumsum(-1) - 1).clamp(min=0)
        hidden = self.embed_tokens(input_ids)
        cos, sin = self.rotary_emb(position_ids, hidden.dtype)
        mask = self.causal_mask(attention_mask, hidden.dtype)
        for layer in self.layers:
            hidden = layer(hidden, cos, sin, mask)
        return self.norm(hidden)

    def causal_mask(self, attention_mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Return an additive mask [batch, 1, sequence, sequence]: 0 where attention is allowed, else very negative."""
        length = attention_mask.shape[-1]
        past = torch.ones(length, length, dtype=torch.bool, device=attention_mask.device).tril()
        allowed = past & attention_mask.bool()[:, None, None, :]
        return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill(
            ~allowed, torch.finfo(dtype).min
        )


class MinnowForCausalLM(MinnowPreTrainedModel, GenerationMixin):
    """The decoder with a language-modelling head tied to the token embeddings."""

    # A mapping, because transformers 5 calls .keys() on this attribute while it builds a model whose config ties
    # embeddings, so the list of 4.x dies before any weight is read. 4.x only iterates over it, and a mapping iterates
    # like the list ["lm_head.weight"]: this one line is what authors changed to make such code load on both.
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: MinnowConfig) -> None:
        """Create the decoder and the head."""
        super().__init__(config)
        self.model = MinnowModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the token embeddings."""
        return self.model.embed_tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the token embeddings."""
        self.model.embed_tokens = value

    def get_output_embeddings(self) -> nn.Module:
        """Return the head."""
        return self.lm_head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Replace the head."""
        self.lm_head = new_embeddings

    def prepare_inputs_for_generation(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: object
    ) -> dict[str, torch.Tensor | None]:
        """Feed the whole sequence at every step: Minnow keeps no key/value cache."""
        return {"input_ids": input_ids, "attention_mask": attention_mask}

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        return_dict: bool | None = None,  # noqa: FBT001
        **_: object,
    ) -> CausalLMOutput | tuple[torch.Tensor, ...]:
        """Return logits [batch, sequence, vocab], and the loss when labels are given."""
        logits = self.lm_head(self.model(input_ids, attention_mask, position_ids))
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten())
        if return_dict is False:
            return (logits,) if loss is None else (loss, logits)
        return CausalLMOutput(loss=loss, logits=logits)
