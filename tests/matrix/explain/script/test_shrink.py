"""What is tried, in which order, and which candidate is picked."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matrix.errors import CaptureError
from matrix.explain.script import reduce, shrink
from matrix.explain.script.offer import attempts
from matrix.explain.script.reduce import Candidate
from matrix.explain.script.shrink import Shrunk, Tried
from tests.matrix.builders import write_capture
from tests.matrix.explain.script.test_reproducer import SUBJECT

CONFIG = {
    "_name_or_path": "somewhere",
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 3,
    "intermediate_size": 96,
    "vocab_size": 160,
    "layer_types": ["full", "sliding", "full"],
    "sliding_window": 5,
    "rope_theta": 10000.0,
    "pad_token_id": 151,
    "eos_token_id": [2, 150],
}
IDS = {"input_ids": [[0, 0, 11, 86, 29], [3, 17, 45, 92, 158]], "attention_mask": [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]]}


def _of(sizes: str, layers: int = 1, config: dict[str, Any] | None = None) -> Candidate:
    found = reduce.candidates(config or CONFIG, IDS)
    return next(one for one in found if (one.sizes, one.layers) == (sizes, layers))


def test_fewest_layers_come_first_then_the_shortest_input_then_the_smallest_sizes() -> None:
    found = reduce.candidates(CONFIG, IDS)
    assert [(one.layers, one.tokens, one.sizes) for one in found[:4]] == [
        (1, 1, "tiny"),
        (1, 1, "narrow"),
        (1, 1, "given"),
        (1, 2, "tiny"),
    ]
    assert [one.layers for one in found] == sorted(one.layers for one in found)
    last = found[-1]
    assert last.config == {key: value for key, value in CONFIG.items() if key != "_name_or_path"}
    assert last.inputs == IDS


def test_lists_of_layers_are_cut_with_them() -> None:
    assert _of("given", 2).config["layer_types"] == ["full", "sliding"]
    assert _of("given", 2).config["num_hidden_layers"] == 2


def test_sizes_shrink_together_and_nothing_else_does() -> None:
    tiny = _of("tiny").config
    assert (tiny["hidden_size"], tiny["num_attention_heads"], tiny["num_key_value_heads"]) == (16, 2, 1)
    assert (tiny["vocab_size"], tiny["intermediate_size"]) == (32, 16)
    assert (tiny["sliding_window"], tiny["rope_theta"]) == (5, 10000.0)
    narrow = _of("narrow").config
    assert (narrow["hidden_size"], narrow["num_attention_heads"], narrow["vocab_size"]) == (64, 4, 32)


def test_a_head_of_its_own_size_shrinks_with_the_hidden_size() -> None:
    assert _of("tiny", config={**CONFIG, "head_dim": 32}).config["head_dim"] == 8
    assert "head_dim" not in _of("tiny").config


def test_ids_stay_inside_a_smaller_vocabulary() -> None:
    for one in reduce.candidates(CONFIG, IDS):
        size = one.config["vocab_size"]
        assert all(0 <= token < size for row in one.inputs["input_ids"] for token in row)
        assert one.config["pad_token_id"] < size
        assert max(one.config["eos_token_id"]) < size
    assert _of("tiny").inputs["input_ids"] == [[11]]


def test_configs_inside_a_config_shrink_too() -> None:
    found = _of("tiny", config={"model_type": "outer", "text_config": CONFIG}).config["text_config"]
    assert (found["num_hidden_layers"], found["hidden_size"], found["vocab_size"]) == (1, 16, 32)


def test_short_inputs_are_the_first_row_without_its_padding() -> None:
    inputs = {**IDS, "position_ids": [[0, 0, 0, 1, 2], [0, 1, 2, 3, 4]], "pixels": {"shape": [2, 3], "seed": 0}}
    given = [one.inputs for one in reduce.candidates({}, inputs)]
    assert given[1] == {"input_ids": [[11, 86]], "position_ids": [[0, 1]], "pixels": {"shape": [1, 3], "seed": 0}}
    assert [sum(map(len, one["input_ids"])) for one in given] == [1, 2, 3, 2, 3, 5, 10]


def test_a_padded_row_is_tried_alone() -> None:
    given = [one.inputs for one in reduce.candidates({}, IDS)]
    assert given[3] == {"input_ids": [[0, 11]], "attention_mask": [[0, 1]]}
    assert given[5] == {"input_ids": [[0, 0, 11, 86, 29]], "attention_mask": [[0, 0, 1, 1, 1]]}


def test_a_case_without_ids_is_tried_as_it_is() -> None:
    assert [one.inputs for one in reduce.candidates({}, {})] == [{}]


def test_a_config_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"config\.json"):
        reduce.read_config(tmp_path)


def test_the_question_holds_every_candidate_at_its_place() -> None:
    found = reduce.candidates(CONFIG, IDS)
    asked = shrink.ask(SUBJECT, found, {}, CONFIG)
    for one in found:
        assert asked["models"][one.model]["config"] == one.config
        assert asked["models"][one.model]["inputs"][one.run] == one.inputs
    assert "attention_mask" not in asked["source"]["plain"]
    assert "attention_mask" in asked["source"]["masked"]


def _tried(*values: float, error: str | None = None, again: bool = True) -> Tried:
    lost = sum(not math.isfinite(value) for value in values)
    return Tried(values=np.array(values) if values else None, error=error, nonfinite=lost, again=again)


def _shrunk(*tried: Tried) -> Shrunk:
    """One model with these runs."""
    runs = {(0, run): one for run, one in enumerate(tried)}
    return Shrunk(weights=({"w": (2,)},), lacking=(None,), tried=runs, called=({},))


SAME, OTHER, LOST = _tried(1.0, 2.0), _tried(1.0, 2.5), _tried(1.0, math.nan)
CANDIDATES = tuple(
    Candidate(model=0, run=run, config={}, inputs={"input_ids": [[3] * (run + 1)]}, layers=1, sizes="tiny")
    for run in range(2)
)


def _picked(good: Tried, bad: Tried, *, poisoned: bool = False, **how: Any) -> bool:  # noqa: ANN401
    """Whether a second candidate is picked after a first one that shows nothing."""
    subject = dataclasses.replace(SUBJECT, poisoned=poisoned)
    found = shrink.pick(CANDIDATES, _shrunk(SAME, good), _shrunk(SAME, bad), subject=subject, **how)
    assert found is None or found is CANDIDATES[1]
    return found is not None


def test_the_first_candidate_that_differs_is_picked() -> None:
    both = shrink.pick(CANDIDATES, _shrunk(SAME, SAME), _shrunk(OTHER, OTHER), subject=SUBJECT)
    assert both is CANDIDATES[0]
    assert _picked(SAME, OTHER)
    assert _picked(SAME, _tried(1.0))
    assert not _picked(SAME, SAME)


def test_a_good_side_that_fails_or_does_not_repeat_proves_nothing() -> None:
    assert not _picked(_tried(error="KeyError: x"), OTHER)
    assert not _picked(_tried(1.0, 2.0, again=False), OTHER)
    assert not _picked(LOST, OTHER)


def test_an_error_counts_only_where_it_is_the_known_one() -> None:
    raised = _tried(error="KeyError: 'default'")
    assert _picked(SAME, raised, error="KeyError")
    assert not _picked(SAME, raised, error="OSError")
    assert not _picked(SAME, raised)
    assert not _picked(SAME, OTHER, error="KeyError")


def test_memory_that_was_never_written_must_show_as_no_number() -> None:
    assert _picked(SAME, LOST, poisoned=True)
    assert not _picked(SAME, OTHER, poisoned=True)


def test_a_candidate_that_merely_rounds_is_no_drift() -> None:
    assert not _picked(SAME, OTHER, least=0.3)
    assert _picked(SAME, OTHER, least=0.2)
    assert _picked(SAME, LOST, least=0.3)


def test_a_capture_is_read_back(tmp_path: Path) -> None:
    runs = [{"error": None, "nonfinite": 0, "again": True, "values": "values/0/0"}]
    runs += [{"error": "KeyError: x", "nonfinite": 0, "again": True, "values": None}]
    models = [
        {"weights": {"w": [2, 3]}, "error": None, "runs": runs, "called": {"a.py": [3]}},
        {"weights": None, "error": "ValueError: w holds no floats", "runs": [], "called": {}},
    ]
    found = shrink.read(write_capture(tmp_path / "job", models=models, tensors={"values/0/0": [1.0, 2.0]}))
    assert found
    assert found.weights == ({"w": (2, 3)}, None)
    assert found.lacking[1] == "ValueError: w holds no floats"
    assert found.called[0] == {"a.py": (3,)}
    values = found.tried[0, 0].values
    assert values is not None
    assert values.tolist() == [1.0, 2.0]
    assert found.tried[0, 1].error == "KeyError: x"
    assert shrink.read(tmp_path / "none") is None


def test_files_are_taken_while_they_are_small(tmp_path: Path) -> None:
    (tmp_path / "modeling.py").write_text("x = 1\n", encoding="utf-8")
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    assert shrink.small_files(tmp_path, "logits") == {"modeling.py": "x = 1\n"}
    assert shrink.small_files(tmp_path, "tokens") == {"modeling.py": "x = 1\n", "tokenizer.json": "{}"}
    (tmp_path / "modeling.py").write_text("#" * (shrink.FILES_LIMIT + 1), encoding="utf-8")
    assert shrink.small_files(tmp_path, "logits") is None


def test_what_was_reduced_is_said() -> None:
    one = _of("tiny")
    assert shrink.sentence(one, CONFIG, IDS) == "Weights are made up; 1 of 3 layers, 1 of 10 tokens, small sizes."


def test_scripts_are_tried_from_the_smallest_to_the_cases_own_checkpoint() -> None:
    good, bad = _shrunk(SAME, SAME), _shrunk(SAME, OTHER)
    files = {"a.py": "# words\nx = 1\n"}
    found = list(attempts(SUBJECT, (CANDIDATES[1], good, bad), files, CONFIG, IDS))
    assert [one.seed.files["a.py"] if one.seed else None for one in found] == ["x = 1\n", "# words\nx = 1\n", None]
    assert found[0].values == ((1.0, 2.0), (1.0, 2.5))
    assert [one.inputs for one in found] == [CANDIDATES[1].inputs, CANDIDATES[1].inputs, IDS]
    assert [one.seed for one in attempts(SUBJECT, None, None, CONFIG, IDS)] == [None]
