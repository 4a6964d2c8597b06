"""Small edits of a function's syntax tree: what a slip of the pen would have to be undone by.

Each edit changes one thing in place and can be taken back.  Those that undo the most common slips
come first.
"""

from __future__ import annotations

import ast
import copy
import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import TypeGuard

from handgrad.checker.edit import Edit, own, replacing, setting
from handgrad.checker.edits_of_arrays import among, axes, of_their_day, repeated
from handgrad.checker.edits_of_orders import orders
from handgrad.checker.edits_of_terms import moved, regrouped
from handgrad.checker.likely import likely

_OPERATORS: tuple[type[ast.operator], ...] = (ast.Add, ast.Sub, ast.Mult, ast.Div)
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Gt: (ast.Lt, ast.GtE, ast.LtE),
    ast.GtE: (ast.Lt, ast.Gt, ast.LtE),
    ast.Lt: (ast.Gt, ast.LtE, ast.GtE),
    ast.LtE: (ast.Gt, ast.Lt, ast.GtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}
_TWINS = {
    "sum": ("mean",), "mean": ("sum", "max"), "max": ("min", "mean"), "min": ("max",), "median": ("mean",),
    "argmax": ("argmin",), "argmin": ("argmax",), "maximum": ("minimum",), "minimum": ("maximum",),
    "zeros_like": ("ones_like",), "ones": ("zeros",), "ones_like": ("zeros_like",), "rand": ("randn",),
    "randn": ("rand",), "abs": ("square", "sqrt"), "var": ("std",), "std": ("var",),
    "exp": ("log",), "log10": ("log",), "log2": ("log",), "log1p": ("log",),
}  # fmt: skip


def edits(function: ast.AST, lines: Collection[int] = ()) -> Iterator[Edit]:
    """Yield the edits of a function or class, the likeliest first.

    lines: where exceptions came from; statements there come first.
    """
    every = list(_statements(function))
    names = _names(function)
    strings = [n.value for n in ast.walk(function) if isinstance(n, ast.Constant)]
    texts = [text for text in dict.fromkeys(strings) if isinstance(text, str)]
    first = [one for one in every if any(one.lineno <= n <= _end(one) for n in lines)]
    for statements in (first, [one for one in every if one not in first]):
        for statement in statements:
            yield from likely(statement, names, texts)
        yield from _edits_of(statements, function, names)


def _end(statement: ast.stmt) -> int:
    """The last line of a statement; of a loop or a condition, of its head."""
    body = getattr(statement, "body", None)
    return body[0].lineno - 1 if body else statement.end_lineno or statement.lineno


def _edits_of(
    statements: Sequence[ast.stmt], function: ast.AST, names: list[str]
) -> Iterator[Edit]:
    for rule in (
        _assignments, _signs, _operators, regrouped, moved, _comparisons, _constants, _twins,
        among, of_their_day, _unwrapped, _indices, _returned, orders,
    ):  # fmt: skip
        for statement in statements:
            yield from rule(statement)
    counted = {
        name for node in ast.walk(function) if isinstance(node, ast.For) for name in _stored(node)
    }
    for statement in statements:
        yield from repeated(statement, counted)
    for statement in statements:
        yield from _indexed(statement, names)
    for statement in statements:
        yield from _filled(statement)
    for statement in statements:
        yield from _renamed(statement, names)
    for statement in statements:
        yield from _extended(statement, names)
    for statement in statements:
        yield from axes(statement)


def _statements(root: ast.AST) -> Iterator[ast.stmt]:
    """Every statement, but for definitions, and for the constructor of a class."""
    for node in _walked(root):
        if isinstance(node, ast.stmt) and not isinstance(
            node, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom
        ):
            yield node


def _walked(root: ast.AST) -> Iterator[ast.AST]:
    queue = [root]
    while queue:
        node = queue.pop(0)
        if not (isinstance(node, ast.FunctionDef) and node.name == "__init__"):
            yield node
            queue += ast.iter_child_nodes(node)


def _names(function: ast.AST) -> list[str]:
    """The names of parameters and variables of the function."""
    found = [node.arg for node in ast.walk(function) if isinstance(node, ast.arg)]
    found += [
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]
    return [name for name in dict.fromkeys(found) if name != "self"]


