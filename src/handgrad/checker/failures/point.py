"""Where an exception comes from: the smallest expression that raises, and what its parts were."""

from __future__ import annotations

import ast
import functools
import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, NamedTuple

import numpy as np

from handgrad.checker.reading import statement_at

_PACKAGE = str(Path(__file__).parents[2])
_LIBRARIES = (*[str(Path(one.__file__ or "").parent) for one in (os, np)], _PACKAGE, "<frozen")
_LONGEST = 60  # characters of a quoted expression
_MODULES = ("np", "numpy", "math")


class Unknown(Exception):
    """Raised where an expression cannot be evaluated again without doing more than that."""


class Point(NamedTuple):
    """A failing place.

    Attributes:
        error: the exception.
        node: the expression that raises, or the statement where storing does.
        statement, body: the statement and the function around it.
        frame: with the values.
        line: in its file.
    """

    error: BaseException
    node: ast.AST
    statement: ast.stmt
    body: ast.AST
    frame: FrameType
    line: int

    def value(self, node: ast.expr) -> Any:
        """Return what an expression was; `Unknown` if it cannot be told."""
        return value_of(node, self.frame)

    def of(self, name: str) -> Any:
        """Return what a variable was, or None."""
        return self.frame.f_locals.get(name)

    def loop(self, name: str) -> ast.For | None:
        """Return the innermost loop around the statement that counts `name`."""
        found: ast.For | None = None
        for node in ast.walk(self.body):
            if not isinstance(node, ast.For) or name not in names_in(node.target):
                continue
            if any(child is self.statement for child in ast.walk(node)):
                found = node
        return found

    def bound(self, name: str) -> tuple[str, int, int] | None:
        """Return the text of the range that a variable runs over, its end, and its step."""
        loop = self.loop(name)
        if loop is None or not isinstance(loop.iter, ast.Call):
            return None
        if getattr(loop.iter.func, "id", "") not in ("range", "xrange"):
            return None
        try:
            over = self.value(loop.iter)
        except Exception:
            return None
        return quoted(loop.iter), over.stop, over.step


def point_of(error: BaseException) -> Point | None:
    """Return the failing place in the last file that is neither a library's nor Handgrad's."""
    frames = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith(_LIBRARIES)
    ]
    if not frames:
        return None
    frame, line = frames[-1]
    body = _body(frame.f_code)
    statement = statement_at(body, line) if body is not None else None
    if body is None or statement is None:
        return None
    for node in _inner_first(statement):
        try:
            value_of(node, frame)
        except Unknown:
            continue
        except Exception as again:
            if type(again) is type(error):
                return Point(error, node, statement, body, frame, line)
    return Point(error, statement, statement, body, frame, line)


def _inner_first(statement: ast.stmt) -> Iterator[ast.expr]:
    """The expressions that a statement reads, each behind its parts."""
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.expr):
            yield from _parts_first(child)


def _parts_first(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.Lambda | ast.ListComp | ast.GeneratorExp | ast.DictComp | ast.SetComp):
        return
    stored = isinstance(getattr(node, "ctx", None), ast.Store)
    for child in ast.walk(node) if isinstance(node, ast.keyword) else ast.iter_child_nodes(node):
        if isinstance(child, ast.keyword):
            yield from _parts_first(child.value)
        elif isinstance(child, ast.Slice):
            for part in (child.lower, child.upper, child.step):
                if part is not None:
                    yield from _parts_first(part)
        elif isinstance(child, ast.expr):
            yield from _parts_first(child)
    if not stored and not isinstance(node, ast.Slice | ast.Starred):
        yield node


def value_of(node: ast.expr, frame: FrameType) -> Any:
    """Evaluate an expression once more; of calls only those of NumPy, of arrays and a few builtins."""
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and not _harmless(part.func, frame):
            raise Unknown
        if isinstance(part, ast.Lambda | ast.Await | ast.Yield | ast.NamedExpr | ast.GeneratorExp):
            raise Unknown
    known = dict(frame.f_locals)
    code = _code(ast.unparse(node), tuple(sorted(known)))
    if code is None:
        raise Unknown
    return FunctionType(code, frame.f_globals)(*[known[name] for name in sorted(known)])


@functools.lru_cache(maxsize=256)
def _code(text: str, names: tuple[str, ...]) -> CodeType | None:
    if not all(name.isidentifier() for name in names):
        return None
    try:
        made = compile(f"def _({', '.join(names)}): return ({text})", "<again>", "exec")
    except (SyntaxError, ValueError):
        return None
    return next(one for one in made.co_consts if isinstance(one, CodeType))


def _harmless(function: ast.expr, frame: FrameType) -> bool:
    """Whether a call only computes: of NumPy but for its random numbers, a method of an array, a builtin."""
    text = ast.unparse(function)
    if isinstance(function, ast.Name):
        builtin = function.id in (
            "range",
            "len",
            "int",
            "float",
            "max",
            "min",
            "abs",
            "sum",
            "tuple",
            "list",
            "zip",
            "enumerate",
        )
        return builtin and function.id not in frame.f_locals
    root = text.partition(".")[0]
    if root in _MODULES and root not in frame.f_locals:
        return ".random." not in text
    if isinstance(function, ast.Attribute):
        try:
            owner = value_of(function.value, frame)
        except Exception:
            return False
        return isinstance(owner, np.ndarray | np.generic | str | dict | tuple)
    return False


@functools.lru_cache(maxsize=16)
def _tree(file: str, changed: int) -> ast.Module | None:
    try:
        return ast.parse(Path(file).read_bytes())
    except (OSError, ValueError, SyntaxError):
        return None


def _body(code: CodeType) -> ast.AST | None:
    """The function that some code is of, in its file."""
    try:
        tree = _tree(code.co_filename, Path(code.co_filename).stat().st_mtime_ns)
    except OSError:
        return None
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            first = min([node.lineno, *[one.lineno for one in node.decorator_list]])
            if code.co_firstlineno in (first, node.lineno):
                return node
    return None


def names_in(node: ast.AST) -> list[str]:
    """Return the names in an expression, each once."""
    return list(dict.fromkeys(one.id for one in ast.walk(node) if isinstance(one, ast.Name)))


def quoted(node: ast.AST) -> str:
    """Return the text of an expression, shortened."""
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def described(value: Any) -> str:
    """Say what a value is."""
    if value is None:
        return "None"
    if isinstance(value, np.ndarray) and value.ndim:
        return f"an array of shape {value.shape}"
    if isinstance(value, bool | int | float | np.number | str) or (
        isinstance(value, np.ndarray) and not value.ndim
    ):
        text = str(value)
        return f"the number {text}" if not isinstance(value, str) else f"the text {text[:20]!r}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, dict):
        return f"a dictionary with {', '.join(map(repr, list(value)[:6])) or 'no keys'}"
    if callable(value):
        return f"a function ({getattr(value, '__name__', type(value).__name__)})"
    return f"a {type(value).__name__}"
