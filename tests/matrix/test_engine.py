"""From options to a run whose captures are on disk: what needs no network, and no cell to be started."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix import default_inputs, engine, options, outcome, plan
from matrix import run as runs
from matrix.case import Case
from matrix.engine import Work
from matrix.environment import Lock
from matrix.errors import EXIT_NO_CAPTURE, CheckpointError, EnvironmentFailure, NoCaptureError, SpecError
from matrix.machine import this_machine
from matrix.options import Options
from matrix.outcome import Outcome
from matrix.plan import Take
from matrix.run import Run
from matrix.sources import Resolver, Source, Sources
from matrix.spec import Spec
from matrix.state import State
from matrix.verdicts import judge_run
from tests.matrix.builders import IDS, moved, small_spec, write_capture, write_checkpoint, write_failed_capture

SPEC = """
schema = 1
[axes.alpha]
values = [{values}]
[variants]
attention = ["eager"]
[[case]]
name = "tiny"
checkpoint = "model"
"""


class Project:
    """A spec over releases of the package alpha, with a checkpoint beside it."""

    def __init__(self, folder: Path, state: State) -> None:
        self.folder, self.state = folder, state
        write_checkpoint(folder / "model")
        self.write("1.0", "2.0")

    def write(self, *values: str) -> None:
        (self.folder / "spec.toml").write_text(SPEC.format(values=", ".join(f'"{value}"' for value in values)))

    def run(self, *arguments: str) -> Run:
        given = ["--spec", str(self.folder / "spec.toml"), *arguments]
        return engine.matrix(options.parse(given), given, self.state)

    def capture(self, *failing: Take, transient: bool = False, **facts: Any) -> None:  # noqa: ANN401 - as in a response
        """Put every capture that the spec asks for into the store, as if cells had run before; some have failed."""
        asked = options.apply(options.parse(["--spec", str(self.folder / "spec.toml")]), _read(self.folder))
        spec, sources = engine.resolve(asked, Resolver(self.state, self.folder))
        laid = plan.plan(spec)
        locks = engine.lock(laid.cells, self.state)
        work = Work(spec=spec, plan=laid, sources=sources, locks=locks, state=self.state, options=Options())
        for cell in laid.cells:
            for task in work.tasks(cell, laid.loads(cell)):
                folder = Path(task.content["folder"])
                if task.job.take in failing:
                    write_failed_capture(folder, transient=transient)
                else:
                    write_capture(folder, **facts)


def _read(folder: Path) -> Spec:
    return options.specs.read(folder / "spec.toml")


@pytest.fixture
def project(tmp_path: Path, state: State, wheels: Path) -> Project:
    assert wheels.is_dir()
    return Project(tmp_path, state)


def test_a_run_whose_captures_are_all_there_starts_no_cell(project: Project) -> None:
    project.capture()
    run = project.run()
    assert run.digest
    assert not (run.folder / "nox.log").exists()
    for cell in run.plan.cells:
        assert (run.cell(cell.id) / "tiny" / "float32-eager" / "tensors.safetensors").is_file()


def test_an_unchanged_run_is_found_again_even_without_uv(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.capture()
    first = project.run()
    monkeypatch.setenv("UV", "/nonexistent/uv")
    assert project.run() == first
    assert len(list(project.state.runs.iterdir())) == 1


def test_another_checkpoint_is_another_run(project: Project) -> None:
    project.capture()
    first = project.run("--run-id", "first")
    write_checkpoint(project.folder / "model", hidden_size=8)
    project.capture()
    second = project.run("--run-id", "second")
    assert (first.id, second.id, first.digest == second.digest) == ("first", "second", False)


def test_a_release_that_does_not_exist_is_a_failed_cell_and_the_others_go_on(project: Project) -> None:
    project.write("1.0", "7.0")
    project.capture()
    run = project.run()
    cells = {
        cell.axes["alpha"]: runs.read_json(run.cell(cell.id) / "cell.json", schema=1)["status"]
        for cell in run.plan.cells
    }
    assert cells == {"1.0": "captured", "7.0": "env_failed"}
    assert run.digest is None


def test_a_run_without_any_capture_ends_with_3_and_every_reason_once(project: Project) -> None:
    project.write("7.0", "8.0")
    with pytest.raises(NoCaptureError) as caught:
        project.run()
    assert caught.value.exit_code == EXIT_NO_CAPTURE
    assert "alpha==7.0" in str(caught.value)
    assert "alpha==8.0" in str(caught.value)
    assert str(project.state.runs) in str(caught.value)


def test_second_loads_alone_are_no_usable_capture(project: Project) -> None:
    project.capture("main")
    with pytest.raises(NoCaptureError, match="load: ImportError"):
        project.run()


def test_a_second_load_that_fails_stops_no_run(project: Project) -> None:
    project.capture("repeat")
    assert project.run().digest


def test_a_failure_that_may_pass_settles_no_run(project: Project) -> None:
    project.capture("repeat", transient=True)
    assert project.run().digest is None


def test_a_second_load_is_shown_beside_the_first(project: Project) -> None:
    project.capture()
    run = project.run()
    for cell in run.plan.cells:
        assert {path.name for path in (run.cell(cell.id) / "tiny").iterdir()} == {
            "float32-eager",
            "float32-eager@repeat",
        }


@pytest.mark.parametrize("jobs", ["0", "-1"])
def test_jobs_must_be_at_least_one(project: Project, jobs: str) -> None:
    with pytest.raises(SpecError, match="--jobs is not a number of cells"):
        project.run(f"--jobs={jobs}")


def test_a_broken_checkpoint_is_refused_before_anything_is_written(project: Project) -> None:
    (project.folder / "model" / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        project.run()
    assert not project.state.runs.exists()


def test_environments_that_cannot_be_resolved_are_data(state: State, wheels: Path) -> None:
    assert wheels.is_dir()
    axes = {"alpha": {"values": ["1.0", "2.0", "7.0"]}}
    locks = engine.lock(plan.plan(small_spec(axes=axes, baseline={})).cells, state)
    assert [type(lock) for lock in locks.values()] == [Lock, Lock, EnvironmentFailure]
    assert "alpha==7.0" in str(locks["alpha-7.0"])


def test_resolving_fills_in_the_inputs_of_cases_that_name_none(state: State, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "model", vocab_size=32)
    cases = [
        {"name": "given", "checkpoint": "model", "input_ids": [[1, 2]]},
        {"name": "bare", "checkpoint": "model"},
    ]
    spec, sources = engine.resolve(small_spec(case=cases), Resolver(state, tmp_path))
    assert [case.input_ids for case in spec.case] == [((1, 2),), default_inputs.ids(32)]
    assert sources["given"].checkpoint == sources["bare"].checkpoint
    assert state.digests.is_file()


def test_a_run_names_the_commit_and_not_the_branch() -> None:
    source = Source(folder=Path("x"), file=None, digest="d", bytes=1, has_tokenizer=False, commit="c" * 40)
    local = replace(source, commit=None)
    case = Case(name="tiny", checkpoint="hub:org/tiny", tokenizer="./own", adapter="hub:org/lora@v1")
    pinned = engine._pinned(case, Sources(checkpoint=source, tokenizer=local, adapter=source))
    assert pinned.checkpoint == f"hub:org/tiny@{'c' * 40}"
    assert (pinned.tokenizer, pinned.adapter) == ("./own", f"hub:org/lora@{'c' * 40}")


def _work(state: State, size: int, *, locked: bool = True) -> Work:
    folder = state.folder / f"model-{size}"
    if not folder.exists():
        # a sparse file: as large as it says, and yet nothing on disk
        write_checkpoint(folder)
        with (folder / "pytorch_model.bin").open("wb") as file:
            file.truncate(size)
        (folder / "model.safetensors").unlink()
    source = Source(folder=folder, file=None, digest="bytes", bytes=size, has_tokenizer=False)
    spec = small_spec()
    made = plan.plan(spec)
    lock = Lock(path=Path("lock"), digest="lock") if locked else EnvironmentFailure("no")
    return Work(
        spec=spec,
        plan=made,
        sources={"tiny": Sources(checkpoint=source, tokenizer=source)},
        locks=dict.fromkeys([c.id for c in made.cells], lock),
        state=state,
        options=Options(),
    )


def test_as_many_cells_run_at_a_time_as_cores_and_memory_allow(state: State) -> None:
    assert 1 <= engine.default_jobs(_work(state, 1)) <= this_machine().cores
    assert engine.default_jobs(_work(state, 1 << 43)) == 1


def test_a_job_that_does_not_fit_alone_is_said_before_anything_starts(
    state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.default_jobs(_work(state, 1))
    assert capsys.readouterr().err == ""
    engine.default_jobs(_work(state, 1 << 43))
    said = capsys.readouterr().err
    assert said.startswith("memory: a cell needs about 10240.")
    assert "one cell runs at a time" in said
    assert said.count("\n") == 1


def test_a_closer_look_that_would_not_fit_is_left_out_and_the_report_says_so(state: State) -> None:
    run, work = runs.new(state.runs, small_spec(), "matrix", []), _work(state, 1 << 43)
    lock = state.folder / "lock.txt"
    lock.write_text("")
    work = replace(work, locks=dict.fromkeys(work.locks, Lock(path=lock, digest="lock")))
    for cell, by in zip(work.plan.cells, (0, 0, 1), strict=True):
        write_capture(run.cell(cell.id) / "tiny/float32-eager", logits=moved(by))
        outcomes = [Outcome(id=job.id, key="key", status="captured") for job in work.plan.jobs]
        outcome.write(
            run.cell(cell.id), {"schema": 1, "id": cell.id, "axes": {}, "lock": {"digest": ""}}, outcomes, 1.0
        )
    run.write()
    engine.capture(run, work, engine._evidence(run, work.plan.cells), again=True)
    assert not (run.folder / "nox.log").exists()
    judged = next(found for found in judge_run(run).judgements if found.candidate.cell.axes["transformers"] == "3.0")
    assert judged.rounding
    assert "a closer look needs about" in judged.rounding.lacking[0]
    assert judged.verdict == "drift"


def test_a_cell_without_an_environment_has_no_tasks(state: State) -> None:
    work = _work(state, 1, locked=False)
    assert work.tasks(work.plan.cells[0], work.plan.jobs) == []


def test_discarded_captures_are_gone(state: State) -> None:
    work = _work(state, 1)
    tasks = work.tasks(work.plan.cells[0], work.plan.jobs)
    stored = write_capture(Path(tasks[0].content["folder"]))
    engine.discard([tasks])
    assert not stored.exists()


def test_cells_whose_tokenizer_made_other_ids_are_asked_again_with_the_baselines(state: State) -> None:
    spec = small_spec(case=[{"name": "tiny", "checkpoint": "tiny", "text": ["hello"]}])
    run = runs.new(state.runs, spec, "matrix", [])
    work = replace(_work(state, 1), spec=spec, plan=plan.plan(spec))
    for cell, ids in zip(work.plan.cells, ([[5, 6, 7]], [[5, 6, 7]], [[9, 6, 7]]), strict=True):
        write_capture(run.cell(cell.id) / "tiny/float32-eager", tokens={**IDS, "input_ids": ids})
    again = engine._same_ids(run, work, work.plan.cells)
    assert [cell.axes["transformers"] for cell in again] == ["3.0"]
    (job,) = again[work.plan.cells[2]]
    assert (job.id, job.case.input_ids) == ("tiny/float32-eager@baseline-ids", ((5, 6, 7),))


def test_cells_whose_bits_differ_are_asked_for_a_closer_look_and_so_is_the_baseline(state: State) -> None:
    run, work = runs.new(state.runs, small_spec(), "matrix", []), _work(state, 1)
    for cell, by in zip(work.plan.cells, (0, 0, 1), strict=True):
        write_capture(run.cell(cell.id) / "tiny/float32-eager", logits=moved(by))
    asked = engine._evidence(run, work.plan.cells)
    shown = {cell.axes["transformers"]: [job.take for job in jobs] for cell, jobs in asked.items()}
    assert shown == {"1.0": ["evidence"], "3.0": ["evidence"]}
    assert [job.id for jobs in asked.values() for job in jobs] == ["tiny/float32-eager@evidence"] * 2
