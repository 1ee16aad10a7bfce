"""Tiny checkpoints as recipes: a config, maybe code, and a seed from which every weight follows.

A recipe is a folder with `config.json`, `weights.toml` and any small files that belong to the checkpoint. Writing it
gives a checkpoint folder with the same bytes on every machine, so a repository can ship checkpoints as text.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import sys
import tempfile
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from matrix import table
from matrix.errors import CheckpointError, SpecError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

WEIGHTS_FILE = "weights.toml"
CONFIG_FILE = "config.json"
TENSOR_FILE = "model.safetensors"
LAYER = "{layer}"
FLOAT32_MAX = (2 - 2**-23) * 2.0**127

# Relative POSIX path -> bytes of a checkpoint's file.
Contents: TypeAlias = Mapping[str, bytes]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tensor:
    """One float32 tensor: its values are uniform in [center - width, center + width)."""

    name: str
    shape: tuple[int, ...]
    width: float
    center: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A checkpoint before its weights are written out: the tensors to make and the files to copy as they are."""

    seed: int
    tensors: tuple[Tensor, ...]
    files: Contents


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Entry:
    """One line of the [tensors] table; `{layer}` in its key stands for every layer."""

    shape: tuple[int, ...]
    width: float
    center: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Weights:
    """The whole of `weights.toml`."""

    seed: int
    tensors: Mapping[str, _Entry]
    layers: int = 0


def is_recipe(folder: Path) -> bool:
    """Say whether a folder is a recipe rather than a checkpoint: it holds a `weights.toml`."""
    return (folder / WEIGHTS_FILE).is_file()


def read(folder: Path) -> Recipe:
    """Read a recipe and the bytes of the files it carries, so that later edits of the folder do not matter.

    Raises:
        CheckpointError: `weights.toml` or `config.json` is missing, `weights.toml` is not TOML, has an unknown key or
            describes a tensor that cannot be made, or the folder already holds a `model.safetensors`.
    """
    path = folder / WEIGHTS_FILE
    weights = _weights(path)
    return Recipe(seed=weights.seed, tensors=tuple(_tensors(weights, path)), files=_files(folder))


def write(recipe: Recipe, target: Path) -> None:
    """Write the checkpoint folder, whole or not at all; a target that already holds these bytes is kept.

    The files are written into a hidden sibling, which is then renamed: another process sees the old target, none or
    the complete new one. A target with missing or other bytes (left by a killed copy) is replaced.
    """
    contents = _contents(recipe)
    if _holds(target, contents):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
        fresh = Path(scratch, "fresh")
        _fill(fresh, contents)
        _install(fresh, target, contents, aside=Path(scratch, "stale"))


def digest(recipe: Recipe) -> str:
    """Return the sha256, in hex, of everything `write` would write.

    Each file, sorted by its relative POSIX path, adds its path, a zero byte, its length as eight little-endian bytes
    and its bytes; the length keeps bytes from moving between neighbouring files unnoticed.
    """
    sha = hashlib.sha256()
    for name, content in sorted(_contents(recipe).items()):
        sha.update(name.encode() + b"\0" + len(content).to_bytes(8, "little") + content)
    return sha.hexdigest()


def values(tensor: Tensor, seed: int) -> array[float]:
    """Return a tensor's values in row-major order, as C floats (float32).

    SHAKE-256 (FIPS 202) of the text `seed/name` is read as little-endian uint32 words. The top 24 bits of a word
    times 2**-24 are u in [0, 1), exact in float32; the value is `center + width * (2u - 1)`, computed in double and
    rounded once to float32. No random generator of any library takes part and every step is fixed by FIPS 202 or
    IEEE 754, so the bits are the same everywhere. A tensor's values do not depend on the other tensors.
    """
    words = array("I", hashlib.shake_256(f"{seed}/{tensor.name}".encode()).digest(4 * math.prod(tensor.shape)))
    if sys.byteorder == "big":
        words.byteswap()
    center, width = tensor.center, tensor.width
    # (word >> 8) * 2**-23 - 1 is 2u - 1, exact in double.
    return array("f", [center + width * ((word >> 8) * 2.0**-23 - 1.0) for word in words])


