"""Edits of sums over arrays: an axis or keepdims that a sum lacks, an index that comes twice."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from handgrad.checker.edit import Edit, own, replacing, setting


def repeated(statement: ast.stmt, counted: set[str]) -> Iterator[Edit]:
    """``np.add.at`` for ``+=`` at an array of indices, which adds once where one comes twice.

    counted: variables of loops, which are no arrays.
    """
    if (
        isinstance(statement, ast.AugAssign)
        and isinstance(statement.op, ast.Add)
        and isinstance(statement.target, ast.Subscript)
        and any(
            isinstance(part, ast.Name | ast.Attribute) and ast.unparse(part) not in counted
            for part in _parts(statement.target.slice)
        )
    ):
        add_at = ast.parse("np.add.at(0, 0, 0)", mode="eval").body
        assert isinstance(add_at, ast.Call)
        target, index = ast.unparse(statement.target.value), statement.target.slice
        place = ast.parse(target, mode="eval").body
        add_at.args = [place, index, statement.value]
        words = (
            f"an index comes twice, and `+=` adds one of the two only: "
            f"right with `{ast.unparse(add_at)}`"
        )
        yield replacing(statement, statement, ast.Expr(value=add_at))._replace(words=words)


LISTED = "old NumPy (before 1.23) took a list of indices as a tuple: write"


def of_their_day(statement: ast.stmt) -> Iterator[Edit]:
    """A tuple for a list of indices, as old NumPy took it; a copy of what is changed afterwards."""
    for node in own(statement):
        if isinstance(node, ast.List) and len(node.elts) > 1 and isinstance(node.ctx, ast.Load):
            new = ast.Tuple(elts=node.elts, ctx=ast.Load())
            words = f"{LISTED} `{ast.unparse(new)}`"
            yield replacing(statement, node, new)._replace(words=words)
    if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Subscript):
        function = ast.Attribute(value=statement.value, attr="copy", ctx=ast.Load())
        copied = ast.Call(func=function, args=[], keywords=[])
        whole = ast.unparse(statement.value.value)
        words = (
            f"what is changed afterwards is a part of `{whole}`: right with `{ast.unparse(copied)}`"
        )
        yield setting(statement, statement, "value", copied)._replace(words=words)


def _parts(index: ast.expr) -> list[ast.expr]:
    return index.elts if isinstance(index, ast.Tuple) else [index]


_REDUCTIONS = ("sum", "mean", "max", "min", "var", "std", "amax", "amin")


def among(statement: ast.stmt) -> Iterator[Edit]:
    """One axis fewer, more, or another among the axes ``(0, 2, 3)`` of a sum."""
    for node in own(statement):
        if not (isinstance(node, ast.Tuple) and 1 <= len(node.elts) <= 4):
            continue
        values = [one.value for one in node.elts if isinstance(one, ast.Constant)]
        numbers = [value for value in values if type(value) is int and 0 <= value <= 4]
        if len(numbers) != len(node.elts) or len(set(numbers)) != len(numbers):
            continue
        elements, others = node.elts, [axis for axis in range(5) if axis not in numbers]
        for i in range(len(elements)):
            yield setting(statement, node, "elts", elements[:i] + elements[i + 1 :])
        for axis in others:
            yield setting(statement, node, "elts", [*elements, ast.Constant(axis)])
        for i in range(len(elements)):
            for axis in others:
                changed = [*elements[:i], ast.Constant(axis), *elements[i + 1 :]]
                yield setting(statement, node, "elts", changed)


def axes(statement: ast.stmt) -> Iterator[Edit]:
    """An axis, or keepdims, for a sum that lacks it."""
    for node in own(statement):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        named = {keyword.arg for keyword in node.keywords}
        of_module = isinstance(node.func.value, ast.Name) and node.func.value.id in ("np", "numpy")
        if node.func.attr not in _REDUCTIONS or len(node.args) > 1 + of_module:
            continue
        keep = [ast.keyword(arg="keepdims", value=ast.Constant(True))]
        keep = [] if "keepdims" in named else keep
        if "axis" in named or len(node.args) == 1 + of_module:
            if keep:
                yield setting(statement, node, "keywords", node.keywords + keep)
            continue
        for axis in (0, 1):
            chosen = [ast.keyword(arg="axis", value=ast.Constant(axis))]
            yield setting(statement, node, "keywords", node.keywords + chosen)
            yield setting(statement, node, "keywords", node.keywords + chosen + keep)
