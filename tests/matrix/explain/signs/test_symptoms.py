"""What signatures are looked for in is read from both sides' captures, and nothing that was not measured is made up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from matrix.case import Case, Variant
from matrix.explain.forwards.align import align
from matrix.explain.forwards.divergence import first
from matrix.explain.looks import Anatomies, Traces
from matrix.explain.signs.signatures import Symptoms
from matrix.explain.signs.symptoms import symptoms
from matrix.plan import Job
from tests.matrix.builders import LOGITS
from tests.matrix.explain.traces import Forward, write_anatomy

IDS = np.array([[5, 6, 7]])
HIDDEN = np.arange(6, dtype=np.float32).reshape(1, 3, 2) + 1
QUERY = np.arange(12, dtype=np.float32).reshape(1, 2, 3, 2)
JOB = Job(case=Case(name="tiny", checkpoint="tiny", input_ids=((5, 6, 7),)), variant=Variant())


def forward(by: float) -> Forward:
    made = Forward()
    top = made.call("", None, {"input_ids": IDS}, {"logits": HIDDEN + by})
    made.call("norm", top, {"x": HIDDEN}, {"0": HIDDEN + by})
    attention = made.call("attention", top, {"x": HIDDEN + by}, {"0": HIDDEN + by})
    made.piece("query", attention, QUERY + by)
    return made


def seen(folder: Path, **bad: object) -> Symptoms:
    good = forward(0).write(folder / "good-trace")
    other = forward(1).write(folder / "bad-trace")
    modules = [("", "Model"), ("norm", "TinyRMSNorm"), ("attention", "Attention")]
    logits = {"given": LOGITS, "one token": LOGITS[:, :1]}
    one = write_anatomy(
        folder / "good", modules=modules, logits=logits, config={"sliding_window": 6, "model_type": "t"}
    )
    two = write_anatomy(
        folder / "bad", modules=modules, logits={"given": LOGITS + 1, "one token": LOGITS[:, :1]}, **bad
    )
    taken = Anatomies(good=one, bad=two, job=JOB, wide=None, rungs={"one token": {"input_ids": ((5,),)}})
    traced = Traces(good=good, bad=other, job=JOB)
    alignment = align(good, other, (one, two))
    return symptoms(taken, traced, alignment, first(good, other, alignment))


def test_everything_that_was_measured_is_there(tmp_path: Path) -> None:
    found = seen(tmp_path)
    assert set(found.ladder) == {"given", "one token"}
    assert not found.ladder["one token"].moved.any()
    assert found.ladder["given"].moved.any()
    assert found.class_name == "TinyRMSNorm"
    assert found.output
    assert np.array_equal(found.output.bad - found.output.good, np.ones_like(HIDDEN))
    assert found.norm_input is not None
    assert np.array_equal(found.norm_input, HIDDEN)
    assert found.first
    assert np.array_equal(found.first.good, HIDDEN)
    assert found.query
    assert np.array_equal(found.query.good, QUERY)
    assert found.lengths == (6,)


def test_what_was_not_measured_is_left_out(tmp_path: Path) -> None:
    found = seen(tmp_path, uninitialised=["model.inv_freq"])
    assert (found.key, found.scores, found.same_in_float32) == (None, None, None)
    assert found.uninitialised == ("model.inv_freq",)


def test_the_same_in_float32_is_only_said_of_what_both_answered(tmp_path: Path) -> None:
    good = forward(0).write(tmp_path / "t")
    narrow = write_anatomy(tmp_path / "narrow")
    taken = Anatomies(good=narrow, bad=narrow, job=JOB, wide=(narrow, narrow), rungs={})
    traced = Traces(good=good, bad=good, job=JOB)
    assert symptoms(taken, traced, align(good, good), None).same_in_float32 is True
    other = write_anatomy(tmp_path / "other", logits={"given": LOGITS + 1})
    assert symptoms(replace(taken, wide=(narrow, other)), traced, align(good, good), None).same_in_float32 is False
    none = write_anatomy(tmp_path / "none", logits={}, rungs={"given": {"logits": None, "error": "no", "again": True}})
    assert symptoms(replace(taken, wide=(none, none)), traced, align(good, good), None).same_in_float32 is None
