"""The script: whole, plain Python that says what it is, and trusted only after it has run."""

from __future__ import annotations

import ast
import dataclasses
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from matrix.case import Case, Variant
from matrix.explain.script import offer, reproducer, trim
from matrix.explain.script.offer import Attempt, Seen
from matrix.explain.script.reproducer import Seed, Subject

CASE = Case(name="tiny", checkpoint="tiny", generate=4)
SUBJECT = Subject(
    axis="transformers",
    good="1.0",
    bad="2.0",
    alike=("torch==2.13.0",),
    python="3.12",
    stage="logits",
    case=CASE,
    variant=Variant(attention="eager"),
)
INPUTS = {"input_ids": [[3, 4]]}
SEED = Seed(config={"vocab_size": 8, "act": None}, weights={"w": (8, 2)}, files={"a.py": "x = 1\n"})


def _script(inputs: Any = None, seed: Seed | None = SEED, **changes: Any) -> str:  # noqa: ANN401
    return reproducer.script(dataclasses.replace(SUBJECT, **changes), inputs or INPUTS, seed, "Said.")


def _globals(text: str) -> dict[str, Any]:
    """The script's constants."""
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


def _functions(text: str) -> dict[str, str]:
    return {node.name: ast.unparse(node) for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("stage", ["load", "tokens", "logits", "generation"])
@pytest.mark.parametrize("seed", [SEED, None], ids=["made up", "own checkpoint"])
@pytest.mark.parametrize("gguf", [True, False], ids=["gguf", "folder"])
def test_every_kind_of_script_is_python_without_leftovers(stage: str, seed: Seed | None, *, gguf: bool) -> None:
    text = _script(seed=seed, stage=stage, gguf=gguf, poisoned=True)
    compile(text, "repro.py", "exec")
    assert not [line for line in text.splitlines() if line.startswith(("#if", "#end", "#core"))]
    assert "$" not in text
    assert "\n\n\n\n" not in text
    assert {"here", "inside", "load", "look", "main"} <= _functions(text).keys()


def test_the_constants_are_what_was_given() -> None:
    config = {"name": 'a "quoted" é', "list": list(range(90)), "nested": {"on": True, "off": None}, "eps": 1e-6}
    files = {"a.py": "x = '''\\n'''\n", "b.py": 'y = """z"""', "c.py": "'''and\"\"\""}
    found = _globals(_script(seed=Seed(config=config, weights={"w": (8, 2)}, files=files)))
    assert found["CONFIG"] == config
    assert found["WEIGHTS"] == {"w": [8, 2]}
    assert found["FILES"] == files
    assert found["INPUTS"] == INPUTS
    assert found["ALIKE"] == ["torch==2.13.0"]


def test_what_was_measured_is_what_is_printed() -> None:
    core, text = _functions(reproducer.core(SUBJECT, INPUTS)), _functions(_script())
    assert core.keys() == {"numbers", "write_checkpoint", "load", "look"}
    assert core == {name: text[name] for name in core}


def test_options_are_passed_only_where_the_case_has_them() -> None:
    plain = _functions(_script(variant=Variant(dtype="default", attention="default")))["load"]
    assert "from_pretrained(folder)" in plain
    assert "dtype" not in plain
    case = dataclasses.replace(CASE, trust_remote_code=True, load={"revision": "main"})
    full = _functions(_script(case=case))["load"]
    assert "trust_remote_code=True, attn_implementation='eager', revision='main', **dtype" in full


def test_memory_is_poisoned_only_where_that_is_the_question() -> None:
    assert "fill_uninitialized_memory" not in _script()
    assert "fill_uninitialized_memory = True" in _script(poisoned=True)


def test_rows_of_padding_are_left_out() -> None:
    assert "attention_mask" not in _script()
    assert "inputs['attention_mask'].bool()" in _functions(_script({**INPUTS, "attention_mask": [[0, 1]]}))["look"]


@pytest.mark.parametrize(
    ("changes", "call"),
    [
        ({}, "model(**inputs)[0]"),
        ({"output": "pooler_output"}, "model(**inputs).pooler_output"),
        ({"output": "feature_maps.1"}, "model(**inputs).feature_maps[1]"),
        ({"variant": Variant(cache="off")}, "model(**inputs, use_cache=False)[0]"),
        (
            {"case": dataclasses.replace(CASE, forward={"interpolate_pos_encoding": True})},
            "model(**inputs, interpolate_pos_encoding=True)[0]",
        ),
    ],
)
def test_the_forward_is_called_and_read_as_the_case_says(changes: dict[str, Any], call: str) -> None:
    assert call in _functions(_script(**changes))["look"]


def test_rows_are_left_out_only_where_the_mask_speaks_of_the_output() -> None:
    inputs = {**INPUTS, "attention_mask": [[0, 1]]}
    assert "attention_mask" not in _functions(_script(inputs, masked=False))["look"]


def test_the_parent_needs_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "repro.py"
    path.write_text(_script(axis="tokenizers"), encoding="utf-8")
    done = subprocess.run([sys.executable, "-I", path, "--help"], capture_output=True, text=True, check=True)
    assert "--tokenizers V" in done.stdout
    assert "--checkpoint" not in done.stdout


def test_without_a_seed_the_script_wants_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "repro.py"
    path.write_text(_script(seed=None), encoding="utf-8")
    done = subprocess.run([sys.executable, "-I", path, "--here"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    commands = offer.commands(SUBJECT, needs_checkpoint=True)
    assert all("--checkpoint tiny" in command for command in commands)


SAYS = """import json, os, sys
print("said", os.environ.get("SECRET"))
open(sys.argv[sys.argv.index("--save") + 1], "w").write(json.dumps({seen}))
"""


def test_a_script_is_run_without_the_persons_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "token")
    text = SAYS.replace("{seen}", '{"values": [1, float("nan")], "error": None, "digest": "d"}')
    seen = offer.execute(text, {"good": Path(sys.executable)}, tmp_path)["good"]
    assert (seen.printed, seen.digest, seen.error) == ("said None", "d", None)
    assert math.isnan(seen.values[1])


def test_a_script_that_breaks_down_shows_nothing(tmp_path: Path) -> None:
    seen = offer.execute("raise SystemExit('no such thing')", {"good": Path(sys.executable)}, tmp_path)["good"]
    assert (seen.digest, seen.printed) == ("", "no such thing")
    assert not offer.shows(Seen(printed="", digest="a"), seen)
    assert not offer.shows(seen, Seen(printed="", digest="a"))


def test_a_script_that_never_ends_shows_nothing(tmp_path: Path) -> None:
    text = "import time\ntime.sleep(60)"
    seen = offer.execute(text, {"good": Path(sys.executable)}, tmp_path, timeout=0.5)["good"]
    assert (seen.digest, seen.printed) == ("", "nothing within 0.5 seconds")


@pytest.mark.parametrize(
    ("good", "bad", "error", "shown"),
    [
        pytest.param({"digest": "a"}, {"digest": "a"}, None, False, id="the same"),
        pytest.param({"digest": "a"}, {"digest": "b"}, None, True, id="other values"),
        pytest.param({"digest": "a"}, {"digest": "b", "error": "KeyError: x"}, "KeyError", True, id="the error"),
        pytest.param({"digest": "a"}, {"digest": "b", "error": "OSError: x"}, "KeyError", False, id="another error"),
        pytest.param({"digest": "a"}, {"digest": "b", "error": "OSError: x"}, None, False, id="an unknown error"),
        pytest.param({"digest": "a"}, {"digest": "b"}, "KeyError", False, id="no error"),
        pytest.param({"digest": "a", "error": "KeyError: x"}, {"digest": "b"}, None, False, id="the good side raises"),
    ],
)
def test_only_the_difference_that_was_looked_for_counts(
    good: dict[str, Any], bad: dict[str, Any], error: str | None, *, shown: bool
) -> None:
    assert offer.shows(Seen(printed="", **good), Seen(printed="", **bad), error) is shown


def test_nothing_is_offered_that_did_not_show_it(tmp_path: Path) -> None:
    # this interpreter has no torch: the script breaks down under both sides
    attempt = Attempt(inputs=INPUTS, seed=SEED, reduced="Said.")
    interpreters = (Path(sys.executable), Path(sys.executable))
    assert offer.offer(SUBJECT, [attempt], interpreters, tmp_path, checkpoint=tmp_path) is None


CODE = '''# a comment
"""A module."""

import torch  # noqa: X


class Layer:
    """A layer."""

    size = 3  # of it

    def __init__(self):
        """Start."""
        self.text = """# no comment

        of two lines"""

    @torch.no_grad()
    def dead(self):
        return 1

    def _init_weights(self, module):
        pass


def used(x):
    # words
    return x
'''


def test_code_loses_its_words_and_what_never_ran() -> None:
    lines = CODE.splitlines()
    called = frozenset(lines.index(line) + 1 for line in ("    def __init__(self):", "def used(x):"))
    found = trim.trimmed({"a.py": CODE, "b.json": "# kept"}, {"a.py": called})
    assert found["b.json"] == "# kept"
    assert (
        found["a.py"]
        == '''import torch


class Layer:
    size = 3

    def __init__(self):
        self.text = """# no comment

        of two lines"""

    def _init_weights(self, module):
        pass


def used(x):
    return x
'''
    )


def test_code_that_nothing_was_called_of_keeps_its_functions() -> None:
    assert "def dead" in trim.trimmed({"a.py": CODE}, {})["a.py"]
    assert trim.trimmed({"a.py": "def broken("}, {})["a.py"] == "def broken("


def test_what_either_side_called_stays() -> None:
    assert trim.union({"a.py": [1]}, {"a.py": [2], "b.py": [3]}) == {"a.py": {1, 2}, "b.py": {3}}
