"""Runs inside a cell: `trace_in_cell.py probes`, with modules that are hard to watch."""

# as the probes, without annotations:
# ruff: noqa: ANN001, ANN002, ANN003, ANN201, ANN204, ARG002, PTH118

import importlib
import importlib.util
import os
import sys
import tempfile

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

BATCH, LENGTH, WIDTH, HEADS = 2, 5, 8, 4


class ToyAttention(nn.Module):
    """Grouped-query attention, spelled out or in one call."""

    def __init__(self, kernel):
        super().__init__()
        self.kernel = kernel
        self.q_proj, self.kv_proj = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, hidden, *rest, scale=1.0, **kwargs):
        query = self.q_proj(hidden).view(BATCH, LENGTH, HEADS, -1).transpose(1, 2)
        key, value = self.kv_proj(hidden).view(BATCH, LENGTH, 2, 2, -1).permute(2, 0, 3, 1, 4)
        if self.kernel == "sdpa":
            made = functional.scaled_dot_product_attention(query, key, value, scale=scale, enable_gqa=True)
        else:
            key, value = (x.repeat_interleave(2, dim=1) for x in (key, value))
            if self.kernel == "bmm":
                query, key, value = (x.flatten(0, 1) for x in (query, key, value))
                weights = torch.bmm(query, key.transpose(1, 2)).softmax(-1)
                made = torch.bmm(weights, value).view(BATCH, HEADS, LENGTH, -1)
            else:
                weights = functional.softmax(query @ key.transpose(2, 3) * scale, dim=-1)
                made = functional.dropout(weights, 0.5, training=False) @ value
        return made.transpose(1, 2).reshape(BATCH, LENGTH, WIDTH), None


class Fails(nn.Module):
    def forward(self, hidden):
        raise ValueError(hidden.shape)


class Toy(nn.Module):
    def __init__(self, kernel):
        super().__init__()
        self.attention, self.fails, self.relu = ToyAttention(kernel), Fails(), nn.ReLU(inplace=True)
        self.low, self.scripted = nn.Linear(WIDTH, WIDTH).bfloat16(), torch.jit.script(nn.Linear(WIDTH, WIDTH))

    def forward(self, hidden):
        found, _ = self.attention(
            hidden,
            hidden,
            (hidden, "word"),
            scale=1.0,
            extra={"turn": torch.view_as_complex(hidden.view(BATCH, LENGTH, -1, 2))},
        )
        try:
            self.fails(found)
        except ValueError:
            found = self.relu(found - 0.1)
        return {"logits": self.scripted(found) + self.low(found.bfloat16()).float()}


def main(folder):
    """Load the probes as the harness does, and check."""
    spec = importlib.util.spec_from_file_location("harness", os.path.join(folder, "harness.py"))
    harness = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(harness)
    sys.meta_path.append(harness.Probes())
    trace = importlib.import_module("probe_trace")
    torch.manual_seed(0)
    hidden, seen = torch.rand(BATCH, LENGTH, WIDTH), {}
    for kernel in ("eager", "bmm", "sdpa"):
        torch.manual_seed(1)
        model = Toy(kernel).eval()
        with torch.no_grad(), tempfile.TemporaryDirectory() as scratch:
            bare = model(hidden)["logits"]
            trace.SHARD_BYTES = 500
            logits, calls = trace.trace(model, {"hidden": hidden}, scratch, pieces=True)
            assert torch.equal(bare, logits)
            check_calls(calls)
            check_files(calls, scratch, hidden)
            assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
        seen[kernel] = {call["piece"]: call["outputs"]["0"] for call in calls if call["piece"]}
    check_pieces(seen)


def check_calls(calls):
    """Arguments by name, containers taken apart, and an order that an error does not break."""
    attention = next(call for call in calls if call["module"] == "attention" and not call["piece"])
    assert list(attention["inputs"]) == ["hidden", "rest.0", "rest.1.0", "extra.turn"], attention["inputs"]
    assert attention["scalars"] == {"rest.1.1": "word", "scale": 1.0}
    assert list(attention["outputs"]) == ["0"]
    fails, relu = (next(call for call in calls if call["module"] == name) for name in ("fails", "relu"))
    assert fails["outputs"] == {}
    assert fails["parent"] == relu["parent"] == 0
    assert relu["inputs"]["input"]["sha256"] != relu["outputs"]["0"]["sha256"]
    assert all(call["index"] == index for index, call in enumerate(calls))


def check_files(calls, folder, hidden):
    """Every content once, in several files, and values as they were."""
    tensors = [tensor for call in calls for side in ("inputs", "outputs") for tensor in call[side].values()]
    files = {name: load_file(os.path.join(folder, name)) for name in {tensor["file"] for tensor in tensors}}
    names = [name for stored in files.values() for name in stored]
    assert len(files) > 1
    assert sorted(names) == sorted(set(names)) == sorted({tensor["stored"] for tensor in tensors})
    first = calls[0]["inputs"]["hidden"]
    assert torch.equal(files[first["file"]][first["stored"]], hidden)
    low = next(call for call in calls if call["module"] == "low")["outputs"]["0"]
    assert low["dtype"] == "bfloat16"
    assert files[low["file"]][low["stored"]].dtype is torch.float32
    turn = next(call for call in calls if call["module"] == "attention")["inputs"]["extra.turn"]
    assert turn["dtype"] == "complex64"
    assert list(files[turn["file"]][turn["stored"]].shape) == [*turn["shape"], 2]


def check_pieces(seen):
    """Queries, keys, values, whatever the kernel; scores and weights where they are spelled out."""
    assert list(seen["eager"]) == ["query", "key", "scores", "weights", "value", "context"]
    assert list(seen["sdpa"]) == ["query", "key", "value", "context"]
    for kernel in ("bmm", "sdpa"):
        for name in ("query", "key", "value"):
            assert seen[kernel][name] == {**seen["eager"][name], "file": seen[kernel][name]["file"]}, (kernel, name)
        assert seen[kernel]["context"]["shape"] == seen["eager"]["context"]["shape"]


main(sys.argv[1])
