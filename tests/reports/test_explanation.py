"""explain.md says what was found, no more, and lets nothing foreign through."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from matrix.explain.raised import Frame, Raised
from reports import explanation as shown
from tests.reports.explained import CAUSE, PART, ROPE, explanation

HOSTILE = "a|b `c` ``` </details><script>x</script> @someone [x](javascript:alert(1))"


def test_the_whole_story_is_told_in_order() -> None:
    text = shown.render(explanation())
    parts = [
        "# tiny (float32-eager): transformers 4.57.6 → 5.2.0",
        "⚠️ unstable in transformers 5.2.0: it starts in `model.rotary_emb`;",
        f"its cause is `{ROPE}`, proven by swapping it.",
        "`[[3, 17], [0, 45]]`, attention mask `[[1, 1], [0, 1]]`",
        "## Where it starts",
        "whose inputs are the same bits (`position_ids`)",
        "By position: 0, 0.46, inf.",
        "Clean replay: each of 30 calls of 5.2.0 was given 4.57.6's inputs; another output by its own code or state",
        "## Why",
        "restores 100 % of the difference (bit-identical)",
        "[1, 0.1]",
        "[3e-38, nan]",
        "RuntimeError: no",
        "## What the pattern looks like",
        "`register_buffer(…)`",
        "## The code that changed",
        "+value = torch.empty_like(buffer)",
        "2 more lines",
        "## Whose bug",
        "**the model's repository**",
        "**transformers**",
        "## A reproducer that ran",
        'print("different")',
        "nan [digest b]",
        "## Conditions",
        "Python 3.11.7",
        "nox -s explain -- tiny",
    ]
    places = [text.find(part) for part in parts]
    assert [part for part, place in zip(parts, places, strict=True) if place < 0] == []
    assert [parts[index] for index in range(1, len(places)) if places[index] < places[index - 1]] == []


def test_what_was_not_found_is_not_mentioned() -> None:
    bare = explanation(
        shown=None,
        inert=None,
        place=None,
        replay=None,
        cause=None,
        facts=(),
        signatures=(),
        changes=(),
        owner=None,
        reproducer=None,
    )
    text = shown.render(bare)
    assert re.findall(r"^## .*", text, re.MULTILINE) == ["## Conditions"]
    assert "None" not in text


def test_a_cause_that_is_not_proven_is_never_called_so() -> None:
    half = replace(CAUSE, necessary=False, injected=0.5)
    assert "not fully proven" in shown.headline(explanation(cause=half))
    assert "proven by swapping" not in shown.render(explanation(cause=half))


def test_no_cause_is_claimed_where_nothing_restores_anything() -> None:
    unknown = replace(CAUSE, kind="unknown", parts=(), sufficient=False, necessary=False)
    assert "its cause is" not in shown.headline(explanation(cause=unknown))


def test_a_control_that_fails_and_hooks_that_change_something_are_said() -> None:
    text = shown.render(explanation(cause=replace(CAUSE, control=False), inert=False))
    assert "do not trust this" in text
    assert "The hooks change the logits" in text


def test_an_error_of_one_side_is_the_headline() -> None:
    found = Raised(
        side="bad", stage="load", message="ValueError: `no` such", frame=Frame(file="a.py", line=1, function="f")
    )
    assert shown.headline(explanation(raised=found)).endswith(
        "load fails under 5.2.0 alone, with `ValueError: 'no' such`."
    )


@pytest.mark.parametrize("field", ["summary", "notes", "facts"])
def test_nothing_hostile_gets_through_a_sentence(field: str) -> None:
    text = shown.render(explanation(**{field: HOSTILE if field == "summary" else (HOSTILE,)}))
    _harmless(text)


def test_nothing_hostile_gets_through_names_and_values() -> None:
    part = replace(PART, name=HOSTILE, good=HOSTILE, bad={"function": HOSTILE})
    text = shown.render(explanation(cause=replace(CAUSE, parts=(part,), sentence=HOSTILE)))
    _harmless(text)


def _harmless(text: str) -> None:
    outside = re.sub(r"^(`{3,}).*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    bare = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", outside)
    assert "<script" not in bare
    assert "@someone" not in bare
    assert not re.search(r"(?<!\\)\]\(javascript", bare)
    assert bare.count("<details>") == bare.count("</details>")
