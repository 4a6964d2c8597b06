"""Small changes of Python source, one at a time: what a slip of the pen would do.

A mutant changes one operator, comparison, condition, number, sign, index, key, keyword or statement
inside of a function.  Texts of errors are left alone, and so are annotations, defaults of arguments,
`device=` (no other device is there when the tests run), `strict=` (a check of what is so anyway) and
`stacklevel=`.
"""

from __future__ import annotations

import ast
import copy
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult, ast.Mod: ast.Mult,
}  # fmt: skip
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt), ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
_KEYWORDS_LEFT_ALONE = ("device", "stacklevel", "strict")
_LEFT_ALONE = (ast.Raise, ast.JoinedStr, ast.arguments, ast.Assert)


class Mutant(NamedTuple):
    """A changed source.  name: what it is known by, which moving lines does not change."""

    file: str
    function: str
    line: int
    name: str
    tree: ast.Module


def names(path: Path) -> list[str]:
    """The functions and methods in a file, by their names."""
    return [qualname for _, qualname in _functions(ast.parse(path.read_text("utf-8")))]


def mutants(path: Path, label: str) -> Iterator[Mutant]:
    """Every mutant of the functions and methods in the file `path`, which is called `label`."""
    source = ast.parse(path.read_text("utf-8"))
    seen: Counter[str] = Counter()
    for way, qualname in _functions(source):
        body = _follow(source, way)
        for position, (node, shown) in enumerate(_inside(body)):
            for number, (old, new) in enumerate(_changes(node, shown)):
                if old == new:
                    continue
                tree = copy.deepcopy(source)
                target = list(_inside(_follow(tree, way)))[position]
                list(_changes(*target, apply=number))
                name = f"{label} {qualname}: {old} -> {new}"
                seen[name] += 1
                if seen[name] > 1:
                    name += f" #{seen[name]}"
                ast.fix_missing_locations(tree)
                yield Mutant(label, qualname, node.lineno, name, tree)


def reached(paths: dict[str, Path], roots: re.Pattern[str]) -> set[str]:
    """Of the files (label -> path): the functions with such names, and all that these call, by name.

    Returned as "label function".  What is called is told by its name only, so that rather too many
    functions are found than too few; a private name is that of the same file, if it has one.
    """
    homes: dict[str, set[str]] = defaultdict(set)
    uses: dict[str, set[str]] = {}
    for label, path in paths.items():
        tree = ast.parse(path.read_text("utf-8"))
        for way, qualname in _functions(tree):
            name = f"{label} {qualname}"
            homes[qualname.rpartition(".")[2]].add(name)
            uses[name] = {
                getattr(node, "id", None) or getattr(node, "attr", "")
                for node in ast.walk(_follow(tree, way))
            }
    waiting = [name for name in uses if roots.search(name.rpartition(".")[2])]
    found = set(waiting)
    while waiting:
        name = waiting.pop()
        for called in uses[name]:
            known = homes.get(called, set())
            own = {home for home in known if home.partition(" ")[0] == name.partition(" ")[0]}
            new = (own if called.startswith("_") and own else known) - found
            found |= new
            waiting += new
    return found


def _functions(tree: ast.Module) -> Iterator[tuple[list[int], str]]:
    """The way from the module to each function or method, and its name with its class's."""
    for i, node in enumerate(tree.body):
        if isinstance(node, ast.FunctionDef):
            yield [i], node.name
        elif isinstance(node, ast.ClassDef):
            for j, inner in enumerate(node.body):
                if isinstance(inner, ast.FunctionDef):
                    yield [i, j], f"{node.name}.{inner.name}"


def _follow(tree: ast.Module, way: list[int]) -> ast.FunctionDef:
    node: ast.AST = tree
    for step in way:
        node = node.body[step]  # type: ignore[attr-defined]
    assert isinstance(node, ast.FunctionDef)
    return node


