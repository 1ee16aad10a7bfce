"""Syntax: a source file as definitions, and a definition as statements that can be compared without their looks."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeGuard

Definition: TypeAlias = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Assign | ast.AnnAssign
"""What a file or a class defines at its top level."""

_DOCUMENTATION = re.compile(r"docstring|deprecate|code_sample")
"""Decorators that write documentation or warn, and compute nothing."""

_LOGS = re.compile(r"logger\.|logging\.|warnings\.warn")
"""How an expression or a value begins that only tells people something."""

_WORDS = re.compile(r"""['"]|\.\.\.""")
"""How an expression begins that computes nothing; a value that begins so may choose what is computed."""

_PROSE = re.compile(r"_?[A-Z0-9_]*(DOC|DOCSTRING|DESCRIPTION|CHECKPOINT)[A-Z0-9_]*")
"""Constants that documentation is put together from."""

_BLOCKS = ("body", "handlers", "orelse", "finalbody")
"""Where a compound statement holds others, in the order of the file."""


@dataclass(frozen=True)
class Statement:
    """A simple statement, or the header of a compound one.

    Attributes:
        key: Its depth and its text without comments, annotations, docstrings and formatting: equal keys do the same.
        first: First line, comments right above it included.
        last: Last line.
    """

    key: tuple[int, str]
    first: int
    last: int


@dataclass(frozen=True)
class Source:
    """One source file.

    Attributes:
        path: Where it lies.
        lines: Its lines, without ends.
        tree: Its syntax.
        definitions: What it defines at the top level; of several with one name (behind a condition) the last.
    """

    path: Path
    lines: tuple[str, ...]
    tree: ast.Module
    definitions: Mapping[str, Definition]

    def statements(self, node: Definition) -> list[Statement]:
        """A definition's statements in order; of a class, those of its methods too."""
        found: list[Statement] = []
        for depth, key, first, last in _walk([node], 0, self.lines):
            if key:
                found.append(Statement((depth, key), self._top(first, found[-1].last if found else 0), last))
        return found

    def _top(self, line: int, above: int) -> int:
        """The first of the comment lines that stand right above a line."""
        while line - 1 > above and self.lines[line - 2].lstrip().startswith("#"):
            line -= 1
        return line


def read(path: Path) -> Source | None:
    """One file; None where there is none, or where this Python cannot parse it."""
    try:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
    except (OSError, ValueError, SyntaxError):
        return None
    return Source(path, tuple(text.splitlines()), tree, dict(_definitions(tree.body)))


def members(node: Definition) -> dict[str, Definition]:
    """What a class defines in its body."""
    return dict(_definitions(node.body)) if isinstance(node, ast.ClassDef) else {}


def names(node: ast.AST) -> list[str]:
    """Every plain name that a definition mentions, and none twice."""
    return list(dict.fromkeys(part.id for part in ast.walk(node) if isinstance(part, ast.Name)))


def bases(node: ast.AST) -> list[str]:
    """The plain names of a class's bases."""
    return [base.id for base in node.bases if isinstance(base, ast.Name)] if isinstance(node, ast.ClassDef) else []


def imports(source: Source, name: str, package: str) -> tuple[str, str] | None:
    """(module, name there) of a name that a file of that package imports from elsewhere."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    parts = package.split(".") if node.level else []
                    parent = parts[: len(parts) - node.level + 1]
                    return ".".join((*parent, *filter(None, [node.module]))), alias.name
    return None


def _definitions(body: list[ast.stmt]) -> Iterator[tuple[str, Definition]]:
    for node in body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node
        elif isinstance(node, ast.Assign):
            yield from ((target.id, node) for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node
        elif isinstance(node, (ast.If, ast.Try)):
            yield from _definitions([*node.body, *node.orelse])


def _walk(body: list[ast.stmt], depth: int, lines: tuple[str, ...]) -> Iterator[tuple[int, str, int, int]]:
    """(depth, key, first line, last line); the key of what does nothing is empty."""
    for node in body:
        first = node.lineno
        for line in getattr(node, "decorator_list", []):
            key = ast.unparse(line)
            yield depth, "" if _DOCUMENTATION.search(key) else f"@{key}", line.lineno, line.end_lineno or line.lineno
        blocks = [block for name in _BLOCKS if (block := getattr(node, name, None))]
        if not blocks or blocks[0][0].lineno == node.lineno:
            yield depth, _key(node), first, node.end_lineno or first
            continue
        yield depth, _key(_emptied(node)), first, _header_end(node, blocks[0], lines)
        for number, block in enumerate(blocks):
            if isinstance(block[0], ast.ExceptHandler):
                yield from _walk(block, depth, lines)
                continue
            if number:
                # an `else:` stands right above its block; an `elif` is that block's own first line
                start = block[0].lineno - (not lines[block[0].lineno - 1].lstrip().startswith("elif"))
                yield depth, "else", start, start - (start == block[0].lineno)
            yield from _walk(block, depth + 1, lines)


def _header_end(node: ast.stmt, block: list[ast.stmt], lines: tuple[str, ...]) -> int:
    """The line with the colon that a block follows."""
    inner = {id(part) for name in _BLOCKS for part in getattr(node, name, [])}
    own = [part for part in ast.iter_child_nodes(node) if id(part) not in inner]
    last = max([node.lineno, *(part.end_lineno or 0 for top in own for part in ast.walk(top) if _is_placed(part))])
    while last < block[0].lineno - 1 and not lines[last - 1].split("#")[0].rstrip().endswith(":"):
        last += 1
    return last


def _is_placed(node: ast.AST) -> TypeGuard[ast.expr]:
    return isinstance(node, (ast.expr, ast.arg, ast.keyword))


def _key(node: ast.AST) -> str:
    """A statement's text without looks; empty where it computes nothing: docstrings, logging, bare annotations."""
    if isinstance(node, (ast.Expr, ast.Assign)) and _LOGS.match(ast.unparse(node.value)):
        return ""
    if isinstance(node, ast.Expr) and _WORDS.match(ast.unparse(node.value)):
        return ""
    if isinstance(node, ast.Assign) and all(_PROSE.fullmatch(ast.unparse(target)) for target in node.targets):
        return ""
    if isinstance(node, ast.AnnAssign) and node.value is None:
        return ""
    return _clean(ast.unparse(_bare(node)))


def _clean(text: str) -> str:
    return "" if text in {"pass", "..."} else text


def _emptied(node: ast.stmt) -> ast.AST:
    """A compound statement without what is in it."""
    bare = copy.copy(node)
    for name in _BLOCKS:
        if hasattr(bare, name):
            setattr(bare, name, [ast.Pass()] if name == "body" else [])
    if isinstance(bare, ast.Try):
        bare.finalbody = [ast.Pass()]
    return bare


class _Bare(ast.NodeTransformer):
    """Takes annotations out of a copy."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        if node.value is None:
            return node
        return ast.Assign(targets=[node.target], value=node.value, lineno=node.lineno)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.returns = None
        self.generic_visit(node)
        return node


def _bare(node: ast.AST) -> ast.AST:
    bare = copy.deepcopy(node)
    if isinstance(bare, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        # each is a statement of its own
        bare.decorator_list = []
    return ast.fix_missing_locations(_Bare().visit(bare))  # type: ignore[no-any-return]
