"""The size of files and classes, and who may change whom."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import handgrad

ROOT = Path(handgrad.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
NATIVE = Path(__file__).parents[1] / "native"
CODE = (".py", ".pyi", ".h", ".hpp", ".c", ".cpp")
LINES, LINES_OF_A_CLASS = 400, 300


def files() -> list[Path]:
    """All files of code of the package, and of the kernels where the repository is at hand."""
    found = [*ROOT.rglob("*"), *NATIVE.rglob("*")]
    return sorted(path for path in found if path.suffix in CODE)


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def long_classes(tree: ast.Module, most: int = LINES_OF_A_CLASS) -> list[str]:
    """The classes of more than `most` lines."""
    return [
        f"{node.name}: {size} lines"
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and (size := (node.end_lineno or 0) - node.lineno + 1) > most
    ]


def scopes(tree: ast.Module) -> Iterator[list[ast.AST]]:
    """The nodes of each function, without those of functions in it, and of the module."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        inside: list[ast.AST] = []
        left = list(ast.iter_child_nodes(waiting.pop()))
        while left:
            node = left.pop()
            inside.append(node)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                waiting.append(node)
            else:
                left += ast.iter_child_nodes(node)
        yield inside


def own_names(nodes: list[ast.AST]) -> set[str]:
    """`self`, `cls`, and the copies of it, or the object just made by a metaclass, that have a name there."""
    makers = re.compile(r"(copy\.)?(copy|copied)\(self\)|cls\(|super\(\)\.__(call|new)__\(")
    assigned = [node for node in nodes if isinstance(node, ast.Assign)]
    return {"self", "cls"} | {
        target.id
        for node in assigned
        for target in node.targets
        if isinstance(target, ast.Name) and makers.match(ast.unparse(node.value))
    }


def writes_of_privates(tree: ast.Module) -> list[str]:
    """Where a private attribute of another object is set, deleted, or an entry of it is."""
    modules = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    found = []
    for nodes in scopes(tree):
        own = own_names(nodes) | modules  # os._exit is a function of a module
        for node in nodes:
            is_written = isinstance(getattr(node, "ctx", None), ast.Store | ast.Del)
            place = node.value if isinstance(node, ast.Subscript) else node
            if not is_written or not isinstance(place, ast.Attribute):
                continue
            owner = place.value
            is_own = isinstance(owner, ast.Name) and owner.id in own
            if re.match("_(?!_)", place.attr) and not is_own:
                found.append(f"line {node.lineno}: {ast.unparse(node)}")  # type: ignore[attr-defined]
    return found


def name_of(path: Path) -> str:
    base = ROOT if path.is_relative_to(ROOT) else NATIVE
    return path.relative_to(base.parent).as_posix()


def test_no_file_has_more_lines_than_a_reader_keeps_in_mind():
    found = files()
    assert len(found) > 500
    longer = {name_of(path) for path in found if path.read_text("utf-8").count("\n") > LINES}
    assert sorted(longer) == [], f"over {LINES} lines: split them"


def test_no_class_is_too_long():
    assert {
        name_of(path): found for path in SOURCES if (found := long_classes(tree_of(path)))
    } == {}


def test_no_file_writes_the_privates_of_another_object():
    """An object is changed by itself alone: its class has a method for what others want of it."""
    found = {path: writes_of_privates(tree_of(path)) for path in SOURCES}
    assert {name_of(path): written for path, written in found.items() if written} == {}


def test_the_looks_see():
    tree = ast.parse("class A:\n    x = 1\n    y = 2\n\nclass B:\n    x = 1")
    assert long_classes(tree, most=2) == ["A: 3 lines"]


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("def f(solver):\n    solver._place = 1", 1),
        ("def f(self):\n    self.model._kept['W'] = 1", 1),
        ("def f(a):\n    del a._b", 1),
        ("def f(a):\n    a._n += 1", 1),
        ("def f(a):\n    def g(self):\n        self._x = a._y\n    a._z, x = 1, 2", 1),
        ("def f(self):\n    own = copied(self)\n    def g(own):\n        own._x = 1", 1),
        ("def f(self):\n    self._place = 1\n    self._kept['W'] = 2", 0),
        ("def f(self):\n    own = copied(self)\n    own._root = None", 0),
        ("class M(type):\n    def __call__(cls):\n        made = super().__call__()\n        made._x = 1", 0),
        ("def of(cls):\n    made = cls(3)\n    made._x[1] = 1", 0),
        ("import os\ndef f():\n    os._exit = g", 0),
        ("def f(g):\n    g.__doc__ = ''", 0),
    ],
)  # fmt: skip
def test_the_look_at_privates_sees(source, count):
    assert len(writes_of_privates(ast.parse(source))) == count
