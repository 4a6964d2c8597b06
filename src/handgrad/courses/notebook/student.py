"""A student's folder: their own functions where they are written, the library's where they are not.

Every file that a course has its students write is looked for in the folder.  A function counts as
unfinished if

- it does nothing (``pass``, ``raise NotImplementedError``, placeholders);
- it returns a result that never got another value than the None it started with;
- it has a train or test branch that is still ``pass``.

A class is unfinished if it never fills ``self.params``, or if one of its methods is unfinished.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from handgrad.errors import DataError

# course -> the modules that students write; the file is the last part of the name
WRITTEN = {
    "cs231n": (
        "cs231n.layers", "cs231n.layer_utils", "cs231n.optim",
        "cs231n.classifiers.fc_net", "cs231n.classifiers.cnn", "cs231n.classifiers.k_nearest_neighbor",
        "cs231n.classifiers.linear_svm", "cs231n.classifiers.softmax",
        "cs231n.classifiers.linear_classifier", "cs231n.classifiers.neural_net", "cs231n.rnn_layers",
    ),
    "nndl": (
        "nndl.layers", "nndl.layer_utils", "nndl.conv_layers", "nndl.conv_layer_utils", "nndl.optim",
        "nndl.fc_net", "nndl.cnn", "nndl.neural_net", "nndl.knn", "nndl.svm", "nndl.softmax",
    ),
    "skynet": (
        "skynet.neural_network.layers", "skynet.neural_network.layer_utils",
        "skynet.neural_network.classifiers.fc_net", "skynet.neural_network.classifiers.cnn",
        "skynet.solvers.optimizer",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """One file of a student: which of its functions and classes are finished, and which are not."""

    module: str
    path: Path
    finished: tuple[str, ...]
    unfinished: tuple[str, ...]


def examine(folder: str | Path, course: str, package: str | None = None) -> list[Answer]:
    """Return the files of `course` that lie in `folder`, at any depth; DataError if there are none.

    `package` is the name under which a fork keeps the course's modules.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"--student: {folder} is not a folder")
    answers = []
    for module in WRITTEN[course]:
        name = module.rpartition(".")[2] + ".py"
        found = [
            path
            for path in folder.rglob(name)
            if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        ]
        if found:
            path = min(found, key=lambda path: (len(path.parts), str(path)))
            finished, unfinished = _judge(path)
            if package is not None:
                module = package + module.removeprefix(course)
            answers.append(Answer(module, path.resolve(), finished, unfinished))
    if not answers:
        names = ", ".join(module.rpartition(".")[2] + ".py" for module in WRITTEN[course])
        raise DataError(f"--student: {folder} holds none of {names}")
    return answers


