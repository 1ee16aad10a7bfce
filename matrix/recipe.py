"""Tiny checkpoints as recipes: a config, maybe code, and a seed from which every weight follows.

A recipe is a folder with `config.json`, `weights.toml` and any small files that belong to the checkpoint. Writing it
gives a checkpoint folder with the same bytes on every machine, so a repository can ship checkpoints as text. A recipe
may inherit from another one and say only what it changes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from matrix import table
from matrix.errors import CheckpointError, SpecError
from matrix.weights import Entry, Tensor, expand, names, safetensors

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

WEIGHTS_FILE = "weights.toml"
CONFIG_FILE = "config.json"
TENSOR_FILE = "model.safetensors"

# Relative POSIX path -> bytes of a checkpoint's file.
Contents: TypeAlias = Mapping[str, bytes]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A checkpoint before its weights are written out: the tensors to make and the files to copy as they are."""

    seed: int
    tensors: tuple[Tensor, ...]
    files: Contents


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Edit:
    """One change of a file's text: `old`, which occurs exactly once, becomes `new`."""

    file: str
    old: str
    new: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Weights:
    """The whole of `weights.toml`.

    Attributes:
        seed: What every value follows from; the base's when absent.
        layers: How often `{layer}` is repeated; the base's when absent.
        base: Another recipe's folder, relative to this one, whose files and tensors are inherited.
        drop: Inherited tensors, by name or `{layer}` pattern, that the checkpoint lacks.
        tensors: Added to the inherited ones, or in place of them.
        config: Keys laid over the top level of `config.json`.
        without: Keys taken out of `config.json`.
        edit: Changes of files, inherited ones above all, in order.
    """

    seed: int | None = None
    layers: int | None = None
    base: str | None = None
    drop: tuple[str, ...] = ()
    tensors: Mapping[str, Entry] = dataclasses.field(default_factory=dict)
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    without: tuple[str, ...] = ()
    edit: tuple[_Edit, ...] = ()


def is_recipe(folder: Path) -> bool:
    """Say whether a folder is a recipe rather than a checkpoint: it holds a `weights.toml`."""
    return (folder / WEIGHTS_FILE).is_file()


def read(folder: Path) -> Recipe:
    """Read a recipe, what it inherits and the bytes of its files, so that later edits of a folder do not matter.

    Raises:
        CheckpointError: `weights.toml` or `config.json` is missing, `weights.toml` is not TOML, has an unknown key,
            describes a tensor that cannot be made or changes what is not there, a folder already holds a
            `model.safetensors`, or a base is missing or inherits from the recipe itself.
    """
    chain = _chain(folder)
    seed = _last(weights.seed for _, weights in chain)
    if seed is None:
        raise CheckpointError(f"{folder / WEIGHTS_FILE} gives no seed", next_step="add a seed, or a base that has one")
    layers = _last(weights.layers for _, weights in chain) or 0
    tensors: dict[str, Tensor] = {}
    files: Contents = {}
    for level, weights in chain:
        tensors = _tensors(weights, tensors, layers, str(level / WEIGHTS_FILE))
        files = _changed(weights, {**files, **_files(level)}, level)
    if not tensors:
        raise CheckpointError(
            f"{folder / WEIGHTS_FILE} describes no tensor", next_step="add the model's weights to its [tensors] table"
        )
    return Recipe(seed=seed, tensors=tuple(tensors.values()), files=files)


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


def _contents(recipe: Recipe) -> Contents:
    return {**recipe.files, TENSOR_FILE: safetensors(recipe.tensors, recipe.seed)}


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


def _chain(folder: Path) -> list[tuple[Path, _Weights]]:
    """The recipe and every base it inherits from, the outermost base first."""
    chain = [(folder, _weights(folder / WEIGHTS_FILE))]
    seen = {folder.resolve()}
    while (base := chain[-1][1].base) is not None:
        path, above = chain[-1][0] / WEIGHTS_FILE, chain[-1][0] / base
        if above.resolve() in seen:
            raise CheckpointError(f"{path} inherits from itself", given=f"base = {base!r}")
        if not is_recipe(above):
            raise CheckpointError(
                f"{path} has a base that is no recipe",
                given=f"base = {base!r}",
                allowed=f"a folder with {WEIGHTS_FILE}, relative to {chain[-1][0]}",
            )
        seen.add(above.resolve())
        chain.append((above, _weights(above / WEIGHTS_FILE)))
    return chain[::-1]


def _last(numbers: Iterable[int | None]) -> int | None:
    return next((number for number in reversed([*numbers]) if number is not None), None)


def _tensors(weights: _Weights, inherited: Mapping[str, Tensor], layers: int, where: str) -> dict[str, Tensor]:
    dropped = [name for pattern in weights.drop for name in names(pattern, layers, where)]
    if unknown := [name for name in dropped if name not in inherited]:
        raise CheckpointError(f"{where} drops a tensor that it does not inherit", given=unknown[0], allowed=inherited)
    kept = {name: tensor for name, tensor in inherited.items() if name not in dropped}
    return {**kept, **expand(weights.tensors, layers, where)}


def _changed(weights: _Weights, files: Contents, folder: Path) -> Contents:
    """The files after this level's edits and config keys."""
    if CONFIG_FILE not in files:
        raise CheckpointError(f"the recipe {folder} has no {CONFIG_FILE}", next_step=f"add the model's {CONFIG_FILE}")
    where = str(folder / WEIGHTS_FILE)
    changed = dict(files)
    for edit in weights.edit:
        changed[edit.file] = _edited(edit, changed, where)
    if weights.config or weights.without:
        changed[CONFIG_FILE] = _configured(weights, changed[CONFIG_FILE], where)
    return changed


def _edited(edit: _Edit, files: Contents, where: str) -> bytes:
    if edit.file not in files:
        raise CheckpointError(f"{where} edits a file that is not there", given=edit.file, allowed=files)
    content, old = files[edit.file], edit.old.encode()
    # an empty text is everywhere
    if (count := content.count(old)) != 1:
        raise CheckpointError(
            f"{where} edits a text that {edit.file} does not hold exactly once",
            given=f"{count} times: {edit.old!r}",
            next_step="give enough of the lines around it",
        )
    return content.replace(old, edit.new.encode())


def _configured(weights: _Weights, content: bytes, where: str) -> bytes:
    try:
        config = json.loads(content)
    except ValueError as error:
        raise CheckpointError(f"{where} changes a {CONFIG_FILE} that is not JSON", given=error) from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{where} changes a {CONFIG_FILE} that is not a JSON object", given=type(config).__name__)
    if unknown := [key for key in weights.without if key not in config]:
        raise CheckpointError(f"{where} removes a key that {CONFIG_FILE} lacks", given=unknown[0], allowed=config)
    kept = {key: value for key, value in config.items() if key not in weights.without}
    try:
        return json.dumps({**kept, **weights.config}, indent=2, allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{where} has a [config] that is not JSON", given=error) from error


def _files(folder: Path) -> Contents:
    if (folder / TENSOR_FILE).exists():
        raise CheckpointError(
            f"{folder} holds both {WEIGHTS_FILE} and {TENSOR_FILE}",
            next_step=f"remove {WEIGHTS_FILE} to use the stored weights, or {TENSOR_FILE} to use the recipe",
        )
    found = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return {name.as_posix(): (folder / name).read_bytes() for name in found if _belongs(name)}


def _belongs(name: Path) -> bool:
    """Leave out the weights' description and what tools drop: hidden files and byte code."""
    return name.name != WEIGHTS_FILE and not any(part.startswith((".", "__pycache__")) for part in name.parts)
