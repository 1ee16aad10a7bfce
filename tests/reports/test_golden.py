"""A stored run renders to the same bytes as when somebody last read them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from matrix import run as runs
from matrix.verdicts import Verdicts, judge_run
from reports import formats
from tests.reports.conftest import GOLDEN, Copy

REGENERATE = bool(os.environ.get("REGENERATE_GOLDEN"))


@pytest.mark.parametrize("name", ["markdown", "json"])
def test_the_golden_run_renders_byte_for_byte(golden: Verdicts, name: str) -> None:
    module = formats.load(name)
    path = GOLDEN / module.FILE
    rendered = module.render(golden)
    if REGENERATE:
        path.write_text(rendered, encoding="utf-8")
    assert rendered == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", formats.names())
def test_judging_and_rendering_twice_gives_the_same_bytes(golden: Verdicts, name: str) -> None:
    module = formats.load(name)
    assert module.render(golden) == module.render(judge_run(runs.read(GOLDEN / "run")))


def test_report_json_keeps_the_keys_that_scripts_rely_on(golden: Verdicts) -> None:
    content = json.loads(formats.load("json").render(golden))
    assert content["schema"] == 1
    assert {"id", "started", "host", "spec_sha256", "command"} <= content["run"].keys()
    assert {"id", "axes", "status", "reason"} <= content["cells"][0].keys()
    unstable = next(c for c in content["comparisons"] if c["verdict"] == "unstable")
    assert (unstable["stage"], unstable["where"], unstable["known"]) == ("buffers", "model.rotary_emb.inv_freq", True)
    assert {"dtype", "attention", "device", "threads"} <= unstable["variant"].keys()
    assert {"max_abs", "l2_rel", "cosine", "kl_max", "argmax_agreement"} <= unstable["metrics"].keys()
    drift = next(c for c in content["comparisons"] if c["verdict"] == "drift")
    assert drift["same_ids"]["verdict"] == "identical"
    assert drift["metrics"]["max_abs_at"][1] == -1
    identical = next(c for c in content["comparisons"] if c["verdict"] == "identical")
    assert (identical["metrics"]["max_abs"], identical["metrics"]["cosine"]) == (0, 1)
    within = next(c for c in content["within"] if c["verdict"] == "drift")
    assert (within["option"], within["against"]["attention"], within["variant"]["attention"]) == (
        "attention",
        "eager",
        "sdpa",
    )
    assert within["baseline"] == within["candidate"]
    assert {*drift} | {"option", "against"} == {*within}
    assert {"centred_l2_rel", "mutual_top5", "perplexity", "flips", "ties"} <= identical["metrics"].keys()
    assert within["metrics"]["flips"][0].keys() >= {"position", "baseline_id", "candidate_id", "margin", "gap", "tie"}
    assert within["metrics"]["noise_floor_excluded"].keys() == {"sdpa"}
    assert {"case", "variant", "axis", "last_good", "first_bad", "sentence"} <= content["findings"][0].keys()
    assert [known["case"] for known in content["stale_known"]] == ["llama-tiny"]


def test_report_json_has_no_number_that_json_lacks(golden: Verdicts) -> None:
    def refuse(name: str) -> None:
        pytest.fail(f"{name} is no JSON")

    content = json.loads(formats.load("json").render(golden), parse_constant=refuse)
    assert "inf" in {comparison["metrics"].get("max_abs") for comparison in content["comparisons"]}


def test_the_terminal_fits_80_columns_however_many_cells_there_are(copy: Copy) -> None:
    values = [f"4.{minor}.0" for minor in range(30, 48)] + ["4.57.6", "5.2.0", "5.23.0"]
    copy.spec(lambda spec: spec["axes"]["transformers"].update(values=values))
    text = formats.load("terminal").render(copy.judge())
    assert max(map(len, text.splitlines())) <= 80
    assert all(value in text for value in values)


def test_the_golden_run_names_no_machine() -> None:
    for path in (GOLDEN / "run").rglob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert str(Path.home()) not in text or str(Path.home()) == "/"
        assert ".matrix/" not in text
