"""What Python 3 and today's NumPy no longer have: one line each, with what to write in its place."""

from __future__ import annotations

import ast
import functools
import linecache
import os
import re
import textwrap
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from handgrad.checker.reading import statement_at
from handgrad.checker.records import Breach, Call, Cause, Raised

PYTHON, NUMPY, SCIPY = "Python 2", "old NumPy", "old SciPy"
KINDS = (PYTHON, NUMPY, SCIPY)

_ALIASES = {
    "int": "int", "float": "float", "bool": "bool", "object": "object", "complex": "complex",
    "str": "str", "long": "int", "unicode": "str",
}  # fmt: skip
_RENAMED = {
    "float_": "np.float64", "complex_": "np.complex128", "product": "np.prod",
    "cumproduct": "np.cumprod", "sometrue": "np.any", "alltrue": "np.all", "in1d": "np.isin",
    "trapz": "np.trapezoid", "row_stack": "np.vstack", "msort": "np.sort(x, axis=0)",
    "asfarray": "np.asarray(x, dtype=float)", "Inf": "np.inf", "Infinity": "np.inf", "infty": "np.inf",
    "PINF": "np.inf", "NINF": "-np.inf", "NaN": "np.nan", "NAN": "np.nan", "round_": "np.round",
    "mat": "np.asmatrix", "asscalar": "x.item()", "unicode_": "np.str_", "string_": "np.bytes_",
    "rank": "np.ndim", "bool8": "np.bool_", "int0": "np.intp", "uint0": "np.uintp", "PZERO": "0.0",
    "NZERO": "-0.0", "random_integers": "np.random.randint(low, high + 1)",
    "find_common_type": "np.result_type", "cast": "np.asarray(x, dtype=...)",
}  # fmt: skip
_METHODS = {"ptp": "np.ptp(x)", "itemset": "x[index] = value", "tostring": "x.tobytes()",
            "newbyteorder": "x.view(x.dtype.newbyteorder())"}  # fmt: skip
_OF_DICTS = {"iteritems": ".items()", "itervalues": ".values()", "iterkeys": ".keys()",
             "has_key": "key in d"}  # fmt: skip
_NAMES = {
    "unicode": "str", "basestring": "str", "long": "int", "raw_input": "input", "unichr": "chr",
    "reduce": "functools.reduce", "reload": "importlib.reload", "file": "open", "cmp": "(a > b) - (a < b)",
    "execfile": "exec(open(...).read())", "xrange": "range",
}  # fmt: skip
_PACKAGE = str(Path(__file__).parents[1])
_LIBRARIES = (*[str(Path(one.__file__ or "").parent) for one in (os, np)], _PACKAGE, "<frozen")
_MODE = re.compile(r"\bmode\(.*\)\s*(\[\s*0\s*\]|\.mode\b)\s*\[")
_WHOLE = re.compile(
    r"'(numpy\.)?float\d*' object cannot be interpreted as an integer|slice indices must be integers"
    r"|only integers, slices|can't multiply sequence by non-int of type '(numpy\.)?float"
    r"|expected a sequence of integers or a single integer|indices must be integers or slices, not"
    r"|Cannot cast array data from dtype\('float64'\) to dtype\('u?int"
    r"|integer argument expected, got float|arrays used as indices must be of integer"
)


def of_error(error: BaseException, file: str) -> Raised | None:
    """Return what an exception that passed through `file` has to do with old Python or old NumPy."""
    frames = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith(_LIBRARIES)
        and not frame.f_code.co_filename.endswith(".pyx")
    ]
    lines = [line for frame, line in frames if frame.f_code.co_filename == file]
    found = _found(error, *(frames[-1] if frames else (None, None)))
    for outer, at in reversed(frames[:-1]):  # a size that was computed where this one was called
        found = found or (_found(error, outer, at) if _WHOLE.search(str(error)) else None)
    if found is None or not frames or frames[-1][0].f_code.co_filename == file:
        return found
    place = f"{Path(frames[-1][0].f_code.co_filename).name}:{found.line}"
    line = lines[-1] if lines else None
    return Raised(found.kind, f"{found.message} ({place})", line)


