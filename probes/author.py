"""The probe that makes a tiny checkpoint of a model type, from the release's own config class: README.md says which.

Whatever cannot be made ends the job with the reason, filed under the step: config, model, inputs or save.
"""

import contextlib
import copy
import inspect
import os
import time

import probe_feed as feed
import probe_fill as fill
import probe_hf as hf
import probe_inert as inert
import probe_pack as pack
import probe_special as special
import probe_tiny as tiny
import torch
import transformers

STEPS = ("config", "model", "inputs", "save")
LARGEST = 40_000_000
"""The most numbers that a tiny checkpoint may have: more would take seconds in every cell."""

PATIENCE = 25
"""Seconds after which no further plan is tried."""


def capture(job, record):
    """Make a checkpoint that the release loads again bit for bit, say what runs on it, and what it cannot show."""
    model_type, auto_class = job["ask"]["model_type"], job["ask"]["auto_class"]
    if auto_class == "AutoModelForCausalLM":
        auto_class = special.DECODERS.get(model_type, auto_class)
    made = first_that_works(model_type, auto_class, record)
    with record.step("save"):
        record.facts["checkpoints"] = [saved(made, auto_class, record.folder, "checkpoint")]
        record.facts["attention"] = kernels(made, auto_class, os.path.join(record.folder, "checkpoint"))
        other = untied(made, auto_class)
        if other:
            record.facts["checkpoints"][0]["tied"] = True
            try:
                record.facts["checkpoints"].append(saved(other, auto_class, record.folder, "untied"))
            except RuntimeError as error:  # the release's own fault is no reason to do without the tied one
                made["refused"]["untied"] = feed.said(error)
    with record.step("inert"):
        record.facts.update(inert.unseen(made["model"], made["inputs"]))
    record.facts.update(
        auto_class=auto_class,
        model_class=type(made["model"]).__name__,
        elements=elements(made["model"]),
        shrunk=tiny.flat(made["shrunk"]),
        inputs=made["inputs"],
        refused=made["refused"],
    )


def first_that_works(model_type, auto_class, record):
    """The model of the first plan that can be built and run.

    Raises:
        Exception: What stopped the plan that got furthest.
    """
    failed, start = [], time.monotonic()
    for plan in tiny.PLANS:
        try:
            return attempt(model_type, auto_class, plan, record)
        except Exception as error:
            if record.is_transient(error):
                raise
            failed.append((STEPS.index(record.stage), -len(failed), error))
        if time.monotonic() - start > PATIENCE:
            break
    step, _, error = max(failed, key=lambda entry: entry[:2])
    record.stage = STEPS[step]
    raise error


def attempt(model_type, auto_class, plan, record):
    """A filled model of one plan, with the inputs that it accepts."""
    with record.step("config"):
        config, shrunk = config_of(model_type, auto_class, plan)
    with record.step("model"):
        model = filled(config, auto_class)
    with record.step("inputs"):
        inputs, refused = feed.inputs_of(model, model_type)
    made = {"model": model, "config": config, "shrunk": shrunk, "inputs": inputs, "refused": refused}
    return {**made, "model_type": model_type}


def config_of(model_type, auto_class, plan):
    """A small config of a type's own class, and what was changed in it."""
    kind, table = config_class(model_type, auto_class), special.OVERRIDES
    if model_type in special.PARTS and auto_class not in special.DECODERS.values():
        parts, taken = special.PARTS[model_type], {}
        shrunk = {name: small_part(part, plan, taken) for name, part in parts.items()}
        shrunk = tiny.merged(shrunk, table.get(model_type, {}))
    else:
        shrunk = tiny.small_config(kind(**special.NEEDED.get(model_type, {})), plan, table)
    if model_type in special.FLAT:
        part = getattr(kind(**unshared(shrunk)), special.FLAT[model_type])
        usual = vars(transformers.PretrainedConfig()).keys()
        known = (tiny.parameters(type(part)) | (vars(part).keys() - usual)) - {special.FLAT[model_type]}
        shrunk = {**{name: value for name, value in vars(part).items() if name in known}, **shrunk}
    config = kind(**unshared(shrunk))
    if getattr(config, "is_decoder", None) is False and asks_for_decoder(config, auto_class):
        shrunk = {**shrunk, "is_decoder": True}
    return kind(**unshared(shrunk)), shrunk


