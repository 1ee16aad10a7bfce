"""Changes: what is not the same in the tokens, the config and the state of two captures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

from matrix.capture import Capture, TensorState
from matrix.layout import relaid
from matrix.metrics import Difference, compare, first_difference
from matrix.tensorfile import TensorFile

Kind = Literal["parameters", "buffers"]
Change = Literal["changed", "added", "removed", "renamed", "relaid", "retied", "persistence"]

States = Mapping[str, TensorState]
Contents = tuple[Mapping[str, str], Mapping[str, str]]

BOOKKEEPING = frozenset(
    {
        *(
            "transformers_version",
            "_name_or_path",
            "dtype",
            "torch_dtype",
            "auto_map",
            "architectures",
            "tokenizer_class",
        ),
        *("use_cache", "output_attentions", "output_hidden_states", "return_dict", "torchscript", "problem_type"),
        *("id2label", "label2id", "finetuning_task", "prefix", "task_specific_params", "bos_token_id", "eos_token_id"),
        *(
            "sep_token_id",
            "decoder_start_token_id",
            "forced_bos_token_id",
            "forced_eos_token_id",
            "max_length",
            "min_length",
        ),
        *("do_sample", "early_stopping", "num_beams", "num_beam_groups", "num_return_sequences", "diversity_penalty"),
        *("temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size"),
        *(
            "encoder_no_repeat_ngram_size",
            "bad_words_ids",
            "output_scores",
            "return_dict_in_generate",
            "suppress_tokens",
        ),
        *("remove_invalid_values", "exponential_decay_length_penalty", "begin_suppress_tokens"),
    }
)
"""Config keys that cannot move logits: who wrote a config, what a forward returns, and the generation options that 4.x
keeps in every config (`PretrainedConfig._get_global_generation_defaults`). The dtype is compared on the parameters."""


@dataclass(frozen=True, kw_only=True)
class TokenChange:
    """The first place where what the tokenizer made differs: which list, row and position, and each side's row."""

    list: str
    row: int
    position: int
    baseline: tuple[int, ...]
    candidate: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ConfigChange:
    """A config key that both sides have, with different values."""

    key: str
    baseline: Any
    candidate: Any


@dataclass(frozen=True, kw_only=True)
class StateChange:
    """A parameter or buffer that is not the same on both sides.

    Attributes:
        kind: Parameters or buffers.
        change: `renamed` has the same bytes under another name; `relaid` is made of the baseline's values in another
            layout (fused, split or transposed); `retied` shares its memory with other tensors; `persistence` is saved
            by one side only.
        baseline: The tensor on the baseline's side, or None.
        candidate: The tensor on the candidate's side, or None.
        difference: Metrics, where both sides' values were captured and have one shape.
    """

    kind: Kind
    change: Change
    baseline: TensorState | None
    candidate: TensorState | None
    difference: Difference | None = None

    @property
    def same_layout(self) -> bool:
        """Whether both sides exist, with one dtype and one shape."""
        a, b = self.baseline, self.candidate
        return bool(a and b and (a.dtype, a.shape) == (b.dtype, b.shape))

    @property
    def is_kept(self) -> bool:
        """Whether no side's values were too large to keep; where they were, digests alone say that they differ."""
        return all(side.kept for side in (self.baseline, self.candidate) if side)

    @property
    def is_broken(self) -> bool:
        """Whether the candidate's tensor holds NaN or infinity, and more of it than the baseline's."""
        lost = [side.elements - side.finite if side else 0 for side in (self.baseline, self.candidate)]
        return lost[1] > lost[0]

    @property
    def name(self) -> str:
        """The tensor's name, the baseline's where there are two."""
        side = self.baseline or self.candidate
        return side.name if side else ""


def changed_tokens(baseline: Capture, candidate: Capture) -> TokenChange | None:
    """The first difference between what two tokenizers made; None where one side has no ids at all."""
    if baseline.tokens == candidate.tokens or not baseline.tokens or not candidate.tokens:
        return None
    a, b = baseline.tokens.lists, candidate.tokens.lists
    # the ids first: they come first in both
    for name, rows in a.items():
        for row, (old, new) in enumerate(zip_longest(rows, b.get(name, ()), fillvalue=())):
            position = first_difference(old, new)
            if position is not None:
                return TokenChange(list=name, row=row, position=position, baseline=old, candidate=new)
    # a list that only the candidate's tokenizer makes goes into the model too
    name = next(name for name in b if name not in a)
    return TokenChange(list=name, row=0, position=0, baseline=(), candidate=b[name][0])


