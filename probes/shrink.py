"""The probe of smaller models: what many reduced configs and inputs of one case give, with made-up weights.

Runs the very functions that the printed script consists of (`ask["source"]`), so that what is measured is what is
printed. The first cell writes down which tensors each model's checkpoint has; the other one reads that.
"""

import contextlib
import json
import math
import os
import random
import re
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file

LAYER = re.compile(r"\.(\d+)\.")


def capture(job, record):
    """Capture every model of the question with every one of its inputs; what cannot be made or run is data."""
    ask, earlier = job["ask"], tables_of(job["captures"].get("good"))
    stored = None if earlier else stored_shapes(job["checkpoint"]["folder"])
    record.facts["models"] = []
    given = full_names(job, ask["full"]) if stored else None
    for index, model in enumerate(ask["models"]):
        with record.step("shrink"):
            found = {"weights": None, "error": None, "runs": [], "called": {}}
            record.facts["models"].append(found)
            try:
                found["weights"] = earlier[index] if earlier else table(job, ask, model, stored, given)
                if found["weights"] is not None:
                    look(ask, model, found, record, f"values/{index}")
            except Exception as error:
                if record.is_transient(error):
                    raise
                found["error"] = said(error)


def tables_of(folder):
    """The tables of weights that an earlier capture wrote down; None without one."""
    if not folder:
        return None
    with open(os.path.join(folder, "response.json"), encoding="utf-8") as file:
        return [model["weights"] for model in json.load(file)["models"]]


def look(ask, model, found, record, name):
    """Load one model twice and look at each of its inputs both times."""
    spaces = {kind: space(text, ask, model, found) for kind, text in ask["source"].items()}
    with tempfile.TemporaryDirectory() as folder:
        spaces["plain"]["write_checkpoint"](folder)
        with recorded_calls(found["called"]):
            first = list(looks(spaces, folder, model["inputs"]))
        again = list(looks(spaces, folder, model["inputs"]))
    for index, (one, two) in enumerate(zip(first, again)):
        found["runs"].append(described(one, two))
        if one["values"]:
            found["runs"][-1]["values"] = f"{name}/{index}"
            record.tensors[f"{name}/{index}"] = torch.tensor(one["values"], dtype=torch.float64)


def space(text, ask, model, found):
    """The script's functions, with the globals that they read."""
    made = {"json": json, "math": math, "random": random, "Path": Path, "torch": torch, "transformers": transformers}
    made.update(save_file=save_file, CONFIG=model["config"], WEIGHTS=found["weights"], FILES=ask["files"])
    exec(compile(text, "repro.py", "exec"), made)  # noqa: S102 - the host's own text, part of the request
    return made


def looks(spaces, folder, inputs):
    """Load once and look at every input: values or an error each."""
    try:
        with as_before():
            model = spaces["plain"]["load"](folder)
    except Exception as error:  # noqa: BLE001 - whatever a release raises is what is looked at
        yield from ({"values": [], "error": said(error)} for _ in inputs)
        return
    for given in inputs:
        made = spaces["masked" if "attention_mask" in given else "plain"]
        made["INPUTS"] = given
        try:
            yield {"values": made["look"](model), "error": None}
        except Exception as error:  # noqa: BLE001 - likewise
            yield {"values": [], "error": said(error)}


def described(one, two):
    """Facts of one run: its error, how many numbers are none, and whether a second load says the same."""
    lost = sum(not math.isfinite(value) for value in one["values"])
    same = repr(one["values"]) == repr(two["values"])
    return {"error": one["error"], "nonfinite": lost, "again": same and one["error"] == two["error"], "values": None}


def table(job, ask, model, stored, given):
    """Tensor → shape of a model's checkpoint: what the case's own holds, in the shapes of this config.

    Args:
        job: The job.
        ask: What the host asks, with `limit`, the most numbers that may be made up.
        model: `config`, and `layers`, how many are left.
        stored: Tensor → (shape, whether it holds floats) of the case's checkpoint.
        given: Names of the tensors of the unreduced model.
    """
    shapes, found = shapes_of(job, ask["files"], model["config"]), {}
    same_sizes = model["sizes"] == "given"
    for name, (shape, floats) in stored.items():
        own = next((key for key in other_names(name) if key in shapes), None)
        layer = LAYER.search(name)
        if own is None and (name in given or (layer and int(layer[1]) >= model["layers"])):
            continue  # gone with its layer
        if not floats:
            raise ValueError(f"{name} holds no floats")
        if own is None and not same_sizes:
            raise ValueError(f"the model does not know {name}, so its reduced shape is unknown")
        found[name] = shapes[own] if own else shape
    if sum(map(math.prod, found.values())) > ask["limit"]:
        raise ValueError("too many weights to make up")
    return found


def other_names(name):
    """A tensor's name, and what it is called with and without the prefix of a base model."""
    return [name, name.partition(".")[2], *(f"{prefix}.{name}" for prefix in ("model", "transformer"))]


def full_names(job, config):
    """The names of all tensors of the unreduced model; empty where it cannot be built without memory."""
    try:
        return set(shapes_of(job, {}, config, folder=job["checkpoint"]["folder"]))
    except Exception:  # noqa: BLE001 - then names beyond the layers that are left are told by their number alone
        return set()


def shapes_of(job, files, config, folder=None):
    """Tensor → shape of a model built from a config, on no device where the code allows that."""
    case = job["case"]
    with tempfile.TemporaryDirectory() as scratch:
        if folder is None:
            folder = scratch
            for name, text in {**files, "config.json": json.dumps(config)}.items():
                Path(folder, name).write_text(text, encoding="utf-8")
        remote = {"trust_remote_code": case["trust_remote_code"]}
        read = transformers.AutoConfig.from_pretrained(folder, **remote)
        auto = getattr(transformers, case["auto_class"])
        build = (lambda: auto.from_config(read, **remote)) if hasattr(auto, "from_config") else (lambda: auto(read))
        try:
            with torch.device("meta"):
                model = build()
        except Exception:  # noqa: BLE001 - code that computes while it builds needs memory
            model = build()
    return {name: list(tensor.shape) for name, tensor in model.state_dict().items()}


def stored_shapes(folder):
    """Tensor → (shape, whether it holds floats) of a checkpoint's files."""
    found = {}
    for path in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - no mapping
                part = file.get_slice(name)
                found[name] = (list(part.get_shape()), "F" in part.get_dtype())
    if not found:
        for path in sorted(Path(folder).glob("pytorch_model*.bin")):
            tensors = torch.load(path, map_location="meta", weights_only=True)
            found.update({name: (list(value.shape), value.is_floating_point()) for name, value in tensors.items()})
    return found


@contextlib.contextmanager
def recorded_calls(into):
    """Note which functions of remote code are called: file → first lines."""

    def note(frame, event, _):
        name = frame.f_code.co_filename
        if event == "call" and "transformers_modules" in name:
            lines = into.setdefault(os.path.basename(name), [])
            if frame.f_code.co_firstlineno not in lines:
                lines.append(frame.f_code.co_firstlineno)

    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)


@contextlib.contextmanager
def as_before():
    """Put torch's way to hand out memory back, even when a load fails."""
    fill = torch.utils.deterministic.fill_uninitialized_memory
    try:
        yield
    finally:
        torch.utils.deterministic.fill_uninitialized_memory = fill
        torch.use_deterministic_algorithms(mode=False)


def said(error):
    """Type and first line of an error."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:300]}"
