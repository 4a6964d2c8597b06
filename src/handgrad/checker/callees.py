"""Whose mistake it is: a sandwich or a network that is right as soon as a layer that it calls is."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from handgrad import layers
from handgrad.checker import known
from handgrad.checker.known.layer import KnownLayer
from handgrad.checker.records import Call, Cause, Raised, same
from handgrad.checker.repair import Rerun
from handgrad.checker.undisturbed import run, source_file, source_lines

_LIBRARY = Path(__file__).parents[1]
_replaced: ContextVar[bool] = ContextVar("replaced", default=False)
_DEEPEST = 4


class _Callee(NamedTuple):
    """A function of a known layer: its name, itself, the dictionaries of globals that hold it."""

    name: str
    function: Any
    homes: list[dict[str, Any]]


def replaced() -> bool:
    """Whether callees are the library's at present, so that nothing of theirs may be remembered."""
    return _replaced.get()


def blame(rerun: Rerun, calls: Sequence[Call], keys: Sequence[str]) -> Cause | None:
    """Return the layer whose pair makes all of the results right as soon as it is the library's.

    None if the code is wrong beside right layers too, or calls none.
    """
    found = _callees(rerun.function)
    stems = list(dict.fromkeys(_stem(callee) for callee in found))
    if not stems or _right(rerun, calls, keys, found) is False:
        return None  # where it raises, the code hands layers caches of its own: each is tried alone
    for stem in stems:
        group = [callee for callee in found if _stem(callee) == stem]
        if _right(rerun, calls, keys, group):
            return _cause(_guilty(rerun, calls, keys, group), keys)
    return None


def _guilty(
    rerun: Rerun, calls: Sequence[Call], keys: Sequence[str], group: list[_Callee]
) -> _Callee:
    """The one of a layer's functions that is wrong: the forward, where forward results are wrong."""
    backwards = [one for one in group if "_backward" in one.name]
    forwards = [one for one in group if "_forward" in one.name] or group
    if not backwards or any(key[0] != "d" for key in keys):
        return forwards[0]
    return backwards[0]


def _cause(callee: _Callee, keys: Sequence[str]) -> Cause:
    file, line = source_file(callee.function), source_lines(callee.function)[1]
    place = f" ({Path(file).name}:{line})" if file and line else ""
    says = (
        f"{callee.name}{place}, which it calls, is wrong: with a right one in its place "
        f"{' and '.join(keys)} {'are' if len(keys) > 1 else 'is'} right"
    )
    return Cause("callee", says, tuple(keys))


def _stem(callee: _Callee) -> str:
    layer, _ = _known(callee.name)
    return layer.name


def _known(name: str) -> tuple[KnownLayer, str]:
    found = known.by_function(name)
    assert found is not None
    return found


def _callees(function: Any) -> list[_Callee]:
    """The functions of known layers that are reached from a function or class, the deepest first."""
    found: dict[int, _Callee] = {}
    depths: dict[int, int] = {}
    seen: set[int] = set()
    spaces: list[dict[str, Any]] = []

    def visit(thing: Any, depth: int) -> None:
        inner = inspect.unwrap(thing)
        if id(inner) in seen or depth > _DEEPEST:
            return
        seen.add(id(inner))
        for one in _functions(inner):
            space = one.__globals__
            if not any(space is other for other in spaces):
                spaces.append(space)
            for name in _names(one.__code__):
                other = space.get(name)
                if not inspect.isfunction(other) or _is_ours(other):
                    continue
                if known.by_function(name) and other is not inner:
                    callee = found.setdefault(id(other), _Callee(name, other, []))
                    if not any(space is home for home in callee.homes):
                        callee.homes.append(space)
                    depths[id(other)] = max(depth, depths.get(id(other), 0))
                visit(other, depth + 1)

    visit(function, 0)
    _with_partners(found, spaces)
    return sorted(found.values(), key=lambda callee: -depths.get(id(callee.function), 0))


