"""The headline says what happened, for every kind of run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from matrix.changes import Change, StateChange
from matrix.verdicts import Verdicts
from reports import commands, formats
from reports.differences import differences
from reports.headline import headline
from reports.phrases import detail
from tests.reports.conftest import MIDDLE, NEWEST, Copy

EAGER = "llama-tiny/float32-eager"


def test_known_and_new_differences_are_told_apart(golden: Verdicts) -> None:
    assert headline(golden) == (
        "3 of 5 cases change between transformers 4.57.6 and 5.23.0: remote-code-rope is unstable since 5.2.0"
        " (buffer model.rotary_emb.inv_freq), bos-dropped drifts since 5.23.0 (tokens differ first; with the"
        " baseline's ids the model is identical), gemma2-tiny fails since 5.23.0 under sdpa (at load: ValueError)."
        " Known: remote-code-rope. New: bos-dropped and gemma2-tiny. Within a cell, sdpa drifts from eager: gemma2-tiny"
        " in 4.57.6 and 5.2.0; sdpa fails where eager works: gemma2-tiny in 5.23.0."
        " Expected but no longer found: 1 known verdict of llama-tiny (5.23.0)."
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
    unstable, drift, _ = differences(golden, golden.judgements)
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
    said = commands.reproduce(verdicts, differences(verdicts, verdicts.judgements)[0])
    assert said.startswith("nox -s matrix -- './my model' --case bos-dropped --transformers 5.2.0 5.23.0")
    assert said.endswith("--baseline transformers-5.23.0 --text 'a b'")


REDUCED = "nox -s matrix -- --case bos-dropped --transformers 5.2.0 5.23.0 --torch 2.13.0"


def _command(copy: Copy, given: str) -> str:
    """What reproduces the drift of bos-dropped when the run was made by this command."""
    copy.edit("run.json", lambda run: run.update(command=f"nox -s matrix -- {given}"))
    copy.only("bos-dropped")
    verdicts = copy.judge()
    return commands.reproduce(verdicts, differences(verdicts, verdicts.judgements)[0])


def test_the_command_keeps_dtypes_and_kernels(copy: Copy) -> None:
    said = _command(copy, "--dtype float32 bfloat16 --attention eager --jobs 2 --run-id x --fresh --shard 1/2")
    assert said == f"{REDUCED} --dtype float32 bfloat16 --attention eager"


def test_the_command_keeps_how_checkpoints_are_loaded(copy: Copy) -> None:
    said = _command(copy, "./m --trust-remote-code --auto-class AutoModel --generate 3 --text 'a b'")
    lead = REDUCED.replace("-- --case", "-- ./m --case")
    assert said == f"{lead} --auto-class AutoModel --generate 3 --trust-remote-code --text 'a b'"


def test_the_command_names_the_good_cell_where_the_older_one_is_bad(copy: Copy) -> None:
    copy.spec(lambda spec: spec["baseline"].update(transformers="5.23.0"))
    copy.only("llama-tiny")
    copy.fail("transformers-4.57.6_torch-2.13.0", EAGER, "no such thing")
    verdicts = copy.judge()
    said = commands.reproduce(verdicts, differences(verdicts, verdicts.judgements)[0])
    assert "--transformers 4.57.6 5.2.0 --torch 2.13.0 --baseline transformers-5.2.0" in said


def test_the_command_replaces_an_explicit_baseline_by_the_good_cell(copy: Copy) -> None:
    said = _command(copy, "--baseline transformers-4.57.6_torch-2.13.0")
    assert said == f"{REDUCED} --baseline transformers-5.2.0"


@pytest.mark.parametrize(
    ("profile", "tail"),
    [({"axes": {"torch": ["2.13.0"]}}, ""), ({"variants": {"attention": ["eager"]}}, " --profile p")],
)
def test_the_command_keeps_a_profile_that_changes_more_than_releases(
    copy: Copy, profile: dict[str, Any], tail: str
) -> None:
    copy.spec(lambda spec: spec.update(profiles={"p": profile}))
    assert _command(copy, "--profile p") == f"{REDUCED}{tail}"


def test_the_command_names_cells_where_the_spec_does(copy: Copy) -> None:
    copy.spec(lambda spec: spec.update(cells=[MIDDLE, NEWEST]))
    assert _command(copy, "") == f"{REDUCED} --cell {MIDDLE} {NEWEST}"


@pytest.mark.parametrize(
    ("change", "said"), [("renamed", "same parameters and buffers, other logits"), ("added", "other logits")]
)
def test_the_same_state_is_only_claimed_where_it_is_the_same(golden: Verdicts, change: Change, said: str) -> None:
    drift = next(found for found in differences(golden, golden.judgements) if found.verdict == "drift")
    assert drift.first.comparison
    state = StateChange(kind="parameters", change=change, baseline=None, candidate=None)
    judged = replace(drift.first, comparison=replace(drift.first.comparison, state=(state,)))
    assert detail(replace(drift, stage="logits", where="logits", judgements=(judged,))) == said


def test_a_crash_at_an_unknown_stage(copy: Copy) -> None:
    def crash(cell: dict[str, Any]) -> None:
        for job in cell["jobs"]:
            job.update(status="crashed", reason="killed by SIGSEGV")

    copy.only("llama-tiny")
    copy.edit(f"cells/{MIDDLE}/cell.json", crash)
    assert headline(copy.judge()).endswith("llama-tiny fails in 5.2.0.")
    assert "killed by SIGSEGV" in formats.load("markdown").render(copy.judge())


def _one_cell(copy: Copy) -> None:
    copy.spec(lambda spec: spec["axes"]["transformers"].update(values=["4.57.6"]))
    copy.only("llama-tiny", "bos-dropped")


def test_one_cell_has_nothing_to_compare(copy: Copy) -> None:
    _one_cell(copy)
    assert headline(copy.judge()) == "Nothing to compare: the run has one cell."
    report = formats.load("markdown").render(copy.judge())
    assert "| llama-tiny | baseline |" in " ".join(report.split())
    assert "The same in every cell: Python" in report


def test_one_cell_that_fails_says_so(copy: Copy) -> None:
    def fail(cell: dict[str, Any]) -> None:
        job = next(job for job in cell["jobs"] if job["id"] == EAGER)
        job.update(status="probe_failed", reason="load: ValueError: no such thing")

    _one_cell(copy)
    copy.edit("cells/transformers-4.57.6_torch-2.13.0/cell.json", fail)
    failed = f"1 of 2 captures failed: {EAGER} probe_failed (load: ValueError: no such thing)."
    assert headline(copy.judge()) == f"Nothing to compare: the run has one cell. {failed}"
    report = formats.load("markdown").render(copy.judge())
    assert "| llama-tiny | baseline (probe_failed) |" in " ".join(report.split())
    assert f"- {EAGER} (probe_failed): load: ValueError: no such thing" in report


def test_costs_and_one_sided_warnings_are_shown(copy: Copy) -> None:
    def measure(response: dict[str, Any]) -> None:
        cost = {"load": {"seconds": 1.5, "peak_bytes": 2**30}, "logits": {"seconds": 0.25, "peak_bytes": 2**29}}
        response.update(cost=cost, warnings=["everywhere", *(f"a|{n} </details> `b`" for n in range(7))])

    copy.only("llama-tiny")
    for cell in ("transformers-4.57.6_torch-2.13.0", MIDDLE, NEWEST):
        copy.edit(f"cells/{cell}/{EAGER}/response.json", lambda response: response.update(warnings=["everywhere"]))
    copy.edit(f"cells/{NEWEST}/{EAGER}/response.json", measure)
    report = formats.load("markdown").render(copy.judge())
    assert "One measurement each, not a benchmark." in report
    assert "| 5.23.0 | 1.500 s | 0.250 s | 1,024 MiB |" in " ".join(report.split())
    assert "- 5.23.0: `` a|0 </details> `b` ``" in report
    assert "… and 2 further warnings" in report
    assert ": `everywhere`" not in report