def _inside(function: ast.FunctionDef) -> Iterator[tuple[ast.AST, ast.AST]]:
    """The nodes of a function's body that may be changed, in order, each with the one to show."""
    waiting: list[tuple[ast.AST, ast.AST]] = [(node, function) for node in reversed(function.body)]
    while waiting:
        node, parent = waiting.pop()
        if isinstance(node, _LEFT_ALONE) or _is_text(node):
            continue
        if isinstance(node, ast.keyword) and node.arg in _KEYWORDS_LEFT_ALONE:
            continue
        yield node, parent if isinstance(node, ast.Constant) else node
        children = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.AnnAssign):
            children = [child for child in children if child is not node.annotation]
        if isinstance(node, ast.FunctionDef):
            children = list(node.body)
        waiting += [(child, node) for child in reversed(children)]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _changes(node: ast.AST, shown: ast.AST, apply: int = -1) -> Iterator[tuple[str, str]]:
    """Each change of one node, as (text before, text after); number `apply` is left in place."""
    for number, fields in enumerate(_edits(node)):
        before = ast.unparse(shown)
        old = {name: getattr(node, name) for name in fields}
        old_class, old_dict = node.__class__, dict(node.__dict__)
        if "__class__" in fields:
            replacement = fields["__class__"]
            node.__class__, node.__dict__ = replacement.__class__, dict(replacement.__dict__)  # type: ignore[assignment]
        else:
            for name, value in fields.items():
                setattr(node, name, value)
        after = ast.unparse(ast.fix_missing_locations(shown))
        if number != apply:
            node.__class__, node.__dict__ = old_class, old_dict  # type: ignore[assignment]
            for name in fields:
                if name != "__class__":
                    setattr(node, name, old[name])
        yield before.split("\n")[0], after.split("\n")[0]


def _edits(node: ast.AST) -> Iterator[dict]:
    """The changes of one node: fields and their new values."""
    match node:
        case ast.BinOp() if type(node.op) in _OPERATORS:
            yield {"op": _OPERATORS[type(node.op)]()}
        case ast.AugAssign():
            if type(node.op) in _OPERATORS:
                yield {"op": _OPERATORS[type(node.op)]()}
            yield _replaced(node, ast.Assign(targets=[node.target], value=node.value))
            yield _replaced(node, ast.Pass())
        case ast.Compare(ops=[op]):
            for other in _COMPARISONS.get(type(op), ()):
                yield {"ops": [other()]}
        case ast.BoolOp():
            yield {"op": ast.Or() if isinstance(node.op, ast.And) else ast.And()}
        case ast.UnaryOp(op=ast.USub()):
            yield {"op": ast.UAdd()}
        case ast.UnaryOp(op=ast.Not()):
            yield _replaced(node, node.operand)
        case ast.If() | ast.IfExp() if isinstance(node.test, ast.Name | ast.Attribute | ast.Call):
            yield {"test": ast.UnaryOp(ast.Not(), node.test)}
        case ast.Constant(value=bool()):
            yield {"value": not node.value}
        case ast.Constant(value=int() | float()):
            yield {"value": node.value + 1}
        case ast.Subscript(slice=ast.Constant(value=str())):
            yield {"slice": ast.Constant(node.slice.value + "_")}  # type: ignore[attr-defined]
        case ast.Subscript(slice=ast.Tuple(elts=[first, second, *rest])):
            yield {"slice": ast.Tuple([second, first, *rest], ast.Load())}
        case ast.Expr(value=ast.Call()):
            yield _replaced(node, ast.Pass())
        case ast.Call():
            for i, keyword in enumerate(node.keywords):
                if keyword.arg not in (None, *_KEYWORDS_LEFT_ALONE):
                    yield {"keywords": [*node.keywords[:i], *node.keywords[i + 1 :]]}


def _replaced(node: ast.AST, other: ast.AST) -> dict:
    return {"__class__": ast.copy_location(copy.deepcopy(other), node)}
