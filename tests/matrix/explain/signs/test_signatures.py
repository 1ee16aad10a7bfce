"""Signatures name the likely cause of the real thing, and are silent about everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matrix.explain.signs import kinds
from matrix.explain.signs.sides import Sides
from matrix.explain.signs.signatures import Symptoms, find
from tests.matrix.explain.signs.tiny import GIVEN, Model, forward, ids, ladder, noisy, pair, rms_norm, rounded

DOCS = Path(__file__).parents[4] / "docs" / "signatures.md"


def _keys(symptoms: Symptoms) -> list[str]:
    return [signature.key for signature in find(symptoms)]


def _all(**bad: Any) -> Symptoms:  # noqa: ANN401 - the fields of a model
    """What a run measures of a model with one thing changed."""
    parts = {name: pair(name, **bad) for name in ("query", "key", "scores")}
    first = pair("residual", **bad)
    return Symptoms(ladder=ladder(**bad), first=first if first.moved.any() else None, **parts)


@pytest.mark.parametrize(
    ("bad", "keys"),
    [
        ({}, []),
        ({"base": 5000.0}, ["rotary"]),
        ({"score_scale": 0.1}, ["attention-scale", "between-positions"]),
        ({"score_cap": 1.0}, ["softcap", "between-positions"]),
        ({"final_cap": 5.0}, ["softcap"]),
        ({"embed_scale": 4.0}, ["scale"]),
        ({"centred": True}, ["centring"]),
        ({"bias": 0.5}, ["bias"]),
        ({"masked": False}, ["padding"]),
        ({"window": 6}, ["window"]),
    ],
)
def test_each_change_of_a_model_bears_its_own_signature(bad: dict[str, Any], keys: list[str]) -> None:
    assert _keys(_all(**bad)) == keys


@pytest.mark.parametrize(
    "bad", [{"eps": 1e-5}, {"broken_token": 17}, {"offset": 3, "embed_scale": 1.5, "final_cap": 3.0}]
)
def test_what_no_pattern_fits_bears_none(bad: dict[str, Any]) -> None:
    assert _keys(Symptoms(ladder=ladder(**bad))) == []


def test_scores_are_no_residual() -> None:
    scores = pair("scores", score_scale=0.1)
    parts = {name: pair(name, score_scale=0.1) for name in ("query", "key")}
    assert _keys(Symptoms(first=scores, output=scores, scores=scores, **parts)) == ["attention-scale"]
    assert _keys(Symptoms(first=scores, output=scores)) == []


def test_one_token_does_not_tell_an_epsilon_from_a_scale() -> None:
    given = forward(Model(), ids(1, 1)).residual
    output = Sides(good=rms_norm(given, 1e-6), bad=rms_norm(given, 1e-5))
    assert _keys(Symptoms(first=output, output=output, norm_input=given, class_name="TinyRMSNorm")) == []


def test_noise_bears_none() -> None:
    seen = forward(Model(), ids(12, 2), GIVEN)
    sides = {
        name: Sides(good=getattr(seen, name), bad=noisy(getattr(seen, name)), mask=GIVEN)
        for name in ("logits", "residual", "normed", "query", "key", "scores")
    }
    symptoms = Symptoms(
        ladder={"given": sides["logits"]},
        first=sides["residual"],
        output=sides["normed"],
        norm_input=seen.residual,
        class_name="TinyRMSNorm",
        query=sides["query"],
        key=sides["key"],
        scores=sides["scores"],
    )
    assert _keys(symptoms) == []


def test_another_kernel_that_rounds_from_the_second_position_on_bears_none() -> None:
    rungs = ladder()
    for name, sides in rungs.items():
        bad = noisy(sides.good, 2.0**-16)
        bad[:, 0] = sides.good[:, 0]
        rungs[name] = Sides(good=sides.good, bad=bad, mask=sides.mask)
    assert rungs["long"].moved[:, 1:].all()
    assert _keys(Symptoms(ladder=rungs)) == []


def test_padded_rows_that_only_round_otherwise_bear_none() -> None:
    rungs = ladder()
    padded = rungs["left-padded"]
    rungs["left-padded"] = Sides(good=padded.good, bad=noisy(padded.good, 2.0**-16), mask=padded.mask)
    assert _keys(Symptoms(ladder=rungs)) == []


def test_one_token_that_differs_rules_the_rotary_embedding_out() -> None:
    rungs = ladder(base=5000.0)
    assert _keys(Symptoms(ladder=rungs)) == ["later-positions"]
    one = rungs["one token"]
    rungs["one token"] = Sides(good=one.good, bad=one.good + np.float32(1e-3) * one.good**2)
    assert _keys(Symptoms(ladder=rungs)) == []


def test_logits_alone_do_not_tell_the_rotary_embedding_from_the_scores() -> None:
    for bad in ({"base": 5000.0}, {"score_scale": 0.1}):
        assert _keys(Symptoms(ladder=ladder(**bad))) == ["later-positions"]


def test_the_evidence_has_the_numbers() -> None:
    for bad, text in (
        (
            {"base": 5000.0},
            "queries are exact at the first position, differ at all 22 later ones, and keep their lengths",
        ),
        ({"window": 6}, "the first 6 positions"),
        ({"final_cap": 5.0}, "the bad side's are c·tanh(x/c) of the good side's, c = 5"),
        ({"embed_scale": 4.0}, "4 times the good side's"),
        ({"bias": 0.5}, "up to 8"),
        ({"masked": False}, "2 rows with padding differ, and 2 as long without any are the same"),
    ):
        assert text in find(_all(**bad))[0].evidence  # type: ignore[arg-type]


def test_a_length_that_the_config_names_is_said() -> None:
    alone = {"long": pair("logits", ids(12), window=6)}
    assert _keys(Symptoms(ladder=alone)) == []
    found = find(Symptoms(ladder=alone, lengths=(6,)))
    assert "a length that the config names" in found[0].evidence


def test_a_norm_with_another_epsilon() -> None:
    given = forward(Model(), ids(12, 2)).residual
    output = Sides(good=rms_norm(given, 1e-6), bad=rms_norm(given, 1e-5))
    for name in ("LlamaRMSNorm", "TinyNorm"):
        found = find(Symptoms(output=output, norm_input=given, class_name=name))
        assert [signature.key for signature in found] == ["eps"]
        assert "9e-06 larger on the bad side" in found[0].evidence
    assert _keys(Symptoms(output=output, class_name="LlamaRMSNorm")) == []
    assert _keys(Symptoms(output=output, norm_input=given[:1], class_name="LlamaRMSNorm")) == []


def test_memory_that_was_never_written_explains_everything_else() -> None:
    garbage = _all(base=5000.0)
    named = Symptoms(ladder=garbage.ladder, uninitialised=("model.rotary_emb.inv_freq",))
    assert [signature.evidence for signature in find(named)] == ["loading never wrote model.rotary_emb.inv_freq"]
    assert _keys(Symptoms(ladder=garbage.ladder, loads_differ=True)) == ["uninitialised"]


@pytest.mark.parametrize(
    ("dtype", "same", "keys"),
    [
        ("bfloat16", True, ["upcast"]),
        ("float16", True, ["upcast"]),
        ("bfloat16", False, []),
        ("bfloat16", None, []),
        ("float32", True, []),
    ],
)
def test_only_sixteen_bits_is_an_upcast_that_moved(dtype: str, same: bool | None, keys: list[str]) -> None:  # noqa: FBT001
    given = forward(Model(), ids(12, 2)).residual
    once, twice = (rounded(rms_norm(side, 1e-6)) for side in (given, rounded(given)))
    moved = {"given": Sides(good=once, bad=twice, dtype=dtype)}
    assert moved["given"].moved.any()
    assert _keys(Symptoms(ladder=moved, dtype=dtype, same_in_float32=same)) == keys


def test_positions_that_hold_nothing_but_nan_are_said_once() -> None:
    sides = ladder()["given"]
    bad = sides.good.copy()
    bad[1, 4:] = np.nan
    found = find(
        Symptoms(
            first=Sides(good=sides.good, bad=bad, mask=GIVEN),
            ladder={"given": Sides(good=sides.good, bad=bad, mask=GIVEN)},
        )
    )
    lost = [signature for signature in found if signature.key == "lost"]
    assert [signature.evidence for signature in lost] == [
        "the first tensor that differs is NaN or infinity at 8 of 20 positions, where the good side has numbers"
    ]


def test_without_any_symptom_there_is_no_signature() -> None:
    assert find(Symptoms()) == ()


def test_the_docs_hold_the_table_of_the_code() -> None:
    assert kinds.table() in DOCS.read_text(encoding="utf-8")
