"""The signatures that there are, and the table of them that docs/signatures.md and reports show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One signature.

    Attributes:
        symptom: What is seen.
        evidence: What is measured, and what has to hold for it.
        likely_cause: What usually does that.
        look_at: Where in the code it usually is.
    """

    symptom: str
    evidence: str
    likely_cause: str
    look_at: str


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "uninitialised": Kind(
            symptom="two loads differ, or memory was never written",
            evidence="the poisoned load names the tensors, or two processes load other bits",
            likely_cause="uninitialised memory: a buffer or parameter that no checkpoint holds and nothing fills",
            look_at="`register_buffer(…, persistent=False)` in `__init__`, and `_init_weights`, which has to fill it",
        ),
        "upcast": Kind(
            symptom="only 16 bits differ",
            evidence="other bits in float16 or bfloat16, the same bits in float32",
            likely_cause="an upcast moved: something is rounded earlier, later or not at all",
            look_at="`.float()`, `.to(…)` and `dtype=` in norms, softmax, rotary embedding and the logits",
        ),
        "lost": Kind(
            symptom="NaN, infinity or zero throughout",
            evidence="whole tokens hold nothing else, where the good side holds numbers",
            likely_cause="a row of the mask that hides everything, an overflow, or a tensor that was never filled",
            look_at="how the mask is built and what fills it, and buffers that the poisoned load names",
        ),
        "eps": Kind(
            symptom="a norm differs most where its input is smallest",
            evidence="one ratio per token whose square is (m + ε₁)/(m + ε₂) of the input's mean square m",
            likely_cause="another epsilon in the norm",
            look_at="`eps=` where the norm is made, and `rms_norm_eps` or `layer_norm_eps` in the config class",
        ),
        "attention-scale": Kind(
            symptom="attention scores differ by one factor, queries and keys do not",
            evidence="one ratio other than 1 over all scores, within 8 unit roundoffs",
            likely_cause="another scale of the attention scores",
            look_at="`self.scaling`, `head_dim`, `query_pre_attn_scalar`, `scale_attn_weights`",
        ),
        "scale": Kind(
            symptom="one factor over the whole residual",
            evidence="one ratio other than 1 over all elements, within 8 unit roundoffs",
            likely_cause="a scale of the embeddings, or another normalizer, that only one side applies",
            look_at="`normalizer`, `embed_scale`, `scale_embedding`, `embedding_multiplier`, after `embed_tokens`",
        ),
        "centring": Kind(
            symptom="each token is off by one constant",
            evidence="one difference over all features of a token, within 8 unit roundoffs",
            likely_cause="a mean that only one side subtracts: LayerNorm and RMSNorm exchanged, or centred weights",
            look_at="the norm's class, and what the conversion of the weights does with their mean",
        ),
        "bias": Kind(
            symptom="every token is off by one constant vector",
            evidence="one difference over all tokens, within 8 unit roundoffs",
            likely_cause="a bias that only one side has or loads",
            look_at="`bias=` where the layer is made, and missing or unexpected keys of the load",
        ),
        "softcap": Kind(
            symptom="the extremes are saturated",
            evidence="one side is c·tanh(x/c) of the other at every element",
            likely_cause="a softcap that only one side applies",
            look_at="`final_logit_softcapping` and `attn_logit_softcapping`, and what attention kernels take of them",
        ),
        "rotary": Kind(
            symptom="exact at position 0, different at every later one",
            evidence="queries or keys are exact at the first position of every row only; a single token is the same",
            likely_cause="the rotary embedding's base, scaling or buffer",
            look_at="`inv_freq`, `rope_theta`, `rope_scaling` or `rope_parameters`, and `ROPE_INIT_FUNCTIONS`",
        ),
        "later-positions": Kind(
            symptom="exact at position 0, different at every later one, with queries and keys unknown",
            evidence="logits are exact at the first position of every row only; a single token is the same",
            likely_cause="the rotary embedding's base, scaling or buffer, or what else acts between positions: scale, "
            "softcap or bias of attention scores",
            look_at="`inv_freq`, `rope_theta`, `rope_scaling` or `rope_parameters`; `self.scaling`, ALiBi slopes",
        ),
        "between-positions": Kind(
            symptom="exact at position 0, different at every later one, with the same queries and keys",
            evidence="logits are exact at the first position of every row only; queries and keys are exact everywhere",
            likely_cause="something that acts on attention scores only: scale, softcap, bias, ALiBi slopes, mask",
            look_at="`eager_attention_forward` and what is handed to it",
        ),
        "padding": Kind(
            symptom="only rows with padding differ",
            evidence="no row without padding differs, one of the same length among them",
            likely_cause="the mask, or position ids that do or do not skip the padding",
            look_at="how `attention_mask` and `position_ids` are made: `create_causal_mask`, `cumsum` over the mask",
        ),
        "window": Kind(
            symptom="the same up to n positions, different at every later one",
            evidence="one n for two different inputs, or for one where the config names n",
            likely_cause="a sliding window, or chunks of attention, of n tokens that only one side applies",
            look_at="`sliding_window`, `layer_types`, `attention_chunk_size`, and the mask that is made of them",
        ),
    }
)
"""Every signature by its key, the most certain first."""


def table() -> str:
    """All signatures as a Markdown table, one row each."""
    lines = ["| symptom | evidence | likely cause | where to look |", "|---|---|---|---|"]
    lines += [f"| {kind.symptom} | {kind.evidence} | {kind.likely_cause} | {kind.look_at} |" for kind in KINDS.values()]
    return "\n".join(lines)
