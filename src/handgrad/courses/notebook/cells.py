"""What a code cell does, read off its source before anything runs.

Two kinds of cells need more than to be run: a cell that only prepares Colab (mounts a drive, changes
the folder, builds the Cython extension) is passed, and a cell that the course left as an exercise
(``solver = None`` under a TODO) is open: what fails later because of it is no fault of the layers.
"""

from __future__ import annotations

import ast
import re

from handgrad.courses.notebook.read import parse

_TODO = re.compile(r"\b(TODO|YOUR CODE|FILL THIS)\b")
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
        return False  # a text that nobody reads
    shell = r"get_ipython\(\)\.(system|run_line_magic\('(cd|pwd|ls|mkdir|cp|mv)')"
    if re.match(shell, text) or re.match(r"drive\.\w+\(|os\.chdir\(|sys\.path\.\w+\(", text):
        return True
    return None


def stored_names(source: str) -> set[str]:
    """Return the variables that a cell gives a value, functions' own variables aside."""
    tree = parse(source)
    return set() if tree is None else {name for name, _ in _stores(tree)}


def open_names(source: str) -> set[str]:
    """Return the variables that an exercise was to fill and that the cell leaves None."""
    tree = parse(source)
    if tree is None or not _TODO.search(source):
        return set()
    values: dict[str, list[ast.expr | None]] = {}
    for name, value in _stores(tree):
        values.setdefault(name, []).append(value)
    return {
        name
        for name, given in values.items()
        if all(isinstance(value, ast.Constant) and value.value is None for value in given)
    }


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
                found += [(name, node.value if isinstance(target, ast.Name) else ast.Name(name))
                          for name in _targets(target)]  # fmt: skip
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


def _targets(target: ast.expr) -> list[str]:
    if isinstance(target, ast.Name):
        return [target.id]
    if isinstance(target, ast.Tuple | ast.List):
        return [name for element in target.elts for name in _targets(element)]
    if isinstance(target, ast.Starred):
        return _targets(target.value)
    return []
