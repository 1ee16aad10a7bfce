"""Small configs: every size of a config class made small by what its name says, and all that is random switched off.

Knows no model: names and default values decide. What they cannot tell is in `special.py`. Needs neither torch nor
transformers: a config is anything with `vars`, a class and perhaps parts of its own that are configs.
"""

import inspect
import math
import re

WIDTH, HEADS, HEAD, LAYERS, VOCABULARY, POSITIONS, IMAGE, PATCH, EXPERTS = 64, 4, 16, 2, 128, 128, 32, 8, 4

PLANS = ("small", "scaled", "shallow")
"""How sizes are made small, the first that works is taken: fixed small ones; all divided by the same number, which
keeps every relation between them; or only fewer layers and ids."""

LEAST = 8
"""The smallest width, and what every width is a multiple of."""

SCALE = 8
"""What the plan `scaled` divides sizes by."""

STILL = re.compile(
    r"dropout|drop_?path|layer_?drop|jitter|drop_rate|_pdrop|^noise_scale|^mask_(time|feature)_prob$|_drop$"
)
"""Numbers that make a forward random, or would if the model were in training: they become 0."""

KEPT = re.compile(
    r"label|num_feat_extract|num_conv_layers|sampling_rate|_type|theta|(^|_)std|loss|cost|coef|init|eps|factor$"
    r"|num_channels|in_chans|_ratio|temperature|threshold|num_frames|stride|downs|kernel|sample|frame_rate|_ms$|base$"
    r"|audio_channels|bucket|groups_width|num_hidden_groups|hop_|fft|version"
)
"""Names whose numbers are no sizes, or tied to others in ways that no name tells."""

