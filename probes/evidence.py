"""The probe of a closer look: the same logits rounded in other ways and not at all, and digests that no layout changes.

Asked for where two captures hold other bits, so that rounding can be told from a change: by torch on other numbers of
threads, through the other attention kernels, and in corrected float64.
"""

import contextlib

import probe_float64 as float64
import probe_hf as hf
import torch

THREADS = (1, 2, 4)
KERNELS = ("eager", "sdpa")
_BLOCK = 1 << 20


def capture(job, record):
    """Capture every other way to round one case's logits; what cannot run is named in `lacking`, the rest goes on."""
    record.facts.update(roundings={}, exact={}, elsewhere={}, lacking={}, lifted={}, escaped={}, misrounded=[])
    with record.step("load"):
        model, inputs, tokens = ready(job)
    record.facts.update(tokens=tokens, config=model.config.to_dict(), dtype=dtype(model))
    used = hf.used_attention(model)["implementation"] or "eager"
    record.facts["kernel"] = used
    record.facts["contents"] = {name: content(tensor) for name, tensor in distinct(model).items()}
    with record.step("logits"), torch.no_grad():
        hf.file_outputs(hf.outputs_of(model(**inputs)), record)
    for threads in THREADS:
        name = f"{threads} thread{'s' * (threads > 1)}"
        if threads != job["variant"]["threads"]:
            with attempt(record, name), several(threads):
                keep(record, name, hf.outputs_of(model(**inputs)))
    with attempt(record, f"{used} in float64"):
        if job["through"]:
            record.facts["misrounded"] = round_through(model, job)
        exact(record, used, model, inputs)
    del model
    for kernel in KERNELS:
        if kernel != used:
            with attempt(record, kernel):
                other(job, record, kernel)


def ready(job):
    """The model and its inputs, as the main probe has them."""
    model = hf.from_pretrained(job)[0].to(job["variant"]["device"]).eval()
    return model, *hf.tokenize(job, model)


def dtype(model):
    """The dtype of the model's first floating parameter."""
    return next((str(p.dtype)[6:] for p in model.parameters() if p.is_floating_point()), "float32")


def other(job, record, kernel):
    """The same through another attention kernel, where the release really uses it."""
    model, inputs, _ = ready({**job, "variant": {**job["variant"], "attention": kernel}})
    used = hf.used_attention(model)["implementation"]
    if used != kernel:
        raise ValueError(f"the model uses {used} when asked for {kernel}")
    keep(record, kernel, hf.outputs_of(model(**inputs)))
    exact(record, kernel, model, inputs)


def exact(record, kernel, model, inputs):
    """Corrected float64 outputs of a model, which is changed for good."""
    tensors = float64.lift(model)
    with float64.Corrected() as corrected, torch.no_grad():
        outputs = hf.outputs_of(model(**float64.wide(inputs)))
    for place, tensor in hf.places(outputs).items():
        name = f"exact/{kernel}" + place.removeprefix("logits").replace("output/", "/", 1)
        record.tensors[name] = tensor
        ways(record, place)["exact"][kernel] = name
    record.facts["lifted"][kernel] = {"tensors": tensors, "calls": corrected.lifted}
    record.facts["escaped"][kernel] = dict(corrected.escaped)


def round_through(model, job):
    """Give the parameters the values that a coarser variant's load rounds them to; buffers keep their own.

    Returns:
        The names of parameters whose values are not what rounding makes of this load's.
    """
    coarse, wrong = dict(hf.from_pretrained({**job, "variant": job["through"]})[0].named_parameters()), []
    for name, parameter in model.named_parameters():
        rounded = coarse[name].to(parameter.device)
        if hf.digest(parameter.detach().to(rounded.dtype)) != hf.digest(rounded):
            wrong.append(name)
        parameter.data = rounded.to(torch.float64)
    return wrong


def keep(record, way, outputs):
    """File outputs as another rounding; those with the same bits are only said to be the same."""
    for place, tensor in hf.places(outputs).items():
        name = f"rounding/{way}" + place.removeprefix("logits").replace("output/", "/", 1)
        same = place in record.tensors and hf.digest(tensor) == hf.digest(record.tensors[place])
        ways(record, place)["roundings"][way] = None if same else name
        if not same:
            record.tensors[name] = tensor


def ways(record, place):
    """The facts that say where other roundings of an output lie: the main one's are on top."""
    if place == "logits":
        return record.facts
    return record.facts["elsewhere"].setdefault(place.removeprefix("output/"), {"roundings": {}, "exact": {}})


@contextlib.contextmanager
def attempt(record, name):
    """Try one way; its error is data, unless it may go better the next time."""
    try:
        with record.step(name), torch.no_grad():
            yield
    except Exception as error:
        if record.is_transient(error):
            raise
        lines = str(error).strip().splitlines()
        record.facts["lacking"][name] = f"{type(error).__name__}: {lines[0][:300] if lines else ''}"


@contextlib.contextmanager
def several(threads):
    """Let torch use another number of threads, and put it back."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def distinct(model):
    """Parameters and buffers by their first name: tied ones once."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def content(tensor):
    """A digest of a tensor's values as a multiset: fused, split or transposed tensors add up to the same.

    The sum, modulo 2^64, of every element's bits mixed by two odd multipliers and a shift (the finaliser of SplitMix64,
    Steele, Lea and Flood 2014, shortened), as 16 hexadecimal digits.
    """
    if tensor.is_meta:
        return "meta"
    total, flat = 0, tensor.detach().reshape(-1)
    integers = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    for start in range(0, flat.numel(), _BLOCK):
        piece = flat[start : start + _BLOCK].cpu().contiguous()
        piece = torch.view_as_real(piece) if piece.is_complex() else piece
        bits = piece.view(integers[piece.element_size()]).long() * -0x61C8864680B583EB
        bits ^= bits >> 29
        bits *= -0x40A7B892E31B1A47
        total += int((bits ^ (bits >> 32)).sum())
    return f"{total % 2**64:016x}"
