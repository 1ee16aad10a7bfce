"""Definitions: where an installed release defines a class, what it inherits and what it calls."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from matrix.explain.anatomy import ModuleFacts
from matrix.explain.sources import syntax
from matrix.explain.sources.hunks import Place
from matrix.explain.sources.syntax import Source

_TOO_GENERAL = {"PreTrainedModel", "GenerationMixin", "PretrainedConfig", "PreTrainedConfig", "Module", "ABC", "object"}
"""Bases that every class has: what changes there is no change of this class."""


@dataclass(frozen=True)
class Site:
    """One side's site-packages, of which every file is read once.

    Attributes:
        path: Its folder.
    """

    path: Path
    _read: dict[Path, Source | None] = field(default_factory=dict, repr=False)

    def source(self, file: str | PurePath) -> Source | None:
        """One file, relative to the folder or absolute; None where it cannot be read."""
        path = self.path / file
        if path not in self._read:
            self._read[path] = syntax.read(path)
        return self._read[path]

    def relative(self, place: Place) -> str:
        """A place's file as a module's facts name it."""
        path = place.source.path
        return path.relative_to(self.path).as_posix() if path.is_relative_to(self.path) else str(path)

    def meant(self, place: Place, name: str) -> Place | None:
        """What a name means in a place's file: what that defines, or imports from the same distribution."""
        own = place.source.definitions.get(name)
        return Place(place.source, own, name) if own else self.imported(place, name)

    def imported(self, place: Place, name: str) -> Place | None:
        """What a name means that a place's file imports from the same distribution; None where it does not."""
        file = PurePath(self.relative(place))
        found = syntax.imports(place.source, name, ".".join(file.parent.parts))
        if found is None or found[0].split(".")[0] != file.parts[0]:
            return None
        module, own_name = found
        folder = PurePath(*module.split("."))
        for candidate in (folder.with_suffix(".py"), folder / "__init__.py"):
            source = self.source(candidate) if (self.path / candidate).is_file() else None
            if source and own_name in source.definitions:
                return Place(source, source.definitions[own_name], own_name)
        return None


def find(site: Site, facts: ModuleFacts) -> Place | None:
    """A module's class; None where its file has no such class."""
    source = site.source(facts.file) if facts.file else None
    if source is None:
        return None
    nodes = [node for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef) and node.name == facts.class_name]
    # of several with one name, the one that runs
    nodes.sort(key=lambda node: abs(node.lineno - facts.line))
    return Place(source, nodes[0], facts.class_name) if nodes else None


def enclosing(site: Site, file: str, line: int) -> Place | None:
    """The function or method that a line belongs to; None where there is none."""
    return next((place for place in _functions(site, file) if place.line <= line <= (place.node.end_lineno or 0)), None)


def named(site: Site, file: str, title: str) -> Place | None:
    """The function or method of that title, such as `LlamaModel.forward`; None where there is none."""
    return next((place for place in _functions(site, file) if place.title == title), None)


def _functions(site: Site, file: str) -> Iterator[Place]:
    source = site.source(file)
    for name, node in source.definitions.items() if source else ():
        members = syntax.members(node) if isinstance(node, ast.ClassDef) else {"": node}
        for own, part in members.items():
            if source and isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                yield Place(source, part, f"{name}.{own}" if own else name)


def inherited(site: Site, place: Place) -> dict[str, Place]:
    """What a class defines and inherits, by name, in its own order; its bases as Python would look them up."""
    found = {
        name: Place(place.source, node, f"{place.title}.{name}") for name, node in syntax.members(place.node).items()
    }
    for base in syntax.bases(place.node):
        parent = site.meant(place, base)
        if base not in _TOO_GENERAL and parent and isinstance(parent.node, ast.ClassDef) and parent.node != place.node:
            for name, member in inherited(site, parent).items():
                found.setdefault(name, member)
    return found


def called(places: Iterable[Place]) -> dict[str, Place]:
    """Functions and constants that places mention and that their own files define, and what those mention."""
    found: dict[str, Place] = {}
    ahead = list(places)
    while ahead:
        place = ahead.pop(0)
        for name in syntax.names(place.node):
            node = place.source.definitions.get(name)
            if node is not None and not isinstance(node, ast.ClassDef) and name not in found:
                found[name] = Place(place.source, node, name)
                ahead.append(found[name])
    return found


def configs(site: Site, place: Place) -> Place | None:
    """The config class that a class names: `config_class = …`, or the annotation of `config`."""
    for name in _config_names(site, place):
        found = site.meant(place, name)
        if found and isinstance(found.node, ast.ClassDef):
            return found
    return None


def _config_names(site: Site, place: Place) -> list[str]:
    members = inherited(site, place)
    nodes: list[ast.AST] = []
    for member in members.values():
        if isinstance(member.node, ast.FunctionDef):
            nodes += [
                argument.annotation
                for argument in member.node.args.args
                if argument.arg == "config" and argument.annotation
            ]
    for name in ("config", "config_class"):
        node = members[name].node if name in members else None
        nodes += (
            [node.annotation]
            if isinstance(node, ast.AnnAssign)
            else [node.value]
            if isinstance(node, ast.Assign)
            else []
        )
    return [name for node in nodes for name in syntax.names(node) if name.endswith("Config")]
