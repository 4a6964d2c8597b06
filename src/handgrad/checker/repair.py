"""Looking for the slip in the code itself: the one small edit that makes it right.

What the hypotheses do not know may still be one slip, such as a wrong index: a function that becomes
right in every configuration when one expression is changed has its mistake there.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from functools import partial
from itertools import chain
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import numpy as np

from handgrad.checker import spawned
from handgrad.checker.apart import apart, can_fork
from handgrad.checker.edit import Edit, idle_parts
from handgrad.checker.edits import edits
from handgrad.checker.edits_of_orders import orders_of
from handgrad.checker.records import Call, Raised, same

_SECONDS = 1.0  # of processor time for the edits of one function
_LEAST = 0.2  # of it, while the file has any left
_SHARE = 0.65  # of what the file has left, for one function
_MORE = 0.4  # seconds of processor time, for the edit that is tried when the time is over
_PATIENCE = 40.0  # seconds of the clock, where the processor is busy
_LEAST_MENDED = 2  # wrong configurations, for an edit that does not mend them all
_SHARE_MENDED = 0.3  # of the wrong configurations
_LONGEST = 90  # characters of a quoted line


def _as_expected(call: Call) -> dict[str, Any]:
    return call.expected


class Rerun(NamedTuple):
    """A function that is wrong, and how to get the results of another in its place, for a call.

    expected: what they must be; not what the call expects where that follows from wrong results.
    """

    function: Any
    results: Callable[[Any, Call], dict[str, Any]]
    expected: Callable[[Call], dict[str, Any]] = _as_expected


class Repair(NamedTuple):
    """The results that an edit makes right, the line, and what the edit is."""

    keys: tuple[str, ...]
    line: int
    words: str


_left: ContextVar[list[float] | None] = ContextVar("left", default=None)


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Spend no more processor time than this on edits inside; each function may take a share of the rest."""
    token = _left.set([seconds])
    try:
        yield
    finally:
        _left.reset(token)


def find(
    rerun: Rerun, calls: Sequence[Call], keys: Sequence[str], lines: Sequence[int] = ()
) -> Repair | None:
    """Return the first edit that makes all of the results `keys` right in every call.

    Where there is none, the one that makes most of them right; what is right stays right.  Edited
    code may crash or never end, so it runs in a process of its own: a copy of this one, or, where
    the system cannot make one, a new one that judges the function once more.

    lines: where to look, if not everywhere.
    """
    if any(_ends(got) for call in calls for got in call.got.values()):
        return None  # the mistake is that it ends the program, whatever makes it go on
    left = _left.get()
    seconds = _SECONDS if left is None else min(_SECONDS, max(_LEAST, _SHARE * left[0]))
    if left is not None and left[0] <= 0:
        return None
    work = partial(_search, rerun, calls, keys, here=lines)
    if can_fork() and not spawned.is_asked():
        before = os.times().children_user
        found = apart(partial(work, seconds=seconds), seconds + _MORE, _PATIENCE)
        spent = os.times().children_user - before
    else:
        name = getattr(inspect.unwrap(rerun.function), "__qualname__", "")
        found, spent = spawned.search(name, keys, lines, seconds, work)
    if left is not None:
        left[0] -= spent
    return Repair(tuple(found[0]), *found[1:]) if found else None


def _search(
    rerun: Rerun,
    calls: Sequence[Call],
    keys: Sequence[str],
    seconds: float,
    here: Sequence[int] = (),
) -> Repair | None:
    function = inspect.unwrap(rerun.function)
    parsed = _parsed(function)
    if parsed is None:
        return None
    tree, namespace, file = parsed
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef | ast.ClassDef)
    if not any(np.any(value) for call in calls for value in rerun.expected(call).values()):
        return None  # zeros come of any accident
    order = sorted(calls, key=lambda call: (not _is_wrong(call, keys), _size(call)))
    wrong = sum(_is_wrong(call, keys) for call in calls)
    end = time.process_time() + seconds
    best: Repair | None = None
    partly: tuple[int, Repair] | None = None
    lines = {got.line for call in calls for got in call.got.values() if isinstance(got, Raised)}
    for edit in chain(
        orders_of(definition.body), edits(definition, [line for line in lines if line])
    ):
        if time.process_time() > end:
            break
        if here and not any(_covers(edit.statement, line) for line in here):
            continue
        edit.make()
        try:
            candidate = _made(tree, function, namespace, file)
            right, mended = _right(rerun, candidate, order, keys) if candidate else ([], 0)
            some = bool(right) or mended > max(_LEAST_MENDED - 1, partly[0] if partly else 0)
            new = ast.unparse(edit.statement) if some else ""
            idle = idle_parts(edit.statement) if some else 0
        finally:
            edit.undo()
        if not some or idle > idle_parts(edit.statement):
            continue  # what computes nothing is no repair
        if not right:
            line, words = _said(edit, new)
            words += f" (so in {mended} of {wrong} wrong configurations)"
            partly = (mended, Repair(tuple(keys), line, words))
        if len(right) > (len(best.keys) if best else 0):
            best = Repair(tuple(right), *_said(edit, new))
            if len(right) == len(keys):
                return best
    raising = any(isinstance(got, Raised) for call in calls for got in call.got.values())
    if best and not raising:
        return best
    return partly[1] if partly and partly[0] >= _SHARE_MENDED * wrong else None


