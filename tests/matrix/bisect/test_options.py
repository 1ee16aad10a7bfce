"""The command line, and the commands that an answer ends with."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix.bisect import options, upstream
from matrix.errors import SpecError

GIVEN = ["gpt2-tiny", "--good", "1.0", "--bad=2.0"]


def test_a_checkouts_path_is_relative_to_where_it_was_typed(tmp_path: Path) -> None:
    (tmp_path / "clone").mkdir()
    assert options.parse([*GIVEN, "--checkout", "clone"], tmp_path).checkout == tmp_path / "clone"
    with pytest.raises(SpecError, match="--checkout is no folder"):
        options.parse([*GIVEN, "--checkout", "nowhere"], tmp_path)


def test_one_and_the_same_release_has_nothing_between(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="the same"):
        options.parse(["gpt2-tiny", "--good", "1.0", "--bad", "1.0"], tmp_path)


@pytest.mark.parametrize("word", ["--check", "--goo"])
def test_options_have_no_short_forms(word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # inside git bisect run, exit codes depend on whether --checkout is given
    with pytest.raises(SystemExit):
        options.parse([*GIVEN, word, "."], tmp_path)
    assert "unrecognized arguments" in capsys.readouterr().err


def test_the_next_command_keeps_what_was_asked_and_replaces_the_ends() -> None:
    words = [*GIVEN, "--dtype", "bfloat16", "--run-id", "x", "--all", "--json", "--text", "two words"]
    assert (
        options.command("explain", words, "1.4", "1.5")
        == "nox -s explain -- gpt2-tiny --dtype bfloat16 --text 'two words' --good 1.4 --bad 1.5"
    )


def test_git_is_told_the_noxfile_the_ends_and_the_checkout() -> None:
    clone, start, run = upstream.commits("transformers", [*GIVEN, "--commits"], "4.57.6", "5.0.0")
    assert clone == "git clone https://github.com/huggingface/transformers && cd transformers"
    assert start == "git bisect start v5.0.0 v4.57.6"
    assert run.startswith("git bisect run nox -f /")
    assert run.endswith("noxfile.py -s bisect -- gpt2-tiny --good 4.57.6 --bad 5.0.0 --checkout .")


@pytest.mark.parametrize(
    ("package", "ends", "page"),
    [
        ("transformers", ("4.57.6", "5.0.0"), "https://github.com/huggingface/transformers/compare/v4.57.6...v5.0.0"),
        ("torch", ("2.7.0", "2.6.0"), "https://github.com/pytorch/pytorch/compare/v2.6.0...v2.7.0"),
        ("unheard-of", ("1.0", "2.0"), None),
    ],
)
def test_the_page_that_compares_two_tags_goes_from_the_older_to_the_newer(
    package: str, ends: tuple[str, str], page: str | None
) -> None:
    assert upstream.compare(package, *ends) == page
