"""The ladder's rungs are cut out of what counts, and the smallest that differs is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from matrix.explain.forwards.ladder import rungs, smallest, tokens, with_tokens
from tests.matrix.explain.traces import write_anatomy

IDS = (tuple(range(10, 22)),)
SMALL, GROWN = np.zeros((1, 1, 4), np.float32), np.zeros((2, 2, 4), np.float32)


def test_a_row_becomes_one_token_a_few_many_and_two_padded_rows() -> None:
    found = rungs(IDS, (), {}, {"pad_token_id": 3})
    assert list(found) == ["one token", "short", "long", "left-padded"]
    assert found["one token"] == {"input_ids": ((10,),)}
    assert found["short"] == {"input_ids": (tuple(range(10, 18)),)}
    assert found["long"]["input_ids"][0] == (IDS[0] * 6)[:64]
    assert found["left-padded"] == {
        "input_ids": (tuple(range(10, 18)), (3, 3, 3, 3, 14, 15, 16, 17)),
        "attention_mask": ((1,) * 8, (0, 0, 0, 0, 1, 1, 1, 1)),
    }


def test_padding_is_cut_away_and_further_lists_are_cut_alike() -> None:
    ids, mask = ((0, 0, 7, 8), (5, 6, 9, 4)), ((0, 0, 1, 1), (1, 1, 1, 1))
    further = {"token_type_ids": ((9, 9, 1, 2), (3, 4, 5, 6)), "decoder_input_ids": ((1, 2),)}
    found = rungs(ids, mask, further, {"max_position_embeddings": 6})
    one = {"input_ids": ((7,),), "token_type_ids": ((1,),), "attention_mask": ((1,),)}
    assert found["one token"] == one
    assert found["short"]["input_ids"] == ((7, 8),)
    assert found["long"]["input_ids"] == ((5, 6, 9, 4, 5, 6),)
    assert found["left-padded"]["token_type_ids"] == ((1, 2), (0, 2))


def test_what_was_said_before_is_not_said_again() -> None:
    assert list(rungs(((5, 6, 7),), (), {}, {"n_positions": 3})) == ["one token", "left-padded"]
    assert list(rungs(((5, 6, 7),), ((1, 1, 1),), {}, {"n_positions": 3})) == ["one token", "left-padded"]
    assert rungs(((5,),), (), {}, {"text_config": {"max_position_embeddings": 1}}) == {}
    assert rungs(((5, 6),), ((0, 0),), {}, {}) == {}


def test_the_longest_row_is_never_cut_to_the_limit() -> None:
    long = (tuple(range(100)),)
    assert "long" not in rungs(long, (), {}, {"max_position_embeddings": 8})
    assert len(rungs((*long, (1,) * 100), (), {}, {})["long"]["input_ids"][0]) == 100


def test_the_smallest_rung_that_differs_is_found(tmp_path: Path) -> None:
    same = {"one token": SMALL, "short": SMALL, "long": SMALL, "given": SMALL}
    a = write_anatomy(tmp_path / "a", logits=same)
    assert smallest(a, write_anatomy(tmp_path / "b", logits=same), {}) is None
    assert smallest(a, write_anatomy(tmp_path / "c", logits={**same, "given": SMALL + 1}), {}) == "given"
    both = write_anatomy(tmp_path / "d", logits={**same, "long": SMALL + 1, "short": SMALL + 1})
    assert smallest(a, both, {}) == "short"


def test_a_rung_that_a_side_did_not_answer_says_nothing(tmp_path: Path) -> None:
    a = write_anatomy(tmp_path / "a", logits={"short": SMALL, "given": SMALL})
    failed = {"short": {"logits": None, "error": "IndexError: no"}}
    assert smallest(a, write_anatomy(tmp_path / "b", logits={"given": SMALL + 1}, rungs=failed), {}) == "given"


def test_an_unsteady_rung_counts_only_where_no_other_differs(tmp_path: Path) -> None:
    a = write_anatomy(tmp_path / "a", logits={"short": SMALL, "given": SMALL})
    unsteady = {"short": {"again": False}}
    moved = {"short": SMALL + 1, "given": SMALL}
    assert smallest(a, write_anatomy(tmp_path / "b", logits=moved, rungs=unsteady), {}) == "short"
    both = {"short": SMALL + 1, "given": SMALL + 1}
    assert smallest(a, write_anatomy(tmp_path / "c", logits=both, rungs=unsteady), {}) == "given"


@pytest.mark.parametrize(("at", "found"), [((1, 0, 0), None), ((1, 1, 0), "left-padded"), ((0, 0, 0), "left-padded")])
def test_what_the_mask_hides_is_no_difference(tmp_path: Path, at: tuple[int, ...], found: str | None) -> None:
    moved = GROWN.copy()
    moved[at] = 1
    asked = {"left-padded": {"input_ids": ((5, 6), (0, 6)), "attention_mask": ((1, 1), (0, 1))}}
    sides = [write_anatomy(tmp_path / str(i), logits={"left-padded": x}) for i, x in enumerate((GROWN, moved))]
    assert smallest(sides[0], sides[1], asked) == found


def test_logits_of_another_shape_differ_unread(tmp_path: Path) -> None:
    a, b = (write_anatomy(tmp_path / str(x.size), logits={"given": x}) for x in (SMALL, GROWN))
    a.capture.tensors.unlink()
    assert smallest(a, b, {}) == "given"


@pytest.mark.parametrize(
    ("rung", "found", "wider"),
    [
        ("one token", {"one token": "differs", "short": "differs"}, "short"),
        ("one token", {"one token": "differs", "short": "ValueError: no", "given": "differs"}, "given"),
        ("one token", {"one token": "differs", "short": "the same"}, "one token"),
        ("left-padded", {"left-padded": "differs", "given": "differs"}, "left-padded"),
    ],
)
def test_patterns_are_looked_for_over_several_tokens(rung: str, found: dict[str, str], wider: str) -> None:
    assert with_tokens(rung, found) == wider


def test_a_rung_is_read_as_tokens() -> None:
    made = tokens({"input_ids": ((5,),), "token_type_ids": ((1,),)})
    assert (made.input_ids, made.attention_mask, made.further) == (((5,),), (), {"token_type_ids": ((1,),)})
