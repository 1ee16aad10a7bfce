"""Outputs are matched by their names; one that a side lacks is no difference."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix.model_outputs import Unshared, called, is_scores, names, shared, unshared
from tests.matrix.builders import LOGITS, captured


@pytest.mark.parametrize(
    ("ours", "theirs", "both", "apart"),
    [
        (["logits", "loss"], ["logits", "loss"], ("logits", "loss"), Unshared()),
        (["logits", "loss"], ["logits"], ("logits",), Unshared(baseline=("loss",))),
        (["logits"], ["logits", "aux_loss"], ("logits",), Unshared(candidate=("aux_loss",))),
        (["embeds", "loss"], ["features", "loss"], ("embeds", "loss"), Unshared(renamed=("embeds", "features"))),
        (
            ["embeds", "loss"],
            ["features", "embeds"],
            ("embeds",),
            Unshared(baseline=("loss",), candidate=("features",)),
        ),
        (["embeds", "features"], ["features"], ("features",), Unshared(baseline=("embeds",))),
    ],
)
def test_outputs_are_matched_by_name(
    tmp_path: Path, ours: list[str], theirs: list[str], both: tuple[str, ...], apart: Unshared
) -> None:
    a, b = (
        captured(tmp_path / side, output=main, further=further, tensors={f"output/{name}": LOGITS for name in further})
        for side, (main, *further) in (("a", ours), ("b", theirs))
    )
    assert names(a) == tuple(ours)
    assert shared(a, b) == both
    assert unshared(a, b) == apart
    assert all(a.stored(name) in a.outputs and b.stored(name) in b.outputs for name in both)


@pytest.mark.parametrize(
    ("name", "noun", "scores"),
    [
        ("logits", "logits", True),
        ("seq_relationship_logits", "seq_relationship_logits", True),
        ("logits_per_text", "logits_per_text", True),
        ("start_logits", "start_logits", False),
        ("last_hidden_state", "values of last_hidden_state", False),
        ("loss", "values of loss", False),
    ],
)
def test_only_logits_are_scores(name: str, noun: str, *, scores: bool) -> None:
    assert (called(name), is_scores(name)) == (noun, scores)
