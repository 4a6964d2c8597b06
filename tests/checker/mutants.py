"""Bugs that nobody planned: every small change of the naive engine's source, one at a time.

A mutant changes one operator, comparison, constant, index or statement.  If it changes a result of the
contract table that the courses' function has too, the checker must call its layer wrong.  One that changes
only rows with an option that the courses' function lacks (a pool's border, a convolution's groups) is right
there; these are counted apart.  Run this file for the counts:

    python tests/checker/mutants.py [SHARE]
"""

from __future__ import annotations

import ast
import contextlib
import copy
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from contract.cases import CASES, random_like

from handgrad import layers
from handgrad.checker import WRONG, check
from handgrad.checker.known.table import by_function
from handgrad.engines import naive
from handgrad.engines.pairs import FUNCTIONS

FILES = ("affine", "activations", "conv", "dropout", "losses", "norm", "pool")
_SWAPS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
}
_COMPARISONS = {
    ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Lt: ast.GtE, ast.LtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
}  # fmt: skip


class Mutant(NamedTuple):
    """A changed source: its file, the functions that it touches, what was changed."""

    file: str
    function: str
    what: str
    tree: ast.Module


def mutants(file: str) -> Iterator[Mutant]:
    """Every mutant of one file of the naive engine."""
    tree = ast.parse(Path(naive.__file__).with_name(f"{file}.py").read_text("utf-8"))
    for function in [node for node in tree.body if isinstance(node, ast.FunctionDef)]:
        for position, node in enumerate(ast.walk(function)):
            for number, kind in enumerate(_kinds(node)):
                changed = copy.deepcopy(tree)
                mine = next(n for n in changed.body if getattr(n, "name", "") == function.name)
                target = list(ast.walk(mine))[position]
                _apply(target, number)
                yield Mutant(
                    file,
                    function.name,
                    f"line {node.lineno}: {kind}",
                    ast.fix_missing_locations(changed),
                )


def _kinds(node: ast.AST) -> list[str]:
    """What can be changed at a node."""
    if isinstance(node, ast.BinOp) and type(node.op) in _SWAPS:
        return ["operator"]
    if isinstance(node, ast.AugAssign):
        return ["operator", "assigned", "deleted"]
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS:
        return ["comparison"]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return ["sign"]
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return ["constant"]
    if (
        isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Tuple)
        and len(node.slice.elts) > 1
    ):
        return ["index", "indices exchanged"]
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Name):
        return ["index"]
    return []


def _apply(node: ast.AST, number: int) -> None:
    if isinstance(node, ast.BinOp):
        node.op = _SWAPS[type(node.op)]()
    elif isinstance(node, ast.AugAssign):
        if number == 0:
            node.op = _SWAPS[type(node.op)]()
        else:  # x += y becomes x = y, or x = x
            target = copy.deepcopy(node.target)
            value = node.value if number == 1 else copy.deepcopy(node.target)
            for inner in ast.walk(value):
                if isinstance(inner, ast.Name | ast.Subscript | ast.Attribute):
                    inner.ctx = ast.Load()
            node.__class__ = ast.Assign  # type: ignore[assignment]
            node.__dict__.update(targets=[target], value=value, type_comment=None)
    elif isinstance(node, ast.Compare):
        node.ops[0] = _COMPARISONS[type(node.ops[0])]()
    elif isinstance(node, ast.UnaryOp):
        node.op = ast.UAdd()
    elif isinstance(node, ast.Constant):
        node.value = node.value + 1
    elif isinstance(node, ast.Subscript):
        if isinstance(node.slice, ast.Tuple):
            elements = node.slice.elts
            if number == 0:
                elements[0] = ast.Constant(0)
            else:
                elements[0], elements[1] = elements[1], elements[0]
        else:
            node.slice = ast.Constant(0)


@contextlib.contextmanager
def in_place(mutant: Mutant) -> Iterator[ModuleType]:
    """Put the mutant's functions in the place of the naive engine's."""
    original = importlib.import_module(f"handgrad.engines.naive.{mutant.file}")
    module = ModuleType(original.__name__)
    module.__file__ = original.__file__
    sys.modules[original.__name__] = module
    saved = {name: getattr(naive, name) for name in sorted(FUNCTIONS)}
    try:
        exec(compile(mutant.tree, original.__file__, "exec"), vars(module))
        for name in saved:
            if saved[name].__module__ == original.__name__:
                setattr(naive, name, getattr(module, name))
        yield module
    finally:
        sys.modules[original.__name__] = original
        for name, function in saved.items():
            setattr(naive, name, function)


def layers_of(file: str) -> list[str]:
    """The layers whose results come from a file of the engine."""
    own = [
        name for name in sorted(FUNCTIONS) if getattr(naive, name).__module__.endswith(f".{file}")
    ]
    found = {name.split("_forward")[0].split("_backward")[0] for name in own}
    found = {
        name for name in found if by_function(name if name.endswith("_loss") else f"{name}_forward")
    }
    if file == "norm":
        found = {"batchnorm", "layernorm", "spatial_batchnorm", "spatial_groupnorm"}
    return sorted(found)


