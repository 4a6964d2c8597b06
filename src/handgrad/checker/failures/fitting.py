"""Two shapes that do not go together: what would make them fit."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator

import numpy as np

from handgrad.checker.failures.point import Point, names_in, quoted

Shape = tuple[int, ...]
_SUMS = ("sum", "mean", "var", "std", "max", "min", "average", "amax", "amin", "argmax")


def axes_in_order(left: ast.expr, right: ast.expr, a: Shape, b: Shape) -> str:
    """Say which operand's axes stand in another order than the other's."""
    for node, own, other in ((left, a, b), (right, b, a)):
        if len(own) < 3 or len(other) < 3 or len(set(own)) == 1:
            continue
        for order in itertools.permutations(range(len(own))):
            if fit(tuple(own[i] for i in order), other):
                return (
                    f"their axes stand in different orders: `{quoted(node)}`.transpose{order} fits, or "
                    "the other one in the order of this"
                )
    for node, own, other in ((left, a, b), (right, b, a)):
        if len(own) != 1 or len(other) < 3 or other.count(own[0]) != 1:
            continue
        axis = other.index(own[0])
        new = tuple(own[0] if i == axis else 1 for i in range(len(other)))
        return f"one number for each place of axis {axis} must have the shape {new}: reshape `{quoted(node)}`"
    return ""


def apart(a: Shape, b: Shape) -> str:
    """Say which axis has different sizes, counted from the end, where broadcasting begins."""
    for back in range(1, min(len(a), len(b)) + 1):
        if a[-back] != b[-back] and 1 not in (a[-back], b[-back]):
            which = "the last axis" if back == 1 else f"axis -{back}"
            return f"{which} has {a[-back]} places in the one and {b[-back]} in the other"
    return "these shapes do not go together"


def of_a_sum(point: Point, left: ast.expr, right: ast.expr, a: Shape, b: Shape) -> str:
    """Say which sum or mean, in the line or above it, runs over an axis that leaves another shape."""
    for node, own, other in ((left, a, b), (right, b, a)):
        for call, line in _sums(point, node):
            try:
                of = _summed(call)
                shape = np.shape(point.value(of))
                own_axis = _axis(call, point)
            except Exception:
                continue
            if own_axis is None or len(shape) < 2 or _left(shape, own_axis, False) != _bare(own):
                continue
            for axis in _axes(len(shape)):
                fits = _left(shape, axis, False)
                if (
                    axis != own_axis
                    and fits
                    and (fits == other or fits == _bare(other) or fits == other[-len(fits) :])
                ):
                    place = f" (line {line})" if line != point.line else ""
                    over, better = _said(own_axis), _said(axis)
                    return (
                        f"`{quoted(call)}`{place} runs over axis {over}: over axis {better} it fits"
                    )
    return ""


def _sums(point: Point, node: ast.expr) -> Iterator[tuple[ast.Call, int]]:
    """The sums in an expression, and those that its variables were set by, the last of each."""
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and _is_sum(part):
            yield part, point.line
    for name in names_in(node):
        found = None
        for other in ast.walk(point.body):
            if not (isinstance(other, ast.Assign) and other.lineno < point.line):
                continue
            target = other.targets[0]
            if (
                isinstance(target, ast.Name)
                and target.id == name
                and isinstance(other.value, ast.Call)
            ):
                found = other.value if _is_sum(other.value) else None
        if found is not None:
            yield found, found.lineno


def _is_sum(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in _SUMS


def _of_numpy(call: ast.Call) -> bool:
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    return isinstance(owner, ast.Name) and owner.id in ("np", "numpy")


def _summed(call: ast.Call) -> ast.expr:
    """What a sum is of: x in np.sum(x, axis) and in x.sum(axis)."""
    assert isinstance(call.func, ast.Attribute)
    return call.args[0] if _of_numpy(call) else call.func.value


def _axis(call: ast.Call, point: Point) -> Shape | None:
    """The axes that a sum runs over; None if it runs over all of them."""
    given = [one.value for one in call.keywords if one.arg == "axis"]
    given += call.args[1:2] if _of_numpy(call) else call.args[:1]
    if not given:
        return None
    axes = point.value(given[0])
    ndim = np.ndim(point.value(_summed(call)))
    return tuple(int(axis) % ndim for axis in np.atleast_1d(axes))


def _left(shape: Shape, axes: Shape, keep: bool) -> Shape:
    return tuple(1 if i in axes else n for i, n in enumerate(shape) if keep or i not in axes)


def _bare(shape: Shape) -> Shape:
    """A shape without its axes of size 1."""
    return tuple(n for n in shape if n != 1)


def _axes(ndim: int) -> Iterator[Shape]:
    for count in range(1, ndim):
        yield from itertools.combinations(range(ndim), count)


def _said(axes: Shape) -> str:
    return str(axes[0]) if len(axes) == 1 else str(axes)


def fit(a: Shape, b: Shape) -> bool:
    """Whether NumPy broadcasts the two shapes."""
    try:
        np.broadcast_shapes(a, b)
    except ValueError:
        return False
    return True
