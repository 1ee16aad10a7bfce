"""Memory is estimated from headers alone, and the estimate stays near what captures were measured to take."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from matrix import memory
from matrix.case import Case, Dtype, Variant
from matrix.plan import Job, Take
from matrix.sources import Source, Sources
from tests.matrix import gguf_file

MIB = 1 << 20
ELEMENTS = 174_600_192  # 166.5 Mi


def _checkpoint(folder: Path, kind: str, size: int) -> Sources:
    """A checkpoint whose header says so many elements; the file behind it is sparse."""
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    entry = {"dtype": kind, "shape": [ELEMENTS // 8, 8], "data_offsets": [0, ELEMENTS * size]}
    header = json.dumps({"weight": entry}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + ELEMENTS * size)
    source = Source(folder=folder, file=None, digest="", bytes=1, has_tokenizer=False)
    return Sources(checkpoint=source, tokenizer=source)


def _job(dtype: Dtype, take: Take = "main") -> Job:
    return Job(case=Case(name="tiny", checkpoint="x"), variant=Variant(dtype=dtype), take=take)


@pytest.mark.parametrize(
    ("kind", "size", "dtype", "take", "measured"),
    [
        ("F32", 4, "float32", "main", 1046),
        ("BF16", 2, "float32", "main", 1345),
        ("BF16", 2, "bfloat16", "main", 713),
        ("F32", 4, "float32", "evidence", 2391),
        ("BF16", 2, "bfloat16", "evidence", 2034),
    ],
)
def test_the_estimate_is_no_less_than_what_was_measured_and_not_half_as_much_again(
    tmp_path: Path, kind: str, size: int, dtype: Dtype, take: Take, measured: int
) -> None:
    needed = memory.need(_job(dtype, take), _checkpoint(tmp_path / "model", kind, size)) / MIB
    assert measured <= needed <= 1.5 * measured


def test_logits_count_by_rows_positions_and_vocabulary(tmp_path: Path) -> None:
    sources, job = _checkpoint(tmp_path / "model", "F32", 4), _job("float32")
    more = Job(case=Case(name="tiny", checkpoint="x", input_ids=((1, 2), (3, 4))), variant=job.variant)
    logits = 4 * (ELEMENTS // 8) * 4
    assert memory.need(more, sources) - memory.need(job, sources) == pytest.approx(1.25 * 3 * logits, abs=2)


def test_a_gguf_counts_unpacked(tmp_path: Path) -> None:
    path = gguf_file.write(tmp_path / "a.gguf", {"a": (4096, 4096), "b": (4096, 4096)})
    source = Source(folder=tmp_path, file=path.name, digest="", bytes=1, has_tokenizer=True)
    assert memory.weights(source).elements == 2 * 4096**2
    needed = memory.need(_job("float32"), Sources(checkpoint=source, tokenizer=source))
    assert needed >= memory.IMPORTS + 2 * 4 * 2 * 4096**2
    path.write_bytes(b"GGUF" + bytes(996))
    source = replace(source, digest="other")
    assert memory.weights(source).elements == 2000


def test_what_loads_no_checkpoint_takes_its_imports(tmp_path: Path) -> None:
    sources = _checkpoint(tmp_path / "model", "F32", 4)
    assert memory.need(_job("float32", "roster"), sources) == memory.IMPORTS
    assert memory.largest([], {}) == memory.IMPORTS
    assert memory.largest([_job("float32"), _job("float32", "evidence")], {"tiny": sources}) > 2 * ELEMENTS * 4


@pytest.mark.parametrize(
    ("needs", "available", "cores", "fitting"),
    [([3, 3, 3], 9, 8, 3), ([3, 3, 3], 8, 8, 2), ([3, 3, 3], 9, 2, 2), ([1, 5, 1], 6, 8, 2), ([9], 1, 8, 1)],
)
def test_so_many_cells_run_that_even_the_largest_fit_together(
    needs: list[int], available: int, cores: int, fitting: int
) -> None:
    assert memory.at_a_time(needs, available, cores) == fitting
