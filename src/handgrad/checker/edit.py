"""One edit of a syntax tree: made in place, and taken back."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Edit(NamedTuple):
    """An edit: the statement that it changes, how it is made, and how it is taken back.

    words: what it does, where the changed text does not say it.
    """

    statement: ast.stmt
    make: Callable[[], None]
    undo: Callable[[], None]
    words: str = ""


def idle_parts(statement: ast.stmt) -> int:
    """Count what computes nothing in a statement: a - a, a / a, 0 * a, a + 0."""
    count = 0
    left: ast.expr
    for node in own_and_self(statement):
        if isinstance(node, ast.AugAssign):
            left, right = node.target, node.value
        elif isinstance(node, ast.BinOp):
            left, right = node.left, node.right
        else:
            continue
        zero = any(isinstance(side, ast.Constant) and side.value == 0 for side in (left, right))
        equal = ast.unparse(left) == ast.unparse(right)
        count += zero and isinstance(node.op, ast.Mult | ast.Add | ast.Sub | ast.Pow | ast.Div)
        count += equal and isinstance(node.op, ast.Sub | ast.Div | ast.FloorDiv)
    return count


def own_and_self(statement: ast.stmt) -> Iterator[ast.AST]:
    """The statement and its expressions."""
    yield statement
    yield from own(statement)


def own(statement: ast.stmt) -> Iterator[ast.AST]:
    """The expressions of a statement, without the statements within it."""
    queue: list[ast.AST] = [statement]
    while queue:
        node = queue.pop(0)
        if node is not statement:
            yield node
        queue += [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt)]


def replacing(statement: ast.stmt, node: ast.AST, new: ast.AST) -> Edit:
    """Turn a node into another one where it stands."""
    before = (node.__class__, dict(node.__dict__))
    after = (new.__class__, dict(new.__dict__))

    def put(state: tuple[type, dict[str, object]]) -> None:
        node.__class__ = state[0]
        node.__dict__.clear()
        node.__dict__.update(state[1])

    def make() -> None:
        put(after)
        ast.copy_location(node, ast.copy_location(ast.Pass(), statement))
        ast.fix_missing_locations(statement)

    return Edit(statement, make, lambda: put(before))


def setting(statement: ast.stmt, node: ast.AST, field: str, value: object) -> Edit:
    """Set one field of a node."""
    before = getattr(node, field)

    def make() -> None:
        setattr(node, field, value)
        ast.fix_missing_locations(statement)  # new expressions stand where the statement does

    return Edit(statement, make, lambda: setattr(node, field, before))
