"""A noise floor is measured, never a constant; who may round in another way is known from the axes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matrix import noise
from matrix.case import Option
from matrix.cell import Cell
from matrix.evidence import Evidence
from matrix.noise import Floor, Rounding
from matrix.pairs import Pair
from matrix.plan import plan
from matrix.proof import Proof
from matrix.spec import Axis
from tests.matrix.builders import LEFT_PADDED, LOGITS, looked, moved, small_spec

AXES = {
    "transformers": Axis(values=("1.0", "2.0")),
    "torch": Axis(values=("8.0", "9.0")),
    "Triton": Axis(values=("1.0", "2.0")),
    "tokenizers": Axis(values=("0.1", "0.2")),
    "python": Axis(values=("3.11", "3.12"), kind="python"),
    "MODE": Axis(values=("slow", "fast"), kind="env"),
}
OWN, TINY = noise.OWN_ERROR, 2.0**-10
"""`TINY` is less than float32 may lose of the largest logit, 11 x 2^-12."""


def _pair(*differing: str, within: Option | None = None) -> Pair:
    """A cell that has the second value on the axes named, against the one that has the first everywhere."""
    job = plan(small_spec()).jobs[0]
    axes = {name: axis.values[name in differing] for name, axis in AXES.items()}
    baseline = Cell(axes={name: axis.values[0] for name, axis in AXES.items()})
    return Pair(baseline=baseline, reference=job, cell=Cell(axes=axes), job=job, within=within)


@pytest.mark.parametrize(
    ("differing", "may"),
    [
        ("", False),
        ("transformers", False),
        ("tokenizers", False),
        ("transformers tokenizers", False),
        ("torch", True),
        ("Triton", True),
        ("python", True),
        ("MODE", True),
        ("transformers torch", True),
    ],
)
def test_only_an_axis_that_computes_may_round_in_another_way(differing: str, may: bool) -> None:  # noqa: FBT001
    assert noise.plausible(_pair(*differing.split()), AXES) is may


def test_variants_of_one_cell_may_always_round_in_another_way() -> None:
    assert noise.plausible(_pair(within="attention"), AXES)


def _measured(folder: Path, **facts: Any) -> Floor:  # noqa: ANN401 - what a response may hold
    floor = noise.measure(looked(folder, **facts))
    assert floor
    return floor


def test_the_floor_is_the_largest_of_its_parts(tmp_path: Path) -> None:
    roundings = {"2 threads": moved(2 * TINY), "4 threads": None, "sdpa": moved(-4 * TINY)}
    floor = _measured(tmp_path, roundings=roundings, exact=dict.fromkeys(("eager", "sdpa"), moved(TINY)))
    assert floor.parts == {OWN: TINY, "2 threads": 2 * TINY, "4 threads": 0.0, "sdpa": 4 * TINY}
    assert (floor.max_abs, floor.source, floor.reach, floor.excluded) == (4 * TINY, "sdpa", 8 * TINY, {})


def test_the_floor_counts_a_difference_in_floors(tmp_path: Path) -> None:
    floor = _measured(tmp_path / "a", roundings={"2 threads": moved(0.5)})
    assert (floor.ratio(1.0), floor.ratio(0.0)) == (2.0, 0.0)
    zero = _measured(tmp_path / "b", roundings={"2 threads": None})
    assert (zero.ratio(1e-9), zero.ratio(0.0), zero.reach) == (float("inf"), 0.0, 0.0)


@pytest.mark.parametrize(("dtype", "limit"), [("float64", 2), ("float32", 2), ("float16", 3), ("bfloat16", 3)])
def test_sixteen_bits_have_a_wider_limit(tmp_path: Path, dtype: str, limit: float) -> None:
    assert _measured(tmp_path, roundings={"2 threads": moved(1)}, dtype=dtype).limit == limit


def _kernels(own: Any, other: Any) -> dict[str, Any]:  # noqa: ANN401 - arrays
    """A model that is loaded with eager, whose sdpa lies two `TINY` apart; what both are in float64."""
    roundings = {"2 threads": moved(TINY), "sdpa": moved(2 * TINY)}
    return {"roundings": roundings, "exact": {"eager": own, "sdpa": other}}


def test_a_kernel_that_computes_something_else_is_no_rounding(tmp_path: Path) -> None:
    floor = _measured(tmp_path, **_kernels(LOGITS, moved(2 * TINY)))
    assert (floor.source, floor.max_abs, floor.excluded) == ("2 threads", TINY, {"sdpa": 2 * TINY})


@pytest.mark.parametrize(
    ("exact", "parts"),
    [
        ({"eager": LOGITS, "sdpa": LOGITS}, {OWN, "2 threads", "sdpa"}),
        ({"eager": LOGITS}, {OWN, "2 threads"}),
        ({"sdpa": LOGITS}, {"2 threads"}),
        ({}, {"2 threads"}),
    ],
)
def test_a_kernel_counts_as_rounding_only_where_float64_says_so(
    tmp_path: Path, exact: dict[str, Any], parts: set[str]
) -> None:
    floor = _measured(tmp_path, **{**_kernels(None, None), "exact": exact})
    assert (set(floor.parts), set(floor.excluded)) == (parts, {"sdpa"} - parts)


def test_a_kernel_that_lies_further_than_rounding_reaches_is_none_though_float64_agrees(tmp_path: Path) -> None:
    roundings = {"2 threads": moved(0.5), "sdpa": moved(0.5)}
    floor = _measured(tmp_path, roundings=roundings, exact=dict.fromkeys(("eager", "sdpa"), LOGITS))
    assert (floor.parts, floor.excluded) == ({OWN: 0.0, "2 threads": 0.5}, {"sdpa": 0.5})


@pytest.mark.parametrize(
    ("dtype", "most"),
    [("float64", 11 * 2**-26.5), ("float32", 11 * 2**-12), ("float16", 11 * 2**-5.5), ("bfloat16", 11 * 2**-4)],
)
@pytest.mark.parametrize(("share", "counts"), [(0.99, True), (1.01, False)])
def test_an_own_error_nearer_to_the_logits_than_to_the_roundoff_is_no_rounding(
    tmp_path: Path,
    dtype: str,
    most: float,
    share: float,
    counts: bool,  # noqa: FBT001
) -> None:
    exact = LOGITS.astype(np.float64)
    exact[0, 2, 0] += share * most
    floor = _measured(tmp_path, roundings={"2 threads": None}, exact={"eager": exact}, dtype=dtype)
    assert (OWN in floor.parts, OWN in floor.excluded) == (counts, not counts)


def test_a_part_that_gives_no_numbers_is_left_out(tmp_path: Path) -> None:
    roundings = {"2 threads": moved(0.25), "4 threads": moved(float("inf")), "sdpa": moved(float("nan"))}
    floor = _measured(tmp_path, roundings=roundings, exact=dict.fromkeys(("eager", "sdpa"), moved(float("inf"))))
    assert (floor.parts, set(floor.excluded)) == ({"2 threads": 0.25}, {OWN, "4 threads", "sdpa"})


@pytest.mark.parametrize(
    ("roundings", "exact"),
    [
        ({}, {}),
        ({"2 threads": moved(float("nan"))}, {}),
        ({"sdpa": moved(TINY)}, {}),
        ({}, {"eager": moved(1)}),
    ],
)
def test_without_anything_that_counts_there_is_no_floor(
    tmp_path: Path, roundings: dict[str, Any], exact: dict[str, Any]
) -> None:
    assert noise.measure(looked(tmp_path, roundings=roundings, exact=exact)) is None


def test_where_nothing_but_another_meaning_was_seen_the_floor_is_zero(tmp_path: Path) -> None:
    own = {"eager": LOGITS, "sdpa": moved(0.5)}
    floor = _measured(tmp_path, roundings={"sdpa": moved(0.5)}, exact=own)
    assert (floor.parts, floor.excluded) == ({OWN: 0.0}, {"sdpa": 0.5})


def test_positions_under_the_mask_do_not_count(tmp_path: Path) -> None:
    hidden = moved(9, 0, 0, 0)
    exact = {"eager": hidden, "sdpa": moved(99, 0, 0, 1)}
    floor = _measured(tmp_path, tokens=LEFT_PADDED, roundings={"2 threads": hidden, "sdpa": hidden}, exact=exact)
    assert floor.parts == {OWN: 0.0, "2 threads": 0.0, "sdpa": 0.0}


def _sides(folder: Path, *dtypes: str) -> tuple[Evidence, Evidence]:
    """Two sides of these dtypes; the baseline's floor is 0.25, the candidate's 0.5."""
    good, bad = (
        looked(folder / str(floor), roundings={"2 threads": moved(floor)}, exact={"eager": LOGITS}, dtype=dtype)
        for dtype, floor in zip(dtypes, (0.25, 0.5), strict=True)
    )
    return good, bad


@pytest.mark.parametrize(
    ("good", "bad", "floor"),
    [
        ("float32", "bfloat16", 0.5),
        ("float16", "bfloat16", 0.5),
        ("bfloat16", "float32", 0.25),
        ("float32", "float32", 0.25),
    ],
)
def test_the_floor_is_the_coarser_sides_and_the_baselines_where_neither_is(
    tmp_path: Path, good: str, bad: str, floor: float
) -> None:
    found = noise.weigh(*_sides(tmp_path, good, bad), 1.0, plausible=True)
    assert found.floor
    assert (found.floor.max_abs, found.plausible) == (floor, True)
    assert found.proof
    assert (found.proof.before, found.proof.after) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("dtypes", "floor"), [("float32 bfloat16", None), ("bfloat16 float32", None), ("float32 float32", 0.25)]
)
@pytest.mark.parametrize("lacking", ["good", "bad", "good bad"])
def test_two_dtypes_have_a_floor_only_where_both_sides_ran_in_float64(
    tmp_path: Path, dtypes: str, lacking: str, floor: float | None
) -> None:
    looks = zip(("good", "bad"), _sides(tmp_path, *dtypes.split()), strict=True)
    good, bad = (replace(look, exact={} if name in lacking else look.exact) for name, look in looks)
    found = noise.weigh(good, bad, 1.0, plausible=True)
    assert (found.floor and found.floor.max_abs, found.proof) == (floor, None)


def test_the_baselines_look_alone_gives_a_floor_but_no_proof_and_the_candidates_nothing(tmp_path: Path) -> None:
    good, bad = _sides(tmp_path, "float32", "float32")
    for sides, floor in (((good, None), 0.25), ((None, bad), None)):
        found = noise.weigh(*sides, 1.0, plausible=False)
        assert (found.floor and found.floor.max_abs, found.proof) == (floor, None)
    assert noise.weigh(None, None, 1.0, plausible=False).floor is None


def test_what_could_not_run_on_either_side_is_said_once(tmp_path: Path) -> None:
    lacking = [{"sdpa": "ValueError: no"}, {"sdpa": "ValueError: no", "eager in float64": "RuntimeError: none"}]
    good, bad = (looked(tmp_path / name, lacking=said) for name, said in zip("ab", lacking, strict=True))
    found = noise.weigh(good, bad, 1.0, plausible=True)
    assert found.lacking == ("sdpa: ValueError: no", "eager in float64: RuntimeError: none")


def test_what_either_side_does_not_round_as_asked_is_carried(tmp_path: Path) -> None:
    good, bad = (looked(tmp_path / name, misrounded=wrong) for name, wrong in (("a", ["w", "b"]), ("b", [])))
    assert noise.weigh(good, bad, 1.0, plausible=True).misrounded == ("w", "b")
    assert noise.weigh(bad, good, 1.0, plausible=True).misrounded == ("w", "b")


FLOOR = Floor(parts={"2 threads": 0.5}, limit=2.0, excluded={})
GONE = Proof(before=1.0, after=0.0, cut=1e-5, resolution=1e-12, escaped={}, reach=1.5)
STAYS = replace(GONE, after=1.0)


@pytest.mark.parametrize(
    ("known", "max_abs", "settled", "explained"),
    [
        ({"plausible": True, "floor": FLOOR}, 1.0, True, True),
        ({"plausible": True, "floor": FLOOR}, 1.1, True, False),
        ({"plausible": True, "floor": FLOOR}, 1.0, False, False),
        ({"plausible": False, "floor": FLOOR}, 1.0, True, False),
        ({"plausible": True}, 0.0, True, False),
        ({"plausible": False, "proof": GONE}, 1.0, False, True),
        ({"plausible": False, "proof": STAYS}, 1.0, True, False),
        ({"plausible": True, "proof": STAYS, "floor": FLOOR}, 1.0, True, True),
        # beyond the reach neither counts
        ({"plausible": True, "proof": replace(GONE, reach=0.9), "floor": FLOOR}, 1.0, True, False),
        # nor where the weights themselves were not rounded as asked
        ({"plausible": True, "proof": GONE, "floor": FLOOR, "misrounded": ("w",)}, 1.0, True, False),
    ],
)
def test_rounding_explains_what_its_floor_or_its_proof_covers(
    known: dict[str, Any],
    max_abs: float,
    settled: bool,  # noqa: FBT001
    explained: bool,  # noqa: FBT001
) -> None:
    assert Rounding(**known).explains(max_abs, settled=settled) is explained


def test_an_error_at_sixteen_bits_is_part_of_the_floor(tmp_path: Path) -> None:
    exact = LOGITS.astype(np.float64) + 2.0**-9
    assert _measured(tmp_path, exact={"eager": exact}, dtype="bfloat16").max_abs == 2.0**-9
