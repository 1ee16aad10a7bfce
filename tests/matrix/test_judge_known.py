"""A known verdict excuses exactly what it expects."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix.judgement import expected, fits
from matrix.spec import Known
from tests.matrix.builders import IDS, moved, small_spec
from tests.matrix.judging import judged

KNOWN = {"case": "tiny", "cells": {"transformers": ">=2"}, "verdict": "drift", "reason": "so"}


def _known(folder: Path, **changes: Any) -> Known | None:  # noqa: ANN401 - what a known verdict may hold
    found = judged(folder, {}, {"logits": moved(1)})
    return expected(found, small_spec(known=[{**KNOWN, **changes}])).known


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"cells": {}},
        {"cells": {"transformers": "2.0", "torch": "9.0"}},
        {"where": "logits"},
        {"stage": "logits"},
        {"stage": "logits", "where": "logits"},
        {"variant": {"attention": "eager"}},
        {"variant": {"device": "cpu"}},
    ],
)
def test_a_known_verdict_fails_nothing(tmp_path: Path, changes: dict[str, Any]) -> None:
    known = _known(tmp_path, **changes)
    assert known
    assert known.reason == "so"


@pytest.mark.parametrize(
    "changes",
    [
        {"case": "other"},
        {"cells": {"transformers": ">2"}},
        {"verdict": "unstable"},
        {"where": "model.rotary_emb.inv_freq"},
        {"stage": "config"},
        {"stage": "config", "where": "logits"},
        {"within": "attention"},
        {"variant": {"attention": "sdpa"}},
        {"variant": {"dtype": "bfloat16"}},
    ],
)
def test_a_known_verdict_of_something_else_does_not_count(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert _known(tmp_path, **changes) is None


def test_a_known_change_of_tokens_does_not_excuse_a_model_that_changes_too(tmp_path: Path) -> None:
    other = {**IDS, "input_ids": [[9, 2, 3]]}
    tokens = judged(tmp_path / "tokens", {}, {"tokens": other})
    known = replace(tokens, known=Known(**{**KNOWN, "where": "input_ids[0, 0]"}))
    assert not known.fails
    assert replace(known, same_ids=judged(tmp_path / "model", {}, {"logits": moved(1)})).fails
    assert not replace(known, same_ids=judged(tmp_path / "same")).fails


def test_a_known_verdict_of_one_cells_variants_speaks_of_nothing_else(tmp_path: Path) -> None:
    entry = Known(**{**KNOWN, "within": "attention"})
    found = judged(tmp_path, {}, {"logits": moved(1)})
    assert [fits(entry, replace(found, within=option)) for option in ("attention", "dtype", None)] == [
        True,
        False,
        False,
    ]