def config_class(model_type, auto_class):
    """The class of a type's config, or that of a model which is loaded by its own name."""
    if auto_class in special.DECODERS.values():
        return getattr(transformers, auto_class).config_class
    return transformers.CONFIG_MAPPING[model_type]


def asks_for_decoder(config, auto_class):
    """Whether the head's own code tells people to set `is_decoder`: without it, it would look at what comes later."""
    mapping = getattr(getattr(transformers, auto_class), "_model_mapping", {})
    found = mapping.get(type(config), None)
    kind = found[0] if isinstance(found, (list, tuple)) else found
    return kind is not None and "is_decoder=True" in inspect.getsource(kind.__init__)


def small_part(name, plan, taken):
    """Overrides of a part that has no default, from the class of its config."""
    default = getattr(transformers, name)()
    return {"model_type": default.model_type, **tiny.small_config(default, plan, special.OVERRIDES, taken)}


def unshared(nested):
    """A copy of nested overrides: config classes take what they are given out of them."""
    return {name: unshared(value) if isinstance(value, dict) else value for name, value in nested.items()}


def filled(config, auto_class):
    """A model with made-up weights, in float32 and evaluation mode.

    Raises:
        ValueError: When it is too large to be a tiny checkpoint.
    """
    try:
        with torch.device("meta"):
            size = elements(made_of(config, auto_class))
    except (AttributeError, ImportError, LookupError):
        raise
    except Exception:  # noqa: BLE001 - code that computes while it builds needs memory, or fails again below
        size = 0
    if size > LARGEST:
        raise ValueError(f"still too large with small sizes: {size:,} elements, at most {LARGEST:,}")
    model, twin = (built(config, auto_class, seed) for seed in (0, 1))
    fill.fill(model, twin)
    return model.train().eval()  # some keep what they compute of weights when evaluation begins


def built(config, auto_class, seed):
    """One model as the release initialises it from a seed; what it keeps narrow beside float32 stays so."""
    torch.manual_seed(seed)
    model = made_of(config, auto_class).eval()
    return model if any(tensor.dtype == torch.float32 for tensor in model.parameters()) else model.float()


def made_of(config, auto_class):
    """The model of a config, through the auto class or by its own name."""
    config, auto = copy.deepcopy(config), getattr(transformers, auto_class)
    config.architectures = config.architectures or []  # one release iterates over it where a type has two classes
    return auto.from_config(config) if hasattr(auto, "from_config") else auto(config)


def elements(model):
    """How many numbers a model's parameters hold, tied ones once."""
    return sum(tensor.numel() for tensor in model.parameters())


def untied(made, auto_class):
    """The same model with a head of its own, where the config ties it by default and the type lets it be untied."""
    shrunk = untied_overrides(made["config"], made["shrunk"])
    try:
        model = filled(type(made["config"])(**unshared(shrunk)), auto_class)
        if elements(model) <= elements(made["model"]):
            return None
        seen = [feed.run(model, given) for given in made["inputs"]]
    except Exception:  # noqa: BLE001 - a type that cannot be untied has one checkpoint
        return None
    return None if any(feed.trouble(outputs) for outputs in seen) else {**made, "model": model}


def untied_overrides(config, shrunk):
    """The overrides, with `tie_word_embeddings` off in a config and in each of its parts that are overridden."""
    made = {"tie_word_embeddings": False}
    for name, value in shrunk.items():
        part = getattr(config, name, None)
        made[name] = untied_overrides(part, value) if isinstance(value, dict) and tiny.is_config(part) else value
    return made