def safetensors(recipe: Recipe) -> bytes:
    """Return the recipe's tensors in the safetensors format (https://github.com/huggingface/safetensors#format).

    Eight bytes of little-endian header length, a JSON header padded with spaces to eight bytes, then the float32
    tensors, sorted by name, without gaps.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    body = bytearray()
    for tensor in sorted(recipe.tensors, key=lambda tensor: tensor.name):
        start = len(body)
        body += _little_endian(values(tensor, recipe.seed))
        header[tensor.name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [start, len(body)]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + bytes(body)


def _little_endian(floats: array[float]) -> bytes:
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tobytes()


def _contents(recipe: Recipe) -> Contents:
    return {**recipe.files, TENSOR_FILE: safetensors(recipe)}


def _holds(target: Path, contents: Contents) -> bool:
    try:
        return all((target / name).read_bytes() == content for name, content in contents.items())
    except OSError:
        return False


def _fill(folder: Path, contents: Contents) -> None:
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _install(fresh: Path, target: Path, contents: Contents, *, aside: Path) -> None:
    """Rename `fresh` to `target`; a folder that is not empty cannot be renamed over, so it is looked at first."""
    try:
        fresh.replace(target)
    except OSError:
        if _holds(target, contents):  # Another process was faster.
            return
        with contextlib.suppress(FileNotFoundError):
            target.replace(aside)
        fresh.replace(target)


def _weights(path: Path) -> _Weights:
    try:
        return table.read(_Weights, tomllib.loads(path.read_text(encoding="utf-8")), str(path))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read", given=error.strerror) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not TOML", given=error, next_step="correct the file") from error
    except SpecError as error:
        raise CheckpointError(str(error)) from error


def _tensors(weights: _Weights, path: Path) -> Iterator[Tensor]:
    seen: set[str] = set()
    for pattern, entry in weights.tensors.items():
        _check(entry, f"{path}, tensor {pattern!r}")
        for name in _names(pattern, weights.layers, path):
            if name in seen:
                raise CheckpointError(f"{path} describes one tensor twice", given=name, next_step="remove one of them")
            seen.add(name)
            yield Tensor(name=name, shape=entry.shape, width=entry.width, center=entry.center)
    if not seen:
        raise CheckpointError(f"{path} describes no tensor", next_step="add the model's weights to its [tensors] table")


def _names(pattern: str, layers: int, path: Path) -> list[str]:
    if LAYER not in pattern:
        return [pattern]
    if layers < 1:
        raise CheckpointError(
            f"{path}: {pattern!r} is repeated per layer, but there are no layers",
            given=f"layers = {layers}",
            next_step="set layers to the model's number of layers",
        )
    return [pattern.replace(LAYER, str(layer)) for layer in range(layers)]


def _check(entry: _Entry, where: str) -> None:
    if not entry.shape or min(entry.shape) < 1:
        raise CheckpointError(f"{where} has a bad shape", given=list(entry.shape), allowed="whole numbers above 0")
    if not entry.width >= 0 or not abs(entry.center) + entry.width <= FLOAT32_MAX:
        raise CheckpointError(
            f"{where} has values that float32 cannot hold",
            given=f"center = {entry.center}, width = {entry.width}",
            allowed="a width of 0 or more, and center plus width finite in float32",
        )


def _files(folder: Path) -> Contents:
    if not (folder / CONFIG_FILE).is_file():
        raise CheckpointError(f"the recipe {folder} has no {CONFIG_FILE}", next_step=f"add the model's {CONFIG_FILE}")
    if (folder / TENSOR_FILE).exists():
        raise CheckpointError(
            f"{folder} holds both {WEIGHTS_FILE} and {TENSOR_FILE}",
            next_step=f"remove {WEIGHTS_FILE} to use the stored weights, or {TENSOR_FILE} to use the recipe",
        )
    names = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return {name.as_posix(): (folder / name).read_bytes() for name in names if _belongs(name)}


def _belongs(name: Path) -> bool:
    """Leave out the weights' description and what tools drop: hidden files and byte code."""
    return name.name != WEIGHTS_FILE and not any(part.startswith((".", "__pycache__")) for part in name.parts)
