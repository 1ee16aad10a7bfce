"""Variants of one cell have a section, a table and a phrase of their own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from matrix.verdicts import Verdicts
from reports import commands, formats
from reports.differences import differences
from reports.headline import headline
from tests.reports.conftest import NEWEST, Copy

DRIFTS = "Within a cell, sdpa drifts from eager: gemma2-tiny in 4.57.6."


def test_the_section_follows_the_comparisons_of_cells(golden: Verdicts) -> None:
    report = formats.load("markdown").render(golden)
    assert report.index("## Within a cell") > report.index("## ❌ bos-dropped")
    section = " ".join(report[report.index("## Within a cell") :].split())
    assert "| gemma2-tiny | sdpa against eager | ❌ drift | ❌ drift | 💥 error |" in section
    assert "### ❌ gemma2-tiny: sdpa drifts from eager in 4.57.6 and 5.2.0" in section
    assert "not counted: sdpa 2.79, which is not known to be rounding" in section


def test_a_run_without_such_pairs_has_no_such_section(copy: Copy) -> None:
    copy.only("llama-tiny", "bos-dropped")
    assert "ithin a cell" not in formats.load("markdown").render(copy.judge())
    assert "ithin a cell" not in formats.load("terminal").render(copy.judge())
    assert json.loads(formats.load("json").render(copy.judge()))["within"] == []


def test_the_terminal_shows_them_below_the_matrix(golden: Verdicts) -> None:
    lines = formats.load("terminal").render(golden).splitlines()
    rows = [line.split() for line in lines[lines.index("Within a cell:") :]]
    assert ["llama-kernels", "sdpa", "against", "eager", "noise", "noise", "identical"] in rows


def test_quiet_pairs_are_remarks(copy: Copy) -> None:
    copy.only("llama-kernels")
    report = formats.load("markdown").render(copy.judge())
    assert "- llama-kernels, sdpa against eager in 4.57.6 and 5.2.0: logits move by up to 1.55e-06" in report
    assert "###" not in report
    assert "Within a cell" not in headline(copy.judge())


def test_each_difference_is_of_one_pair(golden: Verdicts) -> None:
    found = differences(golden, golden.within)
    assert [(one.verdict, one.stage, len(one.judgements)) for one in found] == [
        ("drift", "logits", 2),
        ("error", "load", 1),
    ]


def test_a_known_pair_is_called_known(copy: Copy) -> None:
    known = {"case": "gemma2-tiny", "cells": {}, "verdict": "drift", "reason": "no softcap", "within": "attention"}
    copy.spec(lambda spec: spec["known"].append(known))
    said = headline(copy.judge())
    assert "sdpa drifts from eager: gemma2-tiny in 4.57.6 and 5.2.0 (known);" in said
    assert "**Known:** no softcap" in formats.load("markdown").render(copy.judge())


def test_the_command_needs_one_cell(golden: Verdicts) -> None:
    first, second = (commands.reproduce(golden, found) for found in differences(golden, golden.within))
    lead = "nox -s matrix -- --case gemma2-tiny --transformers"
    cell = "--torch 2.13.0 --cell transformers-{}_torch-2.13.0 --within attention --spec golden.toml"
    assert first == f"{lead} 4.57.6 {cell.format('4.57.6')}"
    assert second == f"{lead} 5.23.0 {cell.format('5.23.0')}"


def test_the_command_keeps_devices_threads_and_axes(copy: Copy) -> None:
    given = "--device cpu --threads 1 2 --axis python=3.11 --spec golden.toml"
    copy.edit("run.json", lambda run: run.update(command=f"nox -s matrix -- {given}"))
    verdicts = copy.judge()
    said = commands.reproduce(verdicts, differences(verdicts, verdicts.judgements)[0])
    assert said.endswith("--axis python=3.11 --device cpu --threads 1 2")


def _one_cell(copy: Copy, *cases: str) -> Verdicts:
    copy.spec(lambda spec: spec["axes"]["transformers"].update(values=["4.57.6"]))
    copy.only(*cases)
    return copy.judge()


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("llama-kernels", "The run has one cell: 1 of 1 pair of variants agrees up to rounding."),
        ("gemma2-tiny", f"The run has one cell. {DRIFTS}"),
    ],
)
def test_one_cell_is_compared_with_itself(copy: Copy, case: str, said: str) -> None:
    assert headline(_one_cell(copy, case)) == said


def test_repeats_and_closer_looks_are_no_cases(golden: Verdicts) -> None:
    for name in ("markdown", "terminal"):
        text = formats.load(name).render(golden)
        assert "@repeat" not in text
        assert "@evidence" not in text


def _broken(cell: dict[str, Any], ending: str) -> None:
    for job in cell["jobs"]:
        if job["id"].endswith(ending):
            job.update(status="probe_failed", reason="no memory", stage="load")


def test_what_was_done_twice_is_said_of_the_cases_it_is_true_of(copy: Copy) -> None:
    copy.only("llama-kernels")
    twice = "Each case was loaded twice, in two processes, and run forward twice after each load."
    assert twice in formats.load("markdown").render(copy.judge())
    copy.edit(f"cells/{NEWEST}/cell.json", lambda cell: _broken(cell, "@repeat"))
    assert "loaded twice" not in formats.load("markdown").render(copy.judge())
