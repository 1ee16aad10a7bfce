"""Wholeness: a folder that a download or a save left half-written is refused here, not by every cell in turn."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matrix.errors import CheckpointError

ADAPTER_CONFIG = "adapter_config.json"
_WEIGHTS = ("*.safetensors", "*.bin", "*.gguf", "*.pt", "*.pth")
_ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
"""Files by which transformers recognises a checkpoint's weights, and peft an adapter's; the first found is read."""


def check(folder: Path, where: str) -> None:
    """Refuse a checkpoint's folder that cannot be loaded whole.

    Args:
        folder: What from_pretrained will be given.
        where: Whose it is, in messages.

    Raises:
        CheckpointError: When its config or weights are missing, cut off or unreadable.
    """
    if not (folder / "config.json").exists():
        _refuse_an_adapter(folder, where)
        raise CheckpointError(
            f"{where} has no config.json", given=folder, next_step="give a folder written by save_pretrained"
        )
    _json_table(folder / "config.json", where)
    if not any(file for pattern in _WEIGHTS for file in folder.glob(pattern)):
        raise CheckpointError(f"{where} has no weights", given=folder, allowed=", ".join(_WEIGHTS))
    files = used(folder, where)
    if missing := [file.name for file in files if not file.exists()]:
        raise CheckpointError(
            f"{where} lacks shards that its index lists", given=", ".join(missing[:5]), next_step="download it again"
        )
    for file in dict.fromkeys([*files, *folder.glob("*.safetensors")]):
        _check_file(file, where)


def check_adapter(folder: Path, where: str) -> None:
    """Refuse a PEFT adapter's folder that cannot be loaded whole.

    Raises:
        CheckpointError: When its config or weights are missing, cut off or unreadable.
    """
    if not (folder / ADAPTER_CONFIG).exists():
        raise CheckpointError(
            f"{where} has no {ADAPTER_CONFIG}",
            given=folder,
            next_step="give a folder written by save_pretrained of a PEFT model",
        )
    kind = _json_table(folder / ADAPTER_CONFIG, where).get("peft_type")
    if not isinstance(kind, str):
        raise CheckpointError(f"{where} does not say what it is", given=f"peft_type: {kind}", allowed="such as LORA")
    weights = [folder / name for name in _ADAPTER_WEIGHTS if (folder / name).exists()]
    if not weights:
        raise CheckpointError(f"{where} has no weights", given=folder, allowed=_ADAPTER_WEIGHTS)
    _check_file(weights[0], where)


def used(folder: Path, where: str) -> list[Path]:
    """The files whose weights transformers reads: safetensors before .bin, a single file before shards.

    What an index lists need not exist. Of a folder with neither kind, every file of weights.

    Raises:
        CheckpointError: When the index is no JSON object.
    """
    for kind in ("model.safetensors", "pytorch_model.bin"):
        if (folder / kind).exists():
            return [folder / kind]
        index = folder / f"{kind}.index.json"
        if index.exists():
            shards = _json_table(index, where).get("weight_map", {})
            return [folder / name for name in sorted(set(shards.values()))] if isinstance(shards, dict) else []
    return sorted(file for pattern in _WEIGHTS for file in folder.glob(pattern))


def header(file: Path) -> dict[str, Any] | None:
    """The header of a safetensors file: tensor → dtype, shape and offsets; None when the file is cut off.

    Source of the format: safetensors' README, "Format".
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        try:
            content = json.loads(stream.read(length)) if 8 + length <= size else None
        except ValueError:
            content = None
    if not isinstance(content, dict):
        return None
    content.pop("__metadata__", None)
    return content if 8 + length + _data_bytes(content) == size else None


def _refuse_an_adapter(folder: Path, where: str) -> None:
    if not (folder / ADAPTER_CONFIG).exists():
        return
    base = _json_table(folder / ADAPTER_CONFIG, where).get("base_model_name_or_path") or "./the-base-model"
    raise CheckpointError(
        f"{where} is an adapter, and what it adapts is not named",
        given=folder,
        next_step=f'write checkpoint = "{base}" (hub:org/name@revision, if it is on the Hub) and adapter = "{folder}";'
        " on the command line, give the base as CHECKPOINT and the adapter with --adapter",
    )


def _json_table(file: Path, where: str) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{where} has a {file.name} that is not JSON", given=error) from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{where} has a {file.name} that is not a JSON object", given=type(content).__name__)
    return content


def _check_file(file: Path, where: str) -> None:
    """A zip archive, which torch.save writes, lists its content at its end; older files say no length."""
    if file.suffix == ".safetensors":
        whole = header(file) is not None
    else:
        with file.open("rb") as stream:
            whole = file.suffix != ".bin" or stream.read(2) != b"PK" or zipfile.is_zipfile(file)
    if not whole or not file.stat().st_size:
        raise CheckpointError(f"{where} has a file that is cut off", given=file, next_step="download or save it again")


def _data_bytes(tensors: Mapping[str, Any]) -> int:
    entries = tensors.values()
    if not all(isinstance(entry, dict) and isinstance(entry.get("data_offsets"), list) for entry in entries):
        return -1
    return max((entry["data_offsets"][-1] for entry in entries), default=0)
