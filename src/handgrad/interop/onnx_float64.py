"""Layers in float64 for ONNX, as functions that the file brings along.

ONNX defines its own Gelu with constants of float32, allows no float64 inside of its LayerNormalization, and
neither onnxruntime nor ONNX's reference has an Erf of float64.  These functions consist of operators that
both have:

    Gelu(x)       x erfc(-x / sqrt(2)) / 2        erfc as in `handgrad.engines.erf`
    GeluTanh(x)   x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
    LayerNorm(x, gamma, beta, eps)        gamma (x - mean) / sqrt(var + eps) + beta, over the last axis
"""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

import numpy as np

from handgrad.engines.erf import POWERS_OF_T

DOMAIN = "handgrad"
GELUS = {"none": "Gelu", "tanh": "GeluTanh"}
"""approximate -> the function."""

_INPUTS = {"Gelu": ["x"], "GeluTanh": ["x"], "LayerNorm": ["x", "gamma", "beta", "eps"]}


class _Lines:
    """Nodes of a function, one for each operation."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []

    def __call__(self, op: str, *inputs: Any, out: str = "") -> str:
        """Add a node; numbers among its inputs become constants."""
        names = [a if isinstance(a, str) else self.constant(np.array(a)) for a in inputs]
        out = out or f"v{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(op, names, [out]))
        return out

    def constant(self, value: np.ndarray) -> str:
        """Add a constant."""
        name = f"v{len(self.nodes)}"
        tensor = self.onnx.numpy_helper.from_array(value)
        self.nodes.append(self.onnx.helper.make_node("Constant", [], [name], value=tensor))
        return name


def function(onnx: Any, name: str, opset: int) -> Any:
    """Return the FunctionProto of that name."""
    do = _Lines(onnx)
    {"Gelu": _gelu, "GeluTanh": _gelu_tanh, "LayerNorm": _layer_norm}[name](do)
    opsets = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_function(DOMAIN, name, _INPUTS[name], ["y"], do.nodes, opsets)


def _gelu(do: _Lines) -> None:
    z = do("Div", "x", -sqrt(2))
    a = do("Abs", z)
    t = do("Div", do("Sub", a, 3.0), do("Add", a, 3.0))
    f = do("Add", do("Mul", t, POWERS_OF_T[-1]), POWERS_OF_T[-2])
    for power in reversed(POWERS_OF_T[:-2]):
        f = do("Add", do("Mul", f, t), power)
    tail = do("Mul", do("Exp", do("Neg", do("Mul", a, a))), f)
    tail = do("Div", tail, do("Add", do("Add", a, a), 1.0))
    erfc = do("Where", do("Less", z, 0.0), do("Sub", 2.0, tail), tail)
    do("Mul", do("Mul", erfc, "x"), 0.5, out="y")


def _gelu_tanh(do: _Lines) -> None:
    cube = do("Mul", do("Mul", do("Mul", "x", "x"), "x"), 0.044715)
    gate = do("Tanh", do("Mul", do("Add", "x", cube), sqrt(2 / pi)))
    do("Mul", do("Mul", do("Add", gate, 1.0), "x"), 0.5, out="y")


def _layer_norm(do: _Lines) -> None:
    axes = do.constant(np.array([-1], np.int64))
    centred = do("Sub", "x", do("ReduceMean", "x", axes))
    variance = do("ReduceMean", do("Mul", centred, centred), axes)
    xhat = do("Div", centred, do("Sqrt", do("Add", variance, "eps")))
    do("Add", do("Mul", xhat, "gamma"), "beta", out="y")


def is_own(onnx: Any, found: Any, opset: int) -> bool:
    """Whether a function of a file is one of these, to the last bit."""
    if found.domain != DOMAIN or found.name not in _INPUTS:
        return False
    own = function(onnx, found.name, opset)
    texts = [one.SerializeToString(deterministic=True) for one in (own, found)]
    return bool(texts[0] == texts[1])
