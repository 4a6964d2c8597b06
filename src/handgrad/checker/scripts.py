"""Files that are layers and a script at once: lines at their end, or their top, that cannot run here.

A file may read its data, ask for arguments or draw while it is imported.  Its functions are judged all the
same: what is neither an import nor a definition, and raises, is left out, and said.
"""

from __future__ import annotations
import __future__

import ast
import traceback
from pathlib import Path
from types import FunctionType, ModuleType

from handgrad.checker import standins

_DEFINES = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
_MOST = 200  # lines of a script that fail one after another
_FLAGS = {name: getattr(__future__, name).compiler_flag for name in __future__.all_feature_names}


class Forbidden(PermissionError):
    """What the guard of submissions refuses: a file with such a line is not judged."""


def _stops(error: BaseException) -> bool:
    """Whether an exception is no mishap of one line."""
    is_end = isinstance(error, SystemExit) and not _in_argparse(error)
    return is_end or isinstance(error, KeyboardInterrupt | MemoryError | Forbidden)


def is_of_a_script(error: BaseException, file: str) -> bool:
    """Whether an exception comes of a line that is neither an import nor a definition, outside of them.

    What ends the program by its own will does not count: the parser of arguments does, which misses some.
    """
    if isinstance(error, SyntaxError) or _stops(error):
        return False
    frames = list(traceback.walk_tb(error.__traceback__))
    lines = [
        line
        for frame, line in frames
        if frame.f_code.co_filename == file and frame.f_code.co_name == "<module>"
    ]
    if not lines:
        return False
    statement = _at(ast.parse(Path(file).read_bytes()), lines[0])
    return statement is not None and not isinstance(statement, (*_DEFINES, ast.Raise))


def run_what_can(module: ModuleType, source: bytes, file: str) -> tuple[str, ...]:
    """Run a file statement by statement; return what was left out, in words."""
    tree = ast.parse(source, file)
    flags, left_out = 0, []
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            for feature in statement.names:
                flags |= _FLAGS.get(feature.name, 0)
            continue
        code = compile(ast.Module([statement], []), file, "exec", flags=flags, dont_inherit=True)
        try:
            FunctionType(code, vars(module))()
        except BaseException as error:
            if _stops(error) or isinstance(statement, (*_DEFINES, ast.Raise)):
                raise
            text = " ".join(str(error).split()) or "no message"
            for name in _names(statement):
                vars(module).setdefault(name, standins.Unset(name, statement.lineno))
            why = f"{type(error).__name__}: {text[:80]}"
            left_out.append(f"line {statement.lineno} is left out, as it cannot run here ({why})")
            if len(left_out) > _MOST:
                raise
    return tuple(left_out)


def _names(statement: ast.stmt) -> list[str]:
    """The names of the file that a statement sets."""
    nodes = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
    return [node.id for node in nodes if isinstance(node.ctx, ast.Store)]


def _at(tree: ast.Module, line: int) -> ast.stmt | None:
    found = [one for one in tree.body if one.lineno <= line <= (one.end_lineno or one.lineno)]
    return found[0] if found else None


def _in_argparse(error: BaseException) -> bool:
    return any(
        frame.f_globals.get("__name__") == "argparse"
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )
