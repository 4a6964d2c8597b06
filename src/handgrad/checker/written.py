"""Telling a skeleton from code: whether a function is not written yet, by its source.

A course hands out functions that return None (``out = None ... return out, cache``), a name that is
assigned nowhere, or nothing at all.  They are no mistakes.  A function that computes something
and forgets to return it is one.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

from handgrad.checker.undisturbed import source_lines

FORWARD, BACKWARD, LOSS, RULE = "forward", "backward", "loss", "rule"
RESULT, GRADIENT = "result", "gradient"


def unwritten(function: Any, side: str = FORWARD) -> str:
    """Return how the source of a function shows that it is not written yet, or "".

    side: FORWARD and RULE return (result, more), BACKWARD only results, LOSS a number and gradients,
    RESULT one array; GRADIENT asks of a loss whether its gradients are not written.  The zeros that a
    loss or an array starts with are no result.
    """
    tree = _definition(function)
    if tree is None:
        return ""
    body = [node for node in tree.body if not _is_idle(node)]
    if not body:
        return "its body is empty"
    if any(_refuses(node) for node in body):
        return "it raises NotImplementedError"
    nodes = _nodes(tree)
    if mode := _open_mode(nodes):
        return f"in {mode} mode it raises NotImplementedError"
    inner = inspect.unwrap(function)
    free = getattr(getattr(inner, "__code__", None), "co_freevars", ())
    skeleton = Skeleton(tree, nodes, {*getattr(inner, "__globals__", {}), *free})
    returns = [node.value for node in nodes if isinstance(node, ast.Return)]
    if side == BACKWARD and (left := skeleton.left_first(returns)):
        return f"{left} is never filled in"
    if not returns:
        return "it returns nothing" if skeleton.computes_nothing() else ""
    empty = [skeleton.is_empty_result(value, side) for value in returns]
    if side == RULE and not any(empty) and skeleton.takes_no_step(returns):
        return "it returns its weights as they came"
    if not all(empty):
        return ""
    if side == GRADIENT:
        return "its gradient is never filled in"
    if side == RESULT and not all(skeleton.is_empty(value) for value in returns):
        return "what it returns is never filled in"
    missing = skeleton.undefined(returns[-1])
    return f"it returns {missing}, which it never assigns" if missing else "it returns None"


def _ends(node: ast.AST) -> bool:
    """Whether a node ends the program, as sys.exit does."""
    function = node.func if isinstance(node, ast.Call) else None
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        return (function.value.id, function.attr) in (("sys", "exit"), ("os", "_exit"))
    return isinstance(function, ast.Name) and function.id in ("exit", "quit")


class Skeleton:
    """What the names in a function hold: something that was computed, or nothing yet."""

    def __init__(self, tree: ast.FunctionDef, nodes: list[ast.AST], known: set[str]) -> None:
        """Collect the assignments in a function's nodes; known: the names that it sees around it."""
        arguments = tree.args
        self._given = {
            one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
        } | {one.arg for one in (arguments.vararg, arguments.kwarg) if one}
        self._order = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
        self._read = {node.id for node in nodes if isinstance(node, ast.Name)}
        self._known = known
        self._raises = any(isinstance(node, ast.Raise) or _ends(node) for node in nodes)
        self._values: dict[str, list[ast.expr | None]] = {}
        for node in nodes:
            for name, value in _stores(node):
                self._values.setdefault(name, []).append(value)

    def computes_nothing(self) -> bool:
        """Whether no name holds anything but None, and nothing is refused."""
        return not self._raises and all(self._is_unset(name) for name in self._values)

    def takes_no_step(self, returns: list[ast.expr | None]) -> bool:
        """Whether a rule returns the weights that it got, and looks at no gradient."""
        if len(self._order) < 2:
            return False
        weights, gradient = self._order[:2]
        firsts = [
            one.elts[0] if isinstance(one, ast.Tuple) and one.elts else one for one in returns
        ]
        kept = all(isinstance(one, ast.Name) and one.id == weights for one in firsts)
        return kept and weights not in self._values and gradient not in self._read

    def left_first(self, returns: list[ast.expr | None]) -> str:
        """Return the name of the first of several results, where it is left None; else ""."""
        (value, *others) = returns or [None]
        if others or not isinstance(value, ast.Tuple) or len(value.elts) < 2:
            return ""
        first = value.elts[0]
        left = isinstance(first, ast.Name) and first.id in self._values and self.is_empty(first)
        return first.id if isinstance(first, ast.Name) and left else ""

    def is_empty_result(self, value: ast.expr | None, side: str) -> bool:
        """Whether what is returned holds no result."""
        if value is None:
            return self.computes_nothing()
        parts = value.elts if isinstance(value, ast.Tuple) and value.elts else [value]
        if side in (FORWARD, RULE):
            return self.is_empty(parts[0])
        if side == RESULT:
            return self.is_empty(value) or self._is_blank(value)
        if side == GRADIENT:
            return len(parts) > 1 and (self.is_empty(parts[1]) or self._is_blank(parts[1]))
        if side == LOSS:
            blank = all(self.is_empty(part) or self._is_blank(part) for part in parts)
            return blank and (len(parts) > 1 or self.is_empty(parts[0]))
        return all(self.is_empty(part) for part in parts)

    def is_empty(self, node: ast.expr | None) -> bool:
        """Whether an expression is None, or is made of a name that holds nothing."""
        if isinstance(node, ast.Constant):
            return node.value is None or node.value is Ellipsis
        if isinstance(node, ast.Name):
            return self._is_unset(node.id)
        if isinstance(node, ast.Call | ast.Attribute):
            root: ast.expr = node
            while isinstance(root, ast.Call | ast.Attribute):
                root = root.func if isinstance(root, ast.Call) else root.value
            held = isinstance(root, ast.Name) and root.id in self._values
            return held and self._is_unset(root.id)  # type: ignore[attr-defined]
        return False

    def undefined(self, value: ast.expr | None) -> str:
        """Return the first name that is returned and assigned nowhere, or ""."""
        for node in ast.walk(value) if value is not None else ():
            if isinstance(node, ast.Name) and not (
                self._values.get(node.id) or self._is_known(node.id)
            ):
                return node.id
        return ""

    def _is_known(self, name: str) -> bool:
        return name in self._given or name in self._known or hasattr(builtins, name)

    def _is_unset(self, name: str) -> bool:
        values = self._values.get(name)
        if not values:
            return not self._is_known(name)
        if name in self._given:
            return False
        return all(
            value is not None and (_is_own(value, name) or self._is_none(value, name))
            for value in values
        )

    def _is_none(self, value: ast.expr, name: str) -> bool:
        if isinstance(value, ast.Name):
            return value.id != name and value.id not in self._given and self._is_unset(value.id)
        return isinstance(value, ast.Constant) and (value.value is None or value.value is Ellipsis)

    def _is_blank(self, node: ast.expr) -> bool:
        """Whether a name holds the zeros, or the empty dictionary, that it started with."""
        if isinstance(node, ast.Name):
            values = self._values.get(node.id) or [None]
            return len(values) == 1 and values[0] is not None and self._is_blank(values[0])
        if isinstance(node, ast.Constant):
            return node.value in (0, None)
        if isinstance(node, ast.Dict):
            return not node.keys
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            return node.func.attr in ("zeros", "zeros_like")
        return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and (
            node.func.id == "dict" and not node.args and not node.keywords
        )  # fmt: skip


