"""What is searched where the ends differ at the tokens: the tokens, or what lies beneath them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from matrix.bisect import start, validation
from matrix.bisect.predicate import Predicate
from matrix.judgement import Verdict
from matrix.verdicts import judge_cell
from tests.matrix.bisect.project import Project
from tests.matrix.builders import RunFolder, small_spec


@pytest.mark.parametrize(
    ("wanted", "beneath", "said", "given"),
    [
        (Predicate(), "identical", "they agree: the tokens are what is searched", False),
        (Predicate(), "drift", "every release gets the good end's ids", True),
        (Predicate(stage="tokens"), "drift", "beneath them, too: the tokens are searched", False),
    ],
)
def test_what_is_said_of_the_tokens_is_so(
    project: Project,
    wanted: Predicate,
    beneath: Verdict,
    said: str,
    given: bool,  # noqa: FBT001
) -> None:
    work = start.prepared(project.asked("1.0", "2.0").ends, ("1.0", "2.0"), project.state)
    made = RunFolder(project.folder, small_spec()).capture("1.0", "9.0").capture("2.0", "9.0")
    judged = judge_cell(made.run, made.cell("2.0", "9.0"), made.run.plan.jobs[0])
    same = replace(judged, verdict=beneath, stage="logits")
    judged = replace(judged, verdict="drift", stage="tokens", where="input_ids[0, 0]", same_ids=same)
    found, (note,) = validation._of_one_job(work, wanted, judged)
    assert said in note
    assert bool(found.spec.case[0].input_ids) is (given or not judged.job.case.text)
