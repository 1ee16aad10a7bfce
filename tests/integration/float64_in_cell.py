"""Runs inside a cell: `float64_in_cell.py probes/float64.py`, with a model that hides narrow islands everywhere."""

# as the probes, without annotations:
# ruff: noqa: ANN001, ANN201, ANN204

import contextlib
import copy
import importlib.util
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional

WIDTH, LENGTH = 16, 8


@torch.jit.script
def scripted_scale(x):
    return torch.sqrt(torch.tensor(x.size(-1), dtype=torch.float) * 3)


class Islands(nn.Module):
    """One attention layer; `island` is what its code names where float64 would do."""

    island = torch.float32

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(32, WIDTH)
        self.head = nn.Linear(WIDTH, 32, bias=False)
        self.head.weight = self.embed.weight
        self.norm = nn.Parameter(torch.rand(WIDTH) + 0.5)
        self.project = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.register_buffer("frequencies", torch.rand(WIDTH // 2), persistent=False)
        self.register_buffer("turn", torch.polar(torch.ones(WIDTH // 2), torch.rand(WIDTH // 2)))
        self.slope = torch.rand(1)
        self.nested = {"shift": [torch.rand(WIDTH)]}
        self.cache = None

    def rotate(self, x):
        positions = torch.arange(LENGTH, dtype=self.island)
        with torch.autocast("cpu", enabled=False):
            angles = torch.outer(positions, self.frequencies.to(self.island))
        turn = torch.polar(torch.ones_like(angles), angles) * self.turn
        pairs = torch.view_as_complex(x.to(self.island).reshape(*x.shape[:-1], -1, 2).contiguous())
        return torch.view_as_real(pairs * turn).flatten(-2).type_as(x)

    def normed(self, x):
        wide = x.to(self.island)
        return self.norm * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)).to(x.dtype)

    def forward(self, ids, noise, kernel="eager"):
        x = self.normed(self.embed(ids) + self.nested["shift"][0] + noise)
        q, k, v = (layer(x) for layer in self.project)
        q, k = self.rotate(q), self.rotate(k)
        self.cache[0].copy_(k)
        self.cache[1, :, ::2] = v[:, ::2]
        self.cache[1].index_copy_(1, torch.arange(1, LENGTH, 2), v[:, 1::2])
        k, v = self.cache[0], self.cache[1]
        mask = torch.full((LENGTH, LENGTH), torch.finfo(torch.float32).min, dtype=self.island).triu(1)
        scale = 1 / self.scale(q)
        if kernel == "eager":
            weights = functional.softmax(q @ k.mT * scale + mask, dim=-1, dtype=self.island).to(q.dtype)
            mixed = weights @ v
        else:
            mixed = functional.scaled_dot_product_attention(q * scale * WIDTH**0.5, k, v, attn_mask=mask)
        return self.head(self.normed(x + self.slope * mixed))

    def scale(self, x):
        return scripted_scale(x)


class Reference(Islands):
    """The same, with float64 wherever the other names float32."""

    island = torch.float64

    def scale(self, x):
        return torch.sqrt(torch.tensor(x.size(-1) * 3, dtype=torch.float64))


def load(path):
    spec = importlib.util.spec_from_file_location("probe_float64", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def apart(a, b):
    return float((a - b).abs().max() / b.abs().max())


def main(path):
    float64 = load(path)
    torch.manual_seed(0)
    model, ids, noise = Islands(), torch.randint(0, 32, (2, LENGTH)), torch.randn(2, LENGTH, WIDTH)
    model.cache = torch.zeros(2, 2, LENGTH, WIDTH)
    for dtype in (torch.float32, torch.bfloat16):
        loaded = copy.deepcopy(model)._apply(
            lambda tensor, to=dtype: tensor.to(to) if tensor.is_floating_point() else tensor
        )
        check(float64, loaded, ids, noise.to(dtype))
    check_cache(float64, model, ids, noise)
    check_escapes(float64)
    check_put_back(float64)


def check(float64, loaded, ids, noise):
    """Whatever it was loaded in, the result is that of an all-float64 model, and the kernels agree."""
    model = copy.deepcopy(loaded)
    assert float64.lift(model) == 13
    assert float64.lift(model) == 0
    assert model.head.weight is model.embed.weight
    assert model.turn.dtype is torch.complex128
    assert model.slope.dtype is model.nested["shift"][0].dtype is model.frequencies.dtype is torch.float64
    reference = copy.deepcopy(model)
    reference.__class__ = Reference
    results = {}
    for kernel in ("eager", "sdpa"):
        with torch.no_grad():
            expected = reference(ids, noise.double(), kernel)
            with float64.Corrected() as corrected:
                results[kernel] = model(kernel=kernel, **float64.wide({"ids": ids, "noise": noise}))
        assert corrected.escaped == {}
        assert corrected.lifted > 0
        assert apart(results[kernel], expected) < 1e-14
    assert apart(results["eager"], results["sdpa"]) < 1e-14
    if loaded.norm.dtype is torch.float32:
        with torch.no_grad():
            plain = loaded(ids, noise)
        assert 1e-9 < apart(plain.double(), results["eager"]) < 1e-5


def check_cache(float64, loaded, ids, noise):
    """A narrow tensor that nobody lifted is written in place, once in float64 and at the end for its owner."""
    model = copy.deepcopy(loaded)
    float64.lift(model)
    with torch.no_grad(), float64.Corrected():
        expected = model(ids, noise)
    model.cache = cache = torch.zeros(2, 2, LENGTH, WIDTH)
    with torch.no_grad(), float64.Corrected() as corrected:
        assert torch.equal(model(ids, noise), expected)
    assert corrected.escaped == {}
    assert model.cache is cache
    assert cache.dtype is torch.float32
    assert cache.abs().min() > 0


def check_escapes(float64):
    """What is narrow in spite of everything is named: numbers from numpy, and float8."""
    x = torch.rand(4, dtype=torch.float64)
    with float64.Corrected() as corrected:
        assert (torch.from_numpy(x.numpy().astype(np.float32)) + x).dtype is torch.float64
        assert (x.to(torch.float8_e4m3fn).to(torch.bfloat16) + x).dtype is torch.float64
    assert corrected.escaped == {"aten.lift_fresh": 1, "aten._to_copy": 1}, corrected.escaped


def check_put_back(float64):
    """Afterwards torch is as it was, also after an error and after a forward that sets a default dtype."""
    weight = torch.rand(3)
    with contextlib.suppress(RuntimeError), float64.Corrected():
        torch.set_default_dtype(torch.bfloat16)
        assert torch.zeros(3).dtype is weight.exp().dtype is torch.float64
        weight @ torch.zeros(4)
    assert torch.get_default_dtype() is torch.zeros(3).dtype is weight.dtype is weight.exp().dtype is torch.float32
    assert weight.half().dtype is torch.float16


main(sys.argv[1])
