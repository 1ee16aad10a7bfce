"""A request's key changes with everything that a capture's bits depend on, and with nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from matrix import default_inputs, request
from matrix.case import Case, Variant
from matrix.cell import Cell
from matrix.environment import Lock
from matrix.plan import Job, Take
from matrix.sources import Source, Sources
from matrix.state import State
from tests.matrix.builders import write_checkpoint

SOURCE = Source(folder=Path("/model"), file=None, digest="bytes", bytes=1, has_tokenizer=True)
PARTS: dict[str, Any] = {
    "cell": Cell(axes={"transformers": "1.0"}),
    "job": Job(case=Case(name="tiny", checkpoint="model", text=("hello",)), variant=Variant()),
    "lock": Lock(path=Path("/lock"), digest="lock"),
    "sources": Sources(checkpoint=SOURCE, tokenizer=SOURCE),
    "state": State(folder=Path("/state")),
}


def _key(**changes: Any) -> str:  # noqa: ANN401 - the parts of a task
    return request.task(**{**PARTS, **changes}).key


def _case(**changes: Any) -> dict[str, Job]:  # noqa: ANN401 - what a case may hold
    return {"job": replace(PARTS["job"], case=replace(PARTS["job"].case, **changes))}


@pytest.mark.parametrize(
    "changes",
    [
        _case(text=("hullo",)),
        _case(generate=1),
        _case(load={"device_map": "auto"}),
        _case(trust_remote_code=True),
        {"job": replace(PARTS["job"], variant=Variant(dtype="bfloat16"))},
        {"job": request.same_ids(PARTS["job"], {"input_ids": [[1]]})},
        {"job": replace(PARTS["job"], take="repeat")},
        {"job": replace(PARTS["job"], take="evidence")},
        {"job": replace(PARTS["job"], through=Variant(dtype="bfloat16"))},
        {"lock": Lock(path=Path("/lock"), digest="other")},
        {"sources": Sources(checkpoint=replace(SOURCE, digest="other"), tokenizer=SOURCE)},
        {"sources": Sources(checkpoint=SOURCE, tokenizer=SOURCE, adapter=replace(SOURCE, digest="adapter"))},
        {"sources": Sources(checkpoint=SOURCE, tokenizer=replace(SOURCE, digest="other"))},
        {"sources": Sources(checkpoint=replace(SOURCE, file="a.gguf"), tokenizer=SOURCE)},
        {"cell": Cell(axes={"transformers": "1.0"}, environ={"MODE": "fast"})},
        {"cell": Cell(axes={"transformers": "1.0"}, python="3.9")},
    ],
)
def test_what_decides_the_bits_changes_the_key(changes: dict[str, Any]) -> None:
    assert _key(**changes) != _key()


@pytest.mark.parametrize(
    "changes",
    [
        _case(name="other"),
        _case(checkpoint="elsewhere"),
        _case(timeout=1),
        {"sources": Sources(checkpoint=replace(SOURCE, folder=Path("/moved")), tokenizer=SOURCE)},
        {"lock": Lock(path=Path("/moved"), digest="lock")},
        {"state": State(folder=Path("/moved"))},
        {"cell": Cell(axes={"release": "1.0"})},
    ],
)
def test_names_and_places_do_not(changes: dict[str, Any]) -> None:
    assert _key(**changes) == _key()


@pytest.mark.parametrize(
    ("file", "other"), [("model", True), ("hf", True), ("bits", True), ("harness", True), ("tokenizer", False)]
)
def test_only_the_code_that_takes_a_capture_is_in_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, *, other: bool
) -> None:
    before = _key()
    shutil.copytree(request.PROBES, tmp_path / "probes", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "probes" / f"{file}.py").open("a", encoding="utf-8") as changed:
        changed.write("# changed")
    monkeypatch.setattr(request, "PROBES", tmp_path / "probes")
    _forget()
    try:
        assert (_key() != before) is other
    finally:
        _forget()


def _forget() -> None:
    request._probe_digest.cache_clear()
    request._imported.cache_clear()


def test_a_task_is_json_and_leads_to_its_capture() -> None:
    task = request.task(**PARTS)
    content = json.loads(json.dumps(task.content))
    assert content["id"] == "tiny/float32-default"
    assert content["folder"] == f"/state/captures/{task.key}"
    assert content["case"]["text"] == ["hello"]
    assert content["variant"] == asdict(Variant())


@pytest.mark.parametrize(
    ("take", "probe", "timeout"), [("main", "model", 900), ("repeat", "model", 900), ("evidence", "evidence", 3600)]
)
def test_a_job_says_which_probe_takes_it_and_how_long_it_may(take: Take, probe: str, timeout: int) -> None:
    content = request.task(**{**PARTS, "job": replace(PARTS["job"], take=take)}).content
    assert (content["take"], content["probe"], content["timeout"], content["through"]) == (take, probe, timeout, None)


def test_evidence_may_be_taken_through_a_coarser_variant() -> None:
    job = replace(PARTS["job"], take="evidence", through=Variant(dtype="bfloat16", attention="eager"))
    through = json.loads(json.dumps(request.task(**{**PARTS, "job": job}).content))["through"]
    assert through == {"dtype": "bfloat16", "attention": "eager", "device": "cpu", "threads": 1, "cache": "default"}


def _code(folder: Path, files: dict[str, str], **changes: Any) -> str | None:  # noqa: ANN401 - what a case may hold
    """The digest of a checkpoint's code, by relative paths."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    source = replace(SOURCE, folder=folder)
    code = request.task(
        **{
            **PARTS,
            **_case(**{"trust_remote_code": True, **changes}),
            "sources": Sources(checkpoint=source, tokenizer=source),
        }
    )
    return code.content["code"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"a.py": "x=1\n"},
        {"a.py": "x=1\ny=2\n"},
        {"a.py": "x=1\nb.pyy=2\n"},
        {"a.py": "x=1\ny", "b.py": "=2\n"},
        {"a.py": "y=2\n", "b.py": "x=1\n"},
        {"a.py": "x=1\n", "c.py": "y=2\n"},
        {"a.py": "x=1\n", "sub/b.py": "y=2\n"},
    ],
)
def test_other_remote_code_has_another_digest(tmp_path: Path, other: dict[str, str]) -> None:
    files = {"a.py": "x=1\n", "b.py": "y=2\n"}
    assert _code(tmp_path / "one", files) != _code(tmp_path / "other", other)
    assert _code(tmp_path / "one", files) == _code(tmp_path / "moved", {**files, "config.json": "{}"})


