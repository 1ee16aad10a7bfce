"""One architecture with two inputs in several releases, whose captures are written by hand, judged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matrix.verdicts import Verdicts, judge_run
from tests.matrix.builders import LOGITS, RunFolder, moved, small_spec, tensor

ONE, PADDED = "x.causal-lm.one", "x.causal-lm.padded"
SHORTER: dict[str, Any] = {"logits": LOGITS[:, :2]}
"""Logits of another shape: drift, for which no closer look is asked."""

OTHER: dict[str, Any] = {"parameters": [tensor("model.weight", [7.0])], "logits": moved(1.0)}
"""A parameter with other values: likewise."""

RELEASES = ("1.0", "2.0", "3.0")
TORCH = "9.0"

Facts = Mapping[str, Any] | None
"""What a capture holds that others do not; None where the probe failed."""


def judged(
    folder: Path,
    seen: Mapping[tuple[str, ...], Facts],
    *,
    releases: tuple[str, ...] = RELEASES,
    baseline: str = "1.0",
    torch: tuple[str, ...] = (TORCH,),
    **spec: Any,  # noqa: ANN401 - as in TOML
) -> Verdicts:
    """Judge every release against one of them.

    Args:
        folder: Where the run goes.
        seen: (case, release) or (case, release, torch) → what is unlike the rest.
        releases: Oldest first.
        baseline: The release that counts as right, with the first torch.
        torch: The values of the other axis.
        spec: Further keys of the spec.
    """
    cases = [{"name": name, "checkpoint": "x", "input_ids": [[5]]} for name in (PADDED, ONE)]
    axes = {"transformers": {"values": list(releases)}, "torch": {"values": list(torch)}}
    start = {"transformers": baseline, "torch": torch[0]}
    made = RunFolder(folder, small_spec(**{"case": cases, "axes": axes, "baseline": start, **spec}))
    for release in releases:
        for build in torch:
            for case in (PADDED, ONE):
                facts = seen.get((case, release, build), seen.get((case, release), {}))
                job = f"{case}/float32-eager"
                if facts is None:
                    made.failed(release, build, job=job)
                else:
                    made.capture(release, build, job=job, **facts)
    return judge_run(made.run)
