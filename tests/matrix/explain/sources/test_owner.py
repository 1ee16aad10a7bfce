"""Who should hear of a difference, and who else can mend it."""

from __future__ import annotations

from typing import Any

import pytest

from matrix.explain.anatomy import ModuleFacts
from matrix.explain.sources.owner import THE_MODEL, Trail, owner

OLD = {"transformers": "4.57.6", "torch": "2.13.0", "tokenizers": "0.22.1", "safetensors": "0.6.0"}
NEW = {**OLD, "transformers": "5.2.0"}
LLAMA = "transformers/models/llama/modeling_llama.py"


def _module(class_name: str = "LlamaRotaryEmbedding", file: str = LLAMA, line: int = 73) -> ModuleFacts:
    module = file.removesuffix(".py").replace("/", ".").lstrip(".")
    return ModuleFacts(name="m", class_name=class_name, python_module=module, file=file, line=line, scalars={})


REMOTE = _module("MinnowRotary", "transformers_modules/minnow/modeling_minnow.py", 12)


def _trail(**facts: Any) -> Trail:  # noqa: ANN401 - the fields of a trail
    return Trail(**{"axis": "transformers", "good": OLD, "bad": NEW, "module": _module(), **facts})


def test_a_native_class_is_transformers_own() -> None:
    found = owner(_trail(stage="logits", part="output"))
    assert found.project == "transformers"
    assert found.report.startswith("https://github.com/huggingface/transformers/issues/new")
    assert found.why == "LlamaRotaryEmbedding in src/transformers/models/llama/modeling_llama.py is transformers' own"
    assert found.evidence == "src/transformers/models/llama/modeling_llama.py:73"
    assert found.also == ()


def test_native_code_that_is_the_same_calls_something_that_is_not() -> None:
    assert "look at what it calls" in owner(_trail(stage="logits", same_code=True)).why


def test_a_native_class_whose_state_is_lost_names_init_weights_and_the_loader() -> None:
    place = "src/transformers/modeling_utils.py:4460"
    found = owner(
        _trail(
            stage="buffers",
            part="tensor",
            name="model.rotary_emb.inv_freq",
            unwritten=True,
            loading=(place, "PreTrainedModel._move_missing_keys_from_meta_to_device"),
        )
    )
    assert found.project == "transformers"
    assert "`_init_weights` of its model has to fill model.rotary_emb.inv_freq" in found.why
    assert "_move_missing_keys_from_meta_to_device changed" in found.why
    assert found.evidence == place
    assert owner(_trail(stage="buffers")).evidence.endswith(":73")


def test_a_config_value_is_for_the_config_class_that_changed() -> None:
    place = "src/transformers/models/llama/configuration_llama.py:25"
    known = {"stage": "buffers", "part": "config", "name": "rope_theta", "values": (10000.0, 500000.0)}
    found = owner(_trail(**known, configured=("LlamaConfig", place)))
    assert found.why == "LlamaConfig changed, and the config value rope_theta is 500000.0 instead of 10000.0"
    assert found.evidence == place
    assert owner(_trail(**known)).why == "the config value rope_theta is 500000.0 instead of 10000.0"


@pytest.mark.parametrize("part", ["dtype", "attention"])
@pytest.mark.parametrize("module", [_module(), REMOTE])
def test_what_a_load_takes_by_default_is_transformers_decision(part: str, module: ModuleFacts) -> None:
    found = owner(_trail(stage="parameters", part=part, module=module, values=("float32", "bfloat16")))
    if part == "dtype":
        assert (found.project, found.evidence) == ("transformers", "")
        assert found.why == "it decides on the dtype, which is bfloat16 instead of float32"
    assert "_init_weights" not in found.why


def test_an_attribute_says_what_it_is_on_both_sides() -> None:
    found = owner(_trail(stage="logits", part="scalar", name="norm.eps", values=(1e-6, 1e-5)))
    assert found.why.endswith("is transformers' own, and norm.eps is 1e-05 instead of 1e-06")


@pytest.mark.parametrize("module", [_module(), REMOTE])
def test_state_that_was_written_lacks_no_init_weights(module: ModuleFacts) -> None:
    found = owner(_trail(stage="parameters", part="tensor", name="lm_head.weight", module=module))
    assert all("_init_weights" not in one.why for one in (found, *found.also))
    assert "lm_head.weight is not the same after loading" in found.why


