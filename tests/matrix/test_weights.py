from __future__ import annotations

import hashlib
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from matrix import weights
from matrix.errors import CheckpointError
from matrix.weights import Entry, Tensor

ROOT = Path(__file__).resolve().parents[2]


def test_first_values_follow_the_documented_derivation() -> None:
    tensor = Tensor(name="a", shape=(3,), width=0.5, center=1.0)
    words = struct.unpack("<3I", hashlib.shake_256(b"7/a").digest(12))
    exact = [1.0 + 0.5 * (2.0 * ((word >> 8) / 2**24) - 1.0) for word in words]
    assert weights.values(tensor, 7).tolist() == list(struct.unpack("<3f", struct.pack("<3f", *exact)))


def test_values_fill_their_range_and_stay_inside() -> None:
    drawn = weights.values(Tensor(name="a", shape=(10_000,), width=0.25, center=1.0), 1)
    assert 0.75 <= min(drawn) < 0.751
    assert 1.249 < max(drawn) <= 1.25
    assert abs(sum(drawn) / len(drawn) - 1.0) < 0.01


def test_width_of_zero_is_a_constant() -> None:
    assert set(weights.values(Tensor(name="a", shape=(9,), width=0.0, center=0.5), 1)) == {0.5}


def test_seeds_and_names_give_other_values() -> None:
    drawn = {
        tuple(weights.values(Tensor(name=name, shape=(8,), width=1.0), seed)) for name in ("a", "b") for seed in (1, 2)
    }
    assert len(drawn) == 4


def test_a_file_sorts_its_tensors_and_leaves_no_gap() -> None:
    tensors = [Tensor(name=name, shape=(3,), width=1.0) for name in ("b", "a")]
    raw = weights.safetensors(tensors, 1)
    (length,) = struct.unpack_from("<Q", raw)
    assert raw.index(b'"a"') < raw.index(b'"b"') < 8 + length
    assert raw[8 + length :] == weights.values(tensors[1], 1).tobytes() + weights.values(tensors[0], 1).tobytes()


def test_a_pattern_stands_for_every_layer() -> None:
    made = weights.expand({"a": Entry(shape=(1,), width=1.0), "b.{layer}": Entry(shape=(2,), width=0.5)}, 2, "x.toml")
    assert list(made) == ["a", "b.0", "b.1"]
    assert made["b.1"] == Tensor(name="b.1", shape=(2,), width=0.5)


def test_a_pattern_without_layers_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"x\.toml: 'b\.\{layer\}' is repeated per layer"):
        weights.names("b.{layer}", 0, "x.toml")


def test_the_host_side_needs_no_numerical_library() -> None:
    code = "import sys, matrix.weights; sys.exit(bool({'numpy', 'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
