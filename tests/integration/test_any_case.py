"""Cases of every kind, on two real releases: what goes in, what comes out, and what of it is compared."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.project import Project, tiny

pytestmark = [pytest.mark.integration]
HERE = Path(__file__).parent
POOLED = """
import transformers
_forward = MinnowForCausalLM.forward


def forward(self, *arguments, **options):
    outputs = _forward(self, *arguments, **options)
    outputs["pooled"] = outputs.logits.mean(dim=1) * (2 if transformers.__version__.startswith("5") else 1)
    return outputs


MinnowForCausalLM.forward = forward
"""
OUTPUTS = {
    "chat": ["logits", "loss"],
    "encoder": ["last_hidden_state", "pooler_output"],
    "masked-lm": ["logits", "loss"],
    "classifier": ["logits", "loss"],
    "seq2seq": ["logits", "encoder_last_hidden_state", "loss"],
    "image": ["logits"],
    "larger-image": ["logits", "loss"],
    "backbone": ["feature_maps.0", "feature_maps.1"],
    "clip": ["logits_per_image", "logits_per_text", "text_embeds", "image_embeds"],
    "ctc": ["logits", "loss"],
    "speech": ["logits", "encoder_last_hidden_state"],
    "image-and-text": ["logits", "image_hidden_states"],
    "another-pooler": ["logits", "pooled"],
}


@pytest.fixture(scope="module")
def report(clone: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One run over all kinds, whose checkpoints the older cell writes."""
    folder = tmp_path_factory.mktemp("kinds")
    clone.matrix("--spec", str(clone.spec("built", ["4.57.6", "5.2.0"], {"llama-tiny": tiny("llama-tiny")})))
    python = clone.folder / ".nox" / "cell-transformers-4-57-6_torch-2-13-0" / "bin" / "python"
    command = [python, "-I", HERE / "kinds_in_cell.py", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shutil.copytree(tiny("remote-code-rope-fixed"), folder / "pooling")
    with (folder / "pooling" / "modeling_minnow.py").open("a", encoding="utf-8") as code:
        code.write(POOLED)
    spec = Path(shutil.copy(HERE / "kinds.toml", folder))
    call = clone.matrix("--spec", str(spec))
    assert call.code == 1, call.text
    return clone.report()


def test_every_kind_is_the_same_but_for_the_planted_output(report: dict[str, Any]) -> None:
    found = {(one["case"], one["variant"]["cache"]): one for one in report["comparisons"]}
    changed, rounded = found.pop(("another-pooler", "default")), found.pop(("encoder", "default"))
    assert (changed["verdict"], changed["stage"], changed["where"]) == ("drift", "logits", "pooled")
    # 4.57.6 divides BERT's eager scores by a root, 5.2.0 multiplies them by its inverse
    assert (rounded["verdict"], rounded["stage"], rounded["where"]) == ("noise", "logits", "last_hidden_state")
    assert changed["metrics"]["kl_max"] is rounded["metrics"]["kl_max"] is None
    assert {name: one["summary"] for name, one in found.items() if one["verdict"] != "identical"} == {}
    assert len(found) == len(OUTPUTS) - 1  # the chat twice


def test_every_output_is_captured_by_its_name(clone: Project, report: dict[str, Any]) -> None:
    assert report["run"]["id"] == clone.run_folder().name
    for name, outputs in OUTPUTS.items():
        found = _response(clone, name)
        assert [found.get("output", "logits"), *found["further"]] == outputs
        assert ["logits", *(f"output/{output}" for output in outputs[1:])] == [
            tensor for tensor in found["tensors"] if not tensor.startswith("buffer/")
        ]


def test_a_chat_is_padded_on_its_side_and_continued_alike_with_and_without_a_cache(
    clone: Project, report: dict[str, Any]
) -> None:
    tokens = _response(clone, "chat", "cache-on")["tokens"]
    short, long = tokens["attention_mask"]
    assert (short[0], short[-1], len(short)) == (0, 1, len(long))
    assert tokens["input_ids"][1][-2:] == [4, 5]  # assistant, colon: its turn
    assert {(one["option"], one["verdict"]) for one in report["within"]} == {("cache", "identical")}
    assert _response(clone, "chat", "cache-on")["generated"] == _response(clone, "chat", "cache-off")["generated"]


def _response(clone: Project, case: str, cache: str = "") -> dict[str, Any]:
    """The older cell's capture of a case, under the variant of that cache where there are two."""
    folders = sorted(clone.run_folder().glob(f"cells/*4.57.6*/{case}/*{cache}/response.json"))
    path = next(path for path in folders if "@" not in path.parent.name)
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
