"""The workload of the benchmark: four releases and ten tiny checkpoints, in a copy of the project of its own."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from matrix.state import ROOT

RELEASES = ("4.48.0", "4.57.6", "5.2.0", "5.23.0")
TORCH = "2.13.0"
COPIES = {"llama-tiny": 3, "gpt2-tiny": 3, "remote-code-rope": 2, "remote-code-rope-fixed": 2}
"""How many checkpoints are made from each shipped recipe, by another seed each: ten in all."""

IMPORTS = "import torch, transformers; from transformers import AutoModelForCausalLM, LlamaForCausalLM, GPT2LMHeadModel"
"""What every process needs before it can load one of the ten checkpoints."""

_IGNORED = (".git", ".nox", ".matrix", "__pycache__", "out", ".*_cache")


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A copy of the project with nothing built, and a spec of its own.

    Attributes:
        project: The copy's folder.
        spec: The spec file.
        checkpoints: The folders of the ten checkpoints, written out.
    """

    project: Path
    spec: Path
    checkpoints: tuple[Path, ...]


def prepare(folder: Path) -> Workload:
    """Copy the project and write ten recipes and their spec beside it."""
    project = folder / "project"
    shutil.copytree(ROOT, project, ignore=shutil.ignore_patterns(*_IGNORED), symlinks=True)
    names = [f"{recipe}-{copy}" for recipe, copies in COPIES.items() for copy in range(copies)]
    recipes = [_recipe(folder / "recipes" / name, index) for index, name in enumerate(names)]
    spec = folder / "bench.toml"
    spec.write_text(_HEAD + "".join(_CASE.format(name=path.name) for path in recipes), encoding="utf-8")
    return Workload(project=project, spec=spec, checkpoints=tuple(_checkpoint(path) for path in recipes))


def _recipe(target: Path, index: int) -> Path:
    """A shipped recipe with another seed."""
    source = ROOT / "matrix" / "tiny" / target.name.rpartition("-")[0]
    shutil.copytree(source, target)
    weights = target / "weights.toml"
    lines = weights.read_text(encoding="utf-8").splitlines()
    changed = [f"seed = {1000 + index}" if line.startswith("seed") else line for line in lines]
    weights.write_text("\n".join(changed) + "\n", encoding="utf-8")
    return target


def _checkpoint(source: Path) -> Path:
    from matrix import recipe  # noqa: PLC0415 - only here

    target = source.parent.parent / "checkpoints" / source.name
    recipe.write(recipe.read(source), target)
    return target


_HEAD = f"""schema = 1
baseline = {{ transformers = "4.57.6", torch = "{TORCH}" }}
[axes.transformers]
values = {list(RELEASES)}
[axes.torch]
values = ["{TORCH}"]
[variants]
attention = ["default"]
"""

_CASE = """
[[case]]
name = "{name}"
checkpoint = "recipes/{name}"
trust_remote_code = true
input_ids = [[3, 17, 45, 92, 8, 61, 23, 77, 104, 5, 38, 119]]
"""
