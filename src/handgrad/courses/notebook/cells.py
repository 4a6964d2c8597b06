"""What a code cell does, read off its source before anything runs.

Two kinds of cells need more than to be run: a cell that only prepares Colab (mounts a drive, changes
the folder, builds the Cython extension) is passed, and a cell that the course left as an exercise
(``solver = None`` under a TODO) is open: what fails later because of it is no fault of the layers.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Sequence

from handgrad.courses.notebook.read import parse
from handgrad.courses.notebook.student import is_unfinished

_TODO = re.compile(
    r"\b(TODO|YOUR CODE|FILL THIS|IMPLEMENT THIS|your code)\b|你的代码|你的代碼|待完成"
)
_LOOK_UPS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def is_preparation(source: str) -> bool:
    """Return whether a cell only mounts a drive, changes the folder, or calls the shell."""
    tree = parse(source)
    if tree is None or not tree.body:
        return False
    kinds = [_preparation(statement) for statement in tree.body]
    return None not in kinds and True in kinds


def _preparation(statement: ast.stmt) -> bool | None:
    """Return True for a statement that prepares Colab, False for a harmless one, None for others."""
    text = ast.unparse(statement)
    if isinstance(statement, ast.Import | ast.ImportFrom):
        if "google.colab" in text:
            return True
        return False if text in ("import sys", "import os", "import sys, os") else None
    if "FOLDERNAME" in text and isinstance(statement, ast.Assign | ast.Assert):
        return True
    if not isinstance(statement, ast.Expr):
        return None
    if isinstance(statement.value, ast.Constant):
        return False  # a text without effect
    shell = r"get_ipython\(\)\.(system|run_line_magic\('(cd|pwd|ls|mkdir|cp|mv|rm|cat|pip|conda)')"
    if re.match(shell, text) or re.match(r"drive\.\w+\(|os\.chdir\(|sys\.path\.\w+\(", text):
        return True
    return None


def stored_names(source: str) -> set[str]:
    """Return the variables that a cell gives a value, functions' own variables aside.

    Of a cell that is no Python, those at the beginning of a line.
    """
    tree = parse(source)
    if tree is None:
        return set(re.findall(r"^([^\W\d]\w*)\s*=(?!=)", source, re.MULTILINE))
    return {name for name, _ in _stores(tree)}


def open_names(source: str) -> set[str]:
    """Return the variables that an exercise was to fill and that the cell leaves None.

    A list or dictionary counts too, where the cell leaves it empty and the exercise's ``pass`` stands, and a
    function that does nothing yet.
    """
    return left_none(source) | left_empty(source) | left_functions(source)


def left_none(source: str) -> set[str]:
    """Return the variables that an exercise was to fill and that are None after it."""
    tree = parse(source)
    if tree is None or not _TODO.search(source):
        return set()
    return {
        name
        for name, given in _values(tree).items()
        if all(isinstance(value, ast.Constant) and value.value is None for value in given)
    }


def left_empty(source: str) -> set[str]:
    """Return the lists and dictionaries that an exercise was to fill and that it never touches."""
    tree = parse(source)
    if tree is None or not _TODO.search(source):
        return set()
    if not any(isinstance(node, ast.Pass) for node in tree.body):
        return set()
    touched = {
        node.value.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.value, ast.Name)
        if (isinstance(node, ast.Attribute) and node.attr not in ("items", "keys", "values", "get"))
        or isinstance(node.ctx, ast.Store)
    }
    return {
        name
        for name, given in _values(tree).items()
        if name not in touched and all(_is_empty(value) for value in given)
    }


def left_functions(source: str) -> set[str]:
    """Return the functions that a cell defines and that an exercise was to fill."""
    tree = parse(source)
    if tree is None or not _TODO.search(source):
        return set()
    return {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and is_unfinished(node)
    }


def waits_for(source: str, name: str) -> bool:
    """Return whether an exercise of the cell, still a placeholder, was to make the variable `name`."""
    tree = parse(source)
    if tree is None or not _TODO.search(source) or name in stored_names(source):
        return False
    return any(
        isinstance(node, ast.Pass)
        or (isinstance(node, ast.Expr) and getattr(node.value, "value", None) is Ellipsis)
        for node in tree.body
    )


def behind(source: str, names: set[str]) -> str:
    """Return the statements of a cell behind the last one that sets one of `names`, "" if there are none."""
    tree = parse(source)
    if tree is None:
        return ""
    places = [i for i, node in enumerate(tree.body) if names & _set_by(node)]
    rest = tree.body[max(places, default=-1) + 1 :]
    return "\n".join(ast.unparse(statement) for statement in rest)


def behind_pass(source: str) -> str:
    """Return the statements of a cell behind the last ``pass`` of its exercises."""
    tree = parse(source)
    if tree is None:
        return ""
    places = [i for i, node in enumerate(tree.body) if isinstance(node, ast.Pass)]
    rest = tree.body[max(places, default=len(tree.body)) + 1 :]
    return "\n".join(ast.unparse(statement) for statement in rest)


def renamings(source: str) -> dict[str, str]:
    """Return the variables that a cell makes other names of: ``net = best_net`` gives net -> best_net."""
    tree = parse(source)
    stores = [] if tree is None else _stores(tree)
    return {
        name: value.id for name, value in stores if isinstance(value, ast.Name) and value.id != name
    }


def calls(codes: Sequence[str], wanted: Collection[str]) -> bool:
    """Return whether the notebook of cells `codes` makes use of one of the functions `wanted`.

    An import, a comment or a text that names it is no use; nor is its call in a function that nothing calls.
    """
    used: set[str] = set()
    bodies: dict[str, set[str]] = {}
    for code in codes:
        tree = parse(code)
        if tree is None:
            plain = re.sub(r"#.*", "", code)
            used |= {name for name in wanted if re.search(rf"\b{name}\s*\(", plain)}
            continue
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                bodies.setdefault(node.name, set()).update(_loads(node))
            else:
                used |= _loads(node)
    waiting = list(used)
    while waiting:
        more = bodies.get(waiting.pop(), set()) - used
        used |= more
        waiting += more
    return bool(used & (set(wanted) - bodies.keys()))


def _loads(node: ast.AST) -> set[str]:
    """Return the names and attributes that `node` reads."""
    return {
        item.id if isinstance(item, ast.Name) else item.attr
        for item in ast.walk(node)
        if isinstance(item, ast.Name | ast.Attribute) and isinstance(item.ctx, ast.Load)
    }


def imports_all(source: str) -> bool:
    """Return whether a cell holds ``from something import *``."""
    tree = parse(source)
    return tree is not None and any(
        isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
        for node in ast.walk(tree)
    )


def read_names(source: str) -> set[str]:
    """Return all names that a cell reads anywhere, in functions too."""
    tree = parse(source)
    if tree is None:
        return set()
    return {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def _values(tree: ast.AST) -> dict[str, list[ast.expr | None]]:
    values: dict[str, list[ast.expr | None]] = {}
    for name, value in _stores(tree):
        values.setdefault(name, []).append(value)
    return values


def _is_empty(value: ast.expr | None) -> bool:
    return (isinstance(value, ast.List) and not value.elts) or (
        isinstance(value, ast.Dict) and not value.keys
    )


def _set_by(node: ast.stmt) -> set[str]:
    """Return the variables that the single statement `node` sets."""
    return {name for name, _ in _stores(ast.Module([node], []))}


def _stores(tree: ast.AST) -> list[tuple[str, ast.expr | None]]:
    """Return (name, value) of every assignment outside functions; None where the value is not one."""
    found: list[tuple[str, ast.expr | None]] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append((node.name, ast.Name(node.name)))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                found.append((name, ast.Name(name)))
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                found += _paired(target, node.value)
        elif isinstance(
            node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr | ast.For | ast.AsyncFor
        ):
            found += [(name, ast.Name(name)) for name in _targets(node.target)]
        elif isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                if item.optional_vars is not None:
                    found += [(name, ast.Name(name)) for name in _targets(item.optional_vars)]
        if not isinstance(node, _LOOK_UPS):
            found += _stores(node)
    return found


def _paired(target: ast.expr, value: ast.expr) -> list[tuple[str, ast.expr | None]]:
    """Return each variable of `target` with its part of `value`, as in ``best, top = None, 0``."""
    if isinstance(target, ast.Name):
        return [(target.id, value)]
    if (
        isinstance(target, ast.Tuple | ast.List)
        and isinstance(value, ast.Tuple | ast.List)
        and len(target.elts) == len(value.elts)
    ):
        pairs = zip(target.elts, value.elts, strict=True)
        return [found for part, given in pairs for found in _paired(part, given)]
    return [(name, ast.Name(name)) for name in _targets(target)]


def _targets(target: ast.expr) -> list[str]:
    if isinstance(target, ast.Name):
        return [target.id]
    if isinstance(target, ast.Tuple | ast.List):
        return [name for element in target.elts for name in _targets(element)]
    if isinstance(target, ast.Starred):
        return _targets(target.value)
    return []
