"""What probes/trace.py writes is what is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from matrix.explain import trace
from matrix.tensorfile import TensorFile
from tests.matrix.builders import write_failed_capture
from tests.matrix.explain.traces import Forward


def test_calls_and_their_tensors_are_read(tmp_path: Path) -> None:
    forward = Forward()
    top = forward.call("", None, {"input_ids": np.arange(3)}, {"logits": np.ones((1, 3))}, scalars={"use_cache": None})
    forward.piece("query", forward.call("attention", top), np.zeros((1, 1, 3, 2)))
    found = forward.write(tmp_path)
    assert found.inert
    assert [call.id for call in found.calls] == [("", 0, None), ("attention", 0, None), ("attention", 0, "query")]
    assert found.calls[0].scalars == {"use_cache": None}
    ids, query = found.calls[0].inputs["input_ids"], found.calls[2].outputs["0"]
    assert (ids.dtype, ids.shape, query.shape) == ("int64", (3,), (1, 1, 3, 2))
    assert TensorFile(tmp_path / ids.file).array(ids.stored).tolist() == [0, 1, 2]


def test_a_probe_that_failed_left_no_trace(tmp_path: Path) -> None:
    assert trace.read(write_failed_capture(tmp_path)) is None
    assert trace.read(tmp_path / "never taken") is None
