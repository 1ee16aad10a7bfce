"""Tokenizers on real releases: the same ids where nothing changed, and what 5.x makes of a Llama tokenizer's files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from matrix.state import ROOT
from tests.integration.project import Project

pytestmark = [pytest.mark.integration]

MODELS = ROOT / "tests" / "corpus" / "models"
RELEASES = ["4.57.6", "5.2.0"]
_SPEC = """schema = 1
baseline = {{ transformers = "4.57.6" }}
[axes.transformers]
values = {releases}
[axes.torch]
values = ["2.13.0"]
[variants]
attention = ["eager", "sdpa"]
{cases}
"""
_CASE = """
[[case]]
name = "{name}"
tokenizer = "{path}"
probe = "tokenizer"
text = ["Own text"]
"""


@pytest.fixture(scope="module")
def spec(clone: Project) -> Path:
    """A vocabulary file alone, and what a release wrote: no weights, no config."""
    pieces = clone.folder / "pieces"
    pieces.mkdir(exist_ok=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "##s", "own", "text", "i", "'", "m"]
    (pieces / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    (pieces / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}', encoding="utf-8")
    found = {"gpt2": MODELS / "native-tok-gpt2", "llama": MODELS / "native-tok-llama-eos", "pieces": pieces}
    cases = "".join(_CASE.format(name=name, path=path) for name, path in found.items())
    path = clone.folder / "tokenizers.toml"
    path.write_text(_SPEC.format(releases=json.dumps(RELEASES), cases=cases), encoding="utf-8")
    return path


def test_tokenizers_have_one_verdict_each_and_the_first_thing_that_differs(clone: Project, spec: Path) -> None:
    call = clone.matrix("--spec", str(spec))
    assert call.code == 1, call.text
    found = {
        entry["case"]: (entry["verdict"], entry["stage"], entry["where"]) for entry in clone.report()["comparisons"]
    }
    assert found == {
        "gpt2": ("identical", None, None),
        "llama": ("drift", "tokens", 'ids of "leading-space"'),
        # 4.57.6 lower-cases unless it is told not to, 5.2.0 does not
        "pieces": ("drift", "tokens", 'ids of "word"'),
    }
    metrics = next(entry["metrics"] for entry in clone.report()["comparisons"] if entry["case"] == "llama")
    assert 0 < metrics["differing"] < metrics["items"]
    capture = next(clone.run_folder().glob("cells/*/gpt2/tokenizer/response.json"))
    names = {item["name"] for item in json.loads(capture.read_text())["tokenizer"]["items"]}
    assert {"nfd", "text[0]", "<|endoftext|> glued"} <= names