def _found(error: BaseException, frame: Any, line: int | None) -> Raised | None:
    text = str(error)
    if isinstance(error, AttributeError):
        return _attribute(text, line)
    if isinstance(error, NameError):
        name = getattr(error, "name", None)
        if name in _NAMES:
            return Raised(PYTHON, f"{name} is gone from Python 3: write {_NAMES[name]}", line)
    if isinstance(error, TypeError) and "argument 'newshape'" in text:
        says = "newshape= is gone from np.reshape (NumPy 2.1): write shape=, or no name"
        return Raised(NUMPY, says, line)
    if isinstance(error, TypeError) and "np.sum(generator)" in text:
        return Raised(NUMPY, "np.sum takes no generator any more: write sum(...)", line)
    if isinstance(error, TypeError) and "arrays to stack must be passed as a" in text:
        return Raised(NUMPY, "it stacks no generator any more: write list(...) around it", line)
    if isinstance(error, TypeError) and "only 0-dimensional arrays can be converted" in text:
        says = "an array of one number is no number any more: write x.item(), or x[0]"
        return Raised(NUMPY, says, line)
    if isinstance(error, TypeError) and (found := _listless(text)):
        return Raised(PYTHON, found, line)
    if (
        isinstance(error, IndexError)
        and re.search("scalar variable|too many indices", text)
        and frame
    ):
        source = linecache.getline(frame.f_code.co_filename, line or 0)
        if _MODE.search(source) or _is_of_a_mode(frame, source):
            says = "stats.mode(x)[0] is a number, no array, since SciPy 1.11: write mode(x)[0]"
            return Raised(SCIPY, says, line)
    if isinstance(error, TypeError | IndexError) and _WHOLE.search(text) and frame is not None:
        return _division(frame, line or 0, frame.f_code.co_filename)
    return None


def _is_of_a_mode(frame: Any, source: str) -> bool:
    """Whether a line indexes what ``mode`` returned, which its own line or one above gave a name."""
    return any(
        re.search(rf"\b{re.escape(name)}\b", source)
        and (type(value).__name__ == "ModeResult" or _is_mode_of(frame, name))
        for name, value in frame.f_locals.items()
    )


def _is_mode_of(frame: Any, name: str) -> bool:
    lines = linecache.getlines(frame.f_code.co_filename)[frame.f_code.co_firstlineno - 1 :]
    pattern = rf"\b{re.escape(name)}\s*=\s*[\w.]*\bmode\(.*\)\s*(\.mode|\[\s*0\s*\])\s*$"
    return any(re.search(pattern, one.rstrip()) for one in lines[: (frame.f_lineno or 0)])


def _attribute(text: str, line: int | None) -> Raised | None:
    if found := re.match(r"module 'numpy(?:\.random)?' has no attribute '(\w+)'", text):
        name = found[1]
        full = f"np.random.{name}" if name == "random_integers" else f"np.{name}"
        if name in _ALIASES:
            return Raised(NUMPY, f"{full} is gone from NumPy (1.24): write {_ALIASES[name]}", line)
        if name in _RENAMED:
            return Raised(NUMPY, f"{full} is gone from NumPy: write {_RENAMED[name]}", line)
    elif (
        found := re.match(r"module 'numpy\.(lib|core)[\w.]*' has no attribute '(\w+)'", text)
    ) and hasattr(np, found[2]):
        name = found[2]
        return Raised(NUMPY, f"np.{found[1]}.{name} is gone from NumPy: write np.{name}", line)
    elif found := re.match(r"`np\.(\w+)` was removed in the NumPy 2\.0", text):
        new = _RENAMED.get(found[1])
        advice = f": write {new}" if new else ""
        return Raised(NUMPY, f"np.{found[1]} is gone from NumPy (2.0){advice}", line)
    elif found := re.search(r"'numpy\.ndarray' object has no attribute '(\w+)'", text) or re.match(
        r"`(\w+)` was removed from the ndarray class", text
    ):
        if found[1] in _METHODS:
            new = _METHODS[found[1]]
            return Raised(NUMPY, f"x.{found[1]}() is gone from NumPy (2.0): write {new}", line)
    elif found := re.match(r"'\w*[dD]ict' object has no attribute '(\w+)'", text):
        new = _OF_DICTS.get(found[1], "")
        says = f".{found[1]}() is gone from Python 3: write {new}"
        return Raised(PYTHON, says, line) if new else None
    return None


