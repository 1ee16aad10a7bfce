"""Run by the Python of a cell: digests block by block are those of the whole tensor. Argument: the folder of probes."""

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import torch


def module(folder: str, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(folder) / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def whole(tensor: torch.Tensor) -> str:
    flat = tensor.detach().contiguous().reshape(-1)
    return hashlib.sha256(flat.view(torch.uint8).numpy()).hexdigest()


bits, harness = (module(sys.argv[1], name) for name in ("bits", "harness"))
bits.BLOCK = 1 << 12
box = torch.rand(300, 70, 5)
box[0, 0, 0] = float("nan")
some = [box, box.transpose(0, 2), box[:, ::2], box.bfloat16().transpose(0, 1), box.expand(4, 300, 70, 5), box[0, 0, 0]]
some += [torch.zeros(0, 5), torch.zeros(5, 0).T, torch.arange(7), torch.randn(9, 9, dtype=torch.complex64).T, box > 1]
for tensor in some:
    assert bits.digest(tensor) == whole(tensor), tensor.shape
    assert bits.finite(tensor) == int(torch.isfinite(tensor).sum()), tensor.shape
assert bits.digest(torch.empty(3, device="meta")) == "meta"

taken = set()
assert harness.alone(box, taken) is box
again, turned = harness.alone(box, taken), harness.alone(box.transpose(0, 2), set())
assert again.data_ptr() != box.data_ptr()
assert turned.is_contiguous()
assert torch.equal(turned.nan_to_num(), box.transpose(0, 2).nan_to_num())
