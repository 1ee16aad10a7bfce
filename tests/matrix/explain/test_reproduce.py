"""What a script is about, before one is written."""

from __future__ import annotations

from matrix.case import Case
from matrix.explain.reproduce import shown_case


def test_a_script_about_tokens_has_the_text_and_no_ids() -> None:
    ids = Case(name="tiny", checkpoint="tiny", input_ids=((1, 2),), attention_mask=((1, 1),))
    found = shown_case(ids, ("two words",), "tokens")
    assert (found.text, found.input_ids, found.attention_mask) == (("two words",), (), ())
    assert shown_case(ids, ("two words",), "logits") == ids