def test_code_is_digested_where_it_may_run_even_if_there_is_none(tmp_path: Path) -> None:
    assert _code(tmp_path / "trusted", {}) is not None
    assert _code(tmp_path / "not", {"a.py": "x=1\n"}, trust_remote_code=False) is None


def test_the_probes_and_the_harness_are_there() -> None:
    assert request.HARNESS.is_file()
    assert all((request.PROBES / f"{name}.py").is_file() for name in request.PROBE.values())


def test_the_harness_is_started_isolated() -> None:
    assert request.harness_command(Path("py"), Path("r.json")) == ["py", "-I", str(request.HARNESS), "r.json"]


@pytest.mark.parametrize("given", [{"text": ("a",)}, {"input_ids": ((1,),)}, {"inputs": {"pixels": [1]}}])
def test_a_case_with_inputs_keeps_them(given: dict[str, Any]) -> None:
    case = Case(name="tiny", checkpoint="x", **given)
    assert request.with_inputs(case, SOURCE, SOURCE) is case


def test_a_case_without_inputs_takes_a_sentence_where_there_is_a_tokenizer() -> None:
    assert request.with_inputs(Case(name="tiny", checkpoint="x"), SOURCE, SOURCE).text == default_inputs.DEFAULT_TEXT


@pytest.mark.parametrize(
    ("config", "vocabulary"),
    [({"vocab_size": 32}, 32), ({"vocab_size": None, "text_config": {"vocab_size": 50}}, 50), ({"vocab_size": 0}, 100)],
)
def test_a_case_without_inputs_takes_ids_of_the_checkpoints_vocabulary(
    tmp_path: Path, config: dict[str, Any], vocabulary: int
) -> None:
    folder = write_checkpoint(tmp_path / "model", **config)
    source = replace(SOURCE, folder=folder, has_tokenizer=False)
    assert request.with_inputs(Case(name="tiny", checkpoint="x"), source, source).input_ids == default_inputs.ids(
        vocabulary
    )


@pytest.mark.parametrize("vocabulary", [2, 11, 32, 50257])
def test_default_ids_lie_in_the_vocabulary(vocabulary: int) -> None:
    (row,) = default_inputs.ids(vocabulary)
    assert len(row) == 16
    assert all(0 <= token < vocabulary for token in row)


def test_default_ids_repeat_nothing_in_a_real_vocabulary() -> None:
    assert len(set(default_inputs.ids(32000)[0])) == 16


def test_the_same_job_with_ids_keeps_its_name_apart() -> None:
    same: Callable[[Job], Job] = lambda job: request.same_ids(job, {"input_ids": [[1, 2]], "attention_mask": [[1, 1]]})  # noqa: E731
    job = same(PARTS["job"])
    assert (job.case.text, job.case.input_ids, job.case.attention_mask) == ((), ((1, 2),), ((1, 1),))
    assert job.id == "tiny/float32-default@baseline-ids"


def test_ids_take_the_place_of_a_chat_too() -> None:
    chat = _case(text=(), chat=(({"role": "user", "content": "hello"},),), padding="left")["job"]
    case = request.same_ids(chat, {"input_ids": [[1, 2]]}).case
    assert (case.chat, case.padding, case.input_ids) == ((), None, ((1, 2),))


def test_an_adapter_reaches_the_probe_as_a_folder() -> None:
    adapter = replace(SOURCE, folder=Path("/adapter"))
    content = request.task(
        **{**PARTS, "sources": Sources(checkpoint=SOURCE, tokenizer=SOURCE, adapter=adapter)}
    ).content
    assert content["adapter"] == {"folder": "/adapter"}
    assert request.task(**PARTS).content["adapter"] is None
