"""Along every axis, from the baseline outwards, the first value that differs is named in one sentence."""

from __future__ import annotations

from dataclasses import replace

from matrix import findings, plan
from matrix.capture import Capture
from matrix.cell import Cell
from matrix.findings import Finding
from matrix.judgement import Judgement, Side, Verdict
from matrix.spec import Spec, Stage
from tests.matrix.builders import small_spec

NO_CAPTURE: Capture | None = None


def _find(verdicts: dict[str, Verdict], *, baseline: str = "1.0", torch: tuple[str, ...] = ("9.0",)) -> list[Finding]:
    """Find along verdicts that are written as `transformers` or `transformers/torch` → verdict."""
    releases = list(dict.fromkeys([name.partition("/")[0] for name in verdicts] + [baseline]))
    axes = {"transformers": {"values": sorted(releases)}, "torch": {"values": list(torch)}}
    spec = small_spec(axes=axes, baseline={"transformers": baseline, "torch": torch[-1]})
    made = plan.plan(spec)
    named = {(name if "/" in name else f"{name}/{torch[-1]}"): verdict for name, verdict in verdicts.items()}
    cells = {"/".join(cell.axes.values()): cell for cell in made.cells}
    judgements = [_judged(spec, made.baseline, cells[name], verdict) for name, verdict in named.items()]
    return list(findings.find(spec, made.baseline, judgements))


def _judged(spec: Spec, baseline: Cell, cell: Cell, verdict: Verdict) -> Judgement:
    sides = [Side(cell=side, status="captured", reason=None, capture=NO_CAPTURE) for side in (baseline, cell)]
    stage: Stage | None = "buffers" if verdict in {"drift", "unstable"} else None
    where = "inv_freq" if stage else None
    job = plan.plan(spec).jobs[0]
    return Judgement(
        job=job, baseline=sides[0], candidate=sides[1], verdict=verdict, summary="", stage=stage, where=where
    )


def _steps(found: list[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.axis, finding.last_good, finding.first_bad) for finding in found]


def test_where_everything_agrees_there_is_no_finding() -> None:
    assert _find({"2.0": "identical", "3.0": "noise", "4.0": "missing"}) == []


def test_the_first_bad_release_is_named_with_the_last_good_one() -> None:
    (found,) = _find({"2.0": "identical", "3.0": "drift", "4.0": "drift"})
    assert _steps([found]) == [("transformers", "2.0", "3.0")]
    assert found.sentence == (
        "tiny/float32-eager drifts, first at the buffers (inv_freq): last good transformers 2.0, first bad 3.0"
    )


def test_the_baseline_is_the_last_good_value_where_its_neighbour_is_bad() -> None:
    assert _steps(_find({"2.0": "unstable"})) == [("transformers", "1.0", "2.0")]


def test_the_walk_goes_backwards_from_the_baseline_too() -> None:
    found = _find({"1.0": "drift", "2.0": "identical", "4.0": "error"}, baseline="3.0")
    assert _steps(found) == [("transformers", "3.0", "4.0"), ("transformers", "2.0", "1.0")]
    assert "transformers 1.0 is older than the baseline and differs from it, 2.0 agrees" in found[1].sentence


def test_a_difference_that_goes_away_again_is_said() -> None:
    (found,) = _find({"2.0": "drift", "3.0": "identical"})
    assert found.sentence.endswith("last good transformers 1.0, first bad 2.0, and 3.0 agrees again")


def test_values_without_a_verdict_are_passed_over() -> None:
    assert _steps(_find({"2.0": "identical", "3.0": "missing", "4.0": "drift"})) == [("transformers", "2.0", "4.0")]


def test_values_that_were_never_judged_are_passed_over() -> None:
    spec = small_spec()
    made = plan.plan(spec)
    found = findings.find(spec, made.baseline, [_judged(spec, made.baseline, made.cells[2], "drift")])
    assert _steps(list(found)) == [("transformers", "1.0", "3.0")]


def test_a_difference_at_every_build_follows_the_release() -> None:
    verdicts: dict[str, Verdict] = {"1.0/8.0": "identical", "2.0/8.0": "drift", "2.0/9.0": "drift"}
    (found,) = _find(verdicts, torch=("8.0", "9.0"))
    assert found.axis == "transformers"
    assert found.sentence.endswith("; follows transformers, not torch: every torch build shows it")


def test_a_difference_at_one_build_only_is_an_interaction() -> None:
    verdicts: dict[str, Verdict] = {"1.0/8.0": "identical", "2.0/8.0": "identical", "2.0/9.0": "drift"}
    (found,) = _find(verdicts, torch=("8.0", "9.0"))
    assert found.sentence.endswith("; an interaction: with torch 9.0, while 8.0 is identical")


def test_a_difference_that_starts_elsewhere_at_another_build_is_an_interaction_too() -> None:
    spec = small_spec(axes={"transformers": {"values": ["1.0", "2.0"]}, "torch": {"values": ["8.0", "9.0"]}})
    made = plan.plan(spec)
    cells = {tuple(cell.axes.values()): cell for cell in made.cells}
    judgements = [_judged(spec, made.baseline, cells["2.0", build], "drift") for build in ("8.0", "9.0")]
    judgements[0] = replace(judgements[0], where="other")
    (found,) = findings.find(spec, made.baseline, judgements)
    assert found.sentence.endswith("; an interaction: with torch 9.0, while 8.0 is drift")


def test_a_baseline_that_is_unstable_itself_starts_nowhere() -> None:
    spec = small_spec()
    made = plan.plan(spec)
    judged = _judged(spec, made.baseline, made.cells[1], "unstable")
    assert len(list(findings.find(spec, made.baseline, [judged]))) == 1
    assert list(findings.find(spec, made.baseline, [replace(judged, baseline_at_fault=True)])) == []


def test_builds_without_a_verdict_say_nothing_about_it() -> None:
    verdicts: dict[str, Verdict] = {"1.0/8.0": "identical", "2.0/8.0": "missing", "2.0/9.0": "drift"}
    (found,) = _find(verdicts, torch=("8.0", "9.0"))
    assert found.sentence.endswith("first bad 2.0")


def test_every_axis_is_walked() -> None:
    verdicts: dict[str, Verdict] = {"1.0/8.0": "drift", "2.0/8.0": "drift", "2.0/9.0": "identical"}
    (found,) = _find(verdicts, torch=("8.0", "9.0"))
    assert _steps([found]) == [("torch", "9.0", "8.0")]
    assert "follows torch, not transformers" in found.sentence
