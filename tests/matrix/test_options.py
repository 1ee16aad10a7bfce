"""The command line becomes one whole spec, checked as strictly as the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from matrix import options, plan
from matrix.errors import SpecError
from matrix.pairs import pairs
from matrix.spec import Spec
from tests.matrix.builders import small_spec

CASES = [{"name": name, "checkpoint": name} for name in ("one", "two", "three")]
MODES = {
    "transformers": {"values": ["1.0"]},
    "CPU_MODE": {"values": ["no avx_2", "default"], "kind": "env"},
}


def _apply(*arguments: str, **changes: Any) -> Spec:  # noqa: ANN401 - what a spec may hold
    return options.apply(options.parse(arguments), small_spec(**{"case": CASES, **changes}))


def _names(spec: Spec) -> list[str]:
    return [case.name for case in spec.case]


def _refusal(*arguments: str, **changes: Any) -> str:  # noqa: ANN401 - what a spec may hold
    with pytest.raises(SpecError) as caught:
        _apply(*arguments, **changes)
    return str(caught.value)


def test_help_names_every_option_and_exit_code_and_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        options.parse(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    stable = {"spec", "transformers", "torch", "case", "dtype", "attention", "baseline", "profile", "jobs", "shard"}
    stable |= {"threads", "device", "cache", "within", "axis", "run-id", "fresh"}
    assert [name for name in sorted(stable) if f"--{name}" not in text] == []
    assert "3 no usable" in text


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--nope"], ["--jobs", "many"], ["--case"], ["--generate", "x"]),
        *(["--threads", "two"], ["--threads"], ["--device"], ["--axis"], ["--within"], ["--within", "kernel"]),
    ],
)
def test_a_wrong_use_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        options.parse(arguments)
    assert ended.value.code == 2
    assert "nox -s matrix --" in capsys.readouterr().err


def test_no_arguments_change_nothing() -> None:
    assert _apply() == _apply(*[])
    assert _names(_apply()) == ["one", "two", "three"]


def test_options_and_checkpoints_may_be_mixed() -> None:
    parsed = options.parse(["./a", "--jobs", "2", "./b", "--fresh"])
    assert (parsed.checkpoints, parsed.jobs, parsed.fresh) == (("./a", "./b"), 2, True)


def test_cases_are_selected_in_the_specs_order() -> None:
    assert _names(_apply("--case", "three", "one")) == ["one", "three"]


def test_a_case_that_does_not_exist_is_refused_with_those_that_do() -> None:
    assert "allowed: one, two, three" in _refusal("--case", "four")


def test_a_profile_that_does_not_exist_is_refused() -> None:
    assert "there is no such profile" in _refusal("--profile", "full")


@pytest.mark.parametrize(("shard", "names"), [("1/2", ["one", "three"]), ("2/2", ["two"]), ("3/3", ["three"])])
def test_a_shard_is_every_nth_case(shard: str, names: list[str]) -> None:
    assert _names(_apply("--shard", shard)) == names


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1/0", "1", "a/b", "-1/2", "1/2/3"])
def test_a_shard_that_is_none_is_refused(shard: str) -> None:
    message = _refusal(f"--shard={shard}")
    assert "--shard is not I/N" in message
    assert shard in message


def test_a_shard_without_a_case_is_refused_with_the_largest_count() -> None:
    message = _refusal("--shard", "4/4")
    assert "the shard holds no case" in message
    assert "at most 3 shards" in message


def test_a_spec_without_cases_is_refused_by_the_plan_not_blamed_on_a_shard() -> None:
    with pytest.raises(SpecError, match="no case is selected"):
        plan.plan(_apply(case=[]))


def test_a_shard_keeps_the_environments_of_the_whole_spec() -> None:
    cases = [{**case, "requirements": [f"needs-{case['name']}"]} for case in CASES]
    whole, part = _apply(case=cases), _apply("--shard", "2/3", case=cases)
    assert plan.plan(part).cells == plan.plan(whole).cells


def test_releases_replace_an_axis_and_a_baseline_that_is_gone_gives_way_to_the_first() -> None:
    spec = _apply("--transformers", "4.0", "5.0")
    assert spec.axes["transformers"].values == ("4.0", "5.0")
    assert plan.plan(spec).baseline.axes == {"transformers": "4.0", "torch": "9.0"}


def test_an_axis_that_the_spec_lacks_is_added() -> None:
    spec = _apply("--torch", "9.0", axes={"transformers": {"values": ["1.0"]}}, baseline={})
    assert spec.axes["torch"].values == ("9.0",)


def test_a_release_that_is_none_is_refused() -> None:
    assert "is not a release" in _refusal("--transformers", "latest")
    assert "appears twice" in _refusal("--transformers", "4.0", "4.0")


def test_dtype_and_attention_override_the_cases_own() -> None:
    own = [{**CASES[0], "variants": {"attention": ["default"]}}]
    spec = _apply("--attention", "sdpa", "--dtype", "bfloat16", "float64", case=own)
    assert [job.variant.id for job in plan.plan(spec).jobs] == ["bfloat16-sdpa", "float64-sdpa"]


def test_a_dtype_that_does_not_exist_is_refused() -> None:
    assert "float32, bfloat16, float16, float64" in _refusal("--dtype", "float31")


def test_devices_and_threads_are_variants_too() -> None:
    spec = _apply("--device", "cpu", "cuda:0", "--threads", "2", "1")
    assert [job.variant.id for job in plan.plan(spec).jobs if job.case.name == "one"] == [
        "float32-eager-threads2",
        "float32-eager",
        "float32-eager-cuda0-threads2",
        "float32-eager-cuda0",
    ]


@pytest.mark.parametrize("arguments", [["--threads", "0"], ["--threads=-1"], ["--device", "cu da"], ["--device", ""]])
def test_a_device_or_a_number_of_threads_that_is_none_is_refused(arguments: list[str]) -> None:
    assert "a variant has" in _refusal(*arguments)


def test_options_to_compare_along_replace_the_specs_and_every_cases_own() -> None:
    own = [CASES[0], {**CASES[1], "within": ["threads"]}, {**CASES[2], "within": []}]
    spec = _apply("--within", "dtype", "attention", case=own, within=["device"])
    assert (spec.within, {case.within for case in spec.case}) == (("dtype", "attention"), {("dtype", "attention")})
    kept = _apply(case=own, within=["device"])
    assert (kept.within, [case.within for case in kept.case]) == (("device",), [None, ("threads",), ()])


def test_options_to_compare_along_reach_ones_own_checkpoint() -> None:
    spec = _apply("./m", "--within", "attention", "--attention", "eager", "sdpa")
    found = [pair for pair in pairs(spec, plan.plan(spec)) if pair.within]
    assert {(pair.reference.variant.attention, pair.job.variant.attention) for pair in found} == {("eager", "sdpa")}


def test_further_axes_are_packages_or_the_interpreter() -> None:
    spec = _apply("--axis", "tokenizers=0.21.4,0.21.0", "--axis", "python=3.11,3.9")
    assert (spec.axes["tokenizers"].values, spec.axes["tokenizers"].kind) == (("0.21.0", "0.21.4"), "requirement")
    assert (spec.axes["python"].values, spec.axes["python"].kind) == (("3.9", "3.11"), "python")
    cell = plan.plan(spec).baseline
    assert ("tokenizers==0.21.0" in cell.requirements, cell.python) == (True, "3.9")


def test_a_further_axis_may_be_the_baselines() -> None:
    spec = _apply("--axis", "tokenizers=0.21.0,0.21.4", "--baseline", "tokenizers-0.21.4")
    assert plan.plan(spec).baseline.id == "transformers-1.0_torch-9.0_tokenizers-0.21.4"


def test_an_axis_that_the_spec_has_keeps_its_kind() -> None:
    spec = _apply("--axis", "CPU_MODE=1,2", axes=MODES, baseline={})
    assert (spec.axes["CPU_MODE"].values, spec.axes["CPU_MODE"].kind) == (("1", "2"), "env")


@pytest.mark.parametrize("axis", ["tokenizers", "tokenizers=", "=0.21.0", ""])
def test_an_axis_without_a_name_or_values_is_refused(axis: str) -> None:
    message = _refusal(f"--axis={axis}")
    assert "--axis is not NAME=VALUE,VALUE" in message
    assert "such as tokenizers=0.21.0,0.21.4" in message


@pytest.mark.parametrize(
    ("axis", "what"),
    [
        ("tokenizers=0.21.0,", "is not a release"),
        ("tokenizers=new", "is not a release"),
        ("tokenizers=1.0,1.0", "appears twice"),
        ("to kens=1.0", "an axis has a name that is none"),
    ],
)
def test_an_axis_with_values_that_are_none_is_refused_as_in_a_spec(axis: str, what: str) -> None:
    assert what in _refusal("--axis", axis)


@pytest.mark.parametrize("baseline", ["transformers-2.0", "transformers-2.0_torch-9.0"])
def test_a_baseline_is_a_cell_or_a_part_of_one(baseline: str) -> None:
    assert plan.plan(_apply("--baseline", baseline)).baseline.id == "transformers-2.0_torch-9.0"


def test_only_the_named_cells_run_beside_the_baseline() -> None:
    cells = plan.plan(_apply("--cell", "transformers-3.0_torch-9.0")).cells
    assert [cell.id for cell in cells] == ["transformers-1.0_torch-9.0", "transformers-3.0_torch-9.0"]


def test_a_cell_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(SpecError, match=r"no such cell\n.*transformers-9\n.*transformers-1\.0_torch-9\.0"):
        plan.plan(_apply("--cell", "transformers-9"))


def test_every_cells_id_is_a_baseline() -> None:
    cells = plan.plan(_apply(axes=MODES, baseline={})).cells
    chosen = [plan.plan(_apply("--baseline", cell.id, axes=MODES, baseline={})).baseline.id for cell in cells]
    assert chosen == [cell.id for cell in cells]


@pytest.mark.parametrize("baseline", ["transformers-7.0", "jax-1.0", "2.0", "", "transformers-2.0_torch-7.0"])
def test_a_baseline_that_is_no_cell_is_refused(baseline: str) -> None:
    message = _refusal("--baseline", baseline)
    assert "--baseline" in message
    assert "allowed: " in message


@pytest.mark.parametrize(
    ("checkpoint", "name"),
    [
        ("./my-model/", "my-model"),
        ("weights/model.Q4_1.gguf", "model.Q4_1.gguf"),
        ("hub:org/name@main", "name-main"),
        ("package:x==1/a/b.gguf", "b.gguf"),
        (".", "checkpoint"),
        ("/tmp/mödel x", "m-del-x"),
    ],
)
def test_a_checkpoint_replaces_the_cases_under_a_safe_name(checkpoint: str, name: str) -> None:
    assert _names(_apply(checkpoint)) == [name]


def test_a_local_checkpoint_is_relative_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert _apply("model").case[0].checkpoint == str(tmp_path / "model")
    assert _apply("hub:org/name").case[0].checkpoint == "hub:org/name"


def test_options_for_ones_own_checkpoint_reach_its_case() -> None:
    case = _apply("./m", "--text", "a b", "--auto-class", "AutoModel", "--generate", "3", "--trust-remote-code").case[0]
    assert (case.text, case.auto_class, case.generate, case.trust_remote_code) == (("a b",), "AutoModel", 3, True)


@pytest.mark.parametrize(
    "arguments",
    [["--text", "a", "./m"], ["--auto-class", "AutoModel"], ["--generate", "3"], ["--trust-remote-code"]],
)
def test_options_for_ones_own_checkpoint_are_not_ignored_where_there_is_none(arguments: list[str]) -> None:
    assert "give the CHECKPOINT first" in _refusal(*arguments)


def test_two_checkpoints_of_one_name_are_refused() -> None:
    assert "a case name appears twice" in _refusal("a/model", "b/model")


def test_a_selection_applies_to_ones_own_checkpoints() -> None:
    assert _names(_apply("./m", "./n", "--case", "n")) == ["n"]


def test_the_tokenizer_alone_may_be_asked_for() -> None:
    (case,) = _apply("./model", "--probe", "tokenizer", "--text", "Hi").case
    assert (case.probe, case.text) == ("tokenizer", ("Hi",))
    with pytest.raises(SpecError, match="--probe"):
        _apply("--probe", "tokenizer")


def test_the_cache_is_an_option_of_the_variants() -> None:
    spec = _apply("--cache", "on", "off", "--within", "cache")
    assert (spec.variants.cache, spec.within) == (("on", "off"), ("cache",))
    assert "does not exist" in _refusal("--cache", "maybe")


def test_an_adapter_goes_with_the_checkpoint_and_asks_for_peft() -> None:
    spec = _apply("hub:org/base", "--adapter", "./lora")
    (case,) = spec.case
    assert (case.checkpoint, case.adapter) == ("hub:org/base", str(Path("lora").absolute()))
    assert {"accelerate", "peft"} <= set(spec.requirements)
    assert _apply("hub:org/base", "--adapter", "hub:org/lora").case[0].adapter == "hub:org/lora"
    assert "are for a CHECKPOINT" in _refusal("--adapter", "./lora")