def saved(made, auto_class, parent, name):
    """Save a model and load it again: it must be the same model, bit for bit.

    Returns:
        The folder, whether its head is tied (None without a head), and as `repaired` what the release's own checkpoint
        lacked, if it could only be loaded with that.

    Raises:
        RuntimeError: When the release's own load makes another model of it.
    """
    folder, model = os.path.join(parent, name), made["model"]
    model.save_pretrained(folder)
    if model.config.model_type not in transformers.CONFIG_MAPPING:
        made["config"].save_pretrained(folder)  # the config of a part, which no auto class knows
        pack.named(folder, made["model_type"], transformers.CONFIG_MAPPING)
    pack.align(folder)
    wrong, repaired = unfaithful(made, auto_class, folder), None
    if wrong:
        repaired, left_out = wrong, pack.with_all(folder, model)
        wrong = unfaithful(made, auto_class, folder) if left_out else wrong
        repaired = (
            f"without {', '.join(left_out)}, which the release shares with another name and leaves out: {repaired}"
        )
    if wrong:
        raise RuntimeError(f"the release's own checkpoint, loaded again: {wrong}")
    heads = getattr(model, "get_output_embeddings", lambda: None)()
    return {"folder": name, "tied": None if heads is None else False, **({"repaired": repaired} if repaired else {})}


def unfaithful(made, auto_class, folder):
    """What a load makes other than the model that was saved, in words; None when it is the same, bit for bit."""
    again, missing = loaded(folder, auto_class)
    if missing:
        return f"{len(missing)} weights are missing, such as {', '.join(missing[:3])}"
    if not alike(made["model"], again, made["inputs"]):
        afresh(again)
        if not alike(made["model"], again, made["inputs"]):
            return changed(made["model"], again)
    return None


def alike(model, again, inputs):
    """Whether two models say the same to every input, bit for bit."""
    return all(feed.digests(feed.run(again, given)) == feed.digests(feed.run(model, given)) for given in inputs)


def afresh(model):
    """Put every tensor into memory of its own: kernels round differently where a mapped file leaves it unaligned."""
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone()


def changed(model, again):
    """Which tensors came back from the checkpoint with other values, in words."""
    ours, theirs = dict(hf.tensors_of(model)), dict(hf.tensors_of(again))
    names = [name for name in ours if name not in theirs or hf.digest(ours[name]) != hf.digest(theirs[name])]
    if not names:
        return "every parameter and buffer is the same, and the outputs are not"
    return f"{len(names)} tensors have other values, such as {', '.join(names[:3])}"


def loaded(folder, auto_class, **options):
    """A model from a checkpoint, and the names of the weights that it did not find there."""
    torch.manual_seed(2)
    auto = getattr(transformers, auto_class)
    model, found = auto.from_pretrained(folder, output_loading_info=True, local_files_only=True, **options)
    return model.eval(), hf.own_names(model, sorted(map(str, found["missing_keys"])))


def kernels(made, auto_class, folder):
    """Attention kernels that the release accepts for this model, that run, and that are really used."""
    found = []
    for kernel in ("eager", "sdpa"):
        with contextlib.suppress(Exception):
            model, _ = loaded(folder, auto_class, attn_implementation=kernel)
            with counted_sdpa() as calls:
                seen = [feed.run(model, given) for given in made["inputs"]]
            if not any(map(feed.trouble, seen)) and (kernel == "eager" or calls):
                found.append(kernel)
    return found or ["eager"]


@contextlib.contextmanager
def counted_sdpa():
    """Note every call of torch's fused attention."""
    functional, calls = torch.nn.functional, []
    before = functional.scaled_dot_product_attention

    def noted(*args, **options):
        calls.append(1)
        return before(*args, **options)

    functional.scaled_dot_product_attention = noted
    try:
        yield calls
    finally:
        functional.scaled_dot_product_attention = before
