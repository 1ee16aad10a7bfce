"""`python -m matrix` turns a refusal into one message and its exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix.__main__ import main
from matrix.errors import EXIT_USAGE


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--jobs", "0"], "error: --jobs is not a number of cells"),
        (["--case", "nobody"], "error: there is no such case"),
        (["--profile", "nobody"], "error: there is no such profile"),
        (["--transformers", "latest"], "error: a value of the axis 'transformers' is not a release"),
    ],
)
def test_a_wrong_request_is_one_message_on_standard_error_and_exit_code_2(
    arguments: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == EXIT_USAGE
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(what)
    assert "Traceback" not in printed.err


def test_a_spec_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--spec", str(tmp_path / "none.toml")]) == EXIT_USAGE
    assert "none.toml (No such file or directory)" in capsys.readouterr().err