def _assignments(statement: ast.stmt) -> Iterator[Edit]:
    """``=`` for ``+=`` and the other way round."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
        if isinstance(target, ast.Name | ast.Subscript):
            yield replacing(
                statement,
                statement,
                ast.AugAssign(target=target, op=ast.Add(), value=statement.value),
            )
    if isinstance(statement, ast.AugAssign):
        for operator in (*_OPERATORS,):
            if not isinstance(statement.op, operator):
                yield setting(statement, statement, "op", operator())
        yield replacing(
            statement, statement, ast.Assign(targets=[statement.target], value=statement.value)
        )
        yield replacing(statement, statement, ast.Pass())


def _stored(loop: ast.For) -> set[str]:
    return {node.id for node in ast.walk(loop.target) if isinstance(node, ast.Name)}


def _signs(statement: ast.stmt) -> Iterator[Edit]:
    """A minus too many, or too few."""
    for node in own(statement):
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Invert | ast.Not):
            yield replacing(statement, node, node.operand)
    for holder, field in _values(statement):
        value = getattr(holder, field)
        yield setting(statement, holder, field, ast.UnaryOp(op=ast.USub(), operand=value))


def _operators(statement: ast.stmt) -> Iterator[Edit]:
    """Another operator; one of the operands alone."""
    for node in own(statement):
        if not isinstance(node, ast.BinOp):
            continue
        yield replacing(statement, node, node.left)
        yield replacing(statement, node, node.right)
        for operator in (*_OPERATORS, ast.FloorDiv):
            exchanged = isinstance(node.op, (ast.Pow, ast.MatMult, *_OPERATORS, ast.FloorDiv))
            if exchanged and not isinstance(node.op, operator):
                yield setting(statement, node, "op", operator())
        if isinstance(node.op, ast.Mult | ast.Add):
            for field in ("left", "right"):  # 1 - s for s
                rest = ast.BinOp(left=ast.Constant(1), op=ast.Sub(), right=getattr(node, field))
                yield setting(statement, node, field, rest)
        swapped = ast.BinOp(left=node.right, op=node.op, right=node.left)
        if isinstance(node.op, ast.Sub | ast.Div | ast.MatMult | ast.Pow):
            yield replacing(statement, node, swapped)


def _comparisons(statement: ast.stmt) -> Iterator[Edit]:
    """Another comparison; a condition that always or never holds."""
    for node in own(statement):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            for other in _COMPARISONS.get(type(node.ops[0]), ()):
                yield setting(statement, node, "ops", [other()])
    if isinstance(statement, ast.If):
        for value in (True, False):
            yield setting(statement, statement, "test", ast.Constant(value))
        if statement.orelse:
            negated = ast.UnaryOp(op=ast.Not(), operand=statement.test)
            yield setting(statement, statement, "test", negated)


def _constants(statement: ast.stmt) -> Iterator[Edit]:
    """Another number; True for False; the first argument of ``range``, a keyword argument."""
    for node in own(statement):
        if isinstance(node, ast.Call):
            for i in range(len(node.keywords)):
                yield setting(
                    statement, node, "keywords", node.keywords[:i] + node.keywords[i + 1 :]
                )
            if isinstance(node.func, ast.Name) and node.func.id == "range":
                if len(node.args) == 2:
                    yield setting(statement, node, "args", node.args[1:])
                longer = ast.BinOp(left=node.args[-1], op=ast.Add(), right=ast.Constant(1))
                yield setting(statement, node, "args", [*node.args[:-1], longer])
        if not isinstance(node, ast.Constant):
            continue
        value = node.value
        if isinstance(value, bool):
            yield setting(statement, node, "value", not value)
        elif isinstance(value, int):
            for other in (value + 1, value - 1, 0, 1, 2, -1, 0.5):
                if other != value:
                    yield setting(statement, node, "value", other)
        elif isinstance(value, float):
            for number in (2 * value, value / 2, 1 - value, -value, 1.0, 0.5, 2.0, 0.0):
                if number != value:
                    yield setting(statement, node, "value", number)


def _twins(statement: ast.stmt) -> Iterator[Edit]:
    """Another function of the same kind: a mean for a sum, a minimum for a maximum."""
    for node in own(statement):
        if isinstance(node, ast.Attribute):
            for other in _TWINS.get(node.attr, ()):
                yield setting(statement, node, "attr", other)


def _unwrapped(statement: ast.stmt) -> Iterator[Edit]:
    """A call left out (its argument, or the object, stays), or an index left out."""
    for node in own(statement):
        if isinstance(node, ast.Call):
            if node.args and not isinstance(node.args[0], ast.Starred):
                yield replacing(statement, node, node.args[0])
            if isinstance(node.func, ast.Attribute):
                yield replacing(statement, node, node.func.value)
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            yield replacing(statement, node, node.value)
        if isinstance(node, ast.Attribute) and node.attr == "T":
            yield replacing(statement, node, node.value)


def _indices(statement: ast.stmt) -> Iterator[Edit]:
    """Indices, arguments and elements in another order; a whole axis for one index that is read."""
    for node in own(statement):
        if isinstance(node, ast.Tuple | ast.List) and 2 <= len(node.elts) <= 4:
            for order in list(itertools.permutations(node.elts))[1:]:
                yield setting(statement, node, "elts", list(order))
        if isinstance(node, ast.Call) and len(node.args) == 2:
            yield setting(statement, node, "args", node.args[::-1])
        if isinstance(node, ast.Slice):
            for field in ("lower", "upper"):
                bound = getattr(node, field)
                if bound is not None:
                    yield setting(statement, node, field, None)
        if _is_read(node) and not isinstance(node.slice, ast.Slice | ast.Tuple):
            yield setting(statement, node, "slice", ast.Slice())


def _is_read(node: ast.AST) -> TypeGuard[ast.Subscript]:
    return isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load)


def _filled(statement: ast.stmt) -> Iterator[Edit]:
    """A whole axis for the index of what is written: likely only where nothing else helps."""
    for node in own(statement):
        if not isinstance(node, ast.Subscript) or isinstance(node.ctx, ast.Load):
            continue
        if not isinstance(node.slice, ast.Slice | ast.Tuple):
            yield setting(statement, node, "slice", ast.Slice())


def _returned(statement: ast.stmt) -> Iterator[Edit]:
    """Results in another order (of five, two exchanged)."""
    if isinstance(statement, ast.Return) and isinstance(statement.value, ast.Tuple):
        elements = statement.value.elts
        if len(elements) > 4:
            for i, j in itertools.combinations(range(len(elements)), 2):
                order = list(elements)
                order[i], order[j] = order[j], order[i]
                yield setting(statement, statement.value, "elts", order)


def _setting_all(statement: ast.stmt, nodes: list[ast.Name], name: str) -> Edit:
    before = nodes[0].id

    def put(new: str) -> None:
        for node in nodes:
            node.id = new

    return Edit(statement, lambda: put(name), lambda: put(before))


def _indexed(statement: ast.stmt, names: list[str]) -> Iterator[Edit]:
    """A variable for a constant index."""
    for node in own(statement):
        if not isinstance(node, ast.Subscript):
            continue
        for name in (name for name in names if len(name) <= 2):
            index = ast.Name(id=name, ctx=ast.Load())
            if isinstance(node.slice, ast.Constant | ast.Tuple):
                yield setting(statement, node, "slice", index)
            if isinstance(node.slice, ast.Tuple):
                elements = node.slice.elts
                for i, element in enumerate(elements):
                    if isinstance(element, ast.Constant):
                        changed = [*elements[:i], index, *elements[i + 1 :]]
                        yield setting(statement, node.slice, "elts", changed)


def _renamed(statement: ast.stmt, names: list[str]) -> Iterator[Edit]:
    """Another variable: in one place, in all places of the statement, or for a part of another."""
    read = [
        node
        for node in own(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names
    ]
    for old in dict.fromkeys(node.id for node in read):
        same_name = [node for node in read if node.id == old]
        if len(same_name) > 1:
            for name in names:
                if name != old:
                    yield _setting_all(statement, same_name, name)
    for node in own(statement):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            for name in names:
                yield replacing(statement, node, ast.Name(id=name, ctx=ast.Load()))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
            for name in names:
                if name != node.id:
                    yield setting(statement, node, "id", name)


def _values(statement: ast.stmt) -> list[tuple[ast.AST, str]]:
    """Where a statement keeps what it computes: (node, field)."""
    if isinstance(statement, ast.Assign | ast.AugAssign) or (
        isinstance(statement, ast.Return) and statement.value is not None
    ):
        value = statement.value
        if isinstance(value, ast.Tuple):
            return [(_Element(value, i), "value") for i in range(len(value.elts))]  # type: ignore[misc]
        return [(statement, "value")]
    return []


class _Element:
    """One place of a tuple, seen as a field."""

    def __init__(self, tuple_: ast.Tuple, index: int) -> None:
        self._tuple, self._index = tuple_, index

    @property
    def value(self) -> ast.expr:
        return self._tuple.elts[self._index]

    @value.setter
    def value(self, new: ast.expr) -> None:
        self._tuple.elts[self._index] = new


def _extended(statement: ast.stmt, names: list[str]) -> Iterator[Edit]:
    """A factor, a divisor, a summand or a sum that is missing from what a statement computes."""
    for holder, field in _values(statement):
        value = getattr(holder, field)
        for name in names:
            other = ast.Name(id=name, ctx=ast.Load())
            for operator in (ast.Mult, ast.Div, ast.Add, ast.Sub):
                extended = ast.BinOp(left=copy.copy(value), op=operator(), right=other)
                yield setting(statement, holder, field, extended)
            for before in (ast.FloorDiv(), ast.Sub()):
                extended = ast.BinOp(left=other, op=before, right=copy.copy(value))
                yield setting(statement, holder, field, extended)
        for text in ("np.sum(0, axis=0)", "np.sum(0, axis=1)", "np.mean(0, axis=0)", "np.sqrt(0)"):
            call = ast.parse(text, mode="eval").body
            assert isinstance(call, ast.Call)
            call.args = [value]
            yield setting(statement, holder, field, call)
        yield setting(
            statement, holder, field, ast.Attribute(value=value, attr="T", ctx=ast.Load())
        )
