"""What can go wrong with a request, as one clear message and an exit code each."""

from __future__ import annotations

from collections.abc import Iterable

EXIT_OK = 0
EXIT_FOUND = 1
EXIT_USAGE = 2
EXIT_NO_CAPTURE = 3


class MatrixError(Exception):
    """A message for the person who asked: what was wrong, what was given, what is allowed, what to do next.

    Args:
        what: What is wrong, as one sentence without a full stop.
        given: The offending value, shown as it was given.
        allowed: The values or forms that would be accepted.
        next_step: What to do now, as an imperative sentence without a full stop.
    """

    exit_code = EXIT_USAGE

    def __init__(
        self,
        what: str,
        *,
        given: object = None,
        allowed: Iterable[str] | str | None = None,
        next_step: str | None = None,
    ) -> None:
        lines = [what]
        if given is not None:
            lines.append(f"  given:   {given}")
        if allowed is not None:
            lines.append(f"  allowed: {allowed if isinstance(allowed, str) else ', '.join(allowed)}")
        if next_step is not None:
            lines.append(f"  next:    {next_step}")
        super().__init__("\n".join(lines))
        self.what = what


class SpecError(MatrixError):
    """The spec file or a command-line option asks for something that does not exist."""


class CheckpointError(MatrixError):
    """A case's checkpoint, tokenizer or recipe cannot be used."""


class EnvironmentFailure(MatrixError):  # noqa: N818 - a failed cell is data, not an error of the run
    """One cell's environment cannot be resolved or installed; the cell is reported, the run goes on."""


class CaptureError(MatrixError):
    """A capture or a run folder on disk cannot be read."""


class NoCaptureError(MatrixError):
    """No cell gave a usable capture, so there is nothing to compare."""

    exit_code = EXIT_NO_CAPTURE