def test_a_parameter_that_one_side_lacks_is_not_lost_by_loading() -> None:
    found = owner(_trail(stage="parameters", part="tensor", name="o.bias and 1 more", module=REMOTE, one_sided=True))
    assert found.project == THE_MODEL
    assert found.why == "MinnowRotary is the model's own code, and o.bias and 1 more are only there on one side"


@pytest.mark.parametrize(("part", "unwritten"), [("output", False), ("tensor", True)])
def test_torchs_own_class_is_not_transformers(part: str, *, unwritten: bool) -> None:
    linear = _module("Linear", "torch/nn/modules/linear.py")
    found = owner(_trail(stage="parameters", part=part, name="q_proj.bias", module=linear, unwritten=unwritten))
    assert (found.project, found.evidence) == ("transformers", "")
    assert found.why.startswith("Linear is torch's")


def test_without_a_module_the_release_is_what_differs() -> None:
    assert owner(_trail(module=None, stage="logits")).project == "transformers"


def test_remote_code_is_for_the_models_repository() -> None:
    found = owner(_trail(module=REMOTE, stage="logits", repository="org/minnow"))
    assert found.project == THE_MODEL
    assert found.report == "org/minnow, the repository that modeling_minnow.py comes from"
    assert found.evidence == "modeling_minnow.py:12"
    assert found.also == ()


def test_remote_code_whose_buffer_is_lost_is_for_both() -> None:
    loading = ("src/transformers/modeling_utils.py:4460", "PreTrainedModel._move_missing_keys_from_meta_to_device")
    found = owner(_trail(module=REMOTE, part="tensor", name="rotary.inv_freq", unwritten=True, loading=loading))
    assert found.project == THE_MODEL
    assert "`_init_weights` that computes rotary.inv_freq again would mend it" in found.why
    assert [(other.project, other.evidence) for other in found.also] == [("transformers", loading[0])]
    assert found.also[0].why == f"{loading[1]} changed, and leaves it unwritten"


def test_remote_state_without_a_known_loader_still_names_transformers() -> None:
    found = owner(_trail(module=REMOTE, stage="parameters"))
    assert [other.project for other in found.also] == ["transformers"]


@pytest.mark.parametrize("file", [LLAMA, "torch/nn/modules/linear.py"])
def test_what_follows_torch_is_torchs(file: str) -> None:
    found = owner(_trail(axis="torch", bad={**OLD, "torch": "2.6.0"}, module=_module("Linear", file)))
    assert found.project == "torch"
    assert found.report.startswith("https://github.com/pytorch/pytorch/issues/new")
    assert ("Linear is torch's" in found.why) is file.startswith("torch/")


def test_remote_code_under_another_torch_is_torchs_and_perhaps_the_models() -> None:
    found = owner(_trail(axis="torch", bad={**OLD, "torch": "2.6.0"}, module=REMOTE))
    assert (found.project, [other.project for other in found.also]) == ("torch", [THE_MODEL])


def test_a_module_of_torchs_is_transformers_where_transformers_moved() -> None:
    assert owner(_trail(module=_module("Linear", "torch/nn/modules/linear.py"))).project == "transformers"


@pytest.mark.parametrize(
    ("tokenizers", "transformers", "projects"),
    [
        ("0.23.0", "5.2.0", ["transformers", "tokenizers"]),
        ("0.23.0", "4.57.6", ["tokenizers"]),
        ("0.22.1", "5.2.0", ["transformers"]),
    ],
)
def test_tokens_are_for_whoever_moved(tokenizers: str, transformers: str, projects: list[str]) -> None:
    bad = {**OLD, "tokenizers": tokenizers, "transformers": transformers}
    found = owner(_trail(stage="tokens", bad=bad, module=None))
    assert [found.project, *(other.project for other in found.also)] == projects
    assert "fast one" not in found.why


@pytest.mark.parametrize(
    ("package", "report"),
    [
        ("safetensors", "https://github.com/huggingface/safetensors/issues/new"),
        ("einops", "the issue tracker of einops"),
    ],
)
def test_another_axis_is_that_packages(package: str, report: str) -> None:
    found = owner(_trail(axis=package, bad={**OLD, package: "0.7.0"}))
    assert (found.project, found.report) == (package, report)
