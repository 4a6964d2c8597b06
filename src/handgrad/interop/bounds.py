"""How far rounding can move the result of a layer, number by number.

A sum of n products in floating point with unit roundoff u is off by at most

    gamma_n sum |x_i w_i|,        gamma_n = n u / (1 - n u)

in any order of the summation.  Each function here computes a layer in float64 and, beside it, such a bound
for each number of the result, from the bounds of its inputs.  What is of second order in u is left out.

Source: N. Higham, Accuracy and Stability of Numerical Algorithms (2002), chapters 3 and 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any, NamedTuple

import numpy as np

from handgrad import engines, layers, nn
from handgrad.interop import numpy_images, numpy_layers
from handgrad.interop.network import Node
from handgrad.interop.numpy_out import more_of
from handgrad.interop.rebuild import layer_table

Array = np.ndarray
ROUNDINGS = 8  # of an elementary function, in units of its size


class Value(NamedTuple):
    """Numbers in float64, and how far each may be off."""

    value: Array
    error: Array

    @classmethod
    def exact(cls, value: Any) -> Value:
        """Numbers that are not off."""
        value = np.asarray(value, np.float64)
        return cls(value, np.zeros(value.shape))


class Done(NamedTuple):
    """A layer's forward pass: its output, and what the backward pass needs."""

    out: Value
    cache: Any
    layer: Any


def gamma(n: float, u: float) -> float:
    """``n u / (1 - n u)``, with two roundings more, those of the inputs' own."""
    n += 2
    return n * u / max(1 - n * u, 0.5)


def forward(
    node: Node, xs: Sequence[Value], u: float, mode: str = "test", winograd: bool = False
) -> Done:
    """Compute the layer of `node`; u is the unit roundoff of the computation that is judged.

    winograd: whether it may have computed convolutions by Winograd's algorithm, whose error depends on
    the whole image.
    """
    arrays = {role: np.asarray(a, np.float64) for role, a in node.arrays.items()}
    if node.op == "dropout":
        return Done(xs[0], None, None)
    layer = _layer(node, arrays)
    given = [x.value for x in xs]
    with engines.use("vectorized"), np.errstate(all="ignore"):
        params = [arrays[role] for role in layer.weights(*(x.shape[1:] for x in given))]
        out, cache = layer.forward(given, params, mode)
        node = replace(node, shape=out.shape[1:])  # a changed option may have changed it
        error = _error(node, arrays, xs, out, u, mode, winograd)
    return Done(Value(out, error + np.finfo(np.float32).tiny * (u > 1e-12)), cache, layer)


def _layer(node: Node, arrays: Mapping[str, Array]) -> Any:
    layer = nn.build_layer(layer_table(node))
    if node.op == "batchnorm":
        layer.load_buffers({f"running_{role}": arrays[role] for role in ("mean", "var")})
    return layer


def _error(
    node: Node,
    w: Mapping[str, Array],
    xs: Sequence[Value],
    out: Array,
    u: float,
    mode: str,
    winograd: bool,
) -> Array:
    o, op, x = node.options, node.op, xs[0]
    e = x.error
    if op in ("affine", "conv", "conv_transpose"):
        return _products(node, w, x, u, winograd)
    if op == "batchnorm" and mode == "test":
        wide = (1, -1) + (1,) * (x.value.ndim - 2)
        scale = np.abs(w.get("gamma", np.ones(1))) / np.sqrt(w["var"] + o["eps"])
        scale, mean = scale.reshape(wide), np.abs(w["mean"]).reshape(wide)
        shift = np.abs(w.get("beta", np.zeros(1))).reshape(wide)
        return scale * e + ROUNDINGS * u * (scale * (np.abs(x.value) + mean) + shift)
    if op in NORMS:
        return normalised(node, w, x, u).error
    if op in ("add", "concat"):
        if op == "concat":
            return np.concatenate([v.error for v in xs], axis=1)
        return sum((v.error for v in xs), u * np.abs(out))
    if op in ("relu", "flatten", "reshape", "permute", "pad", "max_pool", "maxout"):
        return _moved(node, e)
    if op in ("avg_pool", "global_avg_pool", "upsample"):
        n = {"avg_pool": prod(o.get("size", ())), "upsample": 4}.get(op, prod(x.value.shape[2:]))
        moved, sizes = _moved(node, e), _moved(node, np.abs(x.value))
        return moved + (gamma(n + 2, u) * sizes if o.get("mode") != "nearest" else 0)
    if op == "scale":
        return abs(o["factor"]) * e + 2 * u * np.abs(out)
    if op == "standardize":
        return e / np.abs(w["std"]) + 4 * u * (np.abs(x.value) + np.abs(w["mean"])) / np.abs(
            w["std"]
        )
    if op == "prelu":
        return max(1.0, float(np.abs(w["a"]).max())) * e + 2 * u * np.abs(out)
    steepest = max(1.2, abs(o.get("alpha", 0)))
    size = np.abs(out)  # and of what the formulas in use have on the way
    size = size + {
        "gelu": np.abs(x.value),
        "elu": abs(o.get("alpha", 0)),
        "tanh": 1,
        "softplus": 1,
    }.get(op, 0)
    return steepest * e + ROUNDINGS * u * size


_CONSTANTS = ("gelu", "leaky_relu", "elu", "softplus", "scale", "standardize")
_WINDOWS = ("avg_pool", "global_avg_pool", "upsample")


