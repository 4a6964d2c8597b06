"""Edits of where brackets stand: a term that belongs inside them, or outside."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from handgrad.checker.edit import Edit, own, replacing

_TIGHT = (ast.Mult, ast.Div, ast.Pow, ast.MatMult)
_LOOSE = (ast.Add, ast.Sub)


def regrouped(statement: ast.stmt) -> Iterator[Edit]:
    """Yield ``a * (b + c)`` for ``a * b + c`` and for ``a * b * c``, ``a + b * c`` for ``a + b + c``, ...."""
    for node in own(statement):
        if not isinstance(node, ast.BinOp):
            continue
        yield from _gathered(statement, node)
        if isinstance(node.left, ast.BinOp):
            first, middle, last = node.left.left, node.left.right, node.right
            for operator in _operators(node.left.op, node.op):
                behind = ast.BinOp(left=middle, op=operator, right=last)
                yield replacing(
                    statement, node, ast.BinOp(left=first, op=node.left.op, right=behind)
                )
        if isinstance(node.right, ast.BinOp) and _matters(node.op, node.right.op):
            first, middle, last = node.left, node.right.left, node.right.right
            before = ast.BinOp(left=first, op=node.op, right=middle)
            yield replacing(statement, node, ast.BinOp(left=before, op=node.right.op, right=last))


def _gathered(statement: ast.stmt, node: ast.BinOp) -> Iterator[Edit]:
    """Yield ``r * (a + b + c)`` for ``r * a + b + c``, and ``s + r * (a + b)`` for ``s + r * a + b``."""
    terms: list[ast.expr] = [node]
    while isinstance(first := terms[0], ast.BinOp) and isinstance(first.op, ast.Add):
        terms[:1] = [first.left, first.right]
    for at, term in enumerate(terms[:-1]):
        if not (isinstance(term, ast.BinOp) and isinstance(term.op, ast.Mult)):
            continue
        if len(terms) == 2 and at == 0:
            return  # what `regrouped` does
        inside = _sum([term.right, *terms[at + 1 :]])
        product = ast.BinOp(left=term.left, op=ast.Mult(), right=inside)
        yield replacing(statement, node, _sum([*terms[:at], product]))
        return


def _sum(terms: list[ast.expr]) -> ast.expr:
    whole = terms[0]
    for term in terms[1:]:
        whole = ast.BinOp(left=whole, op=ast.Add(), right=term)
    return whole


def _operators(inner: ast.operator, outer: ast.operator) -> list[ast.operator]:
    """The operators that may stand in the new brackets."""
    if isinstance(inner, ast.Mult) and isinstance(outer, ast.Mult):
        return [ast.Add()]
    others: list[ast.operator] = [ast.Mult(), ast.Div()] if isinstance(inner, _LOOSE) else []
    same = [one for one in others if isinstance(one, type(outer))]
    return [*others, outer] if _matters(inner, outer) and not same else others


def _matters(one: ast.operator, other: ast.operator) -> bool:
    """Whether it matters where the brackets are: not for sums alone, nor for factors."""
    loose = isinstance(one, ast.Add) and isinstance(other, _LOOSE)
    return not loose and isinstance(one, _TIGHT + _LOOSE) and isinstance(other, _TIGHT + _LOOSE)


def moved(statement: ast.stmt) -> Iterator[Edit]:
    """Yield ``f(a + b)`` for ``f(a) + b`` and the other way round, and the sum of squares for a sum."""
    for node in own(statement):
        if isinstance(node, ast.Call) and node.args and _named(node) in ("sum", "mean"):
            square = ast.BinOp(left=node.args[0], op=ast.Pow(), right=ast.Constant(2))
            yield replacing(statement, node, _with_argument(node, 0, square))
        if isinstance(node, ast.BinOp) and _is_open(node.left):
            call = node.left
            assert isinstance(call, ast.Call)
            for at in range(len(call.args)):
                inside = ast.BinOp(left=call.args[at], op=node.op, right=node.right)
                taken = _with_argument(call, at, inside)
                yield replacing(statement, node, taken)
        if isinstance(node, ast.Call) and _is_open(node):
            for at, one in enumerate(node.args):
                if isinstance(one, ast.BinOp):
                    outside = ast.BinOp(
                        left=_with_argument(node, at, one.left), op=one.op, right=one.right
                    )
                    yield replacing(statement, node, outside)


_OPEN = ("maximum", "minimum", "sqrt", "exp", "log", "sum", "mean", "square", "dot", "max", "abs")


def _is_open(node: ast.AST) -> bool:
    """Whether this is a call that takes numbers, so that a term may stand in it or behind it."""
    return isinstance(node, ast.Call) and _named(node) in _OPEN


def _named(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def _with_argument(call: ast.Call, at: int, new: ast.expr) -> ast.Call:
    args = [*call.args[:at], new, *call.args[at + 1 :]]
    return ast.Call(func=call.func, args=args, keywords=call.keywords)
