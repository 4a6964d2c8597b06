"""Shapes that do not go together: of which two things, and what one of them lacks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from handgrad.checker.failures import fitting
from handgrad.checker.failures.indices import cut
from handgrad.checker.failures.point import Point, described, names_in, quoted

Shape = tuple[int, ...]


def value(point: Point, expected: Mapping[str, Shape], sizes: Mapping[int, str]) -> str:
    """Explain a ValueError of NumPy or of taking a tuple apart.

    expected: the shapes of the results; sizes: what the courses call a number of rows, of channels, ...
    """
    text = str(point.error)
    if "values to unpack" in text:
        return _unpacked(point)
    wrong = _buffer(point, expected)
    if "cannot reshape" in text:
        return _reshaped(point)
    if "not aligned" in text or "matmul" in text or "mismatch in its core dimension" in text:
        return _product(point, expected)
    if "broadcast" in text:
        return wrong or _broadcast(point, sizes)
    if "setting an array element with a sequence" in text or "inhomogeneous" in text:
        return wrong or _element(point)
    if "truth value of an array" in text:
        return _truth(point)
    if "is out of bounds for array of dimension" in text:
        return _axis(point)
    return wrong


def _buffer(point: Point, expected: Mapping[str, Shape]) -> str:
    """Whether a result that the line uses was made with another shape than it must have."""
    for name in names_in(point.statement) if not _inner(point) else ():
        came = point.of(name)
        shape = expected.get(name)
        if shape is None or not isinstance(came, np.ndarray) or came.shape == shape:
            continue
        if len(shape) == 4 and came.ndim == 4 and came.shape[:2] == shape[:2] and name[0] == "d":
            continue  # a padded gradient may be cropped at the end
        line = _made(point, name)
        where = f" (line {line})" if line else ""
        return f"{name} is made with the shape {came.shape}{where}: it must have {shape}"
    return ""


def _inner(point: Point) -> bool:
    """Whether the line is in a function inside the judged one, or in another that it calls."""
    back = point.frame.f_back  # the judged function is called by `run` alone
    return back is None or not str(back.f_globals.get("__name__", "")).startswith("handgrad.")


def _made(point: Point, name: str) -> int | None:
    lines = [
        node.lineno
        for node in ast.walk(point.body)
        if isinstance(node, ast.Assign)
        and any(isinstance(one, ast.Name) and one.id == name for one in node.targets)
        and node.lineno <= point.line
        and not (isinstance(node.value, ast.Constant) and node.value.value is None)
    ]
    return max(lines, default=None)


def _unpacked(point: Point) -> str:
    statement = point.statement
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Tuple):
        target, came = statement.targets[0], point.value(statement.value)
        count = len(target.elts)
        if isinstance(came, np.ndarray):
            what = f"an array of {len(came)} rows"
        elif quoted(statement.value).endswith(".shape"):
            what = f"{came}, {len(came)} sizes"
        else:
            what = described(came)
        return f"`{quoted(statement.value)}` is {what}, and is taken apart into {count} names"
    if isinstance(statement, ast.For):
        return f"`{quoted(statement.iter)}` gives no {quoted(statement.target)}"
    return ""


def _array_of(node: ast.AST) -> ast.expr | None:
    """Return what a call works on: x in x.reshape(...) and in np.reshape(x, ...)."""
    if not isinstance(node, ast.Call):
        return None
    owner = node.func.value if isinstance(node.func, ast.Attribute) else None
    of_numpy = isinstance(owner, ast.Name) and owner.id in ("np", "numpy")
    return node.args[0] if of_numpy and node.args else owner


def _reshaped(point: Point) -> str:
    source = _array_of(point.node)
    if source is None:
        return ""
    came = np.asarray(point.value(source))
    found = re.search(r"into shape (\(.*\))", str(point.error))
    new = found[1] if found else "the new shape"
    says = f"`{quoted(source)}` has shape {came.shape}, {came.size} numbers, which are not those of {new}"
    for other in ast.walk(point.body):
        sets = isinstance(other, ast.Assign) and set(names_in(source)) & set(_stored(other))
        if sets and other.lineno <= point.line and "squeeze(" in ast.unparse(other):  # type: ignore[attr-defined]
            return (
                f"{says}: squeeze() of line {other.lineno} drops every axis of size 1, also one that "  # type: ignore[attr-defined]
                "has 1 by chance; reshape it, or give squeeze its axis"
            )
    return says


def _product(point: Point, expected: Mapping[str, Shape]) -> str:
    """Two factors that do not fit, and how they do."""
    sides = _factors(point)
    if sides is None:
        return ""
    left, right = sides
    a, b = np.asarray(point.value(left)), np.asarray(point.value(right))
    says = f"`{quoted(left)}` is {a.shape} and `{quoted(right)}` is {b.shape}: they do not fit"
    wanted = [expected[name] for name in _stored(point.statement) if name in expected]
    fitting = []
    for words, one, two in _orders(left, right, a, b):
        try:
            shape = np.dot(one, two).shape
        except ValueError:
            continue
        fitting.append((shape in wanted, words))
    best = [words for right_shape, words in fitting if right_shape] or [
        words for _, words in fitting
    ]
    if not best:
        return says
    return f"{says}; {best[0]} does"


def _factors(point: Point) -> tuple[ast.expr, ast.expr] | None:
    node = point.node
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult | ast.Mult):
        return node.left, node.right
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        of_numpy = isinstance(node.func.value, ast.Name) and node.func.value.id in ("np", "numpy")
        if of_numpy and len(node.args) == 2:
            return node.args[0], node.args[1]
        if not of_numpy and len(node.args) == 1:
            return node.func.value, node.args[0]
    return None


def _orders(
    left: ast.expr, right: ast.expr, a: np.ndarray, b: np.ndarray
) -> Iterator[tuple[str, Any, Any]]:
    x, y = quoted(left), quoted(right)
    x = f"({x})" if isinstance(left, ast.BinOp) else x
    y = f"({y})" if isinstance(right, ast.BinOp) else y
    if a.ndim > 2:
        yield f"{x}.reshape(N, -1) with {y}", a.reshape(len(a), -1), b
        yield f"{x}.reshape(N, -1).T with {y}", a.reshape(len(a), -1).T, b
    yield f"{x}.T with {y}", a.T, b
    yield f"{x} with {y}.T", a, b.T
    yield f"{y} with {x}", b, a
    yield f"{y}.T with {x}", b.T, a
    yield f"{y} with {x}.T", b, a.T


def _stored(statement: ast.stmt) -> list[str]:
    targets = getattr(statement, "targets", [getattr(statement, "target", None)])
    return [name for target in targets if target is not None for name in names_in(target)]


def _sides(point: Point) -> tuple[ast.expr, ast.expr] | None:
    node: Any = point.node
    if isinstance(node, ast.BinOp):
        return node.left, node.right
    if isinstance(node, ast.Compare):
        return node.left, node.comparators[0]
    if isinstance(node, ast.Call) and len(node.args) == 2:
        return node.args[0], node.args[1]
    if isinstance(node, ast.AugAssign):
        return _read(node.target), node.value
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        return _read(node.targets[0]), node.value
    return None


def _read(target: ast.expr) -> ast.expr:
    return ast.parse(ast.unparse(target), mode="eval").body


def _broadcast(point: Point, sizes: Mapping[int, str]) -> str:
    sides = _sides(point)
    if sides is None:
        return ""
    left, right = sides
    window = cut(point, left) or cut(point, right)
    if window:
        return window
    a, b = np.shape(point.value(left)), np.shape(point.value(right))
    says = f"`{quoted(left)}` is {a} and `{quoted(right)}` is {b}"
    for small, big, what in ((b, a, right), (a, b, left)):
        axis = _lost_axis(small, big)
        if axis is not None and not isinstance(point.node, ast.Assign):
            lost = "[:, None]" if axis == 1 and len(small) == 1 else f"an axis {axis} of size 1"
            return (
                f"{says}: the sum over an axis has lost that axis; give `{quoted(what)}` {lost}, or "
                "keepdims=True"
            )
    if len(a) == len(b) == 2 and fitting.fit(a[::-1], b):
        return f"{says}: one of the two is transposed"
    way = fitting.axes_in_order(left, right, a, b) or fitting.of_a_sum(point, left, right, a, b)
    if way:
        return f"{says}: {way}"
    if sizes and {*a, *b} <= {*sizes, 1}:
        letters = ["(" + ", ".join(sizes.get(n, "1") for n in shape) + ")" for shape in (a, b)]
        says = f"{says}, that is {letters[0]} and {letters[1]}"
    if isinstance(point.node, ast.AugAssign | ast.Assign):
        return f"{says}: what is stored must have the shape of its place"
    return f"{says}: {fitting.apart(a, b)}"


def _lost_axis(small: Shape, big: Shape) -> int | None:
    """The axis that a smaller shape lacks to be broadcast to a larger one."""
    if len(small) != len(big) - 1 or not small:
        return None
    for axis in range(len(big) - 1, 0, -1):
        if (*small[:axis], 1, *small[axis:]) == (*big[:axis], 1, *big[axis + 1 :]):
            return axis
    return None


def _element(point: Point) -> str:
    statement = point.statement
    if isinstance(statement, ast.Assign | ast.AugAssign):
        target = _read(
            statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
        )
        try:
            place, came = np.shape(point.value(target)), np.shape(point.value(statement.value))
        except Exception:  # a call of the code's own is not made again
            return (
                f"`{quoted(statement.value)}` gives an array where `{quoted(target)}` has the place of one "
                "number: a sum is missing, or, if it holds one number, as old NumPy took it, its .item()"
            )
        if not place and np.prod(came) == 1:
            return (
                f"`{quoted(statement.value)}` has shape {came}: old NumPy took an array of one number as a "
                f"number, today's does not: store its .item()"
            )
        one = "one number" if not place else f"of shape {place}"
        return (
            f"`{quoted(target)}` is {one} and `{quoted(statement.value)}` has shape {came}: a sum is "
            "missing, or an index"
        )
    return ""


def _truth(point: Point) -> str:
    node: Any = point.node if isinstance(point.node, ast.expr) else None
    test = getattr(point.statement, "test", None) or node
    if test is None:
        return ""
    return (
        f"`{quoted(test)}` compares a whole array, and `if` asks for one answer: compare number by "
        "number, or write np.where or a mask"
    )


def _axis(point: Point) -> str:
    source = _array_of(point.node)
    if source is None:
        return ""
    shape = np.shape(point.value(source))
    return f"`{quoted(source)}` has shape {shape}: `{quoted(point.node)}` asks for an axis that is not there"