def _said(edit: Edit, new: str) -> tuple[int, str]:
    """The line of an edit, and what it is; new: the text of its statement with it."""
    old = ast.unparse(edit.statement)
    line, old, new = _difference(old, new, edit.statement.lineno)
    return line, edit.words or f"right with `{new}` in place of `{old}`"


def _covers(statement: ast.stmt, line: int) -> bool:
    """Whether a statement, but for those inside it, stands on a line."""
    body = getattr(statement, "body", None)
    last = body[0].lineno - 1 if body else statement.end_lineno or statement.lineno
    return statement.lineno <= line <= last


def _ends(got: Any) -> bool:
    return isinstance(got, Raised) and got.kind in ("SystemExit", "EOFError")


def _is_wrong(call: Call, keys: Sequence[str]) -> bool:
    return any(key in call.expected and call.wrong(key) for key in keys)


def _size(call: Call) -> int:
    return sum(int(np.size(value)) for value in call.expected.values())


def _parsed(function: Any) -> tuple[ast.Module, dict[str, Any], str] | None:
    """Return the syntax tree of a function or class, the names that it sees, its file."""
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
        file = inspect.getsourcefile(function) or "<checked>"
    except (OSError, TypeError, SyntaxError):
        return None
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.FunctionDef | ast.ClassDef):
        return None
    ast.increment_lineno(tree, first - 1)
    tree.body[0].decorator_list = []
    if inspect.isclass(function):
        return tree, vars(sys.modules[function.__module__]), file
    namespace = dict(getattr(function, "__globals__", {}))
    try:
        namespace |= inspect.getclosurevars(function).nonlocals
    except (TypeError, ValueError):
        return None
    return tree, namespace, file


def _made(tree: ast.Module, function: Any, namespace: dict[str, Any], file: str) -> Any:
    """The function, or class, with the code of the tree in place of its own; None if it has none."""
    try:
        (code,) = _codes(compile(tree, file, "exec"))
        if not inspect.isclass(function):
            return _with_code(function, code, namespace)
        members = dict(vars(function))
        for inner in _codes(code):
            if inspect.isfunction(members.get(inner.co_name)):
                members[inner.co_name] = _with_code(members[inner.co_name], inner, namespace)
        for name in ("__dict__", "__weakref__"):
            members.pop(name, None)
        return type(function.__name__, function.__bases__, members)
    except (SyntaxError, ValueError, TypeError):
        return None


def _codes(code: CodeType) -> list[CodeType]:
    return [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def _with_code(function: Any, code: CodeType, namespace: dict[str, Any]) -> FunctionType:
    made = FunctionType(code, namespace, function.__name__, function.__defaults__)
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def _right(
    rerun: Rerun, candidate: Any, calls: Sequence[Call], keys: Sequence[str]
) -> tuple[list[str], int]:
    """Return the results among `keys` that the candidate gets right in every call, and how many wrong
    calls it mends.

    None of either, if a result that was right is wrong now.  The first call decides: what does nothing
    for it is not looked at further.
    """
    left, mended = list(keys), 0
    for number, call in enumerate(calls):
        got = rerun.results(candidate, call)
        wrong = [
            key
            for key, value in rerun.expected(call).items()
            if key not in got or not same(got[key], value, call.scale.get(key), call.tolerance)
        ]
        if any(not call.wrong(key) for key in wrong):
            return [], 0
        left = [key for key in left if key not in wrong]
        mended += not wrong and _is_wrong(call, keys)
        if not left and (number == 0 or not mended):
            break
    return left, mended


def _difference(old: str, new: str, line: int) -> tuple[int, str, str]:
    """The first line in which two texts differ, shortened to the part that matters."""
    olds, news = old.splitlines(), new.splitlines()
    for i, (a, b) in enumerate(zip(olds, news, strict=False)):
        if a != b:
            return line + i, *_around(" ".join(a.split()), " ".join(b.split()))
    return line, _shortened(old), _shortened(new)


def _around(old: str, new: str) -> tuple[str, str]:
    """Two lines, cut to where they differ."""
    if max(len(old), len(new)) <= _LONGEST:
        return old, new
    pairs = zip(old, new, strict=False)
    same = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(old), len(new)))
    start = max(0, same - _LONGEST // 3)
    start = old.rfind(" ", 0, start) + 1 if start else 0
    before = "..." if start else ""
    return tuple(before + _shortened(text[start:]) for text in (old, new))  # type: ignore[return-value]


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
