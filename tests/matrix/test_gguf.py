"""Shapes are read from a GGUF file's header."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix import gguf
from tests.matrix import gguf_file

SHAPES = {"token_embd.weight": (64, 160), "output_norm.weight": (64,)}


@pytest.mark.parametrize("version", [2, 3])
def test_every_tensors_shape_is_read(tmp_path: Path, version: int) -> None:
    assert gguf.shapes(gguf_file.write(tmp_path / "a.gguf", SHAPES, version=version)) == ((64, 160), (64,))


def test_what_is_no_gguf_of_a_known_version_has_no_shapes(tmp_path: Path) -> None:
    path = gguf_file.write(tmp_path / "a.gguf", SHAPES)
    whole = path.read_bytes()
    for content in (b"", b"GGUF", whole[:-13], b"XXXX" + whole[4:], b"GGUF\x01" + whole[5:]):
        path.write_bytes(content)
        assert gguf.shapes(path) is None, content[:8]
