"""A safetensors file is read as it was written, and a broken one is refused with its fault named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from matrix.errors import CaptureError
from matrix.tensorfile import NUMPY_DTYPES, TensorFile

if TYPE_CHECKING:
    from pathlib import Path

GOOD = {"x": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}


def _write(path: Path, header: object, data: bytes = bytes(24)) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def _entry(**changes: object) -> dict[str, Any]:
    return {"x": {**GOOD["x"], **changes}}


def test_arrays_come_back_as_written(tmp_path: Path) -> None:
    header: dict[str, Any] = {"__metadata__": {"dtype.x": "bfloat16"}}
    data, arrays = b"", {}
    for name, dtype in NUMPY_DTYPES.items():
        arrays[name] = np.arange(6).reshape(2, 3).astype(dtype)
        begin, data = len(data), data + arrays[name].tobytes()
        header[name] = {"dtype": name, "shape": [2, 3], "data_offsets": [begin, len(data)]}
    file = TensorFile(_write(tmp_path / "t", header, data))
    assert file.names == tuple(NUMPY_DTYPES)
    assert file.metadata == {"dtype.x": "bfloat16"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(file.array(name), array)
        assert (file.dtype(name), file.shape(name)) == (name, (2, 3))
        assert file.array(name).dtype == array.dtype


def test_safetensors_agrees_on_the_format(tmp_path: Path) -> None:
    numpy_format = pytest.importorskip("safetensors.numpy")
    arrays = {"weights": np.arange(6, dtype=np.float32).reshape(2, 3), "ids": np.arange(4)}
    numpy_format.save_file(arrays, tmp_path / "t", metadata={"a": "b"})
    file = TensorFile(tmp_path / "t")
    assert set(file.names) == set(arrays)
    assert file.metadata == {"a": "b"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(file.array(name), array)


def test_scalars_and_empty_tensors(tmp_path: Path) -> None:
    empty = {"dtype": "F32", "shape": [0, 3], "data_offsets": [0, 0]}
    scalar = {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}
    file = TensorFile(_write(tmp_path / "t", {"scalar": scalar, "empty": empty}, np.float32(1.5).tobytes()))
    assert file.array("empty").shape == (0, 3)
    assert file.array("scalar").shape == ()
    assert file.array("scalar") == 1.5


def test_a_file_without_tensors_is_whole(tmp_path: Path) -> None:
    assert TensorFile(_write(tmp_path / "t", {}, b"")).names == ()


def test_arrays_are_read_only_maps(tmp_path: Path) -> None:
    array = TensorFile(_write(tmp_path / "t", GOOD)).array("x")
    assert isinstance(array, np.memmap)
    assert not array.flags.writeable


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="allowed: x"):
        TensorFile(_write(tmp_path / "t", GOOD)).array("y")


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "C64", "f32"])
def test_a_dtype_that_numpy_lacks_is_named(tmp_path: Path, dtype: str) -> None:
    with pytest.raises(CaptureError, match=rf"(?s)numpy cannot express.*{dtype}"):
        TensorFile(_write(tmp_path / "t", _entry(dtype=dtype)))


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        (b"{not json", "not JSON"),
        (b'{"\xff": 1}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "not a JSON object"),
        ({"__metadata__": {"a": 1}, **GOOD}, "metadata"),
        ({"x": {"dtype": "F32"}}, "no dtype, shape and data_offsets"),
        (_entry(data_offsets=[0, 24, 25]), "no dtype, shape and data_offsets"),
        (_entry(shape=[2, -3]), "not a whole number"),
        (_entry(shape=[2, True]), "not a whole number"),
        (_entry(data_offsets=[0.0, 24]), "not a whole number"),
        (_entry(shape=[2, 4]), "disagree"),
        (_entry(dtype="F64"), "disagree"),
        (_entry(data_offsets=[24, 0]), "disagree"),
        (_entry(shape=[0, 2**70], data_offsets=[0, 0]), "beyond what numpy can hold"),
        (_entry(shape=[1] * 40, data_offsets=[0, 4]), "beyond what numpy can hold"),
        (_entry(data_offsets=[24, 48]), "ends after the file"),
        (_entry(shape=[5], data_offsets=[4, 24]), "hole"),
        ({**GOOD, "y": {"dtype": "U8", "shape": [4], "data_offsets": [20, 24]}}, "overlaps"),
        (_entry(shape=[5], data_offsets=[0, 20]), "belong to none"),
    ],
)
def test_a_lying_header_is_refused(tmp_path: Path, header: object, fault: str) -> None:
    with pytest.raises(CaptureError, match=fault):
        TensorFile(_write(tmp_path / "t", header))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "cannot be mapped"),
        (b"\x01\x00\x00", "before its header length"),
        ((1 << 62).to_bytes(8, "little") + b"{}", "longer than"),
        ((200_000_000).to_bytes(8, "little") + b"{}", "longer than"),
        ((3).to_bytes(8, "little") + b"{}", "longer than"),
    ],
)
def test_a_cut_file_is_refused(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "t"
    path.write_bytes(content)
    with pytest.raises(CaptureError, match=fault):
        TensorFile(path)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = _write(tmp_path / "t", GOOD).read_bytes()
    for size in range(len(whole)):
        (tmp_path / "t").write_bytes(whole[:size])
        with pytest.raises(CaptureError):
            TensorFile(tmp_path / "t")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="No such file"):
        TensorFile(tmp_path / "absent")