def changed_config(baseline: Capture, candidate: Capture) -> tuple[ConfigChange, ...]:
    """Keys that both sides have with other values, the attention implementation that was used among them."""
    a, b = (flattened({**side.config, "attention implementation": side.attention}) for side in (baseline, candidate))
    return tuple(ConfigChange(key=key, baseline=a[key], candidate=b[key]) for key in a if key in b and a[key] != b[key])


def flattened(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested configs as dotted keys, without bookkeeping."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if key in BOOKKEEPING:
            continue
        flat.update(flattened(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return flat


def changed_state(baseline: Capture, candidate: Capture, contents: Contents = ({}, {})) -> Iterator[StateChange]:
    """Every parameter, then every buffer, that is not the same on both sides.

    Args:
        baseline: The capture that is taken as right.
        candidate: The capture that is compared with it.
        contents: (baseline's, candidate's) name → digest of the values as a multiset, where a closer look took them:
            then tensors that were only laid out anew are told from those that came and went.

    Raises:
        CaptureError: When a tensor file is missing or torn.
    """
    yield from _state_of("parameters", baseline, candidate, contents)
    yield from _state_of("buffers", baseline, candidate, contents)


def _state_of(kind: Kind, baseline: Capture, candidate: Capture, contents: Contents) -> Iterator[StateChange]:
    a = {state.name: state for state in getattr(baseline, kind)}
    b = {state.name: state for state in getattr(candidate, kind)}
    twins = _renamed(a, b)
    common = {name for name in a if name in b and (kind == "buffers" or a[name].shape == b[name].shape)}
    old = [a[name] for name in a if name not in common and name not in twins]
    new = [b[name] for name in b if name not in common and name not in twins.values()]
    moved, ties = relaid(old, new, contents), (_ties(a), _ties(b))
    for name, state in a.items():
        if name in twins:
            yield StateChange(kind=kind, change="renamed", baseline=state, candidate=b[twins[name]])
        elif name in b and name not in moved:
            same = ties[0][name] == ties[1][name]
            yield from _pair(kind, state, b[name], (baseline, candidate), same_ties=same)
        elif name not in b and name not in moved:
            yield StateChange(kind=kind, change="removed", baseline=state, candidate=None)
    for state in new:
        if state.name in moved:
            yield StateChange(kind=kind, change="relaid", baseline=None, candidate=state)
        elif state.name not in a:
            yield StateChange(kind=kind, change="added", baseline=None, candidate=state)


def _renamed(a: States, b: States) -> dict[str, str]:
    """Old name → new name of tensors with the same bytes and shape."""
    new: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for name in b:
        if name not in a:
            new.setdefault((b[name].sha256, b[name].shape), []).append(name)
    found = {}
    for name, old in a.items():
        if name not in b and (twins := new.get((old.sha256, old.shape))):
            found[name] = twins.pop(0)
    return found


def _pair(
    kind: Kind, a: TensorState, b: TensorState, sides: tuple[Capture, Capture], *, same_ties: bool
) -> Iterator[StateChange]:
    if (a.sha256, a.dtype, a.shape) != (b.sha256, b.dtype, b.shape):
        yield StateChange(kind=kind, change="changed", baseline=a, candidate=b, difference=_values(a, b, *sides))
    elif not same_ties:
        yield StateChange(kind=kind, change="retied", baseline=a, candidate=b)
    elif a.persistent != b.persistent:
        yield StateChange(kind=kind, change="persistence", baseline=a, candidate=b)


def _ties(states: States) -> dict[str, frozenset[str]]:
    """Every name that shares a tensor's memory, its own included: which of them comes first says nothing."""
    groups: dict[str, list[str]] = {}
    for name, state in states.items():
        groups.setdefault(state.alias or name, []).append(name)
    return {name: group for names in groups.values() for group in [frozenset(names)] for name in names}


def _values(a: TensorState, b: TensorState, baseline: Capture, candidate: Capture) -> Difference | None:
    stored = f"buffer/{a.name}"
    if stored not in baseline.outputs or stored not in candidate.outputs or a.shape != b.shape:
        return None
    return compare(TensorFile(baseline.tensors).array(stored), TensorFile(candidate.tensors).array(stored))
