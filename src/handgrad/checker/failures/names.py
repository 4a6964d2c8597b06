"""Names, keys and attributes that are not there, and values that are no such thing."""

from __future__ import annotations

import ast
import builtins
import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from handgrad.checker.failures.point import Point, described, quoted


def name(point: Point) -> str:
    """Explain a NameError or an UnboundLocalError."""
    found = getattr(point.error, "name", None) or _in_quotes(str(point.error))
    if not found:
        return ""
    if isinstance(point.error, UnboundLocalError) or _sets(point.body, found):
        return _unbound(point, found)
    known = [*point.frame.f_locals, *point.frame.f_globals, *dir(builtins)]
    close = _close(found, known)
    close = {
        "l": "the number 1",
        "I": "the number 1",
        "O": "the number 0",
        "o": "the number 0",
    }.get(found, close)
    meant = f": is {close} meant?" if close else ", neither in the function nor in its file"
    return f"nothing sets `{found}`, which this line reads{meant}"


def _in_quotes(text: str) -> str:
    found = re.search(r"'([^']+)'", text)
    return found[1] if found else ""


def _close(word: str, known: Iterable[Any]) -> str:
    names = [
        one for one in dict.fromkeys(known) if isinstance(one, str) and not one.startswith("__")
    ]
    same = [one for one in names if one.lower() == word.lower() and one != word]
    mixed = [one for one in names if sorted(one) == sorted(word) and one != word]
    return (same or mixed or difflib.get_close_matches(word, names, 1, 0.75) or [""])[0]


def _sets(body: ast.AST, found: str) -> list[ast.AST]:
    return [
        node
        for node in ast.walk(body)
        if isinstance(node, ast.Name) and node.id == found and isinstance(node.ctx, ast.Store)
    ]


def _unbound(point: Point, found: str) -> str:
    """Say which loop or branch would have set a variable."""
    says = f"`{found}` has no value here"
    places = sorted({getattr(node, "lineno", 0) for node in _sets(point.body, found)})
    if not places:
        return f"{says}: nothing sets it"
    if places[0] > point.line:
        return f"{says}: line {places[0]} sets it, which comes later"
    for node in ast.walk(point.body):
        if isinstance(node, ast.For) and any(
            child.lineno in places for child in ast.walk(node) if isinstance(child, ast.Name)
        ):
            try:
                empty = not len(point.value(node.iter))
            except Exception:
                empty = False
            if empty:
                return (
                    f"{says}: only the loop of line {node.lineno} sets it, and "
                    f"`{quoted(node.iter)}` is empty, so that it makes no round"
                )
    if len(places) == 1:
        return f"{says}: line {places[0]}, which sets it, did not run"
    return f"{says}: lines {' and '.join(map(str, places[:3]))}, which set it, did not run"


def key(point: Point) -> str:
    """Explain a KeyError."""
    missing = point.error.args[0] if point.error.args else None
    node = point.node
    if not isinstance(node, ast.Subscript):
        found = [one for one in ast.walk(point.statement) if isinstance(one, ast.Subscript)]
        node = found[0] if found else node
    if not isinstance(node, ast.Subscript):
        return ""
    table = point.value(node.value)
    if not isinstance(table, dict):
        return ""
    keys = [str(one) for one in table]
    close = _close(str(missing), keys)
    meant = f": {close!r} is meant" if close else ""
    listed = ", ".join(map(repr, keys[:8])) or "none"
    return f"`{quoted(node.value)}` has no key {missing!r}{meant}; its keys are {listed}"


def attribute(point: Point) -> str:
    """Explain an AttributeError."""
    node, error = point.node, point.error
    if not isinstance(node, ast.Attribute):
        return ""
    owner = point.value(node.value)
    wanted = node.attr
    what = described(owner)
    if isinstance(owner, tuple):
        return (
            f"`{quoted(node.value)}` is {what}, which has no {wanted}: take it apart, as in "
            "out, cache = ..."
        )
    if owner is None:
        return (
            f"`{quoted(node.value)}` is None here: it has no {wanted}, and must be computed before"
        )
    if callable(owner) and not isinstance(owner, type(np)):
        return f"`{quoted(node.value)}` is {what}: it is not called, and has no {wanted}"
    close = _close(wanted, dir(owner))
    meant = f": {close} is meant" if close else ""
    del error
    return f"`{quoted(node.value)}`, {what}, has no {wanted}{meant}"


