"""A Hub repository is resolved to a commit and fetched once: against a small server that speaks the Hub's protocol."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from matrix import hub
from matrix.case import Case
from matrix.errors import CheckpointError
from matrix.sources import Resolver
from matrix.state import State
from tests.matrix.builders import write_checkpoint

OLD, NEW = "a" * 40, "b" * 40
CASE = Case(name="tiny", checkpoint="hub:org/tiny@main")


class Hub:
    """A server of one repository, org/tiny: commit → its files; `main` leads to one of them."""

    def __init__(self, tmp_path: Path) -> None:
        files = {path.name: path.read_bytes() for path in write_checkpoint(tmp_path / "made").iterdir()}
        unwanted = {"pytorch_model.bin": b"x", "model.h5": b"x", "onnx/model.onnx": b"x", "README.md": b"x"}
        self.commits = {OLD: {**files, **unwanted}, NEW: {**files, "config.json": b'{"vocab_size": 7}'}}
        self.main, self.asked, self.seen = OLD, list[str](), set[str]()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body; `/api/models/ID/revision/REV` and `/ID/resolve/REV/FILE` are what a client asks."""
        parts = path.partition("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"] and parts[2:4] == ["org", "tiny"]:
            commit = {"main": self.main}.get(parts[-1], parts[-1])
            siblings = [{"rfilename": name} for name in self.commits.get(commit, ())]
            found = {"id": "org/tiny", "sha": commit, "siblings": siblings}
            return (
                (200, {}, json.dumps(found).encode()) if siblings else (404, {"X-Error-Code": "RevisionNotFound"}, b"")
            )
        if parts[:3] == ["org", "tiny", "resolve"] and (body := self.commits[parts[3]].get("/".join(parts[4:]))):
            etag = hashlib.sha256(body).hexdigest()
            return 200, {"ETag": f'"{etag}"', "X-Repo-Commit": parts[3]}, body
        return 404, {"X-Error-Code": "RepoNotFound"}, b""


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.asked.append(self.path)
            hub.seen.add(self.headers.get("Authorization", ""))
            status, headers, body = hub.answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

        def log_message(self, *_: Any) -> None:  # noqa: ANN401
            """Say nothing."""

    return Handler


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    served = Hub(tmp_path)
    threading.Thread(target=served.server.serve_forever, daemon=True).start()
    for name in ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", served.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    yield served
    served.server.shutdown()


def _gone(remote: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens any more."""
    remote.server.shutdown()
    remote.server.server_close()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_a_branch_becomes_a_commit_and_only_what_a_load_needs_is_fetched(
    remote: Hub, state: State, tmp_path: Path
) -> None:
    source = Resolver(state, tmp_path).checkpoint(CASE)
    assert (source.commit, source.folder) == (OLD, state.checkpoints / "hub" / f"org--tiny@{OLD}")
    assert {path.name for path in source.folder.iterdir()} == {"config.json", "model.safetensors"}
    # the person's token went to the Hub, and is in no file that a cell sees
    assert "Bearer hf_secret" in remote.seen
    assert not any(b"hf_secret" in path.read_bytes() for path in state.folder.rglob("*") if path.is_file())


def test_a_branch_that_moved_is_noticed_and_what_was_fetched_is_not_fetched_again(
    remote: Hub, state: State, tmp_path: Path
) -> None:
    first = Resolver(state, tmp_path).checkpoint(CASE)
    fetched = [path for path in remote.asked if "/resolve/" in path]
    again = Resolver(state, tmp_path).checkpoint(CASE)
    assert [path for path in remote.asked if "/resolve/" in path] == fetched
    remote.main = NEW
    moved = Resolver(state, tmp_path).checkpoint(CASE)
    assert again == first
    assert (moved.commit, moved.digest == first.digest) == (NEW, False)


def test_a_commit_is_asked_for_once(remote: Hub, state: State) -> None:
    first = hub.fetch(f"hub:org/tiny@{OLD}", state)
    remote.asked.clear()
    assert (hub.fetch(f"hub:org/tiny@{OLD}", state), remote.asked) == (first, [])


def test_without_the_hub_the_last_runs_commit_counts_and_one_line_says_so(
    remote: Hub, state: State, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = hub.fetch("hub:org/tiny@main", state)
    _gone(remote, monkeypatch)
    assert hub.fetch("hub:org/tiny@main", state) == first
    said = capsys.readouterr().err
    assert "the Hub cannot be reached" in said
    assert f"org/tiny@main is taken as it was seen last, commit {OLD[:12]}" in said
    assert said.count("\n") == 1


def _cached(tmp_path: Path) -> None:
    """The Hub's cache as its client lays it out: blobs, snapshots by commit, and references by name."""
    home = tmp_path / "hf" / "hub" / "models--org--tiny"
    snapshot = home / "snapshots" / OLD
    write_checkpoint(snapshot)
    (snapshot / "README.md").write_text("x")
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(OLD)


@pytest.mark.parametrize("revision", ["main", OLD])
def test_without_the_hub_its_cache_on_this_machine_counts(
    remote: Hub, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    _cached(tmp_path)
    _gone(remote, monkeypatch)
    source = Resolver(state, tmp_path).checkpoint(Case(name="tiny", checkpoint=f"hub:org/tiny@{revision}"))
    assert source.commit == OLD
    assert {path.name for path in source.folder.iterdir()} == {"config.json", "model.safetensors"}


def test_the_cached_bytes_and_the_fetched_ones_have_one_digest(
    remote: Hub, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = Resolver(state, tmp_path).checkpoint(CASE)
    _cached(tmp_path)
    _gone(remote, monkeypatch)
    cached = Resolver(State(folder=tmp_path / "other").create(), tmp_path).checkpoint(CASE)
    assert (cached.digest, cached.commit) == (fetched.digest, fetched.commit)


@pytest.mark.parametrize("name", ["hub:org/tiny@nowhere", "hub:org/nothing"])
def test_what_the_hub_refuses_is_one_clear_message_and_leaves_nothing(remote: Hub, state: State, name: str) -> None:
    with pytest.raises(CheckpointError, match="could not be fetched from the Hub") as caught:
        hub.fetch(name, state)
    assert "given:   org/" in str(caught.value)
    assert remote.asked
    assert not state.checkpoints.exists()


@pytest.mark.usefixtures("remote")
def test_neither_hub_nor_cache_is_one_clear_message_and_leaves_nothing(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="the Hub's cache on this machine does not hold it either"):
        hub.fetch("hub:org/tiny@v1", state)
    assert not state.checkpoints.exists()


@pytest.mark.parametrize("name", ["hub:", "hub:a/b/c", "hub:a/b@", "hub:a b"])
def test_a_hub_checkpoint_that_is_named_in_another_way_is_refused(name: str) -> None:
    with pytest.raises(CheckpointError, match="hub:org/name@revision"):
        hub.parse(name)
