"""Runs inside a cell: `author_in_cell.py PROBES SCRATCH`, with checkpoints that the release at hand makes."""

# as the probes, without annotations:
# ruff: noqa: ANN001, ANN201

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file

TYPES = {
    "llama": "AutoModelForCausalLM",
    "gpt2": "AutoModelForCausalLM",
    "bert": "AutoModelForCausalLM",
    "t5": "AutoModel",
    "vit": "AutoModel",
}
TWICE = {kind: TYPES[kind] for kind in ("gpt2", "vit")}
"""Those with two checkpoints, and with running on anything but ids: made in a second process, too."""

VARIANT = {"dtype": "float32", "attention": "default", "device": "cpu", "threads": 1}


def main(probes, scratch):
    torch.set_num_threads(1)  # as in the cell; threads that wait for each other take most of the time of tiny models
    first, second = authored(probes, scratch / "first"), authored(probes, scratch / "second", TWICE)
    for kind in TWICE:
        check_bytes(first[kind], second[kind])
    for kind in TYPES:
        check_facts(kind, said(first[kind]))
    spec = importlib.util.spec_from_file_location("harness", probes / "harness.py")
    harness = importlib.util.module_from_spec(spec)
    sys.modules["harness"] = harness
    spec.loader.exec_module(harness)
    finder = harness.Probes()
    sys.meta_path.append(finder)
    for kind, auto_class in TYPES.items():
        check_losses(auto_class, first[kind], said(first[kind]))
    sys.meta_path.remove(finder)  # what ends with the interpreter still imports
    check_reasons(probes, scratch)


def authored(probes, folder, types=TYPES):
    """Model type → capture of its author, made in a process of its own."""
    folder.mkdir(parents=True)
    jobs = [job({"model_type": kind, "auto_class": auto}, folder / kind) for kind, auto in types.items()]
    request = folder / "request.json"
    request.write_text(json.dumps({"schema": 1, "events": str(folder / "events"), "jobs": jobs}), encoding="utf-8")
    subprocess.run([sys.executable, "-I", probes / "harness.py", request], check=True)
    return {kind: folder / kind for kind in types}


def job(ask, folder):
    return {
        "id": folder.name,
        "key": "",
        "folder": str(folder),
        "probe": "author",
        "take": "author",
        "ask": ask,
        "through": None,
        "timeout": 60,
        "code": None,
        "captures": {},
        "case": {},
        "variant": VARIANT,
    }


def said(folder):
    return json.loads((folder / "response.json").read_text(encoding="utf-8"))


def check_bytes(one, other):
    """Two processes write the same bytes."""
    names = sorted(path.relative_to(one) for path in one.rglob("*") if path.suffix in {".safetensors", ".json"})
    weights = [name for name in names if name.name == "model.safetensors"]
    assert weights
    for name in names:
        if name.name != "response.json":
            assert (one / name).read_bytes() == (other / name).read_bytes(), name


def check_facts(kind, facts):
    """What the response says of inputs, kernels and heads."""
    assert facts["status"] == "captured", facts.get("error")
    names = [given["name"] for given in facts["inputs"]]
    assert names == (["plain"] if kind == "vit" else ["one", "short", "padded"])
    assert facts["attention"] == (["eager"] if kind == "t5" else ["eager", "sdpa"])
    ties = {entry["folder"]: entry["tied"] for entry in facts["checkpoints"]}
    tied = {"checkpoint": True, "untied": False}
    assert ties == {"gpt2": tied, "bert": tied, "llama": {"checkpoint": False}}.get(kind, {"checkpoint": None})
    assert facts["shrunk"].get("is_decoder", False) == (kind == "bert")  # an encoder under a causal head
    if kind != "vit":
        padded = facts["inputs"][2]
        assert [sum(row) for row in padded["attention_mask"]] == [8, 5]
        assert [len(row) for row in padded["input_ids"]] == [8, 8]
    # a key's bias cancels in the softmax: no output can show it, and nothing else may be claimed to be unseen
    hidden = [name for name in facts["inert"] if not name.endswith(("k_proj.bias", "key.bias"))]
    assert hidden == ([] if kind != "vit" else [name for name in hidden if name.startswith("pooler")])
    assert "inert_unknown" not in facts


def check_losses(auto_class, folder, facts):
    """Every tensor of the checkpoint that is not said to be inert shows in the outputs when it is lost."""
    import probe_feed as feed  # noqa: PLC0415 - found once the harness is there

    model = getattr(transformers, auto_class).from_pretrained(folder / "checkpoint").eval()
    stored = load_file(folder / "checkpoint" / "model.safetensors")
    named = {name: tensor for name, tensor in model.state_dict(keep_vars=True).items() if name in stored}
    assert named.keys() == stored.keys()
    before = [feed.digests(feed.run(model, given)) for given in facts["inputs"]]
    for name, tensor in named.items():
        if name in facts["inert"]:
            continue
        kept = tensor.detach().clone()
        with torch.no_grad():
            tensor.zero_()
            assert [feed.digests(feed.run(model, given)) for given in facts["inputs"]] != before, name
            tensor.copy_(kept)


def check_reasons(probes, scratch):
    """What cannot be built says at which step and why; the next job is none the worse for it."""
    types = {"no-such-type": "AutoModel", "layoutlmv2": "AutoModel", "gpt2": "AutoModelForCausalLM"}
    folders = authored(probes, scratch / "reasons", types)
    unknown, foreign, fine = (said(folders[kind]) for kind in types)
    assert (unknown["status"], unknown["failed_stage"]) == ("probe_failed", "config")
    assert "no-such-type" in unknown["error"]["message"]
    assert foreign["failed_stage"] == "model"
    assert "detectron2" in foreign["error"]["message"]
    assert fine["status"] == "captured"


main(Path(sys.argv[1]), Path(sys.argv[2]))
