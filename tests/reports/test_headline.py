"""The headline says what happened, for every kind of run."""

from __future__ import annotations

from typing import Any

from matrix.verdicts import Verdicts
from reports import commands, formats
from reports.differences import differences
from reports.headline import headline
from tests.reports.conftest import MIDDLE, NEWEST, Copy

EAGER = "llama-tiny/float32-eager"


def test_known_and_new_differences_are_told_apart(golden: Verdicts) -> None:
    assert headline(golden) == (
        "2 of 3 cases change between transformers 4.57.6 and 5.23.0: remote-code-rope is unstable since 5.2.0"
        " (buffer model.rotary_emb.inv_freq), bos-dropped drifts since 5.23.0 (tokens differ first; with the"
        " baseline's ids the model is identical). Known: remote-code-rope. New: bos-dropped."
        " Expected but no longer found: 1 known verdict of llama-tiny."
    )


def test_nothing_changed(copy: Copy) -> None:
    copy.only("llama-tiny")
    verdicts = copy.judge()
    assert headline(verdicts) == "The case llama-tiny is identical in transformers 4.57.6, 5.2.0 and 5.23.0."
    assert not verdicts.fails
    assert "## Beside the verdicts" in formats.load("markdown").render(verdicts)


def test_only_known_differences(copy: Copy) -> None:
    copy.only("remote-code-rope", known=True)
    copy.spec(lambda spec: spec["known"].pop())
    assert headline(copy.judge()).endswith("(buffer model.rotary_emb.inv_freq). It is known.")
    assert not copy.judge().fails


def test_a_new_drift(copy: Copy) -> None:
    copy.only("bos-dropped")
    assert headline(copy.judge()).startswith("1 of 1 case changes between transformers 4.57.6 and 5.23.0: bos-dropped")
    assert "nown" not in headline(copy.judge())
    assert copy.judge().fails


def test_an_error_in_one_cell(copy: Copy) -> None:
    copy.only("llama-tiny")
    copy.fail(MIDDLE, EAGER, "no such thing")
    assert "llama-tiny fails in 5.2.0 (at load: ValueError)." in headline(copy.judge())
    assert "```text\nValueError: no such thing\n```" in formats.load("markdown").render(copy.judge())


def test_an_error_of_the_baseline(copy: Copy) -> None:
    copy.only("llama-tiny")
    copy.fail("transformers-4.57.6_torch-2.13.0", EAGER, "no such thing")
    assert "llama-tiny works, while the baseline fails, since 5.2.0 (at load: ValueError)." in headline(copy.judge())


def test_a_missing_cell(copy: Copy) -> None:
    copy.only("llama-tiny")
    copy.lose(NEWEST, "no matching distribution")
    said = headline(copy.judge())
    assert said.startswith("The case llama-tiny is identical in transformers 4.57.6 and 5.2.0.")
    assert said.endswith("1 of 2 comparisons could not be made, in 5.23.0.")
    report = formats.load("markdown").render(copy.judge())
    assert "## Not captured" in report
    assert "5.23.0 (env_failed): no matching distribution" in formats.load("terminal").render(copy.judge())
    assert "| 5.23.0 | env_failed | no matching distribution |" in " ".join(report.split())


def test_a_missing_cell_before_the_first_bad_one_leaves_the_start_open(copy: Copy) -> None:
    copy.only("bos-dropped")
    copy.lose(MIDDLE, "no matching distribution")
    assert "drifts since 5.23.0 at the latest" in headline(copy.judge())


def test_a_known_verdict_of_a_missing_cell_is_not_called_stale(copy: Copy) -> None:
    copy.lose(NEWEST, "no matching distribution")
    assert "no longer found" not in headline(copy.judge())


def test_variants_that_differ_get_rows_of_their_own(copy: Copy) -> None:
    copy.only("remote-code-rope")
    copy.fail(NEWEST, "remote-code-rope/float32-sdpa", "no such thing")
    rows = [line.split() for line in formats.load("terminal").render(copy.judge()).splitlines()]
    assert ["remote-code-rope", "eager", "baseline", "unstable", "unstable"] in rows
    assert ["remote-code-rope", "sdpa", "baseline", "unstable", "error"] in rows


def test_the_command_runs_the_last_good_and_the_first_bad_cell(golden: Verdicts) -> None:
    unstable, drift = differences(golden)
    lead = "nox -s matrix -- --case"
    tail = "--torch 2.13.0 --spec golden.toml"
    assert commands.reproduce(golden, unstable) == f"{lead} remote-code-rope --transformers 4.57.6 5.2.0 {tail}"
    assert commands.reproduce(golden, drift) == f"{lead} bos-dropped --transformers 5.2.0 5.23.0 {tail}"


def test_the_command_keeps_checkpoints_and_names_a_newer_baseline(copy: Copy) -> None:
    def change(run: dict[str, Any]) -> None:
        run["spec"]["baseline"]["transformers"] = "5.23.0"
        run["command"] = "nox -s matrix -- './my model' --text 'a b' --baseline transformers-5.23.0 --fresh"

    copy.edit("run.json", change)
    copy.only("bos-dropped")
    verdicts = copy.judge()
    said = commands.reproduce(verdicts, differences(verdicts)[0])
    assert said.startswith("nox -s matrix -- './my model' --case bos-dropped --transformers 5.2.0 5.23.0")
    assert said.endswith("--text 'a b'")
