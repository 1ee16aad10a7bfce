"""The child process that talks to the Hub: `hub_child.py QUESTION ANSWER`, both JSON; it alone sees the token.

QUESTION is `{"do": "resolve", "repository", "revision"}` or `{"do": "download", "repository", "commit", "files",
"folder"}`. ANSWER, a file, has `commit` and `files`, or `unreachable` (with `cached`, `commit` and `files`, if the
local cache has them), or `error`.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

_TIMEOUT_SECONDS = 10.0
_LAST_CLIENT_ERROR = 499
_AT_A_TIME = 8
_ELSEWHERE = ("onnx/*", "original/*", "openvino/*", "coreml/*", "tf/*", "flax/*", "consolidated*")
_OTHERS = ("*.msgpack", "*.h5", "*.onnx", "*.ot", "*.tflite", "*.pb", "*.mlpackage")
_PAPER = ("*.md", "*.png", "*.jpg", "*.jpeg", "*.gif", "*.pdf", ".*")
"""What no PyTorch load reads: weights in folders of other tools, of other frameworks, and what is for people."""

_TORCH_WEIGHTS = ("pytorch_model*.bin", "pytorch_model.bin.index.json", "adapter_model.bin", "training_args.bin")


def needed(files: Iterable[str]) -> list[str]:
    """The files of a repository that a load reads: safetensors rather than .bin where there are both."""
    kept = [file for file in files if not any(fnmatch(file, name) for name in (*_ELSEWHERE, *_OTHERS, *_PAPER))]
    safe = any(fnmatch(file, "model*.safetensors") or file == "adapter_model.safetensors" for file in kept)
    return [file for file in kept if not (safe and any(fnmatch(file, name) for name in _TORCH_WEIGHTS))]


def resolve(repository: str, revision: str) -> dict[str, Any]:
    """The commit that a revision is now and its files, or what the local cache says where the Hub cannot be asked."""
    # only this process needs it, and it takes half a second
    from huggingface_hub import HfApi  # noqa: PLC0415

    try:
        found = HfApi().model_info(repository, revision=revision, timeout=_TIMEOUT_SECONDS)
    except Exception as error:  # noqa: BLE001 - which library reports a network depends on the Hub client's release
        said = _said(error)
        return {"error": said} if _is_refusal(error) else {"unreachable": said, **_cached(repository, revision)}
    return {"commit": found.sha, "files": needed(sibling.rfilename for sibling in found.siblings or ())}


def download(repository: str, commit: str, files: Sequence[str], folder: str) -> dict[str, Any]:
    """Put a commit's files into a folder."""
    from huggingface_hub import hf_hub_download  # noqa: PLC0415

    def one(name: str) -> str:
        return str(hf_hub_download(repository, name, revision=commit, local_dir=folder))

    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        list(pool.map(one, files))
    # what the client remembers of its downloads is no part of the checkpoint
    shutil.rmtree(Path(folder) / ".cache", ignore_errors=True)
    return {"commit": commit}


def _cached(repository: str, revision: str) -> dict[str, Any]:
    from huggingface_hub import snapshot_download  # noqa: PLC0415

    try:
        folder = Path(snapshot_download(repository, revision=revision, local_files_only=True))
    except Exception:  # noqa: BLE001 - whatever it is called, the cache does not hold it
        return {}
    files = [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]
    return {"cached": str(folder), "commit": folder.name, "files": needed(files)}


def _is_refusal(error: Exception) -> bool:
    """Whether the Hub has answered, and said no: such an answer is not to be talked out of."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return isinstance(error, ValueError) or (status is not None and status <= _LAST_CLIENT_ERROR)


def _said(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"[:300]


_DO: Mapping[str, Callable[..., dict[str, Any]]] = {"resolve": resolve, "download": download}


def main(question: Mapping[str, Any], path: Path) -> None:
    """Answer one question into a file."""
    todo = {name: value for name, value in question.items() if name != "do"}
    try:
        answer = _DO[question["do"]](**todo)
    except Exception as error:  # noqa: BLE001 - one line says it, whatever it is
        answer = {"error": _said(error)}
    path.write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), Path(sys.argv[2]))
