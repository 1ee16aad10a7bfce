"""Numbers as text that never lies about equality: what differs never prints as equal, what is not whole never as whole.

No function here rounds a difference to 0, a similarity to 1 or a share to 100 %.
"""

from __future__ import annotations

import contextlib
import math
import struct

ABSENT = "—"
"""What stands where there is no number."""

_FLOAT32_DIGITS = 9
"""So many significant digits tell any two float32 values apart (IEEE 754-2008, 5.12.2)."""

_CLOSE = 1e-3
"""A cosine nearer to 1 than this is written as its distance from 1."""


def element(text: str, dtype: str) -> str:
    """One element of a tensor, as Python wrote it, in the fewest digits that no other value of its dtype shares.

    Args:
        text: `repr` of the value as a Python float, int or bool.
        dtype: torch's name of the tensor's dtype.
    """
    if dtype == "float64" or not dtype.startswith(("float", "bfloat")):
        return text
    value = float(text)
    if not math.isfinite(value):
        return text
    shapes = (f"{value:.{digits}g}" for digits in range(1, _FLOAT32_DIGITS))
    return next((short for short in shapes if _float32(float(short)) == value), f"{value:.{_FLOAT32_DIGITS}g}")


def size(value: float | None) -> str:
    """A difference, a divergence or a logit in three significant digits; exact where it is a whole number."""
    if value is None:
        return ABSENT
    return str(value) if isinstance(value, int) else f"{value:.3g}"


def pair(baseline: float | None, candidate: float | None) -> tuple[str, str]:
    """Two values in as few digits as tell them apart, three at least."""
    if baseline is None or candidate is None or isinstance(baseline, int) or isinstance(candidate, int):
        return size(baseline), size(candidate)
    for digits in range(3, 18):
        a, b = f"{baseline:.{digits}g}", f"{candidate:.{digits}g}"
        if a != b:
            return a, b
    return repr(baseline), repr(candidate)


def cosine(value: float, one_minus: float) -> str:
    """A cosine similarity; near 1 as `1 - 3.1e-12`, because only a true 1 may read 1.

    Args:
        value: The similarity.
        one_minus: 1 - similarity, computed without cancellation.
    """
    if one_minus == 0:
        return "1"
    return f"1 - {one_minus:.2g}" if one_minus < _CLOSE else f"{value:.3g}"


def share(part: float) -> str:
    """A share from 0 to 1 in percent; only nothing reads 0 % and only everything reads 100 %."""
    if part in {0.0, 1.0}:
        return f"{part:.0%}"
    text = f"{part:.1%}".replace(".0%", "%")
    return {"0%": "under 0.1%", "100%": "over 99.9%"}.get(text, text)


def growth(exponent: float) -> str:
    """How much exp(`exponent`) is above 1, such as `+1.6 %`; only no growth at all reads as none."""
    if exponent == 0:
        return "the same"
    try:
        percent = math.expm1(exponent) * 100
    except OverflowError:
        percent = math.inf
    return f"{percent:+.3g} %" if percent > -99.9 else "below -99.9 %"  # noqa: PLR2004 - what is left is never 0


def against(value: float, limit: float, *, within: bool) -> str:
    """A value beside the limit that it keeps or breaks, such as `0.92 (≤ 2)`, in digits that tell the two apart."""
    shown = size(value) if value == limit else pair(value, limit)[0]
    return f"{shown} ({'≤' if within else 'over'} {size(limit)})"


def _float32(value: float) -> float:
    with contextlib.suppress(OverflowError):
        return float(struct.unpack("f", struct.pack("f", value))[0])
    return math.inf
