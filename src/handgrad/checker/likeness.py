"""Which submissions are alike in structure, and which use libraries that differentiate by themselves.

A function is seen as the sequence of its syntax: texts, annotations and prints are left out, a name of
its own is only "the one that was used so many names ago".  So renaming, comments and another order of
functions change nothing.  Two submissions are compared function by function, over all that is long
enough to tell something; what the skeleton holds, or most of a class has alike, is not counted.
Alike is no proof of anything: right answers to a small exercise are alike by themselves.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

LIBRARIES = (
    "handgrad", "torch", "autograd", "jax", "tensorflow", "keras", "flax", "mxnet", "theano", "tinygrad",
    "cupy", "chainer", "paddle", "mindspore", "sklearn",
)  # fmt: skip
_DYNAMIC = ("__import__", "import_module", "exec", "eval")
# files that courses hand out, by their names
_SUPPLIED_FILES = frozenset({
    "solver", "layer_utils", "conv_layer_utils", "fast_layers", "gradient_check", "data_utils",
    "vis_utils", "im2col", "image_utils", "captioning_solver", "captioning_solver_transformer",
    "coco_utils", "setup", "features",
})  # fmt: skip
# functions that courses hand out in the students' files
_SUPPLIED_FUNCTIONS = frozenset({
    "svm_loss", "softmax_loss", "temporal_softmax_loss", "affine_relu_forward", "affine_relu_backward",
    "conv_relu_forward", "conv_relu_backward", "conv_relu_pool_forward", "conv_relu_pool_backward",
    "conv_bn_relu_forward", "conv_bn_relu_backward", "sgd", "sigmoid",
    "LinearClassifier", "Solver",
})  # fmt: skip
# functions that are one formula, which most people write in one way
_FORMULAS = frozenset({
    "sgd", "sgd_momentum", "sgd_nesterov_momentum", "rmsprop", "adagrad", "adam", "__init__",
})  # fmt: skip
_GRAM = 5  # tokens
_SHORT = 40  # tokens: a function of fewer says nothing
_ALIKE = 0.9  # from here on two functions are alike
# A pair is listed if its alike functions have as many tokens; or fewer, and nearly all is alike.
_MUCH, _SOME, _NEARLY_ALL = 100, 60, 0.8
_MOST = 0.5  # of a class of at least _CLASS: shared by so many it is no copy
_CLASS = 6


class Likeness(NamedTuple):
    """Two submissions to be looked at together: how alike, from 0 to 1, and in which functions."""

    first: str
    second: str
    similarity: float
    functions: tuple[str, ...]


# in the process that judges a submission


def read_sources(folder: Path, wanted: Iterable[str]) -> dict[str, Any]:
    """Return what the files of a copy show without being run.

    Of the files that define the functions `wanted`, and those that they import, but for a course's own:
    functions: the tokens of each function, by "file:name"; libraries: uses of them, with file and line.
    imports: of all files, what they import.
    """
    functions: dict[str, dict[str, list[str]]] = {}
    imports: dict[str, list[str]] = {}
    uses: dict[str, list[str]] = {}
    defines: set[str] = set()
    wanted = {name.partition(".")[0] for name in wanted}
    for path in sorted(folder.rglob("*.py")):
        file = path.relative_to(folder).as_posix()
        try:
            tree = ast.parse(path.read_bytes())
            found = {f"{file}:{name}": tokens for name, tokens in _functions(tree)}
            uses[file] = list(_libraries(tree, file))
            imports[file] = sorted(_imports(tree))
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        functions[file] = found
        names = {
            node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }
        if names & wanted:
            defines.add(file)
    files = sorted(_reached(defines, imports))
    return {
        "functions": {place: tokens for file in files for place, tokens in functions[file].items()},
        "imports": imports,
        "libraries": [use for file in files for use in uses[file]],
    }


def _functions(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    aliases = {
        (alias.asname or alias.name).partition(".")[0]: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, tokens_of(node, aliases)
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    yield f"{node.name}.{inner.name}", tokens_of(inner, aliases)


def tokens_of(function: ast.FunctionDef, aliases: Mapping[str, str]) -> list[str]:
    """Return the function's structure; aliases: what names of modules stand for."""
    own = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
    own |= {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    recent: list[str] = []  # own names, the latest first
    found: list[str] = []

    def name(text: str) -> str:
        if text not in own:
            return aliases.get(text, text)
        place = recent.index(text) if text in recent else -1
        if place >= 0:
            recent.pop(place)
        recent.insert(0, text)
        return f"#{place}"

    def visit(node: ast.AST) -> None:
        if _says_nothing(node):
            return
        if isinstance(node, ast.Name):
            found.append(name(node.id))
        elif isinstance(node, ast.Attribute):
            visit(node.value)
            found.append("." + node.attr)
        elif isinstance(node, ast.Constant):
            found.append(repr(node.value)[:40])
        elif isinstance(node, ast.AugAssign):  # a += b is a = a + b
            visit(node.target)
            found.extend(["Assign", type(node.op).__name__])
            visit(node.target)
            visit(node.value)
        elif isinstance(node, ast.keyword):
            found.append(f"{node.arg}=")
            visit(node.value)
        elif isinstance(node, ast.arg):
            return
        else:
            if not isinstance(node, ast.expr_context | ast.Expr | ast.Module | ast.arguments):
                found.append(type(node).__name__)
            for child in ast.iter_child_nodes(node):
                visit(child)

    for statement in function.body:
        visit(statement)
    return found


def _says_nothing(node: ast.AST) -> bool:
    if isinstance(node, ast.Pass):
        return True
    if not isinstance(node, ast.Expr):
        return False
    call = node.value
    if isinstance(call, ast.Constant):  # a docstring
        return True
    return (
        isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print"
    )


def _imports(tree: ast.Module) -> set[str]:
    """The last parts of the names of the modules that are imported."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.rpartition(".")[2] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {(node.module or "").rpartition(".")[2]} - {""}
            found |= {alias.name for alias in node.names}
    return found


def _libraries(tree: ast.Module, file: str) -> Iterator[str]:
    for node in ast.walk(tree):
        names: list[str] = []
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        elif isinstance(node, ast.Call):
            called = (
                node.func.attr
                if isinstance(node.func, ast.Attribute)
                else getattr(node.func, "id", "")
            )
            text = next((one.value for one in node.args if isinstance(one, ast.Constant)), "")
            if called in ("__import__", "import_module") and isinstance(text, str) and text:
                names = [text]
            elif called in _DYNAMIC and not (
                isinstance(node.func, ast.Attribute) and called[0] == "e"
            ):
                yield f"{called} at {file}:{line}"
        for name in names:
            if name.partition(".")[0] in LIBRARIES:
                yield f"{name} at {file}:{line}"


def _reached(files: set[str], imports: Mapping[str, Sequence[str]]) -> set[str]:
    """The files, and those of the submission that they import, directly or not."""
    todo, reached = sorted(files), set(files)
    while todo:
        wanted = set(imports.get(todo.pop(), ()))
        new = {other for other in imports if Path(other).stem in wanted - _SUPPLIED_FILES} - reached
        reached |= new
        todo += sorted(new)
    return reached


# in the process that compares them


@dataclass
class _Sketch:
    """A function as a bag of short sequences."""

    file: str
    name: str
    grams: Counter[tuple[str, ...]]
    size: int

    def similarity(self, other: _Sketch) -> float:
        """2 |A and B| / (|A| + |B|) of the bags."""
        total = self.size + other.size
        return 2 * sum((self.grams & other.grams).values()) / total if total else 0.0


def alike(
    submissions: Mapping[str, Mapping[str, Sequence[str]]],
    wanted: Iterable[str],
    skeleton: Mapping[str, Sequence[str]] | None = None,
) -> list[Likeness]:
    """Return the pairs of submissions that should be looked at together, the most alike first.

    Args:
        submissions: by name, the `functions` of `read_sources`.
        wanted: the functions with points; they count even where the course hands them out elsewhere.
        skeleton: the functions of the assignment as it was handed out.
    """
    wanted = {name.partition(".")[0] for name in wanted}
    given = [tuple(tokens) for tokens in (skeleton or {}).values()]
    sketches = {name: _sketches(found, wanted, given) for name, found in submissions.items()}
    common = _common(sketches)
    pairs = []
    for first, second in combinations(sketches, 2):
        pair = _compared(first, second, sketches[first], sketches[second], common)
        if pair is not None:
            pairs.append(pair)
    return sorted(pairs, key=lambda pair: -pair.similarity)


def _sketches(
    functions: Mapping[str, Sequence[str]], wanted: set[str], given: list[tuple[str, ...]]
) -> list[_Sketch]:
    found = []
    for place, tokens in functions.items():
        file, _, name = place.rpartition(":")
        supplied = name.partition(".")[0] in _SUPPLIED_FUNCTIONS - wanted
        if len(tokens) < _SHORT or tuple(tokens) in given or supplied:
            continue
        grams = Counter(tuple(tokens[i : i + _GRAM]) for i in range(len(tokens) - _GRAM + 1))
        found.append(_Sketch(file, name, grams, grams.total()))
    return found


def _common(sketches: Mapping[str, Sequence[_Sketch]]) -> set[tuple[str, int]]:
    """Functions, by name and structure, that most of a class has: they were handed out."""
    if len(sketches) < _CLASS:
        return set()
    counts = Counter(
        key for found in sketches.values() for key in {_key(sketch) for sketch in found}
    )
    return {key for key, count in counts.items() if count > _MOST * len(sketches)}


def _key(sketch: _Sketch) -> tuple[str, int]:
    return sketch.name, hash(frozenset(sketch.grams.items()))


def _tells(name: str) -> bool:
    """Whether a function of this name is more than a formula, and the student's own."""
    root, _, method = name.partition(".")
    return not {root, method} & _FORMULAS and root not in _SUPPLIED_FUNCTIONS


def _compared(
    first: str,
    second: str,
    ours: Sequence[_Sketch],
    theirs: Sequence[_Sketch],
    common: set[tuple[str, int]],
) -> Likeness | None:
    """Compare each function with the other's function that is most like it."""
    ours = [one for one in ours if _key(one) not in common]
    theirs = [one for one in theirs if _key(one) not in common]
    if len(ours) > len(theirs):
        ours, theirs = theirs, ours
    matched: list[tuple[_Sketch, float]] = []
    for one in ours:
        best = max((one.similarity(other) for other in theirs), default=0.0)
        matched.append((one, best))
    size = sum(one.size for one, _ in matched)
    if not size:
        return None
    similarity = sum(one.size * value for one, value in matched) / size
    same = [(one, value) for one, value in matched if value >= _ALIKE]
    some = sum(one.size for one, _ in same)
    much = sum(one.size for one, _ in same if _tells(one.name))
    if much < _MUCH and (some < _SOME or similarity < _NEARLY_ALL):
        return None
    return Likeness(first, second, similarity, tuple(one.name for one, _ in same))
