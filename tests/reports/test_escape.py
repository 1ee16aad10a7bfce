"""Foreign text cannot leave its place in the Markdown."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix.state import ROOT
from reports import escape

HOSTILE = "a|b\nc `d` <script>alert(1)</script> @someone #12 [x](javascript:alert(1)) **bold** $x$ ~~y~~ \x1b[31m\u202e"


def test_text_stays_on_one_line_of_a_table() -> None:
    shown = escape.text(HOSTILE)
    assert "\n" not in shown
    assert shown.replace("\\|", "").count("|") == 0
    assert "<" not in shown
    assert "\\`d\\`" in shown
    assert "](" not in shown.replace("\\](", "")
    assert "\\*\\*bold" in shown
    assert all(character.isprintable() or character == "\u200b" for character in shown)


def test_nobody_is_mentioned_and_no_issue_is_linked() -> None:
    shown = escape.text("thanks @someone, see #12")
    assert "@someone" not in shown
    assert "#12" not in shown
    assert shown.replace("\u200b", "") == "thanks @someone, see #12"


@pytest.mark.parametrize("start", ["# heading", "- item", "1. item", "+ item", "---", "===", "> quote"])
def test_text_starts_no_block(start: str) -> None:
    assert escape.text(start)[0] in "\\&" or escape.text(start).startswith("1\\.")


def test_versions_and_names_stay_readable() -> None:
    plain = ["2.10", "4.48.0", "-1.4e+37", "model.rotary_emb.inv_freq", "2.13.0+cpu"]
    assert [escape.text(value) for value in plain] == plain


def test_prose_shows_what_was_quoted_as_code_and_escapes_the_rest() -> None:
    sentence = f"since a|b (buffer {escape.quote('x`y')}) <b>"
    assert escape.prose(sentence) == "since a\\|b (buffer ``x`y``) &lt;b&gt;"
    assert escape.prose(escape.quote("a\x00b")) == "`a b`"


def test_a_code_span_cannot_be_closed_from_inside() -> None:
    assert escape.code("a`b``c") == "```a`b``c```"
    assert escape.code("`a`") == "`` `a` ``"
    assert escape.code("a\nb") == "`a b`"


def test_a_fence_cannot_be_closed_from_inside_and_is_bounded() -> None:
    shown = escape.fence("x\n```\n# heading\n" + "y\n" * 100)
    assert shown.startswith("````text\n")
    assert shown.endswith("\n````")
    assert "[…]" in shown
    assert len(shown.splitlines()) <= 23


def test_only_web_addresses_become_links() -> None:
    assert escape.link("more", "https://example.org/a_b") == "[more](https://example.org/a_b)"
    assert "](" not in escape.link("more", "javascript:alert(1)").replace("\\](", "")
    assert "](" not in escape.link("more", "https:nothing")
    assert ") x" not in escape.link("more", "https://example.org/) x")


def test_folders_of_this_machine_are_left_out() -> None:
    assert escape.portable(f"{ROOT}/x") == "./x"
    home = str(Path.home())
    assert home == "/" or escape.portable(f"{home}/x") in {"~/x", "./x"}


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("two loads differ", "Two loads differ"),
        ("`model.norm` differs", "`model.norm` differs"),
        ("model.norm differs", "model.norm differs"),
        ("control: nothing", "Control: nothing"),
        ("", ""),
    ],
)
def test_a_sentence_begins_with_a_capital_unless_it_begins_with_a_name(sentence: str, shown: str) -> None:
    assert escape.capital(sentence) == shown
