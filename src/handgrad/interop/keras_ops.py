"""Keras' layers in the neutral form: for each a function of the reader, the layer, its inputs and its node.

It returns a value of the network, or raises `NoCounterpart` with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.interop.keras_rows import global_mean, of_rows
from handgrad.interop.network import Node
from handgrad.interop.reader import (
    NoCounterpart,
    Value,
    as_pixels,
    padded,
    pooled,
    same_pads,
    scaled,
    standardized,
)

Made = Any
_Reader = Any


def _sided(
    r: _Reader, layer: Any, x: Value, reach: Any, stride: Any
) -> tuple[Value, tuple[int, int]]:
    if len(x.shape) != 3:
        raise NoCounterpart(f"on rows of {x.shape}")
    if layer.padding == "valid":
        return x, (0, 0)
    if layer.padding != "same":
        raise NoCounterpart(f"padding={layer.padding!r}")
    return padded(r.growing, x, same_pads(x.shape, reach, stride, True), layer.name)


def _dense(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    W = r.numbers(layer.kernel)
    if len(x.shape) != 1:
        raise NoCounterpart(f"on rows of {x.shape}")
    layout = r.layouts.get(x.name)
    if layout is not None:
        C, H, Wd = layout
        W = np.ascontiguousarray(W.reshape(H, Wd, C, -1).transpose(2, 0, 1, 3).reshape(W.shape))
    arrays = {"W": W} | ({"b": r.numbers(layer.bias)} if layer.use_bias else {})
    return r.growing.add("affine", [x], {}, arrays, params=_names(layer, arrays), name=layer.name)


def _names(layer: Any, arrays: Any) -> dict[str, str]:
    return {role: f"{layer.name}.{role}" for role in arrays if role not in ("mean", "var")}


def _conv(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    x = as_pixels(r.growing, given[0], layer.name)
    depthwise = type(layer).__name__ == "DepthwiseConv2D"
    kernel = r.numbers(
        layer.kernel
    )  # (rows, columns, C / groups, F), depthwise (rows, columns, C, multiplier)
    if depthwise:
        W = kernel.transpose(2, 3, 0, 1).reshape(-1, 1, *kernel.shape[:2])
        groups = kernel.shape[2]
    else:
        W, groups = kernel.transpose(3, 2, 0, 1), layer.groups
    stride, dilation = (tuple(int(n) for n in v) for v in (layer.strides, layer.dilation_rate))
    reach = [d * (n - 1) + 1 for d, n in zip(dilation, W.shape[2:], strict=True)]
    x, pad = _sided(r, layer, x, reach, stride)
    arrays = {"W": np.ascontiguousarray(W)} | (
        {"b": r.numbers(layer.bias)} if layer.use_bias else {}
    )
    options = {"stride": stride, "pad": pad, "dilation": dilation, "groups": groups}
    return r.growing.add(
        "conv", [x], options, arrays, params=_names(layer, arrays), name=layer.name
    )


def _separable(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    """A convolution of each channel alone, and one of single pixels behind it."""
    x = as_pixels(r.growing, given[0], layer.name)
    kernel, last = r.numbers(layer.depthwise_kernel), r.numbers(layer.pointwise_kernel)
    W = np.ascontiguousarray(kernel.transpose(2, 3, 0, 1).reshape(-1, 1, *kernel.shape[:2]))
    stride, dilation = (tuple(int(n) for n in v) for v in (layer.strides, layer.dilation_rate))
    reach = [d * (n - 1) + 1 for d, n in zip(dilation, W.shape[2:], strict=True)]
    x, pad = _sided(r, layer, x, reach, stride)
    options = {"stride": stride, "pad": pad, "dilation": dilation, "groups": kernel.shape[2]}
    name = f"{layer.name}_depthwise"
    middle = r.growing.add("conv", [x], options, {"W": W}, params={"W": f"{name}.W"}, name=name)
    arrays = {"W": np.ascontiguousarray(last.transpose(3, 2, 0, 1))}
    arrays |= {"b": r.numbers(layer.bias)} if layer.use_bias else {}
    plain = {"stride": (1, 1), "pad": (0, 0), "dilation": (1, 1), "groups": 1}
    return r.growing.add(
        "conv", [middle], plain, arrays, params=_names(layer, arrays), name=layer.name
    )


def _conv_transpose(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    W = np.ascontiguousarray(r.numbers(layer.kernel).transpose(3, 2, 0, 1))
    stride, dilation = (tuple(int(n) for n in v) for v in (layer.strides, layer.dilation_rate))
    if layer.padding != "valid" or layer.output_padding is not None:
        raise NoCounterpart(f"padding={layer.padding!r}")
    reach = [d * (n - 1) + 1 for d, n in zip(dilation, W.shape[2:], strict=True)]
    more = tuple(max(s - n, 0) for s, n in zip(stride, reach, strict=True))
    pad, extra = (0, 0), more
    arrays = {"W": W} | ({"b": r.numbers(layer.bias)} if layer.use_bias else {})
    options = {"stride": stride, "pad": pad, "output_pad": extra, "dilation": dilation, "groups": 1}
    return r.growing.add(
        "conv_transpose", [x], options, arrays, params=_names(layer, arrays), name=layer.name
    )


def _cropping(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    """Behind a transposed convolution it is that one's padding."""
    (x,) = given
    last = r.growing.nodes[-1]
    (top, bottom), (left, right) = layer.cropping
    if last.name != x.name or last.op != "conv_transpose" or any(last.options["pad"]):
        raise NoCounterpart("")
    extra = [
        e + a - b
        for e, a, b in zip(last.options["output_pad"], (top, left), (bottom, right), strict=True)
    ]
    if min(extra) < 0:
        raise NoCounterpart("that cuts off more at the far end")
    r.growing.nodes.pop()
    r.growing._names.discard(last.name)
    options = {**last.options, "pad": (top, left), "output_pad": tuple(extra)}
    front = Value(
        last.inputs[0], *[r.growing.inputs.get(last.inputs[0]) or _shape_of(r, last.inputs[0])] * 2
    )
    return r.growing.add(
        "conv_transpose", [front], options, last.arrays, params=dict(last.params), name=last.name
    )


