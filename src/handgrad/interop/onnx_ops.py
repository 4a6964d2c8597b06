"""ONNX's operators in the neutral form: for each a function of the node and its inputs.

It returns a value of the network, or a constant where all inputs are (shapes that a graph computes are
such; the size of the batch is -1 in them), or raises `NoCounterpart` with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.interop import onnx_shapes as shapes
from handgrad.interop.onnx_float64 import GELUS
from handgrad.interop.onnx_graph import (
    Graph,
    Made,
    constant_of,
    decimal_of,
    floats_of,
    input_of,
    params_of,
    value_of,
)
from handgrad.interop.onnx_images import (
    conv,
    conv_transpose,
    global_avg_pool,
    global_max_pool,
    pad,
    pool,
    reduce,
    resize,
)
from handgrad.interop.onnx_norms import (
    batchnorm,
    function_layernorm,
    groupnorm,
    instancenorm,
    layernorm,
)
from handgrad.interop.reader import (
    Growing,
    NoCounterpart,
    Value,
    scaled,
    standardized,
)


def _gemm(g: Graph, node: Any, given: list[Any]) -> Made:
    x, W, b = value_of(given[0]), floats_of(given[1], "weights"), input_of(given, 2)
    o = g.options(node, alpha=1.0, beta=1.0, transA=0, transB=0, broadcast=0)
    if o["transA"] or W.ndim != 2:
        raise NoCounterpart("transA")
    W = W.T if o["transB"] else W
    W = W if o["alpha"] == 1 else (W * o["alpha"]).astype(W.dtype)
    arrays = {"W": np.ascontiguousarray(W)}
    if b is not None:
        b = floats_of(b, "a bias")
        if b.size not in (1, W.shape[1]):
            raise NoCounterpart("a bias for each row")
        b = np.array(np.broadcast_to(b.reshape(-1), (W.shape[1],)))
        arrays["b"] = b if o["beta"] == 1 else (b * o["beta"]).astype(b.dtype)
    if len(x.shape) != 1:
        raise NoCounterpart(f"rows of the shape {x.view}")
    params, name = params_of(node, W=1, b=2), g.name(node, node.input[1])
    return g.growing.add("affine", [x], {}, arrays, params=params, name=name)


def _matmul(g: Graph, node: Any, given: list[Any]) -> Made:
    g.options(node)
    x, W = value_of(given[0]), floats_of(given[1], "weights")
    if W.ndim != 2 or len(x.shape) != 1:
        raise NoCounterpart(f"a product of rows {x.view} and {W.shape}")
    return g.growing.add(
        "affine", [x], {}, {"W": W}, params=params_of(node, W=1), name=g.name(node, node.input[1])
    )


_ARITHMETIC = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}


def _arithmetic(g: Graph, node: Any, given: list[Any]) -> Made:
    o = g.options(node, broadcast=0, axis=-1)  # of the first versions
    op, name = node.op_type, node.output[0]
    if len(given) == 1 and op == "Sum":
        return given[0]
    if len(given) != 2:
        raise NoCounterpart(f"{len(given)} values")
    a, b = given
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return _small(_ARITHMETIC["Add" if op == "Sum" else op], a, b)
    if isinstance(a, Value) and isinstance(b, Value):
        if op not in ("Add", "Sum") or a.view != b.view or a.shape != b.shape:
            raise NoCounterpart("of two values")
        return g.growing.add("add", [a, b], name=name)._replace(view=a.view)
    turned = isinstance(a, np.ndarray)
    x, c = (b, a) if turned else (a, b)
    c = floats_of(c, "constants")
    if o["broadcast"] and o["axis"] > 0 and c.ndim:
        c = c.reshape(*c.shape, *[1] * (len(x.view) + 1 - o["axis"] - c.ndim))
    if x.view != x.shape:
        raise NoCounterpart(f"rows of the shape {x.view}")
    if op in ("Add", "Sum"):
        parameter = node.input[0] if turned else node.input[1]
        if g.growing.add_bias(x, c, parameter):
            return x
        return standardized(g.growing, x, -c, np.ones(1), name)
    if turned:
        if op == "Mul":
            return scaled(g.growing, x, c, np.zeros(1), name)
        raise NoCounterpart("a constant divided by, or minus, a value")
    if op == "Sub":
        return standardized(g.growing, x, c, np.ones(1), name)
    if op == "Mul":
        return scaled(g.growing, x, c, np.zeros(1), name)
    return _divided(g.growing, x, c, name)


def _divided(growing: Growing, x: Value, c: np.ndarray, name: str) -> Value:
    """``x / c``; behind a subtraction it is one layer with it."""
    if not c.all():
        raise NoCounterpart("a division by 0")
    last = growing.nodes[-1] if growing.nodes else None
    if (
        last is not None
        and last.name == x.name
        and last.op == "standardize"
        and (last.arrays["std"] == 1).all()
    ):
        growing.nodes.pop()
        front = Value(last.inputs[0], x.shape, x.shape)
        return standardized(growing, front, last.arrays["mean"], c, name)
    return standardized(growing, x, np.zeros(1), c, name)


def _small(function: Any, *arrays: np.ndarray) -> np.ndarray:
    """A computation with constants; they are shapes or weights, and never grow large."""
    size = int(np.prod(np.broadcast_shapes(*(a.shape for a in arrays))))
    if size > 1 << 24:
        raise NoCounterpart("constants that grow large")
    with np.errstate(all="ignore"):
        out = function(*arrays)
    return out.astype(arrays[0].dtype)


def _pointwise(op: str, **options: tuple[str, float]) -> Callable[..., Made]:
    def make(g: Graph, node: Any, given: list[Any]) -> Made:
        found = g.options(node, **dict(options.values()))
        ours = {name: decimal_of(found[theirs]) for name, (theirs, _) in options.items()}
        x = value_of(given[0])
        out = g.growing.add(op, [x], ours, name=node.output[0])
        return out._replace(view=x.view)

    return make


def _gelu(g: Graph, node: Any, given: list[Any]) -> Made:
    o = g.options(node, approximate="none")
    return g.growing.add(
        "gelu", [value_of(given[0])], {"approximate": o["approximate"]}, name=node.output[0]
    )


def _prelu(g: Graph, node: Any, given: list[Any]) -> Made:
    x, a = value_of(given[0]), floats_of(given[1], "slopes")
    wide = a.shape if a.ndim <= len(x.shape) else a.shape[1:]
    channels = (x.shape[0], *[1] * (len(x.shape) - 1))
    if a.size != 1 and tuple(wide) != channels and not (g.opset < 7 and a.shape == x.shape[:1]):
        raise NoCounterpart(f"slopes of the shape {a.shape}")
    params, name = params_of(node, a=1), g.name(node, node.input[1])
    return g.growing.add("prelu", [x], {}, {"a": a.reshape(-1)}, params=params, name=name)


def _clip(g: Graph, node: Any, given: list[Any]) -> Made:
    o = g.options(node, min=-np.inf, max=np.inf)
    low = input_of(given, 1) if len(given) > 1 else None
    high = input_of(given, 2) if len(given) > 2 else None
    low = o["min"] if low is None else float(constant_of(low, "a limit"))
    high = o["max"] if high is None else float(constant_of(high, "a limit"))
    if low == 0 and high >= np.finfo(np.float32).max:
        return g.growing.add("relu", [value_of(given[0])], name=node.output[0])
    raise NoCounterpart(f"between {low:g} and {high:g}")


def _dropout(g: Graph, node: Any, given: list[Any]) -> Made:
    o = g.options(node, ratio=0.5, seed=0, is_test=1)
    ratio = (
        float(constant_of(given[1], "a ratio")) if input_of(given, 1) is not None else o["ratio"]
    )
    training = input_of(given, 2)
    if training is not None and bool(constant_of(training, "the mode").any()):
        raise NoCounterpart("in training mode")
    if not 0 <= ratio < 1:
        raise NoCounterpart(f"with the ratio {ratio}")
    x = value_of(given[0])
    out = g.growing.add(
        "dropout", [x], {"p": round(1 - decimal_of(ratio), 12)}, name=node.output[0]
    )
    return out._replace(view=x.view)


def _same(g: Graph, node: Any, given: list[Any]) -> Made:
    return given[0]


def _cast(g: Graph, node: Any, given: list[Any]) -> Made:
    o = g.options(node, to=1, saturate=1, round_mode="up")
    if isinstance(given[0], np.ndarray):
        return given[0].astype(g.onnx.helper.tensor_dtype_to_np_dtype(o["to"]))
    if o["to"] not in (1, 10, 11, 16):
        raise NoCounterpart("to another kind of numbers")
    return given[0]


def _softmax(g: Graph, node: Any, given: list[Any]) -> Made:
    o = g.options(node, axis=-1 if g.opset >= 13 else 1)
    x = value_of(given[0])
    if len(x.shape) != 1 or o["axis"] not in (1, -1):
        raise NoCounterpart(f"over the axis {o['axis']}")
    name = g.growing.fresh(node.output[0])
    g.softmaxes[name] = x
    return Value(name, x.shape, x.shape)


OPERATORS: dict[str, Callable[[Graph, Any, list[Any]], Made]] = {
    "Conv": conv, "ConvTranspose": conv_transpose, "Gemm": _gemm, "MatMul": _matmul,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Sum"), _arithmetic),
    "Relu": _pointwise("relu"), "Sigmoid": _pointwise("sigmoid"), "Tanh": _pointwise("tanh"),
    "Softplus": _pointwise("softplus"), "LeakyRelu": _pointwise("leaky_relu", alpha=("alpha", 0.01)),
    "Elu": _pointwise("elu", alpha=("alpha", 1.0)), "Gelu": _gelu, "PRelu": _prelu, "Clip": _clip,
    "BatchNormalization": batchnorm, "LayerNormalization": layernorm,
    "GroupNormalization": groupnorm, "InstanceNormalization": instancenorm,
    "MaxPool": pool, "AveragePool": pool, "GlobalAveragePool": global_avg_pool,
    "GlobalMaxPool": global_max_pool, "ReduceMean": reduce, "ReduceMax": reduce,
    "Flatten": shapes.flatten, "Reshape": shapes.reshape, "Squeeze": shapes.squeeze,
    "Unsqueeze": shapes.squeeze,
    "Transpose": shapes.transpose, "Concat": shapes.concat, "Dropout": _dropout, "Identity": _same,
    "Cast": _cast, "Softmax": _softmax, "LogSoftmax": _softmax, "Resize": resize,
    "Upsample": resize, "Pad": pad, "Constant": shapes.make_constant, "Shape": shapes.shape,
    "ConstantOfShape": shapes.constant_of_shape, "Gather": shapes.gather, "Slice": shapes.sliced,
}  # fmt: skip


def _function_gelu(kind: str) -> Callable[[Graph, Any, list[Any]], Made]:
    def make(g: Graph, node: Any, given: list[Any]) -> Made:
        x = value_of(given[0])
        out = g.growing.add("gelu", [x], {"approximate": kind}, name=node.output[0])
        return out._replace(view=x.view)

    return make


FUNCTIONS: dict[str, Callable[[Graph, Any, list[Any]], Made]] = {
    **{name: _function_gelu(kind) for kind, name in GELUS.items()},
    "LayerNorm": function_layernorm,
}
"""Of `handgrad.interop.onnx_float64`, which files in float64 bring along."""
