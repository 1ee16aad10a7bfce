"""Every kind of checkpoint goes through real cells, and says the same as the single file it was made of."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from matrix import recipe
from tests.integration.project import Project, tiny

pytestmark = [pytest.mark.integration]
RELEASES = ["4.57.6", "5.2.0"]


@pytest.fixture
def single(tmp_path: Path) -> Path:
    recipe.write(recipe.read(tiny("llama-tiny")), tmp_path / "single")
    return tmp_path / "single"


def _sharded(single: Path) -> Path:
    folder, weights = single.with_name("sharded"), load_file(single / "model.safetensors")
    shutil.copytree(single, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    shards = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(weights)}
    for file in set(shards.values()):
        held = {name: tensor for name, tensor in weights.items() if shards[name] == file}
        save_file(held, folder / file, metadata={"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": shards}))
    return folder


def _bin(single: Path, python: Path) -> Path:
    """Only torch writes it: the one of a cell does."""
    folder = single.with_name("bin")
    shutil.copytree(single, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    code = "import sys, torch; from safetensors.torch import load_file; torch.save(load_file(sys.argv[1]), sys.argv[2])"
    files = [str(single / "model.safetensors"), str(folder / "pytorch_model.bin")]
    subprocess.run([str(python), "-c", code, *files], check=True, stderr=subprocess.DEVNULL)
    return folder


def _adapter(folder: Path) -> Path:
    folder.mkdir()
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    name = "base_model.model.model.layers.{}.self_attn.q_proj.lora_{}.weight"
    rows = np.linspace(-0.5, 0.5, 256, dtype=np.float32)
    weights = {name.format(i, "A"): rows.reshape(4, 64) for i in (0, 1)}
    weights |= {name.format(i, "B"): rows.reshape(64, 4).copy() for i in (0, 1)}
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder


def _logits(clone: Project) -> dict[str, set[str]]:
    """Case → the digests of its logits in every cell."""
    found: dict[str, set[str]] = {}
    for path in clone.run_folder().glob("cells/*/*/float32-eager/response.json"):
        response = json.loads(path.read_text())
        found.setdefault(path.parents[1].name, set()).add(response["tensors"]["logits"]["sha256"])
    return found


def test_shards_and_pickles_hold_the_same_model_and_an_adapter_changes_it(clone: Project, single: Path) -> None:
    cases = {"single": single, "sharded": _sharded(single), "adapted": single}
    spec = clone.spec("kinds", RELEASES, cases)
    adapter = _adapter(single.with_name("adapter"))
    spec.write_text(spec.read_text() + f'adapter = "{adapter}"\n')
    call = clone.matrix("--spec", str(spec))
    assert call.code == 0, call.text
    python = next(clone.folder.glob(".nox/cell-transformers-5-2-0*/bin/python"))
    seen = _logits(clone)
    clone.spec("kinds", RELEASES, {**cases, "bin": _bin(single, python)})
    assert clone.matrix("--spec", str(spec)).code == 0
    seen |= {"bin": _logits(clone)["bin"]}
    assert seen["single"] == seen["sharded"] == seen["bin"]
    assert [len(digests) for digests in seen.values()] == [1] * len(seen)
    assert seen["adapted"] != seen["single"]
