"""Cases that look at the tokenizer alone get verdicts like any other."""

from __future__ import annotations

from pathlib import Path

from matrix import evidence, verdicts
from tests.matrix.builders import RunFolder, small_spec
from tests.matrix.judging import verdict
from tests.matrix.tokenizing import CASE, JOB, facts, of_text, run, write

PLAIN, OTHER = facts(of_text("plain", [0, 1])), facts(of_text("plain", [0, 2]))


def test_other_ids_are_drift_since_the_release_that_makes_them(tmp_path: Path) -> None:
    found = verdicts.judge_run(run(tmp_path, PLAIN, PLAIN, OTHER).run)
    assert [verdict(judged) for judged in found.judgements] == [
        ("identical", None, None),
        ("drift", "tokens", 'ids of "plain"'),
    ]
    assert found.judgements[0].summary == "the same answers to 6 questions about 1 strings"
    assert [(finding.last_good, finding.first_bad) for finding in found.findings] == [("2.0", "3.0")]
    assert found.fails


def test_a_known_difference_is_told_by_its_place(tmp_path: Path) -> None:
    known = {"case": "tok", "cells": {}, "verdict": "drift", "where": 'ids of "plain"', "reason": "so"}
    made = RunFolder(tmp_path, small_spec(case=[CASE], known=[known]))
    for release, content in (("1.0", PLAIN), ("2.0", OTHER), ("3.0", OTHER)):
        write(made.run.cell(made.cell(release, "9.0").id) / JOB, content)
        made.outcome(release, "9.0", job=JOB, status="captured")
    assert not verdicts.judge_run(made.run).fails


def test_a_tokenizer_that_does_not_agree_with_itself_is_unstable(tmp_path: Path) -> None:
    made = run(tmp_path, PLAIN, PLAIN, PLAIN)
    write(made.run.cell(made.cell("2.0", "9.0").id) / f"{JOB}@repeat", OTHER)
    found = verdicts.judge_run(made.run).judgements
    assert verdict(found[0]) == ("unstable", "tokens", 'ids of "plain"')
    assert not found[0].baseline_at_fault
    write(made.run.cell(made.cell("1.0", "9.0").id) / f"{JOB}@repeat", OTHER)
    assert [judged.baseline_at_fault for judged in verdicts.judge_run(made.run).judgements] == [True, True]


def test_a_tokenizer_that_does_not_load_is_an_error(tmp_path: Path) -> None:
    made = RunFolder(tmp_path, small_spec(case=[CASE]))
    write(made.run.cell(made.cell("1.0", "9.0").id) / JOB, PLAIN)
    made.outcome("1.0", "9.0", job=JOB, status="captured").failed("2.0", "9.0", job=JOB)
    found = verdicts.judge_run(made.run).judgements
    assert verdict(found[0]) == ("error", "load", "ImportError")
    assert found[1].verdict == "missing"


def test_no_closer_look_is_asked_for(tmp_path: Path) -> None:
    made = run(tmp_path, PLAIN, OTHER)
    assert evidence.wanted(made.run, made.run.plan.cells) == {}