def kind(point: Point) -> str:
    """Explain a TypeError."""
    text, node = str(point.error), point.node
    if re.search(r"object is not iterable|cannot unpack non-iterable", text):
        return _not_iterable(point)
    if re.search(r"object is not subscriptable", text) and isinstance(node, ast.Subscript):
        owner = point.value(node.value)
        more = ": it must be computed before" if owner is None else ""
        if callable(owner):
            more = ": call it with ( )"
        return f"`{quoted(node.value)}` is {described(owner)}, which has no parts{more}"
    if "indices must be integers" in text and isinstance(node, ast.Subscript):
        owner, at = point.value(node.value), point.value(node.slice)
        if isinstance(at, str):
            return (
                f"`{quoted(node)}` asks for a key, but `{quoted(node.value)}` is {described(owner)}: take it "
                "apart by position, or let forward store a dictionary"
            )
    if re.search(r"object is not callable", text):
        return _not_callable(point)
    if "unsupported operand type" in text or "bad operand type" in text:
        return _operands(point)
    if found := re.search(r"(\w+)\(\) (missing|takes|got)", text):
        return f"the call of {found[1]} does not fit its arguments: {text}"
    if "object does not support item assignment" in text:
        targets = getattr(point.statement, "targets", [getattr(point.statement, "target", None)])
        for target in targets:
            if isinstance(target, ast.Subscript):
                owner = point.value(target.value)
                return f"`{quoted(target.value)}` is {described(owner)}: its parts cannot be set"
    if "object has no len" in text and isinstance(node, ast.Call) and node.args:
        return f"`{quoted(node.args[0])}` is {described(point.value(node.args[0]))}, which has no length"
    return ""


def _not_iterable(point: Point) -> str:
    statement = point.statement
    if isinstance(statement, ast.For):
        over = point.value(statement.iter)
        if isinstance(over, int | np.integer):
            right = f"range({quoted(statement.iter)})"
            return f"`{quoted(statement.iter)}` is {described(over)}: a loop must run over {right}"
        return f"`{quoted(statement.iter)}` is {described(over)}: a loop cannot run over it"
    if isinstance(statement, ast.Assign):
        value = point.value(statement.value)
        return (
            f"`{quoted(statement.value)}` is {described(value)}, and is taken apart into "
            f"`{quoted(statement.targets[0])}`"
        )
    return ""


def _not_callable(point: Point) -> str:
    for node in ast.walk(point.statement):
        if not isinstance(node, ast.Call):
            continue
        owner = point.value(node.func)
        if callable(owner):
            continue
        more = ""
        if isinstance(owner, tuple | np.ndarray):
            more = ": its parts are taken with [ ]"
        elif isinstance(owner, int | float | np.number):
            more = ": is a * missing before the bracket?"
        return f"`{quoted(node.func)}` is {described(owner)}, and ( ) calls it as a function{more}"
    return ""


def _operands(point: Point) -> str:
    for part in _sides(point):
        value = point.value(part)
        if value is None:
            return f"`{quoted(part)}` is None here: it must be computed before"
        if isinstance(value, tuple | list | dict | str) or callable(value):
            more = ": take it apart, as in out, cache = ..." if isinstance(value, tuple) else ""
            more = ": it is not called" if callable(value) else more
            return (
                f"`{quoted(part)}` is {described(value)}, with which nothing can be computed{more}"
            )
    return ""


def _sides(point: Point) -> Sequence[ast.expr]:
    node: Any = point.node
    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    if isinstance(node, ast.UnaryOp):
        return [node.operand]
    if isinstance(node, ast.Compare):
        return [node.left, *node.comparators]
    if isinstance(node, ast.AugAssign):
        load = ast.parse(ast.unparse(node.target), mode="eval").body
        return [load, node.value]
    if isinstance(node, ast.Call):
        return list(node.args)
    return []
