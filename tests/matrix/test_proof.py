"""In corrected float64 rounding all but vanishes, and a change of meaning stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matrix.proof import Proof, prove
from tests.matrix.builders import LEFT_PADDED, LOGITS, looked

WIDE = LOGITS.astype(np.float64)
LARGEST = 11.0
"""The largest logit."""


def _moved(by: float, *index: int) -> Any:  # noqa: ANN401 - an array
    changed = WIDE.copy()
    changed[index or (0, 2, 0)] += by
    return changed


def _prove(folder: Path, left: Any, before: float = 1.0, dtypes: str = "float32", **facts: Any) -> Proof:  # noqa: ANN401
    """The proof of a difference of which so much is left; `dtypes` are the baseline's and the candidate's."""
    sides = zip(("good", "bad"), (WIDE, left), (dtypes.split() * 2)[:2], strict=True)
    good, bad = (looked(folder / name, exact={"eager": exact}, dtype=dtype, **facts) for name, exact, dtype in sides)
    found = prove(good, bad, before)
    assert found
    return found


@pytest.mark.parametrize(
    ("dtypes", "cut"),
    [
        ("float32", 2**-14.5),
        ("float16", 2**-21.0),
        ("bfloat16", 2**-22.5),
        ("float32 bfloat16", 2**-22.5),
        ("bfloat16 float32", 2**-22.5),
    ],
)
def test_the_cut_lies_between_the_unit_roundoffs_of_the_coarser_side_and_of_float64(
    tmp_path: Path, dtypes: str, cut: float
) -> None:
    found = _prove(tmp_path, _moved(0.9 * cut), dtypes=dtypes)
    assert found.cut == pytest.approx(cut, rel=1e-15)
    assert found.is_lifted
    assert not _prove(tmp_path, _moved(1.1 * cut), dtypes=dtypes).is_lifted


@pytest.mark.parametrize(
    ("dtypes", "errors", "reach"),
    [
        # the better side's own error, whichever side that is
        ("float32", (2**-8, 2**-6), (LARGEST * 2**-8) ** 0.5),
        ("float32", (2**-6, 2**-8), (LARGEST * 2**-8) ** 0.5),
        # and no less than the unit roundoff of the coarser side
        ("float32", (0, 2**-8), LARGEST * 2**-12),
        ("float64", (0, 0), LARGEST * 2**-26.5),
        ("float16", (0, 0), LARGEST * 2**-5.5),
        ("float32 bfloat16", (0, 0.5), LARGEST * 2**-4),
        ("bfloat16 float32", (0.5, 0), LARGEST * 2**-4),
    ],
)
def test_rounding_reaches_half_way_from_the_better_sides_own_error_to_the_logits(
    tmp_path: Path, dtypes: str, errors: tuple[float, float], reach: float
) -> None:
    good, bad = (
        looked(tmp_path / name, logits=_moved(error).astype(np.float32), exact={"eager": WIDE}, dtype=dtype)
        for name, error, dtype in zip(("good", "bad"), errors, (dtypes.split() * 2)[:2], strict=True)
    )
    for share, vanishes in ((0.99, True), (1.01, False)):
        found = prove(good, bad, share * reach)
        assert found
        assert found.reach == pytest.approx(reach, rel=1e-12)
        assert (found.is_lifted, found.vanishes) == (True, vanishes)


def test_the_reach_counts_only_what_the_mask_keeps(tmp_path: Path) -> None:
    hidden = _moved(99.0, 0, 0, 0)
    assert _prove(tmp_path, hidden, tokens=LEFT_PADDED).reach == LARGEST * 2**-12


def test_a_difference_below_what_float64_resolves_says_nothing(tmp_path: Path) -> None:
    found = _prove(tmp_path, _moved(0.9 * LARGEST * 2**-43), before=0.0)
    assert found.resolution == LARGEST * 2**-43
    assert found.vanishes
    assert not _prove(tmp_path, _moved(1.1 * LARGEST * 2**-43), before=0.0).vanishes


def test_it_says_what_there_was_and_what_is_left(tmp_path: Path) -> None:
    found = _prove(tmp_path, _moved(0.25), before=0.5)
    assert (found.before, found.after, found.is_lifted, found.vanishes) == (0.5, 0.25, False, False)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_on_one_side_never_vanishes(tmp_path: Path, value: float) -> None:
    broken = WIDE.copy()
    broken[0, 0, 0] = value
    found = _prove(tmp_path, broken)
    assert (found.after, found.is_lifted, found.vanishes) == (float("inf"), False, False)


def test_positions_under_the_mask_do_not_count(tmp_path: Path) -> None:
    found = _prove(tmp_path, _moved(99.0, 0, 0, 0), tokens=LEFT_PADDED)
    assert (found.after, found.is_lifted) == (0.0, True)
    assert _prove(tmp_path, _moved(99.0, 0, 0, 0)).after == 99.0


def test_numbers_under_the_mask_do_not_lower_the_resolution(tmp_path: Path) -> None:
    sides = [_moved(2.0**60, 0, 0, 0)] * 2
    good, bad = (
        looked(tmp_path / name, exact={"eager": exact}, tokens=LEFT_PADDED)
        for name, exact in zip("ab", sides, strict=True)
    )
    found = prove(good, bad, 1.0)
    assert found
    assert found.resolution == LARGEST * 2**-43


def test_what_escaped_on_either_side_is_carried_once(tmp_path: Path) -> None:
    counts = {"good": {"aten::bmm": 1, "aten::mm": 5}, "bad": {"aten::bmm": 3, "aten::erf": 2}}
    good, bad = (
        looked(tmp_path / name, exact={"eager": WIDE}, escaped={"eager": count, "sdpa": {"aten::other": 9}})
        for name, count in counts.items()
    )
    found = prove(good, bad, 1.0)
    assert found
    assert found.escaped == {"aten::bmm": 3, "aten::mm": 5, "aten::erf": 2}


@pytest.mark.parametrize(("good", "bad"), [("eager", "sdpa"), ("sdpa", "eager"), ("sdpa", "sdpa")])
def test_a_side_that_could_not_run_its_own_kernel_in_float64_proves_nothing(
    tmp_path: Path, good: str, bad: str
) -> None:
    sides = [looked(tmp_path / name, exact={kernel: WIDE}) for name, kernel in (("a", good), ("b", bad))]
    assert prove(*sides, 1.0) is None


def test_each_side_is_taken_through_the_kernel_that_it_used(tmp_path: Path) -> None:
    good = looked(tmp_path / "a", exact={"eager": WIDE, "sdpa": _moved(9.0)})
    bad = looked(tmp_path / "b", exact={"sdpa": WIDE, "eager": _moved(9.0)}, kernel="sdpa")
    found = prove(good, bad, 1.0)
    assert found
    assert found.after == 0.0


@pytest.mark.parametrize("gone", [np.nan, np.inf])
def test_a_candidate_that_is_not_finite_proves_nothing(tmp_path: Path, gone: float) -> None:
    assert not _prove(tmp_path, np.full_like(WIDE, gone), before=np.inf).is_lifted


@pytest.mark.parametrize("gone", [np.nan, np.inf])
def test_float64_logits_that_are_lost_on_both_sides_prove_nothing(tmp_path: Path, gone: float) -> None:
    lost = WIDE.copy()
    lost[0, 1, 2] = gone
    good, bad = (looked(tmp_path / name, exact={"eager": lost}) for name in ("good", "bad"))
    found = prove(good, bad, 0.5)
    assert found
    assert not found.is_lifted


def test_what_is_infinite_in_the_plain_logits_too_is_not_lost(tmp_path: Path) -> None:
    ruled_out = LOGITS.copy()
    ruled_out[..., 0] = -np.inf
    sides = [looked(tmp_path / name, logits=ruled_out, exact={"eager": ruled_out.astype(np.float64)}) for name in "ab"]
    found = prove(*sides, before=1e-6)
    assert found
    assert found.vanishes


def test_at_float64_only_its_resolution_counts(tmp_path: Path) -> None:
    assert not _prove(tmp_path / "change", _moved(1e-8), before=1e-8, dtypes="float64").is_lifted
    assert _prove(tmp_path / "rounding", _moved(LARGEST * 2**-45), before=1e-9, dtypes="float64").vanishes


def test_a_dtype_that_is_none_of_the_four_counts_as_the_coarsest(tmp_path: Path) -> None:
    assert _prove(tmp_path, WIDE, dtypes="float8_e4m3fn").cut == 2**-22.5


def test_logits_that_are_lost_on_both_sides_do_not_reach_for_ever(tmp_path: Path) -> None:
    lost = LOGITS.copy()
    lost[0, 1, 2] = np.nan
    good, bad = (looked(tmp_path / name, logits=lost, exact={"eager": WIDE}) for name in ("good", "bad"))
    found = prove(good, bad, 5.0)
    assert found
    assert found.reach == pytest.approx(LARGEST * 2**-12)
    assert not found.vanishes
