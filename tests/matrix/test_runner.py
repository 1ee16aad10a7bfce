"""Whatever happens to a cell's process becomes data: a job that takes it down loses only itself."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from matrix import environment, outcome, request, runner
from matrix.case import Case, Variant
from matrix.cell import Cell
from matrix.environment import Lock
from matrix.outcome import Outcome
from matrix.plan import Job
from matrix.request import Task
from matrix.runner import Watch
from matrix.sources import Source, Sources
from matrix.state import State

STAND_IN = Path(__file__).parent / "stand_in.py"
SOURCE = Source(folder=Path("model"), file=None, digest="bytes", bytes=1, has_tokenizer=False)


class Desk:
    """One cell, ready to run: its folder, a real environment, and the stand-in for the harness."""

    def __init__(self, tmp_path: Path, state: State, venv: Path) -> None:
        self.folder, self.state, self.venv = tmp_path / "cell", state, venv
        self.cell = Cell(axes={"transformers": "1.0"}, environ={"MODE": "fast"})
        path = state.locks / "lock.txt"
        path.parent.mkdir()
        path.write_text("")
        self.lock = Lock(path=path, digest="same")
        (venv / environment._STAMP).write_text(self.lock.digest)

    def tasks(self, names: Sequence[str], timeout: int = 30) -> list[Task]:
        jobs = [_job(name, timeout) for name in names]
        return [
            request.task(self.cell, job, self.lock, Sources(checkpoint=SOURCE, tokenizer=SOURCE), self.state)
            for job in jobs
        ]

    def run(self, *names: str, timeout: int = 30) -> dict[str, Outcome]:
        """Run one job per name (`name@repeat`: a second load) and return the outcomes by name."""
        if not outcome.ask(self.folder, self.cell, self.lock, self.tasks(names, timeout)):
            runner.run(self.folder, self.venv)
        return {_name(done.id): done for done in outcome.read(self.folder)}

    def response(self, name: str) -> dict[str, Any]:
        case, mark, take = name.partition("@")
        content = (self.folder / case / f"float32-default{mark}{take}" / "response.json").read_text()
        return dict(json.loads(content))

    @property
    def summary(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / outcome.CELL).read_text()))

    @property
    def begun(self) -> list[str]:
        events = map(json.loads, (self.folder / "events.jsonl").read_text().splitlines())
        return [_name(event["job"]) for event in events if event["event"] == "begin"]


def _job(name: str, timeout: int) -> Job:
    """A job with inputs of its own: equal inputs would share one capture."""
    case, _, take = name.partition("@")
    made = Case(name=case, checkpoint="x", text=(case,), timeout=timeout)
    return Job(case=made, variant=Variant(), take="repeat" if take else "main")


def _name(job_id: str) -> str:
    return job_id.replace("/float32-default", "")


@pytest.fixture
def desk(tmp_path: Path, state: State, venv: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(request, "HARNESS", STAND_IN)
    return Desk(tmp_path, state, venv)


def _statuses(outcomes: dict[str, Outcome]) -> dict[str, str]:
    return {name: done.status for name, done in outcomes.items()}


def test_every_job_is_captured_by_one_process(desk: Desk) -> None:
    assert _statuses(desk.run("one", "two")) == {"one": "captured", "two": "captured"}
    assert desk.begun == ["one", "two"]
    assert (desk.summary["status"], desk.summary["reason"]) == ("captured", None)
    assert desk.summary["axes"] == {"transformers": "1.0"}


def test_what_is_captured_is_not_done_again(desk: Desk) -> None:
    desk.run("one")
    desk.run("one", "two")
    assert desk.begun == ["one", "two"]
    desk.venv.rename(desk.venv.parent / "gone")
    assert _statuses(desk.run("one", "two")) == {"one": "captured", "two": "captured"}
    assert desk.summary["seconds"] == 0


def test_a_crash_loses_only_itself(desk: Desk) -> None:
    outcomes = desk.run("one", "crash", "two")
    assert _statuses(outcomes) == {"one": "captured", "crash": "crashed", "two": "captured"}
    assert outcomes["crash"].reason == "the interpreter ended with SIGSEGV"
    assert desk.begun == ["one", "crash", "two"]
    assert desk.summary["status"] == "captured"
    assert "1 of 3 captures failed; the first: the interpreter ended with SIGSEGV" in desk.summary["reason"]


def test_a_timeout_loses_only_itself(desk: Desk) -> None:
    start = time.monotonic()
    outcomes = desk.run("one", "hang", "two", timeout=1)
    assert _statuses(outcomes) == {"one": "captured", "hang": "timed_out", "two": "captured"}
    assert outcomes["hang"].reason == "no capture within 1 seconds"
    assert time.monotonic() - start < 15


def test_a_silent_crash_is_not_blamed_on_the_words_of_an_earlier_process(desk: Desk) -> None:
    outcomes = desk.run("exit", "crash")
    assert outcomes["exit"].reason == "the interpreter ended with exit code 3: something broke"
    assert outcomes["crash"].reason == "the interpreter ended with SIGSEGV"


def test_an_exit_before_the_first_event_gives_the_last_words(desk: Desk) -> None:
    outcomes = desk.run("early")
    assert _statuses(outcomes) == {"early": "crashed"}
    assert outcomes["early"].reason == "the interpreter ended with exit code 1: ImportError: no module named torch"
    assert desk.summary["status"] == "crashed"


def test_an_exit_between_two_jobs_is_the_second_ones(desk: Desk) -> None:
    outcomes = desk.run("one", "between", "two")
    assert _statuses(outcomes) == {"one": "captured", "between": "crashed", "two": "captured"}
    assert "the probe cannot be loaded" in (outcomes["between"].reason or "")


def test_a_crash_after_a_capture_keeps_the_capture_and_the_jobs_behind_it(desk: Desk) -> None:
    assert _statuses(desk.run("after", "two")) == {"after": "captured", "two": "captured"}


def test_a_probe_that_fails_is_data(desk: Desk) -> None:
    outcomes = desk.run("fails", "one")
    assert _statuses(outcomes) == {"fails": "probe_failed", "one": "captured"}
    assert outcomes["fails"].reason == "load: OSError: no"


def test_a_failure_that_may_pass_is_tried_again_by_the_next_run(desk: Desk) -> None:
    desk.run("full-disk", "fails")
    assert desk.response("full-disk")["status"] == "probe_failed"
    desk.run("full-disk", "fails")
    assert desk.begun == ["full-disk", "fails", "full-disk"]


def test_second_loads_run_in_a_second_process_and_in_the_opposite_order(desk: Desk) -> None:
    outcomes = desk.run("one", "one@repeat", "two", "two@repeat")
    assert set(_statuses(outcomes).values()) == {"captured"}
    assert desk.begun == ["one", "two", "two@repeat", "one@repeat"]
    one, two, again = (desk.response(name)["environment"]["pid"] for name in ("one", "two", "one@repeat"))
    assert one == two != again
    assert desk.response("two@repeat")["environment"]["pid"] == again


@pytest.mark.parametrize(("ending", "status"), [("crash", "crashed"), ("hang", "timed_out"), ("fails", "probe_failed")])
def test_whatever_happens_to_a_second_load_loses_only_itself(desk: Desk, ending: str, status: str) -> None:
    name = f"again-{ending}"
    outcomes = desk.run("one", "one@repeat", name, f"{name}@repeat", timeout=2)
    assert _statuses(outcomes) == {
        "one": "captured",
        name: "captured",
        "one@repeat": "captured",
        f"{name}@repeat": status,
    }
    assert desk.begun == ["one", name, f"{name}@repeat", "one@repeat"]
    assert desk.summary["status"] == "captured"


def test_a_first_load_that_crashes_is_loaded_a_second_time_all_the_same(desk: Desk) -> None:
    assert _statuses(desk.run("crash", "one", "one@repeat")) == {
        "crash": "crashed",
        "one": "captured",
        "one@repeat": "captured",
    }


def test_a_second_process_that_cannot_even_start_leaves_the_first_ones_captures(desk: Desk) -> None:
    outcomes = desk.run("one", "one@repeat", "again-early", "again-early@repeat")
    assert [outcomes[name].status for name in ("one", "again-early")] == ["captured"] * 2
    assert [outcomes[f"{name}@repeat"].status for name in ("one", "again-early")] == ["crashed"] * 2


def test_a_second_load_alone_is_taken_where_the_first_is_there(desk: Desk) -> None:
    desk.run("one")
    assert _statuses(desk.run("one", "one@repeat")) == {"one": "captured", "one@repeat": "captured"}
    assert desk.begun == ["one", "one@repeat"]


def test_an_environment_that_cannot_be_built_is_data(desk: Desk, wheels: Path) -> None:
    desk.lock.path.write_text(f"alpha==7.0 --hash=sha256:{'0' * 64}\n")
    (desk.venv / environment._STAMP).unlink()
    outcomes = desk.run("one", "two")
    assert _statuses(outcomes) == {"one": "env_failed", "two": "env_failed"}
    assert "alpha==7.0" in (outcomes["one"].reason or "")
    assert desk.summary["status"] == "env_failed"
    assert wheels.exists()


def test_an_old_capture_in_the_cells_folder_does_not_outlive_a_crash(desk: Desk) -> None:
    folder = desk.folder / "crash" / "float32-default"
    folder.mkdir(parents=True)
    (folder / "response.json").write_text("{}")
    assert desk.run("crash")["crash"].status == "crashed"
    assert not folder.exists()


def test_a_probe_sees_no_token_and_nothing_of_the_persons_home(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "SECRET", "PYTHONPATH", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "secret")
    desk.run("one")
    environ = desk.response("one")["environment"]["environ"]
    assert "secret" not in environ.values()
    assert environ["HOME"] != os.environ.get("HOME")
    assert environ["HF_HUB_OFFLINE"] == environ["TRANSFORMERS_OFFLINE"] == environ["OMP_NUM_THREADS"] == "1"
    assert environ["MODE"] == "fast"
    assert environ["PATH"] == os.environ["PATH"]


def test_a_probe_runs_isolated(desk: Desk) -> None:
    desk.run("one")
    assert desk.response("one")["environment"]["isolated"] == 1


def test_a_cells_own_variable_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    assert runner.probe_environment({"ATEN_CPU_CAPABILITY": "avx2"}, tmp_path)["ATEN_CPU_CAPABILITY"] == "avx2"
    assert runner.probe_environment({}, tmp_path)["ATEN_CPU_CAPABILITY"] == "default"


def _append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_a_watch_starts_where_earlier_events_end_even_torn_ones(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"event": "begin", "job": "old"}\n{"event": "beg')
    watch = Watch(path, {"a": 60})
    assert not watch.late()
    assert watch.running is None
    _append(path, '{"event": "begin", "job": "a"}\n{"event": "e')
    watch.late()
    assert watch.running == "a"
    _append(path, 'nd", "job": "a"}\n')
    watch.late()
    assert watch.running is None


def test_a_watch_gives_every_job_its_own_time(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    watch = Watch(path, {"quick": 0.0, "slow": 60.0})
    assert not watch.late()
    _append(path, '{"event": "begin", "job": "quick"}\n')
    assert watch.late()
    _append(path, '{"event": "end", "job": "quick"}\n{"event": "begin", "job": "slow"}\n')
    assert not watch.late()