def of_constants(node: Node, xs: Sequence[Value], out: Value, share: float) -> Value:
    """Return the bounds of a layer whose own constants may be off by a share, as those of float32 are."""
    if node.op in _CONSTANTS:
        return Value(out.value, out.error + share * (np.abs(out.value) + np.abs(xs[0].value)))
    if node.op in _WINDOWS:
        return Value(out.value, out.error + share * _moved(node, np.abs(xs[0].value)))
    return out


def of_constants_back(node: Node, dx: Value, dout: Value, share: float) -> Value:
    """Return the same of the gradient of its input."""
    size = np.abs(dx.value) + float(np.abs(dout.value).max(initial=0.0))
    return Value(dx.value, dx.error + share * size) if node.op in (*_CONSTANTS, *_WINDOWS) else dx


NORMS = ("batchnorm", "layernorm", "groupnorm", "instancenorm")


def _products(node: Node, w: Mapping[str, Array], x: Value, u: float, winograd: bool) -> Array:
    op, W = node.op, np.abs(w["W"])
    b = np.abs(w.get("b", np.zeros(node.shape[0])))
    zero = np.zeros_like(b)
    n = W.shape[0] if op == "affine" else W[0].size if op == "conv" else W.size / W.shape[1]
    size = np.abs(x.value)
    if op == "affine":
        call: Any = layers.affine_forward
        options: tuple[Any, ...] = ()
    else:
        keys = ("stride", "pad", "dilation", "groups", "output_pad")
        options = ({key: node.options[key] for key in keys if key in node.options},)
        call = layers.conv_forward if op == "conv" else layers.conv_transpose_forward
    total = call(size, W, b, *options)[0]
    if winograd and op == "conv" and W.shape[2:] == (3, 3):
        # each number of a tile is a combination of all: the largest of the image stands for them
        largest = np.broadcast_to(size.max(axis=(2, 3), keepdims=True), size.shape)
        total = np.maximum(total, call(largest, W, b, *options)[0].max(axis=(2, 3), keepdims=True))
        n = 4 * n
    return call(x.error, W, zero, *options)[0] * (1 + gamma(n, u)) + gamma(n + 1, u) * total


def _moved(node: Node, e: Array) -> Array:
    """The bounds of layers that choose or average numbers."""
    o, op = node.options, node.op
    if op == "relu":
        return e
    if op == "flatten":
        return e.reshape(len(e), -1)
    if op == "reshape":
        return e.reshape(len(e), *o["to"])
    if op == "permute":
        return e.transpose(0, *(i + 1 for i in o["order"]))
    if op == "pad":
        return numpy_images.image_pad(e, o["pads"], 0.0)
    if op == "maxout":
        return numpy_layers.maxout(e, o["pieces"])
    if op == "max_pool":
        return numpy_images.max_pool(
            e, o["size"], o["stride"], o["pad"], more_of(node, e.shape[1:])
        )
    if op == "avg_pool":
        more = more_of(node, e.shape[1:])
        return numpy_images.avg_pool(
            e, o["size"], o["stride"], o["pad"], more, o["count_include_pad"]
        )
    if op == "global_avg_pool":
        return e.mean(axis=(2, 3))
    return numpy_images.upsample(e, o["scale"], o["mode"])


class Normalised(NamedTuple):
    """Of a normalisation: xhat, its bound, 1 / std and the relative bound of that, out's bound, the axes."""

    xhat: Array
    xhat_error: Array
    inverse: Array
    relative: Array
    error: Array
    axes: tuple[int, ...]
    grouped: tuple[int, ...]


def normalised(node: Node, w: Mapping[str, Array], x: Value, u: float) -> Normalised:
    """The statistics of a batch or a row, and how far rounding moves them.

    With d the bound of x - mean:   std is off by the share  mean(|xhat| d) / std + gamma_m mean(x^2) / var.
    """
    shape = x.value.shape
    grouped: tuple[int, ...] = shape
    axes: tuple[int, ...] = (0, *range(2, len(shape)))
    if node.op != "batchnorm":
        groups = {"layernorm": 1, "instancenorm": shape[1]}.get(node.op, node.options.get("groups"))
        grouped, axes = (shape[0], int(groups or 1), -1), (2,)
    value, e = x.value.reshape(grouped), x.error.reshape(grouped)
    m = value.size // max(value.mean(axis=axes).size, 1)
    mean = value.mean(axis=axes, keepdims=True)
    var = value.var(axis=axes, keepdims=True) + node.options["eps"]
    std = np.sqrt(var)
    xhat = (value - mean) / std
    d = e + e.mean(axis=axes, keepdims=True) + u * np.abs(value - mean)
    d = d + gamma(m, u) * np.abs(value).mean(axis=axes, keepdims=True)
    relative = (np.abs(xhat) * d).mean(axis=axes, keepdims=True) / std
    relative = relative + (d**2).mean(axis=axes, keepdims=True) / var
    relative = relative + gamma(m, u) * ((value**2).mean(axis=axes, keepdims=True) / var + 1)
    off = d / std + np.abs(xhat) * (relative + 4 * u)
    wide = (1, -1) + (1,) * (len(shape) - 2)
    scale = np.abs(w.get("gamma", np.ones(1))).reshape(wide)
    shift = np.abs(w.get("beta", np.zeros(1))).reshape(wide)
    sized = scale * np.abs(xhat.reshape(shape)) + shift
    error = scale * off.reshape(shape) + 4 * u * sized
    return Normalised(xhat, off, 1 / std, relative + 4 * u, error, axes, grouped)
