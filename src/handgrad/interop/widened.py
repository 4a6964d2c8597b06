"""A function or an object with its arrays in float64, where they are in float32."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CellType, FunctionType
from typing import Any

import numpy as np


def widened(thing: Any) -> Any:
    """Return `thing`, computing in float64: a copy whose arrays of float32 are widened.

    Arrays are looked for in the variables that a function closes over, in the global ones that it names, in
    containers, in functions among them, and in the attributes of an object.  `thing` stays as it is; it
    comes back itself where it holds no such arrays.

    >>> weights = np.float32([0.5, 2])
    >>> widened(lambda x: x * np.sqrt(weights))(1.0).dtype
    dtype('float64')
    """
    return with_arrays(
        thing, lambda a: a.astype(np.float64) if a.dtype in (np.float32, np.float16) else a
    )


def with_arrays(thing: Any, turn: Callable[[Any], Any]) -> Any:
    """Return a copy of `thing` with what `turn` makes of its arrays, which are looked for as above."""
    return _copied(thing, _Walk(turn, {}), 4)


@dataclass
class _Walk:
    turn: Callable[[Any], Any]
    known: dict[int, Any]


def _copied(thing: Any, walk: _Walk, depth: int) -> Any:
    if isinstance(thing, np.ndarray | np.floating):
        return walk.turn(thing)
    if id(thing) in walk.known:
        return walk.known[id(thing)]
    if not depth:
        return thing
    made = thing
    if type(thing) in (dict, list, tuple):
        made = _container(thing, walk, depth)
    elif isinstance(thing, FunctionType):
        made = _function(thing, walk, depth)
    elif hasattr(thing, "__func__") and hasattr(thing, "__self__"):
        owner = _copied(thing.__self__, walk, depth - 1)
        made = thing if owner is thing.__self__ else thing.__func__.__get__(owner)
    elif hasattr(thing, "__dict__") and _is_plain(thing):
        made = _object(thing, walk, depth)
    walk.known[id(thing)] = made
    return made


def _is_plain(thing: Any) -> bool:
    """Whether it is an object of somebody's own, no class, no module, and none of NumPy's."""
    module = type(thing).__module__.partition(".")[0]
    return not isinstance(thing, type | type(np)) and module not in ("builtins", "numpy", "torch")


def _container(thing: Any, walk: _Walk, depth: int) -> Any:
    items = list(thing.values() if isinstance(thing, dict) else thing)
    if len(items) > 10_000:
        return thing
    new = [_copied(item, walk, depth - 1) for item in items]
    if all(a is b for a, b in zip(new, items, strict=True)):
        return thing
    return dict(zip(thing, new, strict=True)) if isinstance(thing, dict) else type(thing)(new)


def _function(thing: FunctionType, walk: _Walk, depth: int) -> Any:
    cells = thing.__closure__ or ()
    made = FunctionType(
        thing.__code__, thing.__globals__, thing.__name__, thing.__defaults__, cells
    )
    walk.known[id(thing)] = made  # it may call itself
    full = [cell for cell in cells if _is_full(cell)]
    inner = {id(cell): _copied(cell.cell_contents, walk, depth - 1) for cell in full}
    named = {n: thing.__globals__[n] for n in thing.__code__.co_names if n in thing.__globals__}
    outer = {name: _copied(value, walk, depth - 1) for name, value in named.items()}
    changed = {name: value for name, value in outer.items() if value is not named[name]}
    if not changed and all(inner[id(cell)] is cell.cell_contents for cell in full):
        return thing
    new = tuple(CellType(inner[id(cell)]) if id(cell) in inner else cell for cell in cells)
    made = FunctionType(
        thing.__code__, {**thing.__globals__, **changed}, thing.__name__, thing.__defaults__, new
    )
    made.__kwdefaults__ = thing.__kwdefaults__
    return made


def _is_full(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _object(thing: Any, walk: _Walk, depth: int) -> Any:
    kept: Mapping[str, Any] = vars(thing)
    new = {name: _copied(value, walk, depth - 1) for name, value in kept.items()}
    if all(new[name] is value for name, value in kept.items()):
        return thing
    made = copy.copy(thing)
    vars(made).update(new)
    return made
