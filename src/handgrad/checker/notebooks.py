"""The definitions of a notebook as one Python file: what can be judged of it without running it.

Kept of the code cells: imports, functions, classes, and assignments that load nothing.  Left out:
magics, shell commands, and the statements that only run something, such as a training.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

_FOREIGN = {
    "bash", "html", "javascript", "js", "latex", "markdown", "perl", "ruby", "script", "sh", "svg",
    "cython", "R", "python2", "file", "writefile",
}  # fmt: skip
_MAGIC = re.compile(r"^\s*(?:[%!?]|.*\?\s*$|[\w, ]+=\s*[%!])")
_BUILDS = {"abs", "dict", "float", "frozenset", "int", "len", "list", "max", "min", "range", "set",
           "tuple"}  # fmt: skip
_READS = ("load", "open", "read", "fromfile", "genfromtxt", "memmap", "save")


def code_of(text: str) -> tuple[str, list[str]]:
    """Return the definitions in a notebook, and notes about cells that cannot be read.

    Raises:
        ValueError: the text is no notebook.
    """
    code: list[str] = []
    notes: list[str] = []
    known: set[str] = set()
    for number, cell in enumerate(_cells(text), 1):
        lines = _without_magics(cell)
        try:
            tree = ast.parse("\n".join(lines))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
            notes.append(f"code cell {number} is left out: it cannot be read{line}: {error}")
            continue
        kept = []
        for node in tree.body:
            if _is_definition(node, known):
                kept.append(node)
                known |= _bound(node)
        if kept:
            code.append(f"# code cell {number}")
            code += [line for node in kept for line in lines[_first(node) - 1 : node.end_lineno]]
    return "\n".join(code) + "\n", notes


def _cells(text: str) -> Iterator[str]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no notebook: {error}") from None
    sheets = content.get("worksheets") if isinstance(content, dict) else None
    sheets = sheets if isinstance(sheets, list) else [content]
    cells = [
        cell
        for sheet in sheets
        if isinstance(sheet, dict) and isinstance(sheet.get("cells"), list)
        for cell in sheet["cells"]
    ]
    if not cells:
        raise ValueError("no notebook: it has no cells")
    for cell in cells:
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            yield _joined(cell.get("source", cell.get("input", "")))


def _joined(source: Any) -> str:
    lines = source if isinstance(source, list) else [source]
    return "".join(line for line in lines if isinstance(line, str))


def _without_magics(cell: str) -> list[str]:
    """The lines of a cell, with an empty one for each magic; none of a cell in another language."""
    lines = cell.splitlines()
    first = next((line.strip() for line in lines if line.strip()), "")
    if first.startswith("%%"):
        name, *rest = first[2:].split() or [""]
        if name in _FOREIGN and not (name == "writefile" and rest and rest[-1].endswith(".py")):
            return []
    try:  # within a text a line may begin with % or end with ?
        ast.parse(cell)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ["" if _MAGIC.match(line) else line for line in lines]
    return lines


def _is_definition(node: ast.stmt, known: set[str]) -> bool:
    """Whether a statement is kept; known: the names that it may use when it runs."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef):
        return True
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return node.value is None or _builds(node.value, known)
    if isinstance(node, ast.If | ast.Try):
        parts = [*node.body, *node.orelse, *getattr(node, "finalbody", ())]
        parts += [part for handler in getattr(node, "handlers", ()) for part in handler.body]
        return all(isinstance(part, ast.Pass) or _is_definition(part, known) for part in parts)
    return False


def _builds(value: ast.expr, known: set[str]) -> bool:
    """Whether an expression only builds a value: of constants, known names, calls of NumPy and math."""
    if isinstance(value, ast.Lambda):
        return True
    for node in ast.walk(value):
        if isinstance(node, ast.Name) and not (node.id in known or node.id in _BUILDS):
            return False
        if isinstance(node, ast.Call):
            root: ast.expr = node.func
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(node.func, ast.Attribute):
                module = isinstance(root, ast.Name) and root.id in ("np", "numpy", "math")
                fine = module and not node.func.attr.startswith(_READS)
            else:
                fine = isinstance(root, ast.Name) and root.id in _BUILDS
            if not fine:
                return False
    return True


def _bound(node: ast.stmt) -> set[str]:
    """The names that a kept statement defines."""
    names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)
             and isinstance(one.ctx, ast.Store)}  # fmt: skip
    for one in ast.walk(node):
        if isinstance(one, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in one.names}
        elif isinstance(one, ast.FunctionDef | ast.ClassDef):
            names.add(one.name)
    return names


def _first(node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", None)
    return decorators[0].lineno if decorators else node.lineno
