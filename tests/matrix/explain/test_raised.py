from __future__ import annotations

import pytest

from matrix.capture import Failure
from matrix.explain.raised import Frame, raised

SITE = "/x/lib/python3.11/site-packages"


def failure(*frames: str) -> Failure:
    lines = [f'  File "{frame}", line {number}, in forward\n    code()' for number, frame in enumerate(frames, 1)]
    trace = "Traceback (most recent call last):\n" + "\n".join(lines) + "\nTypeError: no"
    return Failure(stage="logits", type="TypeError", message="no\nmore", traceback=trace, transient=False)


@pytest.mark.parametrize(
    ("frames", "told"),
    [
        ([f"{SITE}/torch/nn/module.py", f"{SITE}/transformers/models/llama/modeling_llama.py", f"{SITE}/torch/a.py"],
         Frame(file="transformers/models/llama/modeling_llama.py", line=2, function="forward")),
        (["/home/me/transformers_modules/x/modeling_mine.py", f"{SITE}/torch/functional.py"],
         Frame(file="/home/me/transformers_modules/x/modeling_mine.py", line=1, function="forward")),
        ([f"{SITE}/torch/functional.py"], Frame(file="torch/functional.py", line=1, function="forward")),
        ([], None),
    ],
)  # fmt: skip
def test_the_frame_that_tells_most_is_named(frames: list[str], told: Frame | None) -> None:
    found = raised("bad", failure(*frames))
    assert found.frame == told
    assert (found.side, found.stage, found.message) == ("bad", "logits", "TypeError: no")