def _definition(function: Any) -> ast.FunctionDef | None:
    lines, _ = source_lines(function)
    return _parsed("".join(lines))


@functools.lru_cache(maxsize=512)
def _parsed(text: str) -> ast.FunctionDef | None:
    """Parse the text of a function; the tree is read by many questions, and changed by none."""
    try:
        tree = ast.parse(textwrap.dedent(text))
    except (SyntaxError, ValueError):
        return None
    first = tree.body[0] if tree.body else None
    return first if isinstance(first, ast.FunctionDef) else None


def _nodes(tree: ast.FunctionDef) -> list[ast.AST]:
    """Return all nodes of a function, without those of functions inside it, the outer ones first."""
    nodes: list[ast.AST] = list(tree.body)
    for node in nodes:  # which grows
        if not isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            nodes += ast.iter_child_nodes(node)
    return nodes


def _stores(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    """The names that a node assigns, with their values; None: something that was computed."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _paired(target, node.value)
    elif isinstance(node, ast.AnnAssign | ast.NamedExpr):
        yield from _paired(node.target, node.value)
    elif isinstance(node, ast.AugAssign | ast.For | ast.comprehension):
        yield from _paired(node.target, None)
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        yield from _paired(node.optional_vars, None)
    elif isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name, None
    elif isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield (alias.asname or alias.name).partition(".")[0], None
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        root = node.func.value  # grads.update(...), losses.append(...)
        if isinstance(root, ast.Name) and node.func.attr in ("update", "append", "fill", "extend"):
            yield root.id, None


def _paired(target: ast.expr, value: ast.expr | None) -> Iterator[tuple[str, ast.expr | None]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple | ast.List):
        parts: list[ast.expr | None] = [None] * len(target.elts)
        if isinstance(value, ast.Tuple) and len(value.elts) == len(parts):
            parts = list(value.elts)
        for one, part in zip(target.elts, parts, strict=True):
            yield from _paired(one, part)
    elif isinstance(target, ast.Subscript | ast.Starred):
        yield from _paired(target.value, None)  # a part of it is computed


def _is_own(value: ast.expr, name: str) -> bool:
    """Whether an expression only changes what the name holds, as in ``out.astype(x.dtype)``."""
    root: ast.expr = value
    while isinstance(root, ast.Call | ast.Attribute):
        root = root.func if isinstance(root, ast.Call) else root.value
    return root is not value and isinstance(root, ast.Name) and root.id == name


def _is_idle(node: ast.stmt) -> bool:
    constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return constant or isinstance(node, ast.Pass)


def _open_mode(nodes: list[ast.AST]) -> str:
    """Return the mode, "train" or "test", whose branch raises NotImplementedError, or ""."""
    choices = [node for node in nodes if isinstance(node, ast.If)]
    chained = {id(one) for node in choices for one in node.orelse if isinstance(one, ast.If)}
    for node in choices:
        modes = [one.value for one in ast.walk(node.test) if isinstance(one, ast.Constant)]
        named = [mode for mode in modes if mode in ("train", "test")]
        if len(named) == 1:
            other = "test" if named[0] == "train" else "train"
            equal = not any(isinstance(one, ast.NotEq | ast.Not) for one in ast.walk(node.test))
            if any(_refuses(one) for one in node.body):
                return str(named[0] if equal else other)
            last = id(node) in chained or any(id(one) in chained for one in node.orelse)
            if not last and any(_refuses(one) for one in node.orelse):
                return str(other if equal else named[0])
    return ""


def _refuses(node: ast.stmt) -> bool:
    """Whether a statement is ``raise NotImplementedError``."""
    if not isinstance(node, ast.Raise) or node.exc is None:
        return False
    raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"
