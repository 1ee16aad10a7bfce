"""The founding story on two real releases, and everything that can go wrong on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.project import Project, tiny

pytestmark = [pytest.mark.integration]
RELEASES = ["4.57.6", "5.2.0"]


@pytest.fixture(scope="module")
def story(clone: Project) -> Path:
    cases = {name: tiny(name) for name in ("remote-code-rope", "remote-code-rope-fixed", "llama-tiny", "gpt2-tiny")}
    return clone.spec("story", RELEASES, cases)


def test_the_lost_buffer_is_found_named_and_fails_the_run(clone: Project, story: Path) -> None:
    call = clone.matrix("--spec", str(story))
    assert call.code == 1, call.text
    assert clone.verdicts() == {
        ("remote-code-rope", "5.2.0"): "unstable",
        ("remote-code-rope-fixed", "5.2.0"): "identical",
        ("llama-tiny", "5.2.0"): "identical",
        ("gpt2-tiny", "5.2.0"): "identical",
    }
    found = next(c for c in clone.report()["comparisons"] if c["verdict"] == "unstable")
    assert (found["stage"], found["where"]) == ("buffers", "model.rotary_emb.inv_freq")
    assert found["metrics"]["max_abs"] not in {0, None}
    finding = clone.report()["findings"][0]
    assert (finding["last_good"], finding["first_bad"]) == ("4.57.6", "5.2.0")


def test_nothing_changed_is_not_run_again_and_says_the_same(clone: Project, story: Path) -> None:
    clone.matrix("--spec", str(story))
    before, folder = clone.report(), clone.run_folder()
    start = time.monotonic()
    call = clone.matrix("--spec", str(story))
    assert time.monotonic() - start < 10  # far from the seconds that a single import costs four times over
    assert call.code == 1
    assert clone.report() == before
    assert clone.run_folder() == folder


def test_fresh_captures_have_the_same_bits(clone: Project, story: Path) -> None:
    clone.matrix("--spec", str(story))
    first = clone.run_folder()
    clone.matrix("--spec", str(story), "--fresh", "--run-id", "again")
    second = clone.run_folder()
    assert second.name == "again"
    for path in first.glob("cells/*/[lg]*/*/response.json"):
        old = json.loads(path.read_text())
        new = json.loads((second / path.relative_to(first)).read_text())
        assert new["tensors"] == old["tensors"]
        assert new["cost"] != old["cost"]  # it really ran again


def test_a_release_that_no_file_lists_and_a_checkpoint_of_ones_own(clone: Project, tmp_path: Path) -> None:
    own = tmp_path / "my-checkpoint"
    shutil.copytree(tiny("llama-tiny"), own)
    call = clone.matrix(str(own), "--transformers", "4.57.6", "5.9.0", "--torch", "2.13.0", "--attention", "eager")
    assert call.code == 0, call.text
    assert clone.verdicts() == {("my-checkpoint", "5.9.0"): "identical"}


def test_a_release_that_does_not_exist_is_a_row_and_the_rest_is_kept(clone: Project) -> None:
    spec = clone.spec("absent", ["4.57.6", "5.2.0", "99.0.0"], {"llama-tiny": tiny("llama-tiny")})
    call = clone.matrix("--spec", str(spec))
    assert call.code == 1, call.text
    assert clone.verdicts() == {("llama-tiny", "5.2.0"): "identical", ("llama-tiny", "99.0.0"): "missing"}
    failed = next(cell for cell in clone.report()["cells"] if cell["axes"]["transformers"] == "99.0.0")
    assert failed["status"] == "env_failed"
    assert "99.0.0" in failed["reason"]
    assert "Traceback" not in call.text


def test_nothing_usable_has_an_exit_code_of_its_own(clone: Project) -> None:
    spec = clone.spec("nothing", ["4.57.6"], {"llama-tiny": tiny("llama-tiny")})
    call = clone.matrix("--spec", str(spec), "--transformers", "99.0.0", "99.0.1")
    assert call.code == 3, call.text
    assert "Traceback" not in call.text


def test_a_model_that_takes_the_interpreter_down_loses_only_itself(clone: Project, tmp_path: Path) -> None:
    crashing, hanging, leaving = tmp_path / "crashing", tmp_path / "hanging", tmp_path / "leaving"
    lines = ("import os; os.kill(os.getpid(), 11)", "import time; time.sleep(600)", "import os; os._exit(0)")
    for folder, line in zip((crashing, hanging, leaving), lines, strict=True):
        shutil.copytree(tiny("remote-code-rope-fixed"), folder)
        code = folder / "modeling_minnow.py"
        code.write_text(code.read_text() + f"\n{line}\n")
    cases = {"crashing": crashing, "hanging": hanging, "leaving": leaving, "after": tiny("llama-tiny")}
    spec = clone.spec("crash", RELEASES, cases)
    spec.write_text(spec.read_text().replace("timeout = 120", "timeout = 12"))
    call = clone.matrix("--spec", str(spec))
    assert call.code == 1, call.text
    cell = json.loads(next(clone.run_folder().glob("cells/*5.2.0*/cell.json")).read_text())
    assert {job["id"].split("/")[0]: job["status"] for job in cell["jobs"]} == {
        "crashing": "crashed",
        "hanging": "timed_out",
        "leaving": "crashed",
        "after": "captured",
    }
    assert clone.verdicts()["after", "5.2.0"] == "identical"


def test_a_guard_that_only_sees_nan_does_not_hide_uninitialised_memory(clone: Project, tmp_path: Path) -> None:
    guarded = tmp_path / "guarded"
    shutil.copytree(tiny("remote-code-rope-fixed"), guarded)
    code = guarded / "modeling_minnow.py"
    text = code.read_text()
    line = next(line for line in text.splitlines() if "inv_freq" in line and "copy_" in line)
    indent = line[: len(line) - len(line.lstrip())]
    guard = f"{indent}if not torch.isfinite(module.inv_freq).all():\n    {line}"
    code.write_text(text.replace(line, guard))
    clone.matrix("--spec", str(clone.spec("guarded", RELEASES, {"guarded": guarded})))
    assert clone.verdicts() == {("guarded", "5.2.0"): "unstable"}


def test_what_remote_code_does_to_the_process_touches_no_other_case(clone: Project, tmp_path: Path) -> None:
    patching = tmp_path / "patching"
    shutil.copytree(tiny("remote-code-rope-fixed"), patching)
    code = patching / "modeling_minnow.py"
    patch = """
