"""What the source of a function shows at a glance: its docstrings, loops that share a variable."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator, Sequence


def docstring_lines(lines: Sequence[str]) -> set[int]:
    """Return the numbers, from 0, of the lines that hold nothing but a text."""
    tree = _parsed(lines)
    found: set[int] = set()
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found |= set(range(node.lineno - 1, (node.end_lineno or node.lineno)))
    return found


def reused_loop_variable(lines: Sequence[str]) -> tuple[str, int, int] | None:
    """Return a variable that a loop takes from a loop around it, and the two lines, from 0."""
    tree = _parsed(lines)
    return next(_reused(tree, {}), None) if tree else None


def _reused(node: ast.AST, around: dict[str, int]) -> Iterator[tuple[str, int, int]]:
    if isinstance(node, ast.For):
        own = {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name) and n.id != "_"}
        for name in sorted(own & around.keys()):
            yield name, node.lineno - 1, around[name]
        around = around | dict.fromkeys(own, node.lineno - 1)
    elif isinstance(node, ast.FunctionDef | ast.Lambda):
        around = {}
    for child in ast.iter_child_nodes(node):
        yield from _reused(child, around)


def _parsed(lines: Sequence[str]) -> ast.Module | None:
    try:
        return ast.parse(textwrap.dedent("".join(lines)))
    except (SyntaxError, ValueError):
        return None


def statement_at(body: ast.AST, line: int) -> ast.stmt | None:
    """Return the innermost statement at a line; of a loop or a condition, its head."""
    found = [
        node
        for node in ast.walk(body)
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    return max(found, key=lambda node: (node.lineno, -(node.end_lineno or 0)), default=None)
