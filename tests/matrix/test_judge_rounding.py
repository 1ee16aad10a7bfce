"""Different bits of the same state are noise only where rounding was measured to go that far, or is proven."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matrix.judgement import Judgement, Verdict
from tests.matrix.builders import LEFT_PADDED, LOGITS, looked, moved, tensor
from tests.matrix.judging import Facts, Looks, judged, verdict

FLOOR = 0.1


def _looks(
    folder: Path,
    *,
    floor: float | None = FLOOR,
    left: float | None = None,
    dtype: str = "float32",
    **facts: Any,  # noqa: ANN401 - what a response may hold
) -> Looks:
    """Closer looks at both sides: a floor, and how far corrected float64 still moves; None leaves either away."""
    roundings = {} if floor is None else {"2 threads": moved(-floor)}
    truth = LOGITS + np.float64(0.99 * (floor or FLOOR))  # the logits' own error is a little less than the floor
    sides = ({}, {}) if left is None else ({"eager": truth}, {"eager": truth + left})
    good, bad = (
        looked(folder / name, roundings=roundings, exact=exact, dtype=dtype, **facts)
        for name, exact in zip(("good", "bad"), sides, strict=True)
    )
    return good, bad


def _judged(
    folder: Path,
    by: float,
    baseline: Facts | None = None,
    candidate: Facts | None = None,
    *,
    plausible: bool = False,
    **looks: Any,  # noqa: ANN401 - what a response may hold
) -> Judgement:
    """Judge logits that were moved by so much."""
    other = {"logits": moved(by), **(candidate or {})}
    return judged(folder, baseline, other, looks=_looks(folder, **looks), plausible=plausible)


@pytest.mark.parametrize(
    ("by", "left", "plausible", "shown"),
    [
        # along transformers alone nothing may round in another way: only a proof counts
        (-0.1, None, False, "drift"),
        (-0.1, 0.0, False, "noise"),
        (-0.1, 0.1, False, "drift"),
        (-0.5, 0.0, False, "noise"),
        # elsewhere twice the floor is enough, and beyond it the proof decides
        (-0.1, None, True, "noise"),
        (-0.19, None, True, "noise"),
        (-0.3, None, True, "drift"),
        (-0.1, 0.1, True, "noise"),
        (-0.3, 0.0, True, "noise"),
        (-0.3, 0.3, True, "drift"),
    ],
)
def test_a_difference_is_noise_within_a_floor_that_may_apply_or_where_float64_proves_it(
    tmp_path: Path,
    by: float,
    left: float | None,
    plausible: bool,  # noqa: FBT001
    shown: Verdict,
) -> None:
    found = _judged(tmp_path, by, plausible=plausible, left=left)
    assert verdict(found) == (shown, "logits", "logits")
    assert found.fails is (shown == "drift")


@pytest.mark.parametrize(("dtype", "shown"), [("float32", "drift"), ("bfloat16", "noise"), ("float16", "noise")])
def test_sixteen_bits_may_move_three_floors(tmp_path: Path, dtype: str, shown: str) -> None:
    assert _judged(tmp_path, -0.29, plausible=True, dtype=dtype).verdict == shown
    assert _judged(tmp_path / "beyond", -0.31, plausible=True, dtype=dtype).verdict == "drift"


def test_the_sentence_says_how_many_floors_and_what_is_left(tmp_path: Path) -> None:
    gone, stays = (_judged(tmp_path / str(left), -0.1, left=left).summary for left in (0.0, 0.05))
    assert gone.startswith("logits move by up to 0.1 and argmax agrees everywhere, 1 times the noise floor of 0.1 ")
    assert gone.endswith("(2 threads), rounding changed: nothing of it is left in corrected float64")
    assert stays.endswith("(2 threads), 0.05 of it is left in corrected float64")


@pytest.mark.parametrize(("left", "said"), [(0.0, False), (0.05, True), (None, False)])
def test_noise_that_float64_does_not_explain_is_noted(tmp_path: Path, left: float | None, said: bool) -> None:  # noqa: FBT001
    found = _judged(tmp_path, -0.125, floor=0.125, plausible=True, left=left)
    note = "within the noise floor, but not rounding alone: 0.05 of 0.125 stays in corrected float64"
    assert (found.verdict, found.notes) == ("noise", (note,) if said else ())


def test_the_sentence_names_what_escaped_and_what_could_not_run(tmp_path: Path) -> None:
    escaped = _judged(tmp_path / "a", -0.1, left=0.0, escaped={"eager": {"aten::bmm": 2}}).summary
    assert escaped.endswith(", though aten::bmm escaped the correction")
    lacking = _judged(tmp_path / "b", -0.1, lacking={"eager in float64": "RuntimeError: no"}).summary
    assert lacking.endswith("corrected float64 could not run (eager in float64: RuntimeError: no)")


def test_without_a_closer_look_the_smallest_difference_is_drift(tmp_path: Path) -> None:
    assert judged(tmp_path, {}, {"logits": moved(1e-6)}).verdict == "drift"


@pytest.mark.parametrize("floor", [0.0, None])
def test_a_floor_of_zero_or_none_explains_nothing(tmp_path: Path, floor: float | None) -> None:
    assert _judged(tmp_path, -1e-3, plausible=True, floor=floor).verdict == "drift"


def test_a_floor_comes_from_the_baselines_side_alone(tmp_path: Path) -> None:
    good, bad = _looks(tmp_path, left=0.0)
    found = [
        judged(tmp_path / str(index), {}, {"logits": moved(-0.1)}, looks=looks, plausible=True)
        for index, looks in enumerate(((good, None), (None, bad)))
    ]
    assert [(one.verdict, one.rounding and one.rounding.proof) for one in found] == [("noise", None), ("drift", None)]


@pytest.mark.parametrize(("left", "shown"), [(None, "drift"), (0.1, "drift"), (0.0, "noise")])
def test_a_config_value_that_changed_needs_the_proof(tmp_path: Path, left: float | None, shown: str) -> None:
    other = {"config": {"hidden_size": 5}}
    found = _judged(tmp_path, -0.1, None, other, plausible=True, left=left)
    assert found.verdict == shown
    assert (found.stage, found.where) == (("logits", "logits") if shown == "noise" else ("config", "hidden_size"))


@pytest.mark.parametrize(
    ("baseline", "candidate", "stage"),
    [
        ({"buffers": [tensor("a", [1.0])]}, {"buffers": [tensor("a", [2.0])]}, "buffers"),
        ({}, {"parameters": [tensor("model.weight", [2.0])]}, "parameters"),
    ],
)
def test_altered_bytes_are_never_noise_not_even_with_a_proof(
    tmp_path: Path, baseline: dict[str, Any], candidate: dict[str, Any], stage: str
) -> None:
    found = _judged(tmp_path, -0.1, baseline, candidate, plausible=True, left=0.0)
    assert (found.verdict, found.stage) == ("drift", stage)


def _parting(folder: Path, margins: list[list[str]], by: float = -0.1, **looks: Any) -> Judgement:  # noqa: ANN401
    """Judge logits that were moved, and greedy tokens that part at the second one."""
    baseline, other = {"generated": [[1, 2, 3]], "margins": margins}, {"generated": [[1, 4, 5]]}
    return _judged(folder, by, baseline, other, plausible=True, **looks)


@pytest.mark.parametrize(
    ("margins", "shown", "said"),
    [
        ([["9.0", "0.39", "9.0"]], "noise", "the baseline's margin where greedy tokens part is at most 0.39"),
        ([["0.0", "0.41", "0.0"]], "drift", "the baseline's margin where greedy tokens part is at most 0.41"),
        ([], "drift", ""),
        ([["0.0"]], "drift", ""),
    ],
)
@pytest.mark.parametrize("by", [-0.1, 0.0])
def test_greedy_tokens_may_part_only_at_a_tie_that_was_recorded(
    tmp_path: Path, margins: list[list[str]], by: float, shown: str, said: str
) -> None:
    found = _parting(tmp_path, margins, by)
    assert found.verdict == shown
    assert said in found.summary


def test_a_difference_of_the_logits_reaches_as_far_as_itself(tmp_path: Path) -> None:
    found = [_parting(tmp_path / margin, [["9", margin]], -0.5, left=0.0).verdict for margin in ("0.99", "1.01")]
    assert found == ["noise", "drift"]


def test_a_tie_without_a_closer_look_is_drift(tmp_path: Path) -> None:
    sides = {"generated": [[1, 2]], "margins": [["0.0", "0.0"]]}, {"generated": [[1, 3]]}
    assert verdict(judged(tmp_path, *sides)) == ("drift", "generation", "token 1")


def test_logits_of_another_shape_or_dtype_are_never_noise(tmp_path: Path) -> None:
    narrow = {"logits": LOGITS.astype(np.float64)}
    found = judged(tmp_path, {}, narrow, looks=_looks(tmp_path, left=0.0), plausible=True)
    assert found.verdict == "drift"


@pytest.mark.parametrize(
    ("baseline", "candidate"),
    [
        pytest.param({"parameters": [tensor("model.weight"), tensor("bias")]}, {}, id="removed"),
        pytest.param({}, {"parameters": [tensor("model.weight"), tensor("bias")]}, id="added"),
        pytest.param(
            {"parameters": [tensor("old")]},
            {"parameters": [tensor("new", [3.0])], "loading": {"missing_keys": ["new"]}},
            id="not found",
        ),
    ],
)
def test_a_floor_does_not_excuse_parameters_that_come_or_go(tmp_path: Path, baseline: Facts, candidate: Facts) -> None:
    assert _judged(tmp_path / "floor", -0.1, baseline, candidate, plausible=True).verdict == "drift"
    assert _judged(tmp_path / "proof", -0.1, baseline, candidate, plausible=True, left=0.0).verdict == "noise"


@pytest.mark.parametrize("plausible", [True, False])
def test_what_goes_further_than_rounding_reaches_is_drift_though_float64_loses_it(
    tmp_path: Path,
    plausible: bool,  # noqa: FBT001
) -> None:
    # the geometric mean of an own error of 0.099 and a largest logit of 11.1 is 1.05
    assert _judged(tmp_path / "within", -1.0, left=0.0, plausible=plausible).verdict == "noise"
    found = _judged(tmp_path / "beyond", -1.1, left=0.0, plausible=plausible)
    assert found.verdict == "drift"
    assert "nothing of it is left in corrected float64, but rounding reaches no further than 1.05" in found.summary


@pytest.mark.parametrize(
    ("by", "roundings", "floor", "shown"),
    [
        # 11 x 2^-4 is where an own error at bfloat16 ends, and where rounding does
        (0.5, {}, 0.5, "noise"),
        (4.0, {}, None, "drift"),
        (4.0, {"2 threads": LOGITS}, 4.0, "drift"),
    ],
)
def test_a_floor_that_holds_the_fault_itself_does_not_excuse_it(
    tmp_path: Path, by: float, roundings: dict[str, Any], floor: float | None, shown: str
) -> None:
    fine = looked(tmp_path / "fine", exact={"eager": LOGITS})
    facts: dict[str, Any] = {"exact": {"eager": LOGITS}, "roundings": roundings, "dtype": "bfloat16"}
    coarse = looked(tmp_path / "coarse", logits=moved(-by), **facts)
    found = judged(tmp_path, {}, {"logits": moved(-by)}, looks=(fine, coarse), plausible=True)
    assert found.rounding
    assert (found.rounding.floor and found.rounding.floor.max_abs, found.verdict) == (floor, shown)


def test_a_parameter_that_is_not_rounded_as_asked_is_the_cause_though_float64_proves_the_rest(tmp_path: Path) -> None:
    found = _judged(tmp_path, -0.1, plausible=True, left=0.0, misrounded=["b.weight", "a.weight"])
    assert verdict(found) == ("drift", "parameters", "b.weight")
    assert found.summary.startswith("b.weight differs; logits move by up to 0.1")
    other = {"config": {"hidden_size": 5}}
    found = _judged(tmp_path / "config", -0.1, None, other, plausible=True, left=0.0, misrounded=["b.weight"])
    assert verdict(found) == ("drift", "config", "hidden_size")


def test_every_row_must_part_at_a_tie(tmp_path: Path) -> None:
    baseline = {"generated": [[1, 2], [3, 4]], "margins": [["9", "0.1"], ["0.1", "9"]]}
    for name, second, shown in (("ties", [0, 4], "noise"), ("no tie", [3, 0], "drift")):
        other = {"generated": [[1, 0], second]}
        assert _judged(tmp_path / name, -0.1, baseline, other, plausible=True).verdict == shown


def test_a_difference_of_signs_of_zeros_is_said_to_be_one(tmp_path: Path) -> None:
    zero = LOGITS.copy()
    zero[0, 0, 0] = -0.0
    assert judged(tmp_path, {}, {"logits": zero}).summary.startswith("logits differ in nothing but the sign of zeros")


@pytest.mark.parametrize("filler", [np.finfo(np.float32).min, -1e4, -np.inf])
def test_a_column_that_rules_a_token_out_sets_no_scale(tmp_path: Path, filler: float) -> None:
    plain, other = LOGITS.copy(), moved(-0.5)
    plain[..., 0] = other[..., 0] = filler
    for left, shown in ((0.5, "drift"), (0.0, "drift")):
        exact = plain.astype(np.float64)
        looks = (
            looked(tmp_path / f"good{left}", logits=plain, exact={"eager": exact}),
            looked(tmp_path / f"bad{left}", logits=other, exact={"eager": exact - left * (other != plain)}),
        )
        assert judged(tmp_path, {"logits": plain}, {"logits": other}, looks=looks).verdict == shown


def test_a_floor_for_two_dtypes_needs_the_kernel_that_was_used_in_float64(tmp_path: Path) -> None:
    wide = LOGITS.astype(np.float64)
    good = looked(tmp_path / "good", exact={"sdpa": wide})
    bad = looked(tmp_path / "bad", logits=moved(-0.25), exact={"eager": wide}, dtype="bfloat16")
    found = judged(tmp_path, {}, {"logits": moved(-0.25)}, looks=(good, bad), plausible=True)
    assert found.rounding
    assert (found.rounding.floor, found.rounding.proof, found.verdict) == (None, None, "drift")


def test_masked_differences_beside_a_changed_parameter_are_not_called_zeros(tmp_path: Path) -> None:
    masked = {"tokens": LEFT_PADDED}
    other = {**masked, "logits": moved(1, 0, 0, 0), "parameters": [tensor("model.weight", [9.0, 9.0])]}
    assert judged(tmp_path, masked, other).summary == "model.weight differs; the logits are the same"
