"""issue.md follows transformers' form, and fits into an issue whatever was found."""

from __future__ import annotations

from dataclasses import replace

from reports import issue
from tests.reports.explained import REPRODUCER, explanation

SECTIONS = ["System Info", "Who can help?", "Information", "Tasks", "Reproduction", "Expected behavior"]


def test_the_sections_are_those_of_the_form_in_its_order() -> None:
    text = issue.render(explanation())
    assert [line.removeprefix("### ") for line in text.splitlines() if line.startswith("### ")] == SECTIONS
    assert "- `transformers` version: 4.57.6" in text
    assert "- `transformers` version: 5.2.0" in text
    assert "transformers 5.2.0 computes the same bits as 4.57.6" in text
    assert 'print("different")' in text
    assert "left out" not in text


def test_a_long_diff_goes_first_and_that_is_said() -> None:
    found = explanation()
    long = replace(found.changes[0], diff="\n".join(f"+{'x' * 90}" for _ in range(900)))
    text = issue.render(replace(found, changes=(found.changes[0], long, long, long)))
    assert len(text) <= issue.LIMIT
    assert "1 further diff left out for length" in text
    assert "torch.empty_like" in text
    assert 'print("different")' in text


def test_a_script_that_cannot_fit_goes_last() -> None:
    found = explanation(reproducer=replace(REPRODUCER, text="# x\n" * 20_000))
    text = issue.render(found)
    assert len(text) <= issue.LIMIT
    assert "attach repro.py" in text
    assert "its cause is" in text
