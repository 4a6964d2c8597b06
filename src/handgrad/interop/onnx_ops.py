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
    floats_of,
    image_of,
    input_of,
    value_of,
)
from handgrad.interop.reader import (
    Growing,
    NoCounterpart,
    Value,
    padded,
    pooled,
    same_pads,
    scaled,
    standardized,
)


def _windows(
    o: dict[str, Any], x: Value, kernel: Any
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Kernel, strides, dilations and pads (top, left, bottom, right) of a window operator."""
    kernel = [int(k) for k in kernel]
    strides = [int(s) for s in o["strides"]] or [1, 1]
    dilations = [int(d) for d in o.get("dilations", [])] or [1, 1]
    pads = [int(p) for p in o["pads"]] or [0, 0, 0, 0]
    if len(kernel) != 2 or len(strides) != 2 or len(dilations) != 2 or len(pads) != 4:
        raise NoCounterpart("windows that are not of two dimensions")
    if min(kernel + strides + dilations) < 1 or max(kernel + strides + dilations + pads) > 1 << 20:
        raise NoCounterpart("windows of impossible sizes")
    kind = o["auto_pad"]
    if kind in ("SAME_UPPER", "SAME_LOWER"):
        reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
        pads = same_pads(x.shape, reach, strides, kind == "SAME_UPPER")
    elif kind == "VALID":
        pads = [0, 0, 0, 0]
    elif kind != "NOTSET":
        raise NoCounterpart(f"auto_pad={kind!r}")
    return kernel, strides, dilations, pads


def _conv(g: Graph, node: Any, given: list[Any]) -> Made:
    x, W, b = value_of(given[0]), floats_of(given[1], "weights"), input_of(given, 2)
    o = g.options(
        node, auto_pad="NOTSET", dilations=[], group=1, kernel_shape=[], pads=[], strides=[]
    )
    if W.ndim != 4:
        raise NoCounterpart("convolutions that are not of two dimensions")
    if len(x.shape) == 1 and x.view == (*x.shape, 1, 1) and W.shape[2:] == (1, 1) and o["group"] == 1 and (
        not any(o["pads"])):  # fmt: skip
        arrays = {"W": np.ascontiguousarray(W[:, :, 0, 0].T)} | (
            {} if b is None else {"b": floats_of(b, "a bias")}
        )
        params, name = _params(node, W=1, b=2), g.name(node, node.input[1])
        out = g.growing.add("affine", [x], {}, arrays, params=params, name=name)
        return out._replace(view=(*out.shape, 1, 1))  # images of one pixel are rows
    x = image_of(x)
    _, strides, dilations, pads = _windows(o, x, W.shape[2:])
    name = g.name(node, node.input[1])
    wide, pad = padded(g.growing, x, pads, name)
    options = {
        "stride": tuple(strides),
        "pad": pad,
        "dilation": tuple(dilations),
        "groups": o["group"],
    }
    arrays = {"W": W} | ({} if b is None else {"b": floats_of(b, "a bias")})
    return g.growing.add("conv", [wide], options, arrays, params=_params(node, W=1, b=2), name=name)


def _params(node: Any, **places: int) -> dict[str, str]:
    """The names of the weights, by role."""
    return {
        role: node.input[i] for role, i in places.items() if len(node.input) > i and node.input[i]
    }


def _conv_transpose(g: Graph, node: Any, given: list[Any]) -> Made:
    x, W, b = image_of(given[0]), floats_of(given[1], "weights"), input_of(given, 2)
    o = g.options(
        node,
        auto_pad="NOTSET",
        dilations=[],
        group=1,
        kernel_shape=[],
        output_padding=[],
        pads=[],
        strides=[],
    )
    if W.ndim != 4 or o["auto_pad"] != "NOTSET":
        raise NoCounterpart("a transposed convolution with auto_pad, or not of two dimensions")
    _, strides, dilations, pads = _windows(o, x, W.shape[2:])
    extra = [int(n) for n in o["output_padding"]] or [0, 0]
    top, left, bottom, right = pads
    # a smaller pad at the far end is more of the output there
    extra = [extra[0] + top - bottom, extra[1] + left - right]
    if min(extra) < 0:
        raise NoCounterpart(f"a far end that is cut off more than the near one, pads {pads}")
    options = {"stride": tuple(strides), "pad": (top, left), "output_pad": tuple(extra),
               "dilation": tuple(dilations), "groups": o["group"]}  # fmt: skip
    arrays = {"W": W} | ({} if b is None else {"b": floats_of(b, "a bias")})
    params, name = _params(node, W=1, b=2), g.name(node, node.input[1])
    return g.growing.add("conv_transpose", [x], options, arrays, params=params, name=name)


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
    params, name = _params(node, W=1, b=2), g.name(node, node.input[1])
    return g.growing.add("affine", [x], {}, arrays, params=params, name=name)


def _matmul(g: Graph, node: Any, given: list[Any]) -> Made:
    g.options(node)
    x, W = value_of(given[0]), floats_of(given[1], "weights")
    if W.ndim != 2 or len(x.shape) != 1:
        raise NoCounterpart(f"a product of rows {x.view} and {W.shape}")
    return g.growing.add(
        "affine", [x], {}, {"W": W}, params=_params(node, W=1), name=g.name(node, node.input[1])
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
        if op not in ("Add", "Sum") or a.view != a.shape or b.view != b.shape:
            raise NoCounterpart("of two values")
        return g.growing.add("add", [a, b], name=name)
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
        ours = {name: float(found[theirs]) for name, (theirs, _) in options.items()}
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
    params, name = _params(node, a=1), g.name(node, node.input[1])
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


def _batchnorm(g: Graph, node: Any, given: list[Any]) -> Made:
    o = g.options(node, epsilon=1e-5, momentum=0.9, training_mode=0, spatial=1, is_test=1,
                  consumed_inputs=[])  # fmt: skip
    if o["training_mode"] or not o["is_test"] or not o["spatial"]:
        raise NoCounterpart("training_mode, or statistics of each pixel")
    gamma, beta, mean, var = (floats_of(a, "weights") for a in given[1:5])
    arrays = {"gamma": gamma, "beta": beta, "mean": mean, "var": var}
    options = {"eps": _decimal(o["epsilon"]), "momentum": _decimal(o["momentum"])}
    return _norm(g, node, "batchnorm", given[0], options, arrays)


def _decimal(value: float) -> float:
    """The number that was meant where it was written as a float32."""
    return float(str(np.float32(value)))


def _norm(g: Graph, node: Any, op: str, x: Any, options: Any, arrays: Any) -> Made:
    """Ones and zeros that `export` puts in the place of what a layer leaves out are left out again."""
    places = {"gamma": 1, "beta": 2}
    left = {r: a for r, a in arrays.items() if not (
        r in places and node.input[places[r]].endswith((".ones", ".zeros")))}  # fmt: skip
    name = g.name(node, node.input[1] if "gamma" in left else "")
    return g.growing.add(
        op, [value_of(x)], options, left, params=_params(node, **places), name=name
    )


def _layernorm(g: Graph, node: Any, given: list[Any]) -> Made:
    o = g.options(node, axis=-1, epsilon=1e-5, stash_type=1)
    x, gamma, beta = value_of(given[0]), floats_of(given[1], "weights"), input_of(given, 2)
    if len(x.shape) != 1 or o["axis"] not in (1, -1):
        raise NoCounterpart(f"rows of the shape {x.view}, axis {o['axis']}")
    arrays = {"gamma": gamma.reshape(-1)} | (
        {} if beta is None else {"beta": floats_of(beta, "weights").reshape(-1)}
    )
    return _norm(g, node, "layernorm", x, {"eps": _decimal(o["epsilon"])}, arrays)


def _groupnorm(g: Graph, node: Any, given: list[Any]) -> Made:
    o = g.options(node, epsilon=1e-5, num_groups=1, stash_type=1)
    x, (gamma, beta) = image_of(given[0]), (floats_of(a, "weights") for a in given[1:3])
    if gamma.size == o["num_groups"] != x.shape[0]:  # of a group, in opset 18
        gamma, beta = (np.repeat(a, x.shape[0] // a.size) for a in (gamma, beta))
    options = {"eps": _decimal(o["epsilon"]), "groups": o["num_groups"]}
    return _norm(g, node, "groupnorm", x, options, {"gamma": gamma, "beta": beta})


def _instancenorm(g: Graph, node: Any, given: list[Any]) -> Made:
    o = g.options(node, epsilon=1e-5)
    gamma, beta = (floats_of(a, "weights") for a in given[1:3])
    options = {"eps": _decimal(o["epsilon"])}
    return _norm(
        g, node, "instancenorm", image_of(given[0]), options, {"gamma": gamma, "beta": beta}
    )


def _pool(g: Graph, node: Any, given: list[Any]) -> Made:
    x = image_of(given[0])
    if len([name for name in node.output if name]) > 1:
        raise NoCounterpart("the places of the maxima as a second output")
    o = g.options(
        node,
        auto_pad="NOTSET",
        ceil_mode=0,
        count_include_pad=0,
        dilations=[],
        kernel_shape=[],
        pads=[],
        storage_order=0,
        strides=[],
    )
    kernel, strides, dilations, pads = _windows(o, x, o["kernel_shape"])
    if dilations != [1, 1]:
        raise NoCounterpart("windows with gaps (dilations)")
    op = "max_pool" if node.op_type == "MaxPool" else "avg_pool"
    ceil, counts = bool(o["ceil_mode"]), bool(o["count_include_pad"])
    return pooled(g.growing, op, x, kernel, strides, pads, ceil, counts, node.output[0])


def _global_avg_pool(g: Graph, node: Any, given: list[Any]) -> Made:
    g.options(node)
    out = g.growing.add("global_avg_pool", [image_of(given[0])], name=node.output[0])
    return out._replace(view=(*out.shape, 1, 1))


def _global_max_pool(g: Graph, node: Any, given: list[Any]) -> Made:
    g.options(node)
    x = image_of(given[0])
    return pooled(
        g.growing, "max_pool", x, x.shape[1:], x.shape[1:], [0] * 4, False, False, node.output[0]
    )


def _reduce(g: Graph, node: Any, given: list[Any]) -> Made:
    o = g.options(node, axes=[], keepdims=1, noop_with_empty_axes=0)
    x = value_of(given[0])
    axes = [
        int(a)
        for a in (constant_of(given[1], "axes") if input_of(given, 1) is not None else o["axes"])
    ]
    ndim = len(x.view) + 1
    axes = sorted(a % ndim for a in axes)
    if (
        node.op_type == "ReduceMax"
        and axes == [2]
        and not o["keepdims"]
        and len(x.view) == len(x.shape) + 1
    ):
        pieces = x.view[1]

        return g.growing.add(
            "maxout", [x._replace(view=x.shape)], {"pieces": pieces}, name=node.output[0]
        )
    if node.op_type == "ReduceMean" and axes == [2, 3] and x.view == x.shape:
        out = g.growing.add("global_avg_pool", [image_of(x)], name=node.output[0])
        return out._replace(view=(*out.shape, 1, 1)) if o["keepdims"] else out
    raise NoCounterpart(f"over the axes {axes}")


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
    out = g.growing.add("dropout", [x], {"p": round(1 - _decimal(ratio), 12)}, name=node.output[0])
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


def _resize(g: Graph, node: Any, given: list[Any]) -> Made:
    x = image_of(given[0])
    o = g.options(
        node,
        antialias=0,
        axes=[],
        coordinate_transformation_mode="half_pixel",
        cubic_coeff_a=-0.75,
        exclude_outside=0,
        extrapolation_value=0.0,
        keep_aspect_ratio_policy="stretch",
        mode="nearest",
        nearest_mode="round_prefer_floor",
        scales=[],
    )
    scales, sizes = input_of(given, 1 if node.op_type == "Upsample" else 2), input_of(given, 3)
    if sizes is not None and np.size(sizes):
        wanted = [int(n) for n in constant_of(sizes, "sizes")][-2:]
        if any(w % n for w, n in zip(wanted, x.shape[1:], strict=True)):
            raise NoCounterpart(f"to {wanted}, no multiple of {x.shape[1:]}")
        factors = [w / n for w, n in zip(wanted, x.shape[1:], strict=True)]
    else:
        table = o["scales"] if scales is None else constant_of(scales, "scales")
        factors = [float(s) for s in table][-2:]
    if len(factors) != 2 or any(f != int(f) or not 1 <= f < 1 << 16 for f in factors):
        raise NoCounterpart(f"by {factors}")
    scale = tuple(int(f) for f in factors)
    way = o["coordinate_transformation_mode"]
    name = node.output[0]
    if node.op_type == "Upsample" or (
        o["mode"] == "nearest" and way == "asymmetric" and o["nearest_mode"] == "floor"
    ):
        if o["mode"] != "nearest":
            raise NoCounterpart("bilinear, counted from the corners")
        return g.growing.add("upsample", [x], {"scale": scale, "mode": "nearest"}, name=name)
    if o["mode"] == "linear" and way in ("half_pixel", "pytorch_half_pixel") and not o["antialias"]:
        if way == "pytorch_half_pixel" and 1 in [
            n * s for n, s in zip(x.shape[1:], scale, strict=True)
        ]:
            raise NoCounterpart("to one pixel")
        return g.growing.add("upsample", [x], {"scale": scale, "mode": "bilinear"}, name=name)
    raise NoCounterpart(f"mode {o['mode']}, {way}, {o['nearest_mode']}")


def _pad(g: Graph, node: Any, given: list[Any]) -> Made:
    x = image_of(given[0])
    o = g.options(node, mode="constant", pads=[], value=0.0)
    pads = [
        int(p)
        for p in (constant_of(given[1], "widths") if input_of(given, 1) is not None else o["pads"])
    ]
    value = input_of(given, 2)
    number = o["value"] if value is None else float(constant_of(value, "a value").reshape(-1)[0])
    if o["mode"] != "constant" or len(pads) != 8 or input_of(given, 3) is not None:
        raise NoCounterpart(f"mode {o['mode']}")
    if pads[0] or pads[1] or pads[4] or pads[5] or min(pads) < 0 or max(pads) > 1 << 20:
        raise NoCounterpart(f"by {pads}")
    options = {"pads": (pads[2], pads[6], pads[3], pads[7]), "value": number}
    return g.growing.add("pad", [x], options, name=node.output[0])


OPERATORS: dict[str, Callable[[Graph, Any, list[Any]], Made]] = {
    "Conv": _conv, "ConvTranspose": _conv_transpose, "Gemm": _gemm, "MatMul": _matmul,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Sum"), _arithmetic),
    "Relu": _pointwise("relu"), "Sigmoid": _pointwise("sigmoid"), "Tanh": _pointwise("tanh"),
    "Softplus": _pointwise("softplus"), "LeakyRelu": _pointwise("leaky_relu", alpha=("alpha", 0.01)),
    "Elu": _pointwise("elu", alpha=("alpha", 1.0)), "Gelu": _gelu, "PRelu": _prelu, "Clip": _clip,
    "BatchNormalization": _batchnorm, "LayerNormalization": _layernorm,
    "GroupNormalization": _groupnorm, "InstanceNormalization": _instancenorm,
    "MaxPool": _pool, "AveragePool": _pool, "GlobalAveragePool": _global_avg_pool,
    "GlobalMaxPool": _global_max_pool, "ReduceMean": _reduce, "ReduceMax": _reduce,
    "Flatten": shapes.flatten, "Reshape": shapes.reshape, "Squeeze": shapes.squeeze,
    "Unsqueeze": shapes.squeeze,
    "Transpose": shapes.transpose, "Concat": shapes.concat, "Dropout": _dropout, "Identity": _same,
    "Cast": _cast, "Softmax": _softmax, "LogSoftmax": _softmax, "Resize": _resize,
    "Upsample": _resize, "Pad": _pad, "Constant": shapes.make_constant, "Shape": shapes.shape,
    "ConstantOfShape": shapes.constant_of_shape, "Gather": shapes.gather, "Slice": shapes.sliced,
}  # fmt: skip


def _function_gelu(kind: str) -> Callable[[Graph, Any, list[Any]], Made]:
    def make(g: Graph, node: Any, given: list[Any]) -> Made:
        x = value_of(given[0])
        out = g.growing.add("gelu", [x], {"approximate": kind}, name=node.output[0])
        return out._replace(view=x.view)

    return make


def _function_layernorm(g: Graph, node: Any, given: list[Any]) -> Made:
    x, (gamma, beta, eps) = value_of(given[0]), (floats_of(a, "weights") for a in given[1:4])
    if len(x.shape) != 1 or eps.size != 1:
        raise NoCounterpart(f"rows of the shape {x.view}")
    arrays = {"gamma": gamma.reshape(-1), "beta": beta.reshape(-1)}
    return _norm(g, node, "layernorm", x, {"eps": float(eps.reshape(()))}, arrays)


FUNCTIONS: dict[str, Callable[[Graph, Any, list[Any]], Made]] = {
    **{name: _function_gelu(kind) for kind, name in GELUS.items()},
    "LayerNorm": _function_layernorm,
}
"""Of `handgrad.interop.onnx_float64`, which files in float64 bring along."""
