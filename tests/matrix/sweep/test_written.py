"""A cohort's spec as a file that says the same."""

from __future__ import annotations

from pathlib import Path

from matrix import spec as specs
from matrix.sweep import written
from tests.matrix.builders import small_spec

INPUTS = {"pixel_values": {"shape": [1, 3, 8, 8], "seed": 0}, "decoder_input_ids": [[1, 2]], "scale": 0.5}


def test_what_is_written_reads_as_the_same_spec(tmp_path: Path) -> None:
    case = {"name": "llama.causal-lm.plain", "checkpoint": '/a "quoted" place', "inputs": INPUTS, "timeout": 60}
    gone = {"cells": {"transformers": "2.0"}, "cases": ["llama.causal-lm.plain"], "reason": "gone"}
    spec = small_spec(case=[case], exclude=[gone], requirements=["accelerate"])
    path = written.write(spec, tmp_path)
    assert specs.read(path) == spec
    assert specs.read(path).sha256 == spec.sha256
