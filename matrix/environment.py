"""Environments: requirements are resolved once into a hashed lock, and a lock is synced into a folder once.

The one place that calls uv. The same two steps build the cells' environments and those of our own sessions.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix import pip_config
from matrix.console import say
from matrix.errors import EnvironmentFailure
from matrix.files import locked, write_text
from matrix.state import State

CPU_TORCH_INDEX = "https://download.pytorch.org/whl/cpu/torch/"
"""Where `--torch-backend cpu` finds torch (uv documentation, "Using uv with PyTorch")."""

NOX_VARIABLE = "MATRIX_NOX"
"""Tells the engine which interpreter nox runs in: the engine's own environment has no nox."""

_STAMP = ".matrix-lock"
_ASKING = threading.Lock()
"""Cells are resolved side by side; the question whether an index answers is asked, and its answer said, once."""

_BACKEND_COMMENT = "# torch-backend: "


@dataclass(frozen=True, kw_only=True)
class Lock:
    """A resolved environment.

    Attributes:
        path: A requirements file with one hashed pin per package.
        digest: sha256 of the file.
    """

    path: Path
    digest: str

    @property
    def backend(self) -> str | None:
        """The torch backend that it was resolved with, or None for the configured indexes."""
        first = self.path.read_text(encoding="utf-8").partition("\n")[0]
        return first.removeprefix(_BACKEND_COMMENT) if first.startswith(_BACKEND_COMMENT) else None


def lock(requirements: Sequence[str], state: State, python: str | None = None) -> Lock:
    """Resolve requirements for one interpreter, or take the lock of an earlier call: no network is touched then.

    Args:
        requirements: Requirement strings.
        state: Where locks are kept.
        python: Version of the interpreter; the running one's when None.

    Raises:
        EnvironmentFailure: With the resolver's reason, when nothing satisfies them.
    """
    wanted = [list(requirements), python or _python_version(), platform.system(), platform.machine()]
    path = state.locks / f"{hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:32]}.txt"
    with locked(path.with_suffix(".lock")):
        if not path.exists():
            write_text(path, _resolve(requirements, python or _python_version()))
    return Lock(path=path, digest=hashlib.sha256(path.read_bytes()).hexdigest())


def sync(venv: Path, wanted: Lock) -> bool:
    """Make a virtual environment hold exactly what a lock says; False when it did already and nothing was done.

    Raises:
        EnvironmentFailure: With the installer's reason.
    """
    stamp = venv / _STAMP
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted.digest:
        return False
    if not stamp.exists():
        _clear(venv)
    # a sync that is killed half-way must not look finished
    stamp.unlink(missing_ok=True)
    backend = ["--torch-backend", wanted.backend] if wanted.backend else []
    _uv(["pip", "sync", "--require-hashes", "--python", str(interpreter(venv)), *backend, str(wanted.path)])
    write_text(stamp, wanted.digest)
    return True


def _clear(venv: Path) -> None:
    """Take out what a sync that was killed has left: uv takes a package for whole whose metadata alone is there."""
    for path in venv.glob("lib/python*/site-packages/*"):
        # what makes it a virtual environment is not a package
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif not path.name.startswith("_virtualenv"):
            path.unlink()


def fetch_package(requirement: str, folder: Path) -> None:
    """Unpack one package's wheel into a folder, without its dependencies and without running its code.

    Raises:
        EnvironmentFailure: With the installer's reason.
    """
    _uv(["pip", "install", "--no-deps", "--only-binary", ":all:", "--target", str(folder), requirement])


def build_wheel(source: Path, folder: Path) -> None:
    """Build a source tree's wheel into a folder.

    Raises:
        EnvironmentFailure: With the builder's reason.
    """
    _uv(["build", "--wheel", "--out-dir", str(folder), str(source)])
    # uv leaves one beside what it builds
    (folder / ".gitignore").unlink(missing_ok=True)


def interpreter(venv: Path) -> Path:
    """The Python of a virtual environment."""
    return venv / "bin" / "python"


def uv_path() -> str:
    """The uv that came with nox, else the one on PATH.

    Raises:
        EnvironmentFailure: When there is none.
    """
    if found := os.environ.get("UV") or shutil.which("uv"):
        return found
    try:
        from uv import find_uv_bin  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - only where uv is a package beside nox and not on PATH
    except ImportError:
        raise EnvironmentFailure("uv is not installed", next_step='python -m pip install "nox[uv]"') from None
    return str(find_uv_bin())


def _resolve(requirements: Sequence[str], python: str) -> str:
    needs_torch = any(re.match(r"(torch|transformers)\b", requirement) for requirement in requirements)
    with _ASKING:
        backend = "cpu" if needs_torch and _cpu_index_answers() else None
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "requirements.in"
        source.write_text("\n".join(requirements) + "\n", encoding="utf-8")
        options = ["--generate-hashes", "--no-header", "--no-annotate", "--python-version", python]
        options += ["--torch-backend", backend] if backend else []
        pins = _uv(["pip", "compile", *options, str(source)])
    return (f"{_BACKEND_COMMENT}{backend}\n" if backend else "") + pins


@functools.cache
def _cpu_index_answers() -> bool:
    """Whether torch's index of CPU wheels can be reached: asked once, because uv retries for ten seconds."""
    if os.environ.get("UV_TORCH_BACKEND"):
        return False
    request = urllib.request.Request(CPU_TORCH_INDEX, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=3).close()  # noqa: S310 - likewise
    except OSError:
        say("torch: the index of CPU wheels does not answer; torch comes from the configured indexes instead")
        return False
    return True


def _uv(arguments: Sequence[str]) -> str:
    """Run uv and return what it printed.

    Raises:
        EnvironmentFailure: With uv's reason in one paragraph.
    """
    environment = {**os.environ, **pip_config.uv_environment(), "NO_COLOR": "1"}
    command = [uv_path(), "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise EnvironmentFailure(reason(done.stderr))
    return done.stdout


def reason(stderr: str) -> str:
    """What uv explains, as one paragraph: what cannot be satisfied, without markers and line breaks."""
    text = " ".join(line.strip(" ×╰─▶├│") for line in stderr.splitlines() if line.strip())
    text = re.split(r"\bhint: ", text)[0]
    because = re.search(r"Because .*", text)
    return (because.group() if because else re.sub(r"^error: ", "", text)).strip() or "uv failed without a message"


def _python_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"
