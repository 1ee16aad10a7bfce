"""Files appear whole or not at all, digests are remembered honestly, locks hold between processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from matrix import files
from matrix.errors import CaptureError
from matrix.files import DigestMemory
from matrix.state import ROOT


def test_json_comes_back_as_written(tmp_path: Path) -> None:
    content = {"schema": 1, "b": "ü", "a": [1, None]}
    files.write_json(tmp_path / "deep" / "x.json", content)
    assert files.read_json(tmp_path / "deep" / "x.json", schema=1) == content
    assert list(tmp_path.glob("deep/*")) == [tmp_path / "deep" / "x.json"]


def test_a_write_that_fails_leaves_the_old_content_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    files.write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        files.write_text(path, "\udcff")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x.txt"]  # noqa: PTH208 - hidden files count


@pytest.mark.parametrize(
    ("content", "what", "step"),
    [
        ("{", "is not JSON", "run again with --fresh"),
        ("[]", "has no schema number", "run again with --fresh"),
        ('{"schema": "1"}', "has no schema number", "run again with --fresh"),
        ('{"schema": 2}', "written by a newer version", "update this tool"),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused_with_the_next_step(
    tmp_path: Path, content: str, what: str, step: str
) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(CaptureError) as caught:
        files.read_json(tmp_path / "x.json", schema=1)
    message = str(caught.value)
    assert what in message
    assert step in message
    assert "x.json" in message


def test_a_missing_file_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"cannot be read\n.*x\.json \(No such file"):
        files.read_json(tmp_path / "x.json", schema=1)


def test_a_new_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "target"
    with files.new_folder(target) as scratch:
        (scratch / "a").write_text("1")
        assert not target.exists()
    assert (target / "a").read_text() == "1"
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_that_was_left_half_way_never_appears(tmp_path: Path) -> None:
    def fill() -> None:
        with files.new_folder(tmp_path / "target") as scratch:
            (scratch / "a").write_text("1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_two_folders_wins(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with files.new_folder(target) as scratch:
        (scratch / "a").write_text("second")
        target.mkdir()
        (target / "a").write_text("first")
    assert (target / "a").read_text() == "first"
    assert list(tmp_path.iterdir()) == [target]


def test_a_linked_tree_replaces_what_was_shown_before(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "new").write_text("1")
    (source / "below").mkdir()
    (source / "below" / "deep").write_text("2")
    target.mkdir()
    (target / "old").write_text("0")
    files.link_tree(source, target)
    assert {path.name for path in target.iterdir()} == {"new", "below"}
    for name in ("new", "below/deep"):
        assert (target / name).samefile(source / name)


def test_digests_are_remembered_across_processes_until_a_file_changes(tmp_path: Path) -> None:
    file, memory = tmp_path / "big", tmp_path / "digests.json"
    file.write_text("one")
    first = DigestMemory(memory)
    digest = first.file(file)
    first.save()
    assert digest == files.sha256(file)
    known = json.loads(memory.read_text())
    known[str(file)][-1] = "remembered"
    memory.write_text(json.dumps(known))
    assert DigestMemory(memory).file(file) == "remembered"
    file.write_text("another")
    assert DigestMemory(memory).file(file) == files.sha256(file)


@pytest.mark.parametrize("torn", ["", "{", "[1"])
def test_a_torn_memory_is_no_memory(tmp_path: Path, torn: str) -> None:
    (tmp_path / "digests.json").write_text(torn)
    (tmp_path / "x").write_text("x")
    assert DigestMemory(tmp_path / "digests.json").file(tmp_path / "x") == files.sha256(tmp_path / "x")


def test_nothing_learned_is_nothing_written(tmp_path: Path) -> None:
    DigestMemory(tmp_path / "digests.json").save()
    assert not (tmp_path / "digests.json").exists()


def _folder_digest(folder: Path) -> str:
    return DigestMemory(folder.parent / "none.json").folder(folder)


def test_a_folders_digest_counts_names_and_bytes_but_nothing_hidden(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a").write_text("1")
    digest = _folder_digest(folder)
    for hidden in (".cache", "__pycache__", "sub/.git"):
        (folder / hidden).mkdir()
        (folder / hidden / "x").write_text("x")
    assert _folder_digest(folder) == digest
    (folder / "sub" / "a").rename(folder / "sub" / "b")
    renamed = _folder_digest(folder)
    (folder / "sub" / "b").write_text("2")
    assert len({digest, renamed, _folder_digest(folder)}) == 3


_HOLD = """
import sys, time, pathlib
from matrix import files
with files.locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_waits_for_another_process_and_a_killed_one_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    command = [sys.executable, "-c", _HOLD, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        wait = "import sys, pathlib; from matrix import files\nwith files.locked(pathlib.Path(sys.argv[1])): pass"
        with subprocess.Popen([sys.executable, "-c", wait, str(path)], cwd=ROOT) as waiter:
            time.sleep(0.3)
            assert waiter.poll() is None
            holder.kill()
            assert waiter.wait(10) == 0