def _judge(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f" line {line}" if line else ""
        raise DataError(f"--student: {path}{where} is not Python 3: {error.args[0]}") from None
    judged = {
        node.name: is_unfinished(node)
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    finished = tuple(name for name, unfinished in judged.items() if not unfinished)
    return finished, tuple(name for name, unfinished in judged.items() if unfinished)


def is_unfinished(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Return whether a function or class still waits for its student."""
    if isinstance(node, ast.ClassDef):
        methods = [item for item in node.body if isinstance(item, ast.FunctionDef)]
        return any(
            _never_fills_params(method) if method.name == "__init__" else is_unfinished(method)
            for method in methods
        )
    body = [statement for statement in node.body if not _is_text(statement)]
    if all(isinstance(statement, ast.Pass) for statement in body):
        return True
    if isinstance(body[-1], ast.Raise) and "NotImplementedError" in ast.unparse(body[-1]):
        return True
    if any(_waits_in_a_mode(statement) for statement in ast.walk(node)):
        return True
    untouched = _placeholders(node)
    returned = (item.value for item in ast.walk(node) if isinstance(item, ast.Return))
    return any(
        isinstance(name, ast.Name) and name.id in untouched
        for value in returned
        if value is not None
        for name in (value.elts if isinstance(value, ast.Tuple) else [value])
    )


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _waits_in_a_mode(node: ast.AST) -> bool:
    """Return whether `node` is ``if mode == "train": pass`` or its like."""
    return (
        isinstance(node, ast.If)
        and "mode" in ast.unparse(node.test)
        and all(isinstance(statement, ast.Pass) or _is_text(statement) for statement in node.body)
    )


def _placeholders(function: ast.FunctionDef) -> set[str]:
    """Return the variables that get only placeholders (None, 0, {}), and are never built upon."""
    given: dict[str, bool] = {}
    for name, value in _assignments(function):
        given[name] = given.get(name, True) and _is_placeholder(value)
    for node in ast.walk(function):
        touched: ast.expr | None = None
        if isinstance(node, ast.AugAssign):
            touched = node.target
        elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            touched = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            touched = node.func.value  # grads.update(...)
        while isinstance(touched, ast.Subscript | ast.Attribute):
            touched = touched.value
        if isinstance(touched, ast.Name):
            given[touched.id] = False
    return {name for name, only_placeholders in given.items() if only_placeholders}


def _assignments(function: ast.FunctionDef) -> Iterator[tuple[str, ast.expr | None]]:
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _pairs(target, node.value)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr | ast.For):
            yield from _pairs(node.target, None)
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            yield from _pairs(node.optional_vars, None)


def _pairs(target: ast.expr, value: ast.expr | None) -> Iterator[tuple[str, ast.expr | None]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple | ast.List):
        values: Sequence[ast.expr | None] = [None] * len(target.elts)
        if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts):
            values = value.elts
        for item, given in zip(target.elts, values, strict=True):
            yield from _pairs(item, given)


def _is_placeholder(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Dict):
        return not value.keys
    return isinstance(value, ast.Constant) and value.value in (None, 0)


def _never_fills_params(method: ast.FunctionDef) -> bool:
    """Return whether an ``__init__`` makes ``self.params = {}`` and leaves it empty."""
    source = ast.unparse(method)
    if "self.params" not in source:
        return False
    casts = [
        node
        for node in ast.walk(method)
        if isinstance(node, ast.For) and "self.params" in ast.unparse(node.iter)
    ]
    inside = {id(child) for loop in casts for child in ast.walk(loop)}
    for node in ast.walk(method):
        if id(node) in inside:
            continue
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            if ast.unparse(node.value) == "self.params":
                return False
        elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith("self."):
            return False  # self.params.update(...), self._init_weights(...)
        elif (
            isinstance(node, ast.Assign)
            and "self.params" in map(ast.unparse, node.targets)
            and not _is_placeholder(node.value)
        ):
            return False
    return True


class StudentFinder(MetaPathFinder, Loader):
    """Answers imports with the student's modules, completed by the library's."""

    def __init__(self, answers: dict[str, tuple[str, Sequence[str]]]) -> None:
        """`answers`: module -> (path of the student's file, the names in it that are unfinished)."""
        self.answers = answers
        self.library = {name: importlib.import_module(name) for name in answers}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of one of the student's modules, None for others."""
        if fullname not in self.answers:
            return None
        return spec_from_file_location(fullname, self.answers[fullname][0], loader=self)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave the making of the module to Python."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run the student's file, then put the library's functions where it has none."""
        path, unfinished = self.answers[module.__name__]
        spec = spec_from_file_location(module.__name__, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} cannot be loaded")
        spec.loader.exec_module(module)
        library = self.library[module.__name__]
        for name, thing in _public(library).items():
            if name in unfinished or not hasattr(module, name):
                setattr(module, name, thing)


def install(answers: dict[str, tuple[str, Sequence[str]]]) -> None:
    """Answer imports of the modules in `answers` with the student's files from now on.

    `handgrad.courses.use` must have been called: the library's functions come from its shims.
    """
    finder = StudentFinder(answers)
    packages = {name.partition(".")[0] for name in answers}
    for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
        del sys.modules[name]
    sys.meta_path.insert(0, finder)


def _public(module: ModuleType) -> dict[str, Any]:
    names = getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]
    return {name: getattr(module, name) for name in names}
