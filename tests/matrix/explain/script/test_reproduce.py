"""What a script is about, and that each one is a program."""

from __future__ import annotations

import ast
import itertools
from typing import get_args

import pytest

from matrix.case import Case, Variant
from matrix.explain.script import reproducer
from matrix.explain.script.reproduce import shown_case
from matrix.explain.script.reproducer import Seed, Stage, Subject


def test_a_script_about_tokens_has_the_text_and_no_ids() -> None:
    ids = Case(name="tiny", checkpoint="tiny", input_ids=((1, 2),), attention_mask=((1, 1),))
    found = shown_case(ids, ("two words",), "tokens")
    assert (found.text, found.input_ids, found.attention_mask) == (("two words",), (), ())
    assert shown_case(ids, ("two words",), "logits") == ids


@pytest.mark.parametrize("stage", get_args(Stage))
@pytest.mark.parametrize(
    ("dtype", "gguf", "poisoned"), list(itertools.product(("default", "float16"), (False, True), (False, True)))
)
def test_every_script_is_a_program_whose_functions_are_defined(
    stage: Stage, dtype: str, *, gguf: bool, poisoned: bool
) -> None:
    subject = Subject(
        axis="transformers",
        good="4.57.6",
        bad="5.2.0",
        alike=("torch==2.13.0",),
        python="3.12",
        stage=stage,
        case=Case(name="tiny", checkpoint="tiny", text=("two words",)),
        variant=Variant(dtype=dtype),  # type: ignore[arg-type]
        poisoned=poisoned,
        gguf=gguf,
    )
    for seed in (None, Seed(config={"model_type": "tiny"}, weights={"head.weight": [2, 2]})):
        text = reproducer.script(subject, {"input_ids": [[1, 2]]}, seed, "Smaller.")
        tree = ast.parse(text)
        defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        assert len(defined) == len(set(defined))
        assert {"load", "look", "here", "main"} <= set(defined)
        assert ("AutoTokenizer" in text) is (stage == "tokens")
        assert ("gguf_file=gguf" in text) is gguf
        assert ("torch.float16" in text) is (dtype == "float16" and stage != "tokens")


def test_a_script_shows_the_end_of_what_it_saw() -> None:
    subject = Subject(
        axis="transformers",
        good="4.57.6",
        bad="5.2.0",
        alike=(),
        python="3.12",
        stage="logits",
        case=Case(name="tiny", checkpoint="tiny"),
        variant=Variant(),
        poisoned=False,
        gguf=False,
    )
    text = reproducer.script(subject, {"input_ids": [[1, 2]]}, None, "")
    # the first position is often the same: what differs between positions shows at the last one
    assert "values[-6:]" in text
    assert "tiny: transformers 4.57.6 and 5.2.0 do not give the same logits." in text
