"""Raised: where an error of one side comes from, read from its traceback."""

from __future__ import annotations

import re
from dataclasses import dataclass

from matrix import wording
from matrix.capture import Failure

_FRAME = re.compile(r'^\s*File "(?P<file>.+)", line (?P<line>\d+), in (?P<function>\S+)', re.MULTILINE)
_SITE = re.compile(r"^.*?/(?:site|dist)-packages/")


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One line of a traceback.

    Attributes:
        file: Relative to site-packages where it lies there.
        line: Its number.
        function: The function that ran.
    """

    file: str
    line: int
    function: str


@dataclass(frozen=True, kw_only=True)
class Raised:
    """An error that only one side raises.

    Attributes:
        side: `good` or `bad`.
        stage: What was being done.
        message: Type and first line.
        frame: The innermost frame, the innermost of transformers or of remote code where torch or Python raised it.
    """

    side: str
    stage: str
    message: str
    frame: Frame | None


def raised(side: str, failure: Failure) -> Raised:
    """What one side's failure says."""
    return Raised(side=side, stage=failure.stage, message=wording.failure(failure), frame=_frame(failure.traceback))


def _frame(traceback: str) -> Frame | None:
    frames = [
        Frame(file=_SITE.sub("", found["file"]), line=int(found["line"]), function=found["function"])
        for found in _FRAME.finditer(traceback)
    ]
    telling = [frame for frame in frames if "transformers" in frame.file.split("/")[0]]
    telling = telling or [frame for frame in frames if not frame.file.startswith(("torch/", "<"))]
    return next(reversed(telling or frames), None)
