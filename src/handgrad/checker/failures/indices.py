"""Indices that leave their array: which one, which loop counts it, how far it should run."""

from __future__ import annotations

import ast
import re
from typing import Any

import numpy as np

from handgrad.checker.failures.point import Point, described, names_in, quoted

Axes = list[tuple[ast.expr | None, int]]  # the part of an index, the axis that it takes


def index(point: Point) -> str:
    """Explain an IndexError."""
    text, node = str(point.error), _subscript(point)
    if node is None:
        return ""
    base = point.value(node.value)
    if "too many indices" in text and isinstance(base, np.ndarray):
        given = len(_parts(node))
        return (
            f"`{quoted(node.value)}` has {base.ndim} axes, its shape is {base.shape}, and "
            f"`{quoted(node)}` gives {given} indices"
        )
    if isinstance(base, list | tuple):
        at = point.value(node.slice)
        return _past(point, node, node.slice, int(at), len(base), described(base))
    found = re.search(r"index (-?\d+) is out of bounds for axis (\d+) with size (\d+)", text)
    if not found or not isinstance(base, np.ndarray):
        return ""
    came, axis, size = map(int, found.groups())
    for part, at in axes_of(point, node, base):
        if part is None or at != axis:
            continue
        value = np.asarray(point.value(part))
        if value.ndim:
            return (
                f"`{quoted(part)}` holds {came}, but axis {axis} of `{quoted(node.value)}`, of shape "
                f"{base.shape}, has {size} places"
            )
        exchanged = _exchanged(point, node, base, part, axis)
        where = f"axis {axis} of `{quoted(node.value)}`, of shape {base.shape}"
        return exchanged or _past(point, node, part, came, size, where)
    return ""


def _subscript(point: Point) -> ast.Subscript | None:
    """The part that is indexed: where it is read, or the target that is written."""
    if isinstance(point.node, ast.Subscript):
        return point.node
    targets = getattr(point.statement, "targets", [getattr(point.statement, "target", None)])
    found = [target for target in targets if isinstance(target, ast.Subscript)]
    return found[0] if len(found) == 1 else None


def _parts(node: ast.Subscript) -> list[ast.expr]:
    return list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]


def axes_of(point: Point, node: ast.Subscript, base: np.ndarray) -> Axes:
    """Return the parts of an index, each with the axis that it takes."""
    parts, found, axis = _parts(node), [], 0
    taking = [part for part in parts if not _is_new(part) and not _is_dots(part)]
    for part in parts:
        if _is_new(part):
            continue
        if _is_dots(part):
            axis += base.ndim - len(taking)
            continue
        found.append((part, axis))
        axis += 1
    return found  # type: ignore[return-value]


def _is_new(part: ast.expr) -> bool:
    return (isinstance(part, ast.Constant) and part.value is None) or (
        isinstance(part, ast.Attribute) and part.attr == "newaxis"
    )


def _is_dots(part: ast.expr) -> bool:
    return isinstance(part, ast.Constant) and part.value is Ellipsis


def _exchanged(point: Point, node: ast.Subscript, base: Any, part: ast.expr, axis: int) -> str:
    """Whether the index and another one run over each other's axes."""
    own = point.bound(part.id) if isinstance(part, ast.Name) else None
    if own is None:
        return ""
    for other, at in axes_of(point, node, base):
        if at == axis or not isinstance(other, ast.Name):
            continue
        bound = point.bound(other.id)
        if bound and bound[1] == base.shape[axis] and own[1] == base.shape[at]:
            name = getattr(part, "id", "")
            return (
                f"`{quoted(node)}`: {other.id} and {name} stand in each other's place, or their loops "
                f"do: `{quoted(node.value)}` has shape {base.shape}, {other.id} runs over {bound[0]} "
                f"and {name} over {own[0]}"
            )
    return ""


def _past(
    point: Point, node: ast.Subscript, part: ast.expr, came: int, size: int, where: str
) -> str:
    says = f"`{quoted(node)}`: {quoted(part)} is {came}, but {where}, has {size} places"
    for name in names_in(part):
        bound = point.bound(name)
        if bound is None:
            continue
        loop = point.loop(name)
        line = f" (line {_line(point, loop)})" if loop is not None else ""
        right = sized(point, size)
        should = f": it must run over {right}" if isinstance(part, ast.Name) else ""
        return f"{says}; {name} runs over {bound[0]}{line}{should}"
    return says


def _line(point: Point, node: ast.AST) -> int:
    return getattr(node, "lineno", point.line)


def sized(point: Point, size: int) -> str:
    """Return ``range(NAME)`` of a variable that holds a size, or the number."""
    names = [
        name
        for name, value in point.frame.f_locals.items()
        if isinstance(value, int | np.integer)
        and not isinstance(value, bool)
        and value == size
        and point.bound(name) is None
    ]
    # many sizes may be equal by chance: only a single one is worth a name
    return f"range({names[0]})" if len(names) == 1 else f"range({size})"


def cut(point: Point, node: ast.AST) -> str:
    """Say which window in an expression reaches past the end of its array, or is empty; "" if none."""
    for part in ast.walk(node):
        if not isinstance(part, ast.Subscript):
            continue
        try:
            base = point.value(part.value)
        except Exception:
            continue
        if not isinstance(base, np.ndarray):
            continue
        for place, axis in axes_of(point, part, base):
            if not isinstance(place, ast.Slice) or place.upper is None or axis >= base.ndim:
                continue
            try:
                low = int(point.value(place.lower)) if place.lower is not None else 0
                high = int(point.value(place.upper))
            except Exception:
                continue
            says = _window(point, part, place, base, axis, low, high)
            if says:
                return says
    return ""


def _window(
    point: Point, part: ast.Subscript, place: ast.Slice, base: Any, axis: int, low: int, high: int
) -> str:
    size = base.shape[axis]
    if high <= size and (low < high or high < 0):
        return ""
    what = f"`{quoted(part)}` takes places {low} to {high} of axis {axis}, which has {size}"
    if low >= high >= 0:
        return f"{what}: the window is empty, its end must be behind its beginning"
    why = ""
    for name in names_in(place.lower) if place.lower is not None else ():
        bound = point.bound(name)
        if bound:
            loop = point.loop(name)
            last = max(0, (size - (high - low)))
            starts = place.lower is not None and isinstance(place.lower, ast.Name)
            why = f"; {name} runs over {bound[0]} (line {_line(point, loop or part)})"
            why += (
                f", but the last window begins at {last}"
                if starts
                else ", which is more than there are windows"
            )
            break
    return f"{what}: the window reaches past the end{why}"
