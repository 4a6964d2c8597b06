"""Edits of the order of statements: two neighbours, or one that belongs behind its loop."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from handgrad.checker.edit import Edit

Body = list[ast.stmt]


def orders(statement: ast.stmt) -> Iterator[Edit]:
    """Yield two statements of a body in the other order; one that belongs behind the loop it is in."""
    for body in (getattr(statement, "body", None), getattr(statement, "orelse", None)):
        if isinstance(body, list) and body:
            yield from orders_of(body)
            if isinstance(statement, ast.For) and len(body) > 1:
                last = body[-1]
                words = f"right with `{ast.unparse(last)}` behind the loop, not in it"
                yield Edit(last, _behind(statement, last), _back(statement, last, body), words)


def orders_of(body: Body) -> Iterator[Edit]:
    """Yield the exchanges of two neighbours in a body."""
    for i in range(len(body) - 1):

        def exchange(i: int = i) -> None:
            body[i], body[i + 1] = body[i + 1], body[i]

        if isinstance(body[i + 1], ast.Return | ast.Raise | ast.Break | ast.Continue):
            continue  # what it comes before is never run
        first, second = ast.unparse(body[i]), ast.unparse(body[i + 1])
        words = f"right with `{second}` before `{first}`"
        yield Edit(body[i], exchange, exchange, words)


def _behind(loop: ast.For, last: ast.stmt) -> Callable[[], None]:
    def make() -> None:
        loop.body = loop.body[:-1]
        loop.orelse = [last, *loop.orelse]  # a loop that is not left runs it once, behind

    return make


def _back(loop: ast.For, last: ast.stmt, body: Body) -> Callable[[], None]:
    def undo() -> None:
        loop.body, loop.orelse = body, loop.orelse[1:]

    return undo
