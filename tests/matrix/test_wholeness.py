"""Every kind of checkpoint is recognised, and an adapter that is half there is refused before any cell starts."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from matrix import wholeness
from matrix.case import Case
from matrix.errors import CheckpointError
from matrix.sources import Resolver
from matrix.state import State
from tests.matrix.builders import write_checkpoint, write_tensors


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "model")


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    config = {"peft_type": "LORA", "base_model_name_or_path": "org/base"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    write_tensors(folder / "adapter_model.safetensors", {"weight": np.ones(4, np.float32)})
    return folder


def _as_bin(file: Path) -> None:
    """What torch.save writes is a zip archive."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", b"x" * 100)


def _kinds(model: Path, kind: str) -> list[str]:
    """Make the checkpoint one of that kind; the files that are then read."""
    (model / "model.safetensors").unlink() if kind != "single" else None
    names = {"single": ["model.safetensors"], "bin": ["pytorch_model.bin"]}.get(kind)
    if kind in {"sharded safetensors", "sharded bin"}:
        stem, ending = ("model", "safetensors") if "safe" in kind else ("pytorch_model", "bin")
        names = [f"{stem}-{i}-of-2.{ending}" for i in (1, 2)]
        (model / f"{stem}.{ending}.index.json").write_text(
            json.dumps({"weight_map": dict(zip("ab", names, strict=True))})
        )
    for name in names or ():
        if name.endswith(".bin"):
            _as_bin(model / name)
        elif kind != "single":
            write_tensors(model / name, {"weight": np.ones(4, np.float32)})
    return names or []


@pytest.mark.parametrize("kind", ["single", "bin", "sharded safetensors", "sharded bin"])
def test_every_kind_is_whole_and_one_cut_file_is_not(state: State, model: Path, kind: str) -> None:
    names = _kinds(model, kind)
    case = Case(name="tiny", checkpoint="model")
    source = Resolver(state, model.parent).checkpoint(case)
    assert [file.name for file in wholeness.used(source.folder, "x")] == names
    content = (model / names[-1]).read_bytes()
    (model / names[-1]).write_bytes(content[:-30])
    with pytest.raises(CheckpointError, match="cut off"):
        Resolver(state, model.parent).checkpoint(case)
    (model / names[-1]).unlink()
    with pytest.raises(CheckpointError, match=r"has no weights|lacks shards"):
        Resolver(state, model.parent).checkpoint(case)


def test_an_adapter_is_found_as_a_checkpoint_is(state: State, model: Path, adapter: Path) -> None:
    sources = Resolver(state, model.parent).sources(Case(name="tiny", checkpoint="model", adapter="adapter"))
    assert sources.adapter
    assert sources.adapter.folder == adapter
    assert Resolver(state, model.parent).sources(Case(name="tiny", checkpoint="model")).adapter is None


def test_a_checkpoint_that_is_an_adapter_says_how_to_write_the_case(state: State, adapter: Path) -> None:
    with pytest.raises(CheckpointError, match="is an adapter") as caught:
        Resolver(state, adapter.parent).checkpoint(Case(name="tiny", checkpoint="adapter"))
    assert 'checkpoint = "org/base"' in str(caught.value)
    assert f'adapter = "{adapter}"' in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("adapter_config.json", None, "has no adapter_config.json"),
        ("adapter_config.json", "{", "that is not JSON"),
        ("adapter_config.json", "{}", "does not say what it is"),
        ("adapter_model.safetensors", None, "has no weights"),
        ("adapter_model.safetensors", "xxxxxxxxxx", "cut off"),
    ],
)
def test_an_adapter_that_is_half_there_is_refused(
    state: State, model: Path, adapter: Path, name: str, content: str | None, said: str
) -> None:
    (adapter / name).unlink()
    if content is not None:
        (adapter / name).write_text(content)
    with pytest.raises(CheckpointError, match=said) as caught:
        Resolver(state, model.parent).adapter(Case(name="tiny", checkpoint="model", adapter="adapter"))
    assert "the adapter of case 'tiny'" in str(caught.value)
