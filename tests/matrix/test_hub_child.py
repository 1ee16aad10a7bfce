"""Which files of a repository are fetched."""

from __future__ import annotations

import pytest

from matrix.hub_child import needed


@pytest.mark.parametrize(
    ("files", "fetched"),
    [
        (["model.safetensors", "pytorch_model.bin", "config.json"], ["model.safetensors", "config.json"]),
        (
            ["pytorch_model-1.bin", "pytorch_model.bin.index.json"],
            ["pytorch_model-1.bin", "pytorch_model.bin.index.json"],
        ),
        (["model-1.safetensors", "model.safetensors.index.json", "pytorch_model.bin.index.json"], None),
        (["adapter_model.safetensors", "adapter_model.bin"], ["adapter_model.safetensors"]),
        (["tf_model.h5", "flax_model.msgpack", "onnx/model.onnx", "original/params.json", "README.md"], []),
        (["code/modeling.py", "tokenizer.model", "chat_template.jinja"], None),
        ([".gitattributes", "consolidated.00.pth", "params.json"], ["params.json"]),
    ],
)
def test_only_what_a_load_reads_is_needed(files: list[str], fetched: list[str] | None) -> None:
    kept = [file for file in files if file != "pytorch_model.bin.index.json"]
    assert needed(files) == (kept if fetched is None else fetched)
