"""`python -m matrix.sweep` turns a refusal into one message and its exit code."""

from __future__ import annotations

import pytest

from matrix.errors import EXIT_USAGE
from matrix.sweep.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--jobs", "0"], "error: --jobs is not a number of cells"),
        (["--author", "1.0"], "error: --author is none of the releases"),
        (["--spec", "none.toml"], "error: the spec cannot be read"),
        (["--run-id", "latest"], "error: --run-id is no name for a run"),
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