RULES = (
    ("ids", r"(^|_)vocab(ulary)?_size$|^vocab$|^n_vocab|^n_token$", VOCABULARY),
    ("heads", r"key_value_heads|kv_heads|num_kv|multi_query_group_num", HEADS // 2),
    ("heads", r"(^|_)(n|num)_?(attention_|attn_)?heads?$|attention_heads$|_n_heads?$", HEADS),
    ("head", r"head_dim|head_size|_rank$|^d_kv$|kv_channels|d_head$|^rotary_dim$|attention_channels", HEAD),
    ("layers", r"(^|_)(n|num)?_?(hidden_)?layers?$|^depth$|^num_block(s|_layers)$|self_attends_per", LAYERS),
    ("few", r"experts_per_tok|top_?k$|topk_group|^moe_k$|n_groups?$", 2),
    ("few", r"experts|expert_num$", EXPERTS),
    ("few", r"tokens_per_image", 4),
    ("few", r"window|attention_chunk_size|local_attention|chunk_length|chunk_size", 4),
    ("size", r"num_filters$|codebook_size|num_quantizers", 8),
    ("layers", r"(pattern|interval|period|every_n|_step|frequency|_freq)(_layers)?$", 2),
    ("layers", r"offset$|first_k_dense|num_dense_layers", 1),
    ("few", r"position|max_(seq|sequence|length|text)|n_ctx|context_length|seq_len|^max_length|max_.*len", POSITIONS),
    ("size", r"state_size|d_state|^ssm_", 8),
    ("image", r"(image|img|input|crop)_(size|resolution|height|width)$|^image_", IMAGE),
    ("image", r"patch_size|tubelet|^patch", PATCH),
    ("size", r"mel_bins|num_mel|frequency_length", 16),
    ("few", r"num_quer|proposals|query_num|detection_tokens|num_latents|num_denoising|_tokens$|num_landmarks", 8),
    ("size", r"intermediate|ffn|ffw|feed_?forward|^d_ff|inner|mlp_(dim|size|hidden)", 2 * WIDTH),
    ("size", r"group|_conv_pos_embeddings$", 16),
    (
        "size",
        r"size|dims?$|^d_|_d$|hidden|embd|width|channels|units|filters|features|length|^dim|_dim_|num_.*positions",
        WIDTH,
    ),
)
"""Kind, pattern of a name, and the largest number that is left; the first pattern that matches decides."""

STAGED = {"embed_dim": 16, "patch_embeds_hidden_size": 16, "window_size": 2, "image_size": 64, "spec_size": 64}
"""Of a model in stages, each of which doubles the width and halves the image: a window fits into the last one's."""

DEPTH = ("num_hidden_layers", "n_layer", "num_layers")
"""What configs call the number of layers that lists have an item for."""

ABSENT = {"head_dim": HEAD, "num_experts_per_tok": 2, "n_routed_experts": EXPERTS, "n_shared_experts": 1}
"""Sizes that some classes need and have no default for."""

SCALED, SHALLOW = ("head", "size"), ("ids", "layers")
"""Kinds that the plan `scaled` divides, and those that `shallow` makes small."""


def overrides(values, plan="small"):
    """Name → small value for the plain values of one config; names that stay as they are, are left out.

    Args:
        values: Name → default value.
        plan: One of PLANS.
    """
    layers = per_layer(values)
    count = max([LAYERS, *(len(prefix(items, LAYERS)) for items in layers.values())])
    made = {name: for_layers(name, items, count, plan) for name, items in layers.items() if len(items) > count}
    for name, value in values.items():
        if value is None and name in ABSENT:
            made[name] = ABSENT[name]
        if isinstance(value, bool) or value is None or name in layers:
            continue
        if layers and name in DEPTH and count < value:
            made[name] = count
            continue
        small = still(name, value)
        if small is None and not KEPT.search(name):
            small = by_kind(name, value, plan, values)
        if small is not None and small != value:
            made[name] = small
    return {**made, **(latent(values) if plan == "small" else {})}


def per_layer(values):
    """Name → list, of the lists that have one item for every layer."""
    depth = next((values[name] for name in DEPTH if isinstance(values.get(name), int)), 0)
    lists = {name: value for name, value in values.items() if isinstance(value, (list, tuple)) and "label" not in name}
    return {name: value for name, value in lists.items() if len(value) == depth > LAYERS * 2}


def for_layers(name, items, count, plan):
    """The items of so many layers: kinds in their order, numbers from all over the list, small ones."""
    if not all(type(item) in (int, float) for item in items):
        return items[:count]
    spread = [items[index * (len(items) - 1) // (count - 1)] for index in range(count)]
    sized = all(type(item) is int for item in items) and not KEPT.search(name)
    return type(items)(number(name, item, plan) or item if sized else item for item in spread)


def latent(values):
    """Sizes of an attention through a latent space: heads share no keys, and one part of each has no positions."""
    if not {"kv_lora_rank", "qk_rope_head_dim"} <= set(values):
        return {}
    made = {"num_key_value_heads": HEADS, "qk_head_dim": 2 * HEAD}
    return {name: value for name, value in made.items() if values.get(name) is not None}


def still(name, value):
    """0 for a number that makes a forward random; None for any other."""
    return type(value)(0) if isinstance(value, (int, float)) and STILL.search(name) else None


def by_kind(name, value, plan, values):
    """The small value of one number or list; None where its name says nothing."""
    if name.endswith(("_id", "_ids", "_index", "_token", "_indices", "_idx")):
        return None  # ids belong together over all parts: see `special_ids`
    if isinstance(value, int):
        staged = isinstance(values.get("depths"), (list, tuple)) and plan == "small" and STAGED.get(name)
        return min(value, staged) if staged else number(name, value, plan)
    if isinstance(value, dict) and value and set(value) <= {"height", "width"}:
        return {side: number("image_size", size, plan) for side, size in value.items()}
    if isinstance(value, (list, tuple)) and value and all(type(item) is int for item in value):
        return type(value)(numbers(name, list(value), plan))
    return None


def number(name, value, plan):
    """One small number; None where its name says nothing."""
    rule = next((rule for rule in RULES if re.search(rule[1], name)), None)
    if value <= 0 or rule is None or (plan == "shallow" and rule[0] not in SHALLOW):
        return None
    if plan == "scaled" and rule[0] in SCALED:
        return value // SCALE if value >= SCALE * 8 else value
    return value if plan == "scaled" and rule[0] == "heads" else min(value, rule[2])


def numbers(name, items, plan):
    """A small list: widths keep their ratios, depths shrink."""
    if re.search(r"depths|(^|_)layers$|layers_per", name):
        return [min(item, LAYERS) for item in items]
    if plan == "shallow" or name in ("in_channels", "out_channels"):
        return items
    if "head" in name:
        return [max(1, item // min(items)) for item in items] if len(items) > 1 else [min(items[0], HEADS)]
    if re.search(RULES[-1][1], name) and not re.search(r"image|patch|kernel", name):
        return widths(items)
    return [number(name, item, plan) or item for item in items]


def widths(items):
    """Widths in their ratios, the largest about WIDTH, each a multiple of 8."""
    if len(set(items)) == 1:
        return [min(item, WIDTH) for item in items]
    step = math.gcd(*items)
    if step >= LEAST and max(items) // step <= WIDTH // LEAST * 2:
        return [item // step * LEAST for item in items]
    factor = max(items) / WIDTH
    return [max(LEAST, round(item / factor / LEAST) * LEAST) for item in items] if factor > 1 else items


def prefix(items, least):
    """The shortest start of a list, at least so long, that holds every kind of item in it; numbers are of one kind."""
    kinds = {repr(item) for item in items if not isinstance(item, (int, float)) or isinstance(item, bool)}
    for count in range(least, len(items)):
        if {repr(item) for item in items[:count]} >= kinds:
            return items[:count]
    return items


def special_ids(values, taken, vocabulary=VOCABULARY):
    """Name → id within the vocabulary for special ids beyond it; what was one id stays one id.

    Args:
        values: Name → default value.
        taken: Old id → new id, over all parts of the config; extended here.
        vocabulary: How many ids there are.
    """
    made = {}
    for name, value in values.items():
        if not re.search(r"token_id|token_ids$|token_index|_token$|_id$|_start_id|_end_id", name) or isinstance(
            value, bool
        ):
            continue
        if isinstance(value, int) and value >= vocabulary:
            made[name] = taken.setdefault(value, vocabulary - 1 - len(taken))
        elif isinstance(value, (list, tuple)) and any(type(item) is int and item >= vocabulary for item in value):
            made[name] = [
                taken.setdefault(item, vocabulary - 1 - len(taken)) if item >= vocabulary else item for item in value
            ]
    return made


def small_config(config, plan, table, taken=None):
    """Nested overrides that make a config small, with those of a table put over them.

    Args:
        config: A config of defaults.
        plan: One of PLANS.
        table: Nested overrides by model type.
        taken: Old special id → new one.
    """
    taken = {} if taken is None else taken
    known = parameters(type(config))
    plain, parts = {}, {}
    for own, value in {**vars(config), **missing_parts(config)}.items():
        name = own if own in known else aliases(config).get(own)
        if name in known:
            (parts if is_config(value) else plain)[name] = value
    made = {**overrides(plain, plan), **special_ids({**plain, **ids_of(config)}, taken)}
    for name, part in parts.items():
        kind = {"model_type": part.model_type} if part.model_type else {}
        made[name] = {**kind, **chosen(part), **small_config(part, plan, table, taken)}
    return merged(made, table.get(config.model_type, {}))


def missing_parts(config):
    """Name → default config, of the parts that a class declares and a config of defaults does without."""
    kinds = getattr(config, "sub_configs", None) or {}
    absent = {name: kind for name, kind in kinds.items() if getattr(config, name, None) is None}
    return {name: kind() for name, kind in absent.items() if getattr(kind, "model_type", "")}


def chosen(part):
    """What a config has set in a part of its own, against the defaults of the part's class."""
    try:
        usual = type(part)()
    except Exception:  # noqa: BLE001 - a class without defaults has everything from the config around it
        return {}
    known = parameters(type(part))
    names = [
        name for name in (*vars(part), "out_features") if name in known and not is_config(getattr(part, name, None))
    ]
    other = {name: getattr(part, name) for name in names if getattr(part, name, None) != getattr(usual, name, None)}
    return {name: value for name, value in other.items() if name not in per_layer(vars(part))}


def aliases(config):
    """A config's own name of an attribute → the name that its class takes."""
    return {own: name for name, own in getattr(type(config), "attribute_map", {}).items()}


def ids_of(config):
    """Special ids that every config takes, whatever its signature says."""
    names = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "sep_token_id")
    return {name: getattr(config, name, None) for name in names}


def is_config(value):
    """Whether an attribute is a part that is a config of its own."""
    return hasattr(value, "to_dict") and hasattr(type(value), "model_type")


def parameters(kind):
    """Names that a config class and its parents take, the common ones of all configs left out."""
    names, common = set(), {"self", "kwargs", "args"}
    for parent in kind.__mro__:
        if parent.__name__ in ("PretrainedConfig", "PreTrainedConfig", "object"):
            common |= set(inspect.signature(parent.__init__).parameters)
            break
        names |= set(inspect.signature(parent.__init__).parameters)
    return names - common


def merged(base, over):
    """Nested mappings, the second one put over the first."""
    made = dict(base)
    for name, value in over.items():
        both = isinstance(value, dict) and isinstance(made.get(name), dict)
        made[name] = merged(made[name], value) if both else value
    return made


def flat(nested, prefix=""):
    """Nested overrides by dotted key."""
    made = {}
    for name, value in nested.items():
        made.update(flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value})
    return made
