"""From a command line to an answer, on captures that are all in the store."""

from __future__ import annotations

import shutil

import pytest

from matrix.bisect import answer
from matrix.bisect.bisection import Answer
from matrix.bisect.start import ANSWER
from matrix.errors import EXIT_NO_CAPTURE, NoCaptureError, SpecError
from matrix.files import write_json
from tests.matrix.bisect.project import CHANGED, FAILS, GOOD, OTHER, UNWRITTEN, Facts, Project, course
from tests.matrix.builders import moved, tensor


def _marks(found: Answer) -> dict[str, str]:
    return {found.releases[position]: step.mark for position, step in found.steps.items()}


@pytest.mark.parametrize("bad", [UNWRITTEN, CHANGED, OTHER, FAILS])
@pytest.mark.parametrize("first", [1, 2, 7, 11])
def test_the_first_bad_release_is_found(project: Project, bad: Facts, first: int) -> None:
    project.capture(course([GOOD] * first + [bad] * (12 - first)))
    found = project.bisect("1.0", "12.0")
    content = answer.content(found, project.arguments("1.0", "12.0"))
    assert (found.status, content["last_good"], content["first_bad"]) == ("found", f"{first}.0", f"{first + 1}.0")
    assert content["exit_code"] == 0
    assert not (found.run.folder / "nox.log").exists(), "everything was captured before"


def test_the_bad_end_may_be_the_older(project: Project) -> None:
    project.capture(course([CHANGED] * 4 + [GOOD] * 8))
    content = answer.content(project.bisect("12.0", "1.0"), project.arguments("12.0", "1.0"))
    assert (content["last_good"], content["first_bad"], content["releases"][0]) == ("5.0", "4.0", "12.0")


def test_releases_that_fail_are_skipped_and_the_answer_is_a_range(project: Project) -> None:
    project.capture(course([GOOD] * 4 + [FAILS] * 3 + [CHANGED] * 5))
    found = project.bisect("1.0", "12.0")
    content = answer.content(found, [])
    assert (found.status, content["exit_code"]) == ("range", 1)
    assert content["candidates"] == ["5.0", "6.0", "7.0", "8.0"]
    assert "first bad is one of 5.0, 6.0, 7.0, 8.0" in content["headline"]
    assert {step["why"].split(":")[0] for step in content["steps"] if step["mark"] == "skip"} == {
        "fails for another reason"
    }


def test_a_release_that_cannot_be_installed_is_skipped(project: Project) -> None:
    shutil.rmtree(project.state.locks)
    for number in (6, 7):
        (project.wheels / f"alpha-{number}.0-py3-none-any.whl").write_bytes(b"no wheel")
    project.capture(course([GOOD] * 7 + [CHANGED] * 5))
    found = project.bisect("1.0", "12.0")
    assert _marks(found)["6.0"] == "skip"
    assert found.status == "range"


def test_another_difference_is_named_and_does_not_count(project: Project) -> None:
    project.capture(course([GOOD] * 3 + [OTHER] * 5 + [CHANGED] * 4))
    content = answer.content(project.bisect("1.0", "12.0"), [])
    assert (content["last_good"], content["first_bad"]) == ("8.0", "9.0")
    assert {s["why"] for s in content["steps"] if s["verdict"] == "drift" and s["mark"] == "good"} == {
        "another difference: drift at config (rope.theta)"
    }


def test_a_difference_that_comes_and_goes_is_told_as_such(project: Project) -> None:
    project.capture(course([GOOD] * 2 + [CHANGED] * 4 + [GOOD] * 3 + [CHANGED] * 3))
    found = project.bisect("1.0", "12.0", "--all")
    content = answer.content(found, [])
    assert found.status == "several"
    assert "appears in 3.0, disappears in 7.0 and appears again in 10.0" in content["headline"]
    assert content["untested"] == []


@pytest.mark.parametrize("unsteady", ["5.0", "6.0"])
def test_a_verdict_that_does_not_repeat_is_never_a_culprit(project: Project, unsteady: str) -> None:
    seen = course([GOOD] * 5 + [CHANGED] * 7)
    other = {"5.0": CHANGED, "6.0": GOOD}
    project.capture(seen, again={unsteady: other[unsteady]})
    found = project.bisect("1.0", "12.0")
    content = answer.content(found, [])
    assert (found.status, content["exit_code"]) == ("inconclusive", 1)
    assert _marks(found)[unsteady] == "unsure"
    assert unsteady in content["candidates"]
    assert f"{unsteady} cannot be told" in content["headline"]


def test_memory_that_is_not_written_needs_no_second_load(project: Project) -> None:
    # what uninitialised memory holds is different each time: only the ends are loaded twice
    project.capture(course([GOOD] * 5 + [UNWRITTEN] * 7), again={"6.0": CHANGED})
    assert project.bisect("1.0", "12.0").status == "found"


def test_what_is_looked_for_can_be_named(project: Project) -> None:
    project.capture(course([GOOD] * 3 + [OTHER] * 5 + [{**CHANGED, "config": OTHER["config"]}] * 4))
    first = {
        words: answer.content(project.bisect("1.0", "12.0", *words), [])["first_bad"]
        for words in [
            (),
            ("--stage", "config"),
            ("--stage", "parameters"),
            ("--where", "model.weight"),
            ("--verdict", "drift"),
        ]
    }
    assert list(first.values()) == ["4.0", "4.0", "9.0", "9.0", "4.0"]