def _shape_of(r: _Reader, name: str) -> tuple[int, ...]:
    return next(node.shape for node in r.growing.nodes if node.name == name)


def _norm(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    kind = type(layer).__name__
    axis = layer.axis if isinstance(layer.axis, int) else next(iter(layer.axis), None)
    if axis not in (-1, len(x.view)):
        raise NoCounterpart(f"along the axis {layer.axis}")
    if getattr(layer, "rms_scaling", False):
        raise NoCounterpart("rms_scaling")
    arrays, options = {}, {"eps": float(layer.epsilon)}
    if layer.scale:
        arrays["gamma"] = r.numbers(layer.gamma)
    if layer.center:
        arrays["beta"] = r.numbers(layer.beta)
    if kind == "BatchNormalization":
        arrays |= {"mean": r.numbers(layer.moving_mean), "var": r.numbers(layer.moving_variance)}
        options["momentum"] = float(layer.momentum)
        op = "batchnorm"
    elif kind == "LayerNormalization":
        if len(x.shape) != 1:
            raise NoCounterpart("over the channels of each pixel")
        op = "layernorm"
    else:
        op = "groupnorm"
        options["groups"] = x.shape[0] if layer.groups == -1 else int(layer.groups)
    return r.growing.add(op, [x], options, arrays, params=_names(layer, arrays), name=layer.name)


def _pool(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    size, stride = (tuple(int(n) for n in v) for v in (layer.pool_size, layer.strides))
    kind = getattr(layer, "kind_of_images", type(layer).__name__)
    op = "max_pool" if kind == "MaxPooling2D" else "avg_pool"
    if len(x.shape) != 3:
        raise NoCounterpart(f"on rows of {x.shape}")
    pads = [0] * 4 if layer.padding == "valid" else same_pads(x.shape, size, stride, True)
    return pooled(r.growing, op, x, size, stride, pads, False, not any(pads), layer.name)


def _global_avg(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    out = r.growing.add("global_avg_pool", given, name=layer.name)
    return out._replace(view=(*out.shape, 1, 1)) if layer.keepdims else out


def _global_max(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    out = pooled(
        r.growing, "max_pool", x, x.shape[1:], x.shape[1:], [0] * 4, False, False, layer.name
    )
    return out if layer.keepdims else r.growing.add("flatten", [out], name=f"{layer.name}.flatten")


def _flatten(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    if len(x.shape) == 1:
        return x._replace(view=x.shape)
    out = r.growing.add("flatten", [x], name=layer.name)
    if x.name not in r.first and min(x.shape[0], x.shape[1] * x.shape[2]) > 1:
        r.layouts[out.name] = x.shape
    return out


def _permute(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    if tuple(layer.dims) == (3, 1, 2) and len(x.shape) == 3 and x.name not in r.first:
        name = r.growing.fresh(layer.name)
        r.first.add(name)
        r.growing.nodes.append(_alias(x, name))
        return Value(name, x.shape, x.shape)
    place = {0: 2, 1: 0, 2: 1}
    dims = [d - 1 for d in layer.dims]
    if len(x.shape) != 3 or x.name in r.first:
        raise NoCounterpart(f"dims={tuple(layer.dims)}")
    back = {v: k for k, v in place.items()}
    order = tuple(back[dims[place[axis]]] for axis in range(3))
    return r.growing.add("permute", [x], {"order": order}, name=layer.name)


def _alias(x: Value, name: str) -> Any:
    """Images as they are, under another name: Keras has moved their channels to the front."""
    return Node(name, "permute", (x.name,), {"order": (0, 1, 2)}, {}, {}, x.shape)


def _reshape(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    target = tuple(int(n) for n in node.outputs[0].shape[1:])
    last = (*x.shape[1:], x.shape[0])
    if target == last:
        return x
    if {len(target), len(last)} == {2, 3} and target[-1] == last[-1] and 1 in (target[0], last[0]):
        to = (target[-1], *target[:-1])  # sequences and images of one row
        return r.growing.add("reshape", [x], {"to": to}, name=layer.name)
    if len(x.shape) == 1 and x.view == x.shape and len(target) == 3:  # rows that become images
        rows = r.growing.add("reshape", [x], {"to": target}, name=f"{layer.name}_rows")
        return r.growing.add("permute", [rows], {"order": (2, 0, 1)}, name=layer.name)
    if target[:-2] == last[:-1] and target[-1] * target[-2] == last[-1]:
        return x._replace(
            view=(target[-2], target[-1], *x.shape[1:])
        )  # groups of channels, as maxout has them
    if len(target) == 1:
        return _flatten(r, layer, given, node)
    if len(x.shape) == 1 and target == (1, 1, x.shape[0]):
        return x._replace(view=(*x.shape, 1, 1))
    raise NoCounterpart(f"from {last} to {target}")


def _max(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    if len(x.view) == len(x.shape) + 1 and layer.axis in (-1, [-1], (-1,)) and not layer.keepdims:
        return r.growing.add(
            "maxout", [x._replace(view=x.shape)], {"pieces": x.view[1]}, name=layer.name
        )
    raise NoCounterpart(f"over {layer.axis}")


def _simple(op: str, **options: Callable[[Any], Any]) -> Callable[..., Made]:
    def make(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
        found = {name: read(layer) for name, read in options.items()}
        return r.growing.add(op, given, found, name=layer.name)

    return make


def _relu(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    if layer.max_value is not None or layer.threshold:
        raise NoCounterpart(f"max_value={layer.max_value}, threshold={layer.threshold}")
    slope = float(layer.negative_slope)
    if slope:
        return r.growing.add("leaky_relu", given, {"alpha": slope}, name=layer.name)
    return r.growing.add("relu", given, name=layer.name)


def _prelu(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    a = r.numbers(layer.alpha)
    if a.size not in (1, x.shape[0]) or a.shape[-1] != a.size:
        raise NoCounterpart(f"slopes of the shape {a.shape}")
    return r.growing.add(
        "prelu", [x], {}, {"a": a.reshape(-1)}, params={"a": f"{layer.name}.a"}, name=layer.name
    )


def _dropout(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    return r.growing.add("dropout", given, {"p": round(1 - float(layer.rate), 12)}, name=layer.name)


def _same(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    return given[0]


def _add(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    out = given[0]
    for i, x in enumerate(given[1:]):
        out = r.growing.add(
            "add", [out, x], name=layer.name if i == len(given) - 2 else f"{layer.name}.{i}"
        )
    return out


def _concat(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    if layer.axis not in (-1, len(given[0].view)):
        raise NoCounterpart(f"along the axis {layer.axis}")
    return r.growing.add("concat", given, name=layer.name)


def _zero_padding(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (top, bottom), (left, right) = layer.padding
    return r.growing.add(
        "pad", given, {"pads": (top, bottom, left, right), "value": 0.0}, name=layer.name
    )


def _pad_op(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    sides = [tuple(int(n) for n in side) for side in layer.pad_width]
    value = node.arguments.kwargs.get("constant_values")
    value = node.arguments.args[1] if value is None and len(node.arguments.args) > 1 else value
    if layer.mode != "constant" or len(sides) != 4 or any(sides[0] + sides[3]):
        raise NoCounterpart(f"mode {layer.mode}, {sides}")
    options = {"pads": (*sides[1], *sides[2]), "value": float(value or 0)}
    return r.growing.add("pad", given, options, name=layer.name)


def _upsampling(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    if layer.interpolation not in ("nearest", "bilinear"):
        raise NoCounterpart(f"interpolation={layer.interpolation!r}")
    options = {"scale": tuple(int(n) for n in layer.size), "mode": layer.interpolation}
    return r.growing.add("upsample", given, options, name=layer.name)


def _rescaling(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    factor, shift = (np.atleast_1d(np.asarray(v, np.float64)) for v in (layer.scale, layer.offset))
    return scaled(r.growing, given[0], factor, shift, layer.name)


def _normalization(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    if layer.invert:
        raise NoCounterpart("invert")
    mean, var = (np.asarray(r.numbers(v), np.float64) for v in (layer.mean, layer.variance))
    mean, std = mean[0], np.maximum(np.sqrt(var[0]), 1e-7)
    if mean.ndim > 1:
        mean, std = (np.moveaxis(a, -1, 0) for a in (mean, std))
    return standardized(r.growing, x, mean, std, layer.name)


def _multiply(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    """A value and constants, as `export` corrects the means of windows at the edges."""
    constants = [a for a in node.arguments.args if not hasattr(a, "_keras_history")]
    if len(given) != 1 or len(constants) != 1:
        raise NoCounterpart("of two values")
    factor = np.asarray(r.numbers(constants[0]), np.float64)
    if factor.ndim == 4 and len(given[0].shape) == 3:
        factor = factor[0].transpose(2, 0, 1)
    return scaled(r.growing, given[0], factor, np.zeros(1), layer.name)


def _gelu(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    options = {"approximate": "tanh" if layer.approximate else "none"}
    return r.growing.add("gelu", given, options, name=layer.name)


LAYERS: dict[str, Callable[..., Made]] = {
    "Dense": _dense, "Conv2D": _conv, "DepthwiseConv2D": _conv, "SeparableConv2D": _separable,
    "Conv2DTranspose": _conv_transpose,
    "Cropping2D": _cropping, "Conv1D": of_rows(_conv), "MaxPooling1D": of_rows(_pool),
    "AveragePooling1D": of_rows(_pool), "GlobalAveragePooling1D": global_mean,
    **dict.fromkeys(("BatchNormalization", "LayerNormalization", "GroupNormalization"), _norm),
    "MaxPooling2D": _pool, "AveragePooling2D": _pool, "GlobalAveragePooling2D": _global_avg,
    "GlobalMaxPooling2D": _global_max, "Flatten": _flatten, "Permute": _permute, "Reshape": _reshape,
    "Max": _max, "Dropout": _dropout, "SpatialDropout2D": _dropout, "Activation": _same,
    "ReLU": _relu, "LeakyReLU": _simple("leaky_relu", alpha=lambda layer: float(layer.negative_slope)),
    "ELU": _simple("elu", alpha=lambda layer: float(layer.alpha)), "PReLU": _prelu, "Add": _add,
    "Concatenate": _concat, "ZeroPadding2D": _zero_padding, "Pad": _pad_op,
    "UpSampling2D": _upsampling, "Rescaling": _rescaling, "Normalization": _normalization,
    "Multiply": _multiply, "Gelu": _gelu, "GELU": _gelu, "Identity": _same,
}  # fmt: skip
