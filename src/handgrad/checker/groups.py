"""What of a file is judged together, and the source that decides each verdict.

A verdict stands as long as that source does: the functions, what they name in the file, and that in turn;
what the file does beside its functions (imports, constants); and the files beside it that it imports.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from handgrad.checker.by_name import NAMES
from handgrad.checker.discover import defined_in, marks_pairs, partners_of
from handgrad.checker.known import by_function
from handgrad.checker.loading import CheckError

_MOST_FILES = 40  # beside a file that are looked into
_BY_TEXT = re.compile(r"\b(globals|vars|eval|exec|getattr|locals)\(")  # may name anything


@dataclass(frozen=True)
class Group:
    """Functions that are judged together: `name` is what `check_path` takes as `only`.

    Equal keys: what decides the verdict is the same.
    """

    name: str
    functions: tuple[str, ...]
    key: str


@dataclass(frozen=True)
class Grouped:
    """The groups of a file in its order; by definition its first and last line; the files that it imports."""

    groups: tuple[Group, ...]
    lines: dict[str, tuple[int, int]]
    beside: tuple[Path, ...]


def groups_of(path: Path) -> Grouped:
    """Return what is judged together in a file; CheckError for one that is no Python.

    >>> [group.functions for group in groups_of('layers.py').groups]  # doctest: +SKIP
    [('affine_forward', 'affine_backward'), ('softmax_loss',)]
    """
    names = defined_in(path)
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
        tree = ast.parse(text)
    except (OSError, SyntaxError, ValueError) as error:
        raise CheckError(f"check: {path} cannot be read: {error}") from None
    lines = text.splitlines()
    spans, used = {}, {}
    rest = list(lines)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name not in spans:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            last = node.end_lineno or first
            spans[node.name] = first, last
            used[node.name] = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            rest[first - 1 : last] = [""] * (last - first + 1)
    beside = _beside(path, tree)
    common = [_code(rest), *(hashlib.sha256(_bytes(file)).hexdigest() for file in beside)]
    if _BY_TEXT.search(text):
        common.append(text)

    def key(functions: Iterable[str]) -> str:
        reached, waiting = set(), [f for f in functions if f in spans]
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached.add(name)
                waiting += sorted(used[name] & spans.keys())
        parts = [*functions, *common]
        for name in sorted(reached):
            first, last = spans[name]
            parts.append("\n".join(lines[first - 1 : last]))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    groups = [Group(one[0], one, key(one)) for one in _together(names, tree, marks_pairs(path))]
    return Grouped(tuple(groups), spans, tuple(beside))


def _together(names: list[str], tree: ast.Module, marks: bool) -> list[tuple[str, ...]]:
    """Return the names that are judged together, the one that they are judged by first."""
    decorated: dict[str, set[str]] = {}  # by what is decorated, the names in its decorators
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.decorator_list:
            inside = [n for d in node.decorator_list for n in ast.walk(d)]
            decorated[node.name] = {n.id for n in inside if isinstance(n, ast.Name)}
    there = dict.fromkeys(names, len)  # whatever can be called
    found: dict[str, dict[str, None]] = {}
    for name in names:
        known = by_function(name)
        if known is not None or name in NAMES or name in decorated or marks:
            found[name] = dict.fromkeys([name, *partners_of(name, there)])
    for name in list(found):
        forward = next((n for n in names if n in found and n in decorated.get(name, ())), None)
        if forward is not None and forward != name:
            found[forward][name] = None  # as @swish.backward
    behind = {other for name, one in found.items() for other in one if other != name}
    return [tuple(one) for name, one in found.items() if name not in behind]


def _code(lines: list[str]) -> str:
    """Return lines without those that are empty or a comment."""
    return "\n".join(x for x in lines if x.strip() and not x.lstrip().startswith("#"))


def _beside(path: Path, tree: ast.Module) -> list[Path]:
    """Return the files of the same folder, or the one above, that a file imports, and those that they do."""
    found: dict[Path, None] = {}
    waiting = _imported(path.parent, tree)
    while waiting and len(found) < _MOST_FILES:
        file = waiting.pop(0)
        if file in found or file == path:
            continue
        found[file] = None
        try:
            waiting += _imported(file.parent, ast.parse(_bytes(file)))
        except (SyntaxError, ValueError):
            continue
    return list(found)


def _imported(folder: Path, tree: ast.Module) -> list[Path]:
    words: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom) and node.module:
                names.append(node.module)
            words |= dict.fromkeys(word for name in names for word in name.split("."))
    places = [place / f"{word}.py" for word in words for place in (folder, folder.parent)]
    return [place for place in places if place.is_file()]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