def _listless(text: str) -> str:
    """Map, filter, zip and a dictionary's keys are no lists any more."""
    found = re.match(
        r"'(map|filter|zip|dict_keys|dict_values|dict_items)' object is not subscriptable"
        r"|object of type '(map|filter|zip)' has no len|unsupported operand type\(s\) for \+: "
        r"'(range|dict_keys|dict_values|dict_items|map|zip)'|'(range)' object does not support item",
        text,
    )
    if not found:
        return ""
    kind = next(group for group in found.groups() if group)
    kind = f".{kind[5:]}()" if kind.startswith("dict_") else f"{kind}()"
    return f"{kind} makes no list in Python 3: write list(...) around it"


@functools.lru_cache(maxsize=16)
def _functions(file: str, changed: int) -> tuple[ast.Module, list[ast.FunctionDef]]:
    """Return a file's tree and functions, parsed once: the search for an edit raises often."""
    tree = ast.parse(Path(file).read_bytes())
    return tree, [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def _division(frame: Any, line: int, file: str) -> Raised | None:
    """Name the ``/`` whose result should have been a whole number."""
    try:
        tree, every = _functions(file, Path(file).stat().st_mtime_ns)
    except (OSError, ValueError, SyntaxError):
        return None
    functions = [node for node in every if node.lineno <= line <= (node.end_lineno or 0)]
    body: Any = max(functions, key=lambda node: node.lineno, default=tree)
    statement = statement_at(body, line)
    if statement is None:
        return None
    whole = {name for name, value in frame.f_locals.items() if _holds_whole(value)}
    found = _quotient(statement, body, whole, set())
    if found is None:
        return None
    text = " ".join(ast.unparse(found).split())
    says = f"/ makes a float in Python 3: write // for whole numbers, in `{text}`"
    return Raised(PYTHON, says, found.lineno)


def _holds_whole(value: Any) -> bool:
    """Whether a value is a float that is a whole number, or a sequence or an array of such ones."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size:
        return bool(np.all(value == np.rint(value)))
    if isinstance(value, tuple | list):
        return len(value) < 10 and any(map(_holds_whole, value))
    return isinstance(value, float) and value.is_integer()


def _heads(statement: ast.stmt) -> list[ast.AST]:
    """The expressions of a statement, without the statements inside it."""
    return [child for child in ast.iter_child_nodes(statement) if not isinstance(child, ast.stmt)]


def _quotient(
    statement: ast.stmt, body: ast.AST, whole: set[str], seen: set[str]
) -> ast.BinOp | ast.AugAssign | None:
    """The division in a statement, or in what the whole-numbered floats in it were computed from."""
    if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Div):
        return statement
    nodes = [node for head in _heads(statement) for node in ast.walk(head)]
    names = {node.id for node in nodes if isinstance(node, ast.Name)} & whole - seen
    for name in sorted(names):
        for other in ast.walk(body):
            if isinstance(other, ast.stmt) and name in _targets(other) and other is not statement:
                found = _quotient(other, body, whole, seen | names)
                if found is not None:
                    return found
    divisions = [n for n in nodes if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Div)]
    return divisions[0] if divisions else None


def _targets(statement: ast.stmt) -> set[str]:
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AugAssign | ast.AnnAssign):
        targets = [statement.target]
    return {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}


def xrange(*arguments: int) -> range:
    """Answer Python 2's ``xrange`` in a file that gets it from nowhere."""
    return range(*arguments)


def use_of_xrange(module: ModuleType) -> str:
    """Return the line on a file's use of ``xrange``, where Python 3 would raise NameError; or ""."""
    if vars(module).get("xrange") is not xrange:
        return ""
    tree = ast.parse(Path(str(module.__file__)).read_bytes())
    lines = [
        node.lineno for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "xrange"
    ]
    if not lines:
        return ""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    around = [
        one.name
        for one in functions
        if any(one.lineno <= n <= (one.end_lineno or 0) for n in lines)
    ]
    where = f", in {', '.join(dict.fromkeys(around))}" if around else ""
    file = Path(str(module.__file__)).name
    place = f"{file}:{min(lines)}{where}"
    return f"{PYTHON}: xrange is gone from Python 3 ({place}): range answers here; write range"


def refuse_old_pairs(tree: ast.AST, file: str = "") -> None:
    """Raise a SyntaxError at ``except Error, name:``, as Python did before 3.14, which takes two errors.

    file: for the error.
    """
    for node in (one for one in ast.walk(tree) if isinstance(one, ast.ExceptHandler)):
        kinds = node.type
        if not isinstance(kinds, ast.Tuple) or len(kinds.elts) != 2:
            continue
        first, second = kinds.elts
        is_bare = (kinds.lineno, kinds.col_offset) == (first.lineno, first.col_offset)
        if is_bare and isinstance(second, ast.Name) and second.id[:1].islower():
            text = f"except {ast.unparse(first)}, {second.id}:"
            place = (file, node.lineno, node.col_offset + 1, text)
            raise SyntaxError("multiple exception types must be parenthesized", place)


def of_syntax(error: SyntaxError, file: str = "") -> str:
    """Return "file:line: what is wrong", which names Python 2 where it is to blame.

    file: which one, where the error does not say.
    """
    line = (error.text or "").strip()
    what = error.msg
    if isinstance(error, TabError):
        what = "tabs and spaces are mixed, which only Python 2 allows"
    elif re.match(r"print\b(?!\s*\()", line) or "call to 'print'" in what:
        what = "a print statement of Python 2: write print(...)"
    elif re.match(r"exec\b(?!\s*\()", line) or "call to 'exec'" in what:
        what = "an exec statement of Python 2: write exec(...)"
    elif re.match(r"except\b[^:]*,\s*\w+\s*:", line):
        what = "`except Error, name` of Python 2: write `except Error as name`"
    elif re.search(r"\braise\s+[\w.]+\s*,", line):
        what = "`raise Error, text` of Python 2: write `raise Error(text)`"
    elif "<>" in line:
        what = "`<>` of Python 2: write !="
    elif "leading zeros in decimal" in what or "invalid decimal literal" in what:
        what = f"{what} (Python 2 wrote 0777 and 10L: write 0o777 and 10)"
    line_number = f":{error.lineno}" if error.lineno else ""
    return f"{error.filename or file}{line_number}: {what}"


def lists_of_indices(lines: Sequence[str], first: int) -> list[int]:
    """Return the lines of a function that make a list which an array is indexed by, as old NumPy took it.

    lines: of the function; first: the number of the first of them in its file.
    """
    try:
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (SyntaxError, ValueError):
        return []
    indices = [node.slice for node in ast.walk(tree) if isinstance(node, ast.Subscript)]
    names = {one.id for one in indices if isinstance(one, ast.Name)}
    found = {one.lineno for one in indices if isinstance(one, ast.List) and len(one.elts) > 1}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.List)):
            continue
        if len(node.value.elts) > 1 and names & _targets(node):
            found.add(node.lineno)
    return sorted(first + line - 1 for line in found)


def causes(calls: Sequence[Call], findings: Sequence[Breach]) -> list[Cause]:
    """Return the one cause that code for old Python or old NumPy has; nothing if it is not such."""
    for call in calls:
        for value in call.got.values():
            if isinstance(value, Raised) and value.kind in KINDS:
                keys = tuple(key for key, other in call.got.items() if other == value)
                return [Cause("relic", f"{value.kind}: {value.message}", keys, line=value.line)]
    for finding in findings:
        found = re.search(rf"raises (({'|'.join(KINDS)}): .*?)( \(line \d+\)|$)", finding.says)
        if found:
            return [Cause("relic", found[1], line=finding.line)]
    return []
