"""Two captures become every difference between them, unjudged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matrix.case import Option
from matrix.compare import Comparison, compare_captures
from matrix.errors import CaptureError
from matrix.model_outputs import Unshared
from tests.matrix.builders import IDS, LEFT_PADDED, LOGITS, captured, content, moved, tensor, write_capture


def _compare(folder: Path, baseline: dict[str, Any], candidate: dict[str, Any]) -> Comparison:
    return compare_captures(captured(folder / "a", **baseline), captured(folder / "b", **candidate))


def _state(comparison: Comparison) -> list[tuple[str, str, str]]:
    return [(change.kind, change.change, change.name) for change in comparison.state]


def test_equal_captures_differ_in_nothing_and_their_tensors_are_not_read(tmp_path: Path) -> None:
    baseline, candidate = captured(tmp_path / "a"), captured(tmp_path / "b")
    candidate.tensors.unlink()
    found = compare_captures(baseline, candidate)
    assert found == Comparison(
        tokens=None,
        config=(),
        state=(),
        uninitialised=((), ()),
        undetermined=(),
        output="logits",
        unshared=Unshared(),
        dtypes=None,
        nonfinite=(0, 0),
        newly_missing=(),
        outputs=None,
        shapes=None,
        generation=None,
        margin=None,
        same_cpu=True,
    )


def test_other_logits_are_measured(tmp_path: Path) -> None:
    outputs = _compare(tmp_path, {}, {"logits": moved(-0.5)}).outputs
    assert outputs
    assert (outputs.values.max_abs, outputs.values.max_abs_at, outputs.values.differing) == (0.5, (0, 2, 3), 1)
    assert not outputs.last_only


def test_positions_under_the_mask_do_not_count(tmp_path: Path) -> None:
    sides = ({"tokens": LEFT_PADDED}, {"tokens": LEFT_PADDED, "logits": moved(9, 0, 0, 0)})
    outputs = _compare(tmp_path, *sides).outputs
    assert outputs
    assert (outputs.values.differing, outputs.logits.masked_only) == (0, True)


def test_a_missing_tensor_file_is_named(tmp_path: Path) -> None:
    baseline, candidate = captured(tmp_path / "a"), captured(tmp_path / "b", logits=moved(1))
    candidate.tensors.unlink()
    with pytest.raises(CaptureError, match=r"b/tensors\.safetensors"):
        compare_captures(baseline, candidate)


def test_logits_of_another_shape_have_no_metrics(tmp_path: Path) -> None:
    found = _compare(tmp_path, {}, {"logits": LOGITS[:, :, :3].copy()})
    assert (found.shapes, found.outputs) == (((1, 3, 4), (1, 3, 3)), None)


@pytest.mark.parametrize(
    ("baseline", "candidate", "place"),
    [
        (IDS, {**IDS, "input_ids": [[5, 9, 7]]}, ("input_ids", 0, 1)),
        (IDS, {**IDS, "attention_mask": [[0, 1, 1]]}, ("attention_mask", 0, 0)),
        (IDS, {"input_ids": [[5, 6]], "attention_mask": [[1, 1]]}, ("input_ids", 0, 2)),
        (IDS, {**IDS, "token_type_ids": [[0, 0, 0]]}, ("token_type_ids", 0, 0)),
        ({**IDS, "token_type_ids": [[0, 0, 0]]}, IDS, ("token_type_ids", 0, 0)),
    ],
)
def test_the_first_token_that_differs_is_named(
    tmp_path: Path, baseline: dict[str, Any], candidate: dict[str, Any], place: tuple[str, int, int]
) -> None:
    change = _compare(tmp_path, {"tokens": baseline}, {"tokens": candidate}).tokens
    assert change
    assert (change.list, change.row, change.position) == place


def test_with_other_ids_only_the_last_position_is_compared(tmp_path: Path) -> None:
    shorter = {"tokens": {"input_ids": [[6, 7]], "attention_mask": [[1, 1]]}, "logits": LOGITS[:, 1:].copy()}
    found = _compare(tmp_path, {}, shorter)
    assert found.outputs
    assert (found.shapes, found.outputs.last_only, found.outputs.values.elements) == (None, True, 4)
    assert found.outputs.values.differing == 0


def test_a_case_without_ids_has_no_tokens_to_differ(tmp_path: Path) -> None:
    assert _compare(tmp_path, {"tokens": {}}, {"tokens": {}, "logits": moved(1)}).tokens is None


def _config(**values: Any) -> dict[str, Any]:  # noqa: ANN401 - what a config may hold
    return {"config": {"hidden_size": 4, "rope": {"theta": 1.0, "type": "default"}, **values}}


def test_a_config_value_that_differs_is_named_by_its_dotted_key(tmp_path: Path) -> None:
    other = _config(rope={"theta": 2.0, "type": "default"})
    (change,) = _compare(tmp_path, _config(), other).config
    assert (change.key, change.baseline, change.candidate) == ("rope.theta", 1.0, 2.0)


def test_a_config_key_on_one_side_is_not_a_change(tmp_path: Path) -> None:
    found = _compare(tmp_path, _config(old=1), _config(new=1))
    assert found.config == ()


@pytest.mark.parametrize("key", ["transformers_version", "torch_dtype", "dtype", "_name_or_path", "architectures"])
def test_bookkeeping_in_a_config_is_no_change(tmp_path: Path, key: str) -> None:
    found = _compare(tmp_path, _config(**{key: "a"}), _config(**{key: "b"}))
    assert found.config == ()


def test_another_attention_implementation_is_a_config_change(tmp_path: Path) -> None:
    (change,) = _compare(tmp_path, {}, {"attention": {"implementation": "sdpa"}}).config
    assert (change.key, change.candidate) == ("attention implementation", "sdpa")


OLD, TWIN = tensor("old", [1.0, 2.0]), tensor("twin", [1.0, 2.0])


@pytest.mark.parametrize(
    ("baseline", "candidate", "changes"),
    [
        ([OLD], [tensor("old", [1.0, 3.0])], [("changed", "old")]),
        ([OLD], [tensor("old", [[1.0, 2.0]])], [("changed", "old")]),
        ([OLD], [], [("removed", "old")]),
        ([], [OLD], [("added", "old")]),
        ([OLD], [{**OLD, "name": "new"}], [("renamed", "old")]),
        ([OLD], [tensor("new", [[1.0, 2.0]])], [("removed", "old"), ("added", "new")]),
        ([OLD, TWIN], [OLD, {**TWIN, "alias": "old"}], [("retied", "old"), ("retied", "twin")]),
        ([OLD, {**TWIN, "alias": "old"}], [{**OLD, "alias": "twin"}, TWIN], []),
        ([OLD], [{**OLD, "persistent": False}], [("persistence", "old")]),
    ],
)
@pytest.mark.parametrize("kind", ["parameters", "buffers"])
def test_every_way_in_which_state_differs_has_a_name(
    tmp_path: Path, kind: str, baseline: list[Any], candidate: list[Any], changes: list[tuple[str, str]]
) -> None:
    found = _compare(tmp_path, {kind: baseline}, {kind: candidate})
    assert _state(found) == [(kind, *change) for change in changes]


def test_tensors_of_the_same_bytes_are_renamed_one_to_one(tmp_path: Path) -> None:
    norms = {side: [tensor(f"{side}.{layer}.norm") for layer in range(3)] for side in ("layers", "blocks")}
    found = _compare(tmp_path, {"parameters": norms["layers"]}, {"parameters": norms["blocks"]})
    pairs = [(change.change, change.baseline and change.baseline.name, change.candidate) for change in found.state]
    assert [(kind, old, new and new.name) for kind, old, new in pairs] == [
        ("renamed", f"layers.{layer}.norm", f"blocks.{layer}.norm") for layer in range(3)
    ]


def test_parameters_come_before_buffers_and_each_in_the_models_order(tmp_path: Path) -> None:
    names = [f"z{index}" for index in range(3)] + ["a"]
    sides = [
        {kind: [tensor(name, [value]) for name in names] for kind in ("buffers", "parameters")} for value in (1.0, 2.0)
    ]
    found = _state(_compare(tmp_path, *sides))
    assert found == [(kind, "changed", name) for kind in ("parameters", "buffers") for name in names]


def test_a_buffer_whose_values_were_captured_is_measured(tmp_path: Path) -> None:
    sides = [
        {"buffers": [tensor("inv_freq", values)], "tensors": {"buffer/inv_freq": values}}
        for values in ([1.0, 0.5], [1.0, 0.0])
    ]
    (change,) = _compare(tmp_path, *sides).changes("buffers")
    assert change.difference
    assert change.difference.max_abs == 0.5


def test_a_buffer_of_another_shape_is_changed_but_not_measured(tmp_path: Path) -> None:
    sides = [
        {"buffers": [tensor("inv_freq", values)], "tensors": {"buffer/inv_freq": values}}
        for values in ([1.0, 0.5], [1.0])
    ]
    (change,) = _compare(tmp_path, *sides).changes("buffers")
    assert change.difference is None


def test_uninitialised_memory_and_generated_tokens_are_carried(tmp_path: Path) -> None:
    found = _compare(tmp_path, {"generated": [[1, 2, 3]]}, {"generated": [[1, 2, 4]], "uninitialised": ["x"]})
    assert (found.generation, found.uninitialised) == (2, ((), ("x",)))


@pytest.mark.parametrize("changed", [{"cpu": "another CPU"}, {"cpu_capability": "AVX512"}])
def test_another_cpu_or_instruction_set_is_noticed(tmp_path: Path, changed: dict[str, str]) -> None:
    environment = {"cpu": "one CPU", "cpu_capability": "AVX2", **changed}
    assert not _compare(tmp_path, {}, {"environment": environment}).same_cpu


def test_a_capture_keeps_its_bits(tmp_path: Path) -> None:
    assert captured(tmp_path, logits=np.full((1, 3, 4), np.nan, np.float32)).outputs["logits"]["dtype"] == "float32"
    assert write_capture(tmp_path) == tmp_path


@pytest.mark.parametrize(
    ("baseline", "candidate", "step", "margin"),
    [
        ({"generated": [[1, 2, 3]], "margins": [["9", "8", "0.5"]]}, {"generated": [[1, 2, 4]]}, 2, 0.5),
        ({"generated": [[1, 2], [3, 4]], "margins": [["9", "8"], ["7", "6"]]}, {"generated": [[1, 0], [3, 0]]}, 1, 8.0),
        ({"generated": [[1, 2], [3, 4]], "margins": [["9", "1"], ["7", "6"]]}, {"generated": [[1, 0], [0, 4]]}, 0, 7.0),
        ({"generated": [[1, 2], [3, 4]], "margins": [["9", "8"], ["7", "6"]]}, {"generated": [[1, 2]]}, 0, 7.0),
        ({"generated": [[1, 2], [3, 4]], "margins": [["9", "8"]]}, {"generated": [[1, 0], [3, 0]]}, 1, None),
        ({"generated": [[1, 2], [3, 4]], "margins": [["9", "8"]]}, {"generated": [[1, 0], [3, 4]]}, 1, 8.0),
        ({"generated": [[1, 2], [3, 4]], "margins": [["9", "8"], ["7", "6"]]}, {"generated": [[1, 0], [3, 4]]}, 1, 8.0),
        ({"generated": [[1, 2]], "margins": [["9"]]}, {"generated": [[1, 0]]}, 1, None),
        ({"generated": [[1, 2]]}, {"generated": [[1, 0]], "margins": [["9", "8"]]}, 1, None),
        ({"generated": [[1, 2]], "margins": [["9", "8"]]}, {"generated": [[1, 2]]}, None, None),
    ],
)
def test_the_margin_is_the_largest_of_the_baselines_where_each_rows_tokens_part(
    tmp_path: Path, baseline: dict[str, Any], candidate: dict[str, Any], step: int | None, margin: float | None
) -> None:
    found = _compare(tmp_path, baseline, candidate)
    assert (found.generation, found.margin) == (step, margin)


def _within(folder: Path, option: Option, candidate: dict[str, Any]) -> Comparison:
    return compare_captures(captured(folder / "a"), captured(folder / "b", **candidate), within=option)


def test_between_kernels_of_one_cell_the_kernel_itself_is_no_config_change(tmp_path: Path) -> None:
    other = {"attention": {"implementation": "sdpa"}, "config": {"hidden_size": 5}}
    assert [change.key for change in _within(tmp_path / "kernels", "attention", other).config] == ["hidden_size"]
    assert len(_within(tmp_path / "dtypes", "dtype", other).config) == 2


def test_between_dtypes_of_one_cell_the_dtype_itself_is_no_change(tmp_path: Path) -> None:
    other = {
        "logits": LOGITS.astype(np.float64),
        "parameters": [{**tensor("model.weight"), "dtype": "float64", "sha256": "wide"}],
    }
    found = _within(tmp_path / "dtypes", "dtype", other)
    assert (found.dtypes, found.state, found.altered) == (None, (), False)
    found = _within(tmp_path / "kernels", "attention", other)
    assert (found.dtypes, found.altered) == (("float32", "float64"), True)


@pytest.mark.parametrize("kind", ["parameters", "buffers"])
def test_between_dtypes_of_one_cell_other_values_of_one_dtype_are_a_change(tmp_path: Path, kind: str) -> None:
    sides = [captured(tmp_path / name, **{kind: [tensor("a", [value])]}) for name, value in (("a", 1.0), ("b", 2.0))]
    assert compare_captures(*sides, within="dtype").altered


def test_tensors_that_were_looked_at_closely_are_known_in_another_layout(tmp_path: Path) -> None:
    parts, whole = {"q": [1.0], "k": [2.0]}, {"qk": [1.0, 2.0]}
    a, b = (
        captured(tmp_path / name, parameters=[tensor(*item) for item in values.items()])
        for name, values in (("a", parts), ("b", whole))
    )
    seen = [{name: content(values) for name, values in side.items()} for side in (parts, whole)]
    found = compare_captures(a, b, contents=(seen[0], seen[1]))
    assert (_state(found), found.altered) == ([("parameters", "relaid", "qk")], False)
