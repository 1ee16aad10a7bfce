"""`nox -s report`: exit codes, files on disk, and the answer that costs nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from matrix.state import ROOT, State
from reports import console
from reports.__main__ import main
from tests.reports.conftest import MIDDLE, NEWEST, Copy

PROBE = """
import sys
from pathlib import Path
from reports import console
from reports.__main__ import main
code = main([sys.argv[1]], out=Path(sys.argv[2]))
heavy = sorted({"numpy", "pandas", "jinja2", "tabulate"} & sys.modules.keys())
print(f"code {code} heavy {heavy}")
"""


def test_a_report_is_written_and_printed(copy: Copy, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main([], state=State(folder=tmp_path), out=out) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("3 of 5 cases change")
    assert "report.md" in printed
    assert "\x1b" not in printed
    assert (out / "latest").readlink() == Path(copy.folder.name)
    assert json.loads((out / "latest" / "report.json").read_text(encoding="utf-8"))["schema"] == 1


def test_only_verdicts_are_coloured() -> None:
    painted = console.paint("drift-case  drift*\nerror.py  identical\n")
    assert painted == "drift-case  \x1b[31mdrift\x1b[0m*\nerror.py  \x1b[32midentical\x1b[0m\n"


def test_what_is_known_does_not_fail(copy: Copy, tmp_path: Path) -> None:
    copy.only("remote-code-rope", known=True)
    assert main([str(copy.folder)], out=tmp_path / "out") == 0


def test_an_unchanged_run_is_answered_without_heavy_imports(copy: Copy, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROBE, str(copy.folder), str(tmp_path / "out")]
    first, second = (subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True) for _ in range(2))
    assert "code 1 heavy ['jinja2', 'numpy', 'pandas', 'tabulate']" in first.stdout
    assert "code 1 heavy []" in second.stdout
    assert "unchanged" in second.stdout
    assert second.stdout.startswith(first.stdout[: first.stdout.index("Report:")])


@pytest.mark.parametrize(
    "path", ["run.json", f"cells/{NEWEST}/cell.json", f"cells/{NEWEST}/llama-tiny/float32-eager/response.json"]
)
def test_whatever_changes_is_judged_again(
    copy: Copy, tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    copy.edit("run.json", lambda run: run.update(digest=None))
    said = []
    for _ in range(2):
        main([str(copy.folder)], out=tmp_path / "out")
        said.append("unchanged" in capsys.readouterr().out)
    copy.edit(path, lambda content: content.update(taken="again"))
    main([str(copy.folder)], out=tmp_path / "out")
    assert [*said, "unchanged" in capsys.readouterr().out] == [False, True, False]


def test_captures_taken_again_under_the_same_keys_are_reported(
    copy: Copy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(copy.folder)], out=tmp_path / "out")
    copy.fail(NEWEST, "llama-tiny/float32-eager", "no such thing")
    main([str(copy.folder)], out=tmp_path / "out")
    assert "llama-tiny fails since" in " ".join(capsys.readouterr().out.split())


def test_only_the_formats_asked_for_are_written(copy: Copy, tmp_path: Path) -> None:
    main([str(copy.folder), "--format", "json"], out=tmp_path / "out")
    assert {path.name for path in (tmp_path / "out" / "run").iterdir()} == {"report.json", "report.txt", "summary.json"}
    main([str(copy.folder)], out=tmp_path / "out")
    assert (tmp_path / "out" / "run" / "report.md").exists()


def test_a_run_that_does_not_exist_is_refused(copy: Copy, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nothing"], state=State(folder=tmp_path), out=tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: there is no such run")
    assert copy.folder.name in error


def test_a_run_without_any_capture_has_no_report(
    copy: Copy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for cell in ("transformers-4.57.6_torch-2.13.0", MIDDLE, NEWEST):
        copy.lose(cell, "no matching distribution")
    assert main([str(copy.folder)], out=tmp_path / "out") == 3
    assert "no matching distribution" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_torn_summary_is_no_obstacle(copy: Copy, tmp_path: Path) -> None:
    main([str(copy.folder)], out=tmp_path / "out")
    (tmp_path / "out" / "run" / "summary.json").write_text("{", encoding="utf-8")
    assert main([str(copy.folder)], out=tmp_path / "out") == 1