def test_a_name_that_changes_on_the_way_is_said(project: Project) -> None:
    good, bad = [1.0, 2.0], [3.0, 4.0]
    base, one, two = (
        {"parameters": [tensor("model.weight", first), tensor("model.other", second)], "logits": moved(by)}
        for first, second, by in ((good, good, 0), (good, bad, 1), (bad, bad, 2))
    )
    project.capture(course([base] * 4 + [one] * 4 + [two] * 4))
    content = answer.content(project.bisect("1.0", "12.0"), [])
    assert content["first_bad"] == "5.0"
    assert any("--where model.weight searches for that" in note for note in content["notes"])


@pytest.mark.parametrize(
    ("seen", "more", "what"),
    [
        ([GOOD] * 12, (), "the ends do not differ"),
        ([GOOD] * 6 + [CHANGED] * 6, ("--verdict", "error"), "the bad end does not show"),
        ([GOOD] * 6 + [CHANGED] * 6, ("--where", "nothing"), "the bad end does not show"),
        ([UNWRITTEN] * 6 + [GOOD] * 6, (), "the good end does not agree with itself"),
    ],
)
def test_ends_between_which_nothing_is_to_be_found_are_refused(
    project: Project, seen: list[Facts], more: tuple[str, ...], what: str
) -> None:
    project.capture(course(seen))
    with pytest.raises(SpecError, match=what):
        project.bisect("1.0", "12.0", *more)


@pytest.mark.parametrize(("seen", "which"), [([FAILS] + [GOOD] * 11, "good"), ([FAILS] * 12, "good")])
def test_a_good_end_that_cannot_be_captured_has_an_exit_code_of_its_own(
    project: Project, seen: list[Facts], which: str
) -> None:
    project.capture(course(seen))
    with pytest.raises(NoCaptureError, match=f"the {which} end has no capture") as caught:
        project.bisect("1.0", "12.0")
    assert caught.value.exit_code == EXIT_NO_CAPTURE


def test_a_bad_end_that_does_not_exist_has_no_capture(project: Project) -> None:
    project.capture(course([GOOD] * 12))
    with pytest.raises(NoCaptureError, match="the bad end has no capture"):
        project.bisect("1.0", "99.0")


def test_a_search_that_was_stopped_goes_on_with_the_list_that_it_had(project: Project) -> None:
    project.capture(course([GOOD] * 5 + [CHANGED] * 7))
    first = project.bisect("1.0", "12.0")
    project.release("6.5")
    again = project.bisect("1.0", "12.0")
    assert (again.run, again.releases, _marks(again)) == (first.run, first.releases, _marks(first))
    assert first.run.folder.parent == project.state.searches
    # with an answer it is finished, and the next one lists anew
    write_json(first.run.folder / ANSWER, {"schema": 1})
    project.capture({"1.0": GOOD, "6.5": CHANGED, "12.0": CHANGED})
    assert "6.5" in project.bisect("1.0", "12.0").releases


def test_a_search_of_another_command_is_not_continued(project: Project) -> None:
    project.capture(course([GOOD] * 5 + [CHANGED] * 7))
    assert project.bisect("1.0", "12.0").run != project.bisect("1.0", "11.0").run


def test_a_changed_checkpoint_or_spec_is_another_search(project: Project) -> None:
    project.capture(course([GOOD] * 5 + [CHANGED] * 7))
    first = project.bisect("1.0", "12.0")
    spec = project.folder / "spec.toml"
    spec.write_text(spec.read_text().replace("[[5, 6, 7]]", "[[5, 6, 8]]"))
    project.capture(course([GOOD] * 6 + [CHANGED] * 6))
    second = project.bisect("1.0", "12.0")
    assert second.run != first.run
    assert answer.content(second, [])["first_bad"] == "7.0"


def test_a_range_in_a_course_with_several_changes_is_told_with_the_whole_course(project: Project) -> None:
    project.capture(course([GOOD] * 2 + [CHANGED] * 3 + [FAILS] + [GOOD] * 3 + [CHANGED] * 3))
    content = answer.content(project.bisect("1.0", "12.0", "--all"), [])
    assert (content["status"], content["exit_code"]) == ("range", 1)
    assert "appears in 3.0, disappears in 6.0 or 7.0 and appears again in 10.0" in content["headline"]
    assert "one of 3.0" not in content["headline"]


def test_two_failures_of_one_type_are_told_apart(project: Project) -> None:
    other = {"fails": True, "message": "another name cannot be imported"}
    project.capture(course([GOOD] * 5 + [other] * 3 + [FAILS] * 4))
    content = answer.content(project.bisect("1.0", "12.0"), [])
    assert content["first_bad"] == "6.0"
    (note,) = content["notes"]
    assert "6.0 fails at load" in note
    assert "another name cannot be imported" in note
    assert "these may be two failures" in note


def test_the_commands_that_go_on_name_the_variant_where_there_are_several(project: Project) -> None:
    spec = project.folder / "spec.toml"
    project.capture(course([GOOD] * 5 + [CHANGED] * 7))
    one = answer.content(project.bisect("1.0", "12.0"), project.arguments("1.0", "12.0"))
    assert "--attention" not in one["next"]
    spec.write_text(spec.read_text().replace('["eager"]', '["sdpa", "eager"]'))
    project.capture(course([GOOD] * 5 + [CHANGED] * 7))
    two = answer.content(project.bisect("1.0", "12.0", "--commits"), project.arguments("1.0", "12.0"))
    assert "--attention sdpa" in two["next"]
    assert "--dtype" not in two["next"]
    assert "--attention sdpa" in two["commits"][-1]