def _with_partners(found: dict[int, _Callee], spaces: Sequence[dict[str, Any]]) -> None:
    """Add the other functions of the same layers: a right backward needs the cache of a right forward."""
    stems = {_stem(callee) for callee in found.values()}
    for space in spaces:
        for name, other in list(space.items()):
            if not inspect.isfunction(other) or _is_ours(other) or not known.by_function(name):
                continue
            callee = _Callee(name, other, [])
            if _stem(callee) in stems:
                callee = found.setdefault(id(other), callee)
                if not any(space is home for home in callee.homes):
                    callee.homes.append(space)


def _functions(thing: Any) -> list[FunctionType]:
    if inspect.isclass(thing):
        return [
            one for cls in thing.__mro__ for one in vars(cls).values() if inspect.isfunction(one)
        ]
    return [thing] if inspect.isfunction(thing) else []


def _names(code: Any) -> Iterator[str]:
    """The names of globals that some code reads, with the functions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield from _names(constant)


def _is_ours(function: Any) -> bool:
    file = source_file(function)
    return not file or _LIBRARY in Path(file).absolute().parents


def _right(
    rerun: Rerun, calls: Sequence[Call], keys: Sequence[str], callees: Sequence[_Callee]
) -> bool | None:
    """Whether the calls with a wrong result are right with the library's functions for `callees`.

    None if it raises with them.  What is right stays out of it: a student's own layer norm may call batch
    norm as no other can.
    """
    with _instead(callees):
        for call in calls:
            if not any(key in call.expected and call.wrong(key) for key in keys):
                continue
            got = run(rerun.results, rerun.function, call)
            if isinstance(got, Raised) or any(isinstance(one, Raised) for one in got.values()):
                return None
            for key, value in _wanted(rerun, call).items():
                if key not in keys and call.wrong(key):
                    continue
                right = key in got and same(got[key], value, call.scale.get(key), call.tolerance)
                if not right:
                    return False
    return True


def _wanted(rerun: Rerun, call: Call) -> dict[str, Any]:
    """What right layers give: the layer's gradient, whatever forward the code has now."""
    if call.gradient is None or call.dout is None:
        return rerun.expected(call)
    right = call.gradient(call.dout)
    return {key: right.get(key, value) for key, value in call.expected.items()}


@contextlib.contextmanager
def _instead(callees: Sequence[_Callee]) -> Iterator[None]:
    """Put the library's functions in the place of `callees` for a while."""
    token = _replaced.set(True)
    undo: list[Callable[[], None]] = []
    try:
        for callee in callees:
            layer, side = _known(callee.name)
            right = partial(_library, layer, side)
            for space in callee.homes:
                for name, value in list(space.items()):
                    if value is callee.function:
                        undo.append(partial(space.__setitem__, name, value))
                        space[name] = right
        yield
    finally:
        for one in undo:
            one()
        _replaced.reset(token)


def _library(layer: KnownLayer, side: str, *arguments: Any, **named: Any) -> Any:
    """The library's function of a layer, as a student's is called: with vectors as (1, M) too."""
    if side == "forward":
        given = [name in ("b", "gamma", "beta") for name in _names_of(layer.name)]
        given += [False] * len(arguments)
        arguments = tuple(
            _flat(value) if vector else value
            for value, vector in zip(arguments, given, strict=False)
        )
    function = getattr(layers, f"{layer.name}_{side}", None) or getattr(layers, layer.name)
    return function(
        *arguments, **named
    )  # as the courses have it: with both outputs of an LSTM's step


def _names_of(layer: str) -> list[str]:
    function = getattr(layers, f"{layer}_forward", None)
    return list(inspect.signature(function).parameters) if function else []


def _flat(value: Any) -> Any:
    """A vector that is held as a matrix of one row, as a vector."""
    return value.ravel() if isinstance(value, np.ndarray) and value.shape[:-1] == (1,) else value