import transformers
from transformers.models.llama import modeling_llama
if transformers.__version__.startswith("5"):
    modeling_llama.LlamaRMSNorm.forward = lambda self, hidden: hidden
"""
    code.write_text(code.read_text() + patch)
    spec = clone.spec("patching", RELEASES, {"patching": patching, "llama": tiny("llama-tiny")})
    spec.write_text(spec.read_text().replace("[[3, 17", "[[5, 17"))
    clone.matrix("--spec", str(spec))
    assert set(clone.verdicts().values()) == {"identical"}


def test_a_killed_run_continues_where_it_stopped(clone: Project) -> None:
    spec = clone.spec("killed", RELEASES, {f"llama-{i}": tiny("llama-tiny") for i in range(3)})
    spec.write_text(spec.read_text().replace("[[3, 17", "[[4, 17"))  # inputs that no other test has captured
    command = [sys.executable, "-m", "nox", "-s", "matrix", "--", "--spec", str(spec), "--run-id", "killed"]
    process = subprocess.Popen(
        command, cwd=clone.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    events = clone.folder / ".matrix" / "runs" / "killed" / "cells"
    deadline = time.monotonic() + 120
    while (
        not any('"end"' in path.read_text() for path in events.glob("*/events.jsonl")) and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    call = clone.matrix("--spec", str(spec), "--run-id", "killed")
    assert call.code == 0, call.text
    assert set(clone.verdicts().values()) == {"identical"}


def test_the_probe_sees_neither_the_repository_nor_tokens(clone: Project, tmp_path: Path) -> None:
    curious = tmp_path / "curious"
    shutil.copytree(tiny("remote-code-rope-fixed"), curious)
    code = curious / "modeling_minnow.py"
    spying = f"""
import importlib.util, os, sys
seen = [name for name in ("matrix", "reports", "probes", "harness", "noxfile") if importlib.util.find_spec(name)]
seen += [path for path in sys.path if path.startswith({str(clone.folder)!r}) and ".nox" not in path]
seen += [name for name in os.environ if name in ("HF_TOKEN", "GITHUB_TOKEN", "MY_SECRET", "PYTHONPATH")]
seen += [] if os.environ["HOME"] != {str(Path.home())!r} else ["HOME"]
if seen:
    raise RuntimeError(f"the probe sees {{seen}}")
"""
    code.write_text(code.read_text() + spying)
    spec = clone.spec("curious", RELEASES, {"curious": curious})
    call = clone.matrix(
        "--spec",
        str(spec),
        environ={"HF_TOKEN": "hf_x", "GITHUB_TOKEN": "x", "MY_SECRET": "x", "PYTHONPATH": str(clone.folder)},
    )
    assert call.code == 0, call.text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--spec", "nowhere.toml"], "cannot be read"),
        (["--case", "no-such-case"], "no such case"),
        (["./no-such-folder"], "does not exist"),
        (["--transformers", "latest-ish"], "not a release"),
        (["--shard", "3/2"], "not I/N"),
        (["--unknown-option"], "unrecognized arguments"),
    ],
)
def test_a_wrong_request_gets_a_clear_message_and_its_own_exit_code(
    clone: Project, arguments: list[str], said: str
) -> None:
    call = clone.matrix(*arguments)
    assert call.code == 2
    assert said in call.text
    assert "Traceback" not in call.text
