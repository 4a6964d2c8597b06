"""GELUs that an ONNX file writes as products, sums and an Erf or a Tanh, as PyTorch's exporters do.

They are told by their values: whatever the order of the operations, what comes out is compared with both
forms of the GELU at numbers between -6 and 6.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, NamedTuple

import numpy as np

from handgrad.engines.erf import erfc
from handgrad.errors import MALFORMED
from handgrad.layers import gelu_forward

_GRID = np.linspace(-6.0, 6.0, 241)
_DEEPEST, _FARTHEST = 12, 6  # steps back to the input of the GELU, and on to its output
_TOLERANCE = 2e-6  # constants may be float32

_OPERATIONS: dict[str, Any] = {
    "Mul": np.multiply,
    "Add": np.add,
    "Sub": np.subtract,
    "Div": np.divide,
    "Pow": np.power,
    "Tanh": np.tanh,
    "Erf": lambda x: 1 - erfc(np.asarray(x)),
    "Identity": np.positive,
    "Neg": np.negative,
    "Sqrt": np.sqrt,
}


class Gelus(NamedTuple):
    """made: the value that comes out -> what goes in, and the kind; inner: the values between."""

    made: dict[str, tuple[str, str]]
    inner: set[str]


def find(graph: Any, constants: Mapping[str, np.ndarray], array: Any) -> Gelus:
    """Return the GELUs of a graph that are written as several operators.

    constants: the arrays that the file holds; array: turns a tensor of the file into one.
    """
    makers = {name: node for node in graph.node for name in node.output if name}
    users: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    numbers = dict(_numbers(graph, constants, array))
    found = Gelus({}, set())
    for node in graph.node:
        if node.op_type in ("Erf", "Tanh") and node.output and node.output[0] not in found.inner:
            _search(node, makers, users, numbers, found)
    return found


def _numbers(
    graph: Any, constants: Mapping[str, np.ndarray], array: Any
) -> Iterator[tuple[str, float]]:
    """The constants of one number."""
    for name, value in constants.items():
        if value.size == 1 and value.dtype.kind == "f":
            yield name, float(value.reshape(()))
    for node in graph.node:
        if node.op_type != "Constant" or len(node.attribute) != 1 or not node.output:
            continue
        attribute = node.attribute[0]
        if attribute.name == "value_float":
            yield node.output[0], attribute.f
        elif attribute.name == "value" and prod(attribute.t.dims) == 1:
            try:
                yield node.output[0], float(array(attribute.t).reshape(()))
            except MALFORMED:
                continue  # it is named where it is read


def _search(node: Any, makers: Any, users: Any, numbers: Any, found: Gelus) -> None:
    for source in _sources(node, makers, numbers):
        for out in _results(node.output[0], users):
            memo: dict[str, Any] = {source: _GRID}
            with np.errstate(all="ignore"):
                values = _evaluated(out, makers, numbers, memo, 2 * _DEEPEST)
            if values is None or np.shape(values) != _GRID.shape:
                continue
            for kind in ("none", "tanh"):
                right = gelu_forward(_GRID, kind)[0]
                if np.abs(values - right).max() > _TOLERANCE:
                    continue
                inner = {n for n in memo if n not in numbers} - {source, out}
                outputs = {out, *inner}
                if all(u.output and u.output[0] in outputs for n in inner for u in users[n]):
                    found.made[out] = (source, kind)
                    found.inner.update(inner)
                    return


def _sources(node: Any, makers: Any, numbers: Any) -> list[str]:
    """The values that `node` may be computed from, the nearest first."""
    found: dict[str, None] = {}
    wave = list(node.input)
    for _ in range(_DEEPEST):
        wave = [name for name in dict.fromkeys(wave) if name not in numbers and name not in found]
        found |= dict.fromkeys(wave)
        behind = [makers[name] for name in wave if name in makers]
        wave = [name for n in behind if n.op_type in _OPERATIONS for name in n.input]
        if len(found) > 4 * _DEEPEST:
            break
    return list(found)


def _results(start: str, users: Any) -> list[str]:
    """The values that may be the end of it."""
    found: dict[str, None] = {}
    wave = [start]
    for _ in range(_FARTHEST):
        wave = [
            node.output[0]
            for name in wave
            for node in users.get(name, [])
            if node.op_type in _OPERATIONS and node.output and node.output[0] not in found
        ]
        found |= dict.fromkeys(wave)
        if len(found) > 4 * _FARTHEST:
            break
    return list(found)


def _evaluated(name: str, makers: Any, numbers: Any, memo: dict[str, Any], depth: int) -> Any:
    """The value at the grid's numbers; None where something else goes in."""
    if name in memo:
        return memo[name]
    if name in numbers:
        return numbers[name]
    node = makers.get(name)
    if node is None or depth == 0 or node.op_type not in _OPERATIONS or node.domain:
        return None
    given = [_evaluated(n, makers, numbers, memo, depth - 1) for n in node.input]
    function = _OPERATIONS[node.op_type]
    wanted = 2 if isinstance(function, np.ufunc) and function.nin == 2 else 1
    if len(given) != wanted or any(a is None for a in given):
        return None
    memo[name] = function(*(np.asarray(a, np.float64) for a in given))
    return memo[name]
