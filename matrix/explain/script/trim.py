"""Trim: remote code without its comments, docstrings and the functions that no release called.

What is left keeps its author's lines. It is only a proposal: a script that holds it is run before it is shown.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator, Mapping, Sequence

_KEPT = ("_init_weights",)
"""Functions that a reader looks for even where no release called them."""

_Function = (ast.FunctionDef, ast.AsyncFunctionDef)


def union(*sides: Mapping[str, Sequence[int]]) -> dict[str, frozenset[int]]:
    """What any side called: file → first lines of functions, a decorator's where there is one."""
    return {
        name: frozenset(line for side in sides for line in side.get(name, ())) for name in {n for s in sides for n in s}
    }


def trimmed(files: Mapping[str, str], called: Mapping[str, frozenset[int]]) -> dict[str, str]:
    """The files, those of Python shorter; one that nothing was called of, or that cannot be read, loses its words only.

    Args:
        files: Name → text.
        called: Name → first lines of the functions that ran.
    """
    return {name: _shorter(text, called.get(name)) if name.endswith(".py") else text for name, text in files.items()}


def _shorter(text: str, called: frozenset[int] | None) -> str:
    try:
        tree = ast.parse(text)
        gone = {line for span in _docstrings(tree) for line in span}
        gone |= {line for span in _uncalled(tree, called) for line in span} if called else set()
        words = _strings(tree)
        lines = enumerate(_without_comments(text), 1)
        kept = [(line, number in words) for number, line in lines if number not in gone and (line or number in words)]
        left = "\n".join(_spaced(kept))
        ast.parse(left)
    except (SyntaxError, tokenize.TokenError):
        return text
    return left + "\n"


def _docstrings(tree: ast.Module) -> Iterator[range]:
    """The lines of every docstring that is not all there is of its function or class."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, *_Function)) and len(node.body) > 1:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and type(first.value.value) is str:
                yield range(first.lineno, (first.end_lineno or first.lineno) + 1)


def _uncalled(tree: ast.Module, called: frozenset[int]) -> Iterator[range]:
    """The lines of every function that never ran, unless its class would be empty without it."""
    for owner in ast.walk(tree):
        if isinstance(owner, (ast.Module, ast.ClassDef)):
            dead = [node for node in owner.body if isinstance(node, _Function) and _is_dead(node, called)]
            if len(dead) < len([node for node in owner.body if not _is_docstring(node)]):
                yield from (range(_first_line(node), (node.end_lineno or node.lineno) + 1) for node in dead)


def _is_dead(node: ast.FunctionDef | ast.AsyncFunctionDef, called: frozenset[int]) -> bool:
    return node.name not in _KEPT and _first_line(node) not in called


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _first_line(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return min(node.lineno, *(decorator.lineno for decorator in node.decorator_list), node.lineno)


def _strings(tree: ast.Module) -> set[int]:
    """Every line that a string of several lines runs through, but for its first."""
    texts = (node for node in ast.walk(tree) if isinstance(node, (ast.Constant, ast.JoinedStr)))
    return {line for node in texts for line in range(node.lineno + 1, (node.end_lineno or node.lineno) + 1)}


def _without_comments(text: str) -> list[str]:
    """The lines; one that held nothing but a comment is empty."""
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip()
    return lines


def _spaced(lines: Sequence[tuple[str, bool]]) -> Iterator[str]:
    """Blank lines as usual: two before what starts a block of the file, one before what starts one of a class.

    Args:
        lines: Line, and whether it belongs to a string that started before it.
    """
    before = ""
    for line, is_text in lines:
        word = line.lstrip()
        indent = len(line) - len(word)
        starts = word.startswith(("def ", "class ", "@", "async def ")) and not before.lstrip().startswith("@")
        if starts and not is_text and indent <= 4 and before and not before.endswith(":"):  # noqa: PLR2004 - of a class
            yield from [""] * (1 if indent else 2)
        yield line
        before = line