_PICKED = {}


def options_of_courses(layer: str) -> set[str]:
    """The options that the courses' function has: those that the checker itself passes."""
    known = by_function(layer if layer.endswith("_loss") else f"{layer}_forward")[0]
    passed = [option for config in known.configs() for option in config.options]
    return {key for option in passed if isinstance(option, dict) for key in option}


def _beyond_courses(case) -> bool:
    """Whether a row uses an option that the courses' function, which is checked, does not have."""
    used = {key for option in case.options if isinstance(option, dict) for key in option}
    return not used <= options_of_courses(case.layer)


def results(layer: str, beyond: bool = False) -> list:
    """Results of the layer's rows of the contract table; an exception is a result too.

    The rows are those that have the options of the courses, or, `beyond`, the others.
    """
    if (layer, beyond) not in _PICKED:
        every = [case for case in CASES if case.layer == layer]
        rows = [case for case in every if _beyond_courses(case) == beyond]
        _PICKED[layer, beyond] = rows[:: max(-(-len(rows) // 12), 1)]
    found = []
    for case in _PICKED[layer, beyond]:
        try:
            with np.errstate(all="ignore"):
                out, cache = case.forward(engine="naive")
                found += [out, *case.backward(random_like(case, out), cache)]
        except Exception as error:
            found.append(repr(type(error)))
    return found


def differ(one: list, other: list) -> bool:
    """Whether two lists of results differ by more than rounding."""
    if len(one) != len(other):
        return True
    for a, b in zip(one, other, strict=True):
        if isinstance(a, str) or isinstance(b, str):
            if not (isinstance(a, str) and isinstance(b, str)):
                return True
        elif np.shape(a) != np.shape(b) or not np.allclose(
            a, b, rtol=1e-6, atol=1e-8, equal_nan=True
        ):
            return True
    return False


def pair_of(layer: str) -> tuple:
    """The layer's functions, computed by the naive engine."""
    if layer.endswith("_loss"):
        loss = getattr(layers, layer)

        def value(x, y):
            return loss(x, y, engine="naive")

        value.__name__ = layer
        return (value,)
    own = getattr(layers, f"{layer}_forward")

    def forward(*arguments):
        return own(*arguments, engine="naive")

    forward.__name__ = f"{layer}_forward"
    return forward, getattr(layers, f"{layer}_backward")


def called_wrong(layer: str) -> bool:
    """Whether the checker calls the layer, as it is now, wrong."""
    functions = pair_of(layer)
    report = check(*functions, layer=layer, strict=True)
    if layer == "batchnorm" and not any(v.verdict == WRONG for v in report.verdicts):
        report = check(functions[0], layers.batchnorm_backward_alt, layer=layer, strict=True)
    return any(verdict.verdict == WRONG for verdict in report.verdicts)


class Survey(NamedTuple):
    """How many mutants change a result, are called wrong, are not, and change only what courses lack."""

    changing: int
    wrong: int
    missed: list[str]
    beyond: list[str]


def survey(share: float = 1.0, files: tuple[str, ...] = FILES) -> Survey:
    """Judge a share of the mutants of some files."""
    rng = np.random.default_rng(1)
    changing, wrong = 0, 0
    missed: list[str] = []
    beyond: list[str] = []
    for file in files:
        names = layers_of(file)
        right = {name: results(name) for name in names}
        others = {name: results(name, beyond=True) for name in names}
        for mutant in mutants(file):
            if rng.uniform() > share:
                continue
            with in_place(mutant):
                hit = [name for name in names if differ(right[name], results(name))]
                told = f"{mutant.file}.{mutant.function}, {mutant.what}"
                if not hit:
                    if any(differ(others[name], results(name, beyond=True)) for name in names):
                        beyond.append(told)
                    continue
                changing += 1
                if any(called_wrong(name) for name in hit):
                    wrong += 1
                else:
                    missed.append(f"{told} ({', '.join(hit)})")
    return Survey(changing, wrong, missed, beyond)


if __name__ == "__main__":
    import time

    begin = time.perf_counter()
    chosen = tuple(sys.argv[2:]) or FILES
    count, found, left, apart = survey(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0, chosen)
    for line in apart:
        print("only with options that the courses lack:", line)  # noqa: T201
    for line in left:
        print("not called wrong:", line)  # noqa: T201
    seconds = time.perf_counter() - begin
    share = f"{found} ({found / count:.1%})"
    print(f"{count} mutants change a result of the courses; called wrong: {share}; "  # noqa: T201
          f"{len(apart)} others change only what the courses lack; {seconds:.0f} s")  # fmt: skip
