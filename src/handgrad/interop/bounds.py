"""How far rounding can move the result of a layer, number by number.

A sum of n products in floating point with unit roundoff u is off by at most

    gamma_n sum |x_i w_i|,        gamma_n = n u / (1 - n u)

in any order of the summation.  Each function here computes a layer in float64 and, beside it, such a bound
for each number of the result, from the bounds of its inputs.  What is of second order in u is left out.

Source: N. Higham, Accuracy and Stability of Numerical Algorithms (2002), chapters 3 and 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any, NamedTuple

import numpy as np

from handgrad import engines, layers, nn
from handgrad.interop import numpy_layers
from handgrad.interop.network import Node
from handgrad.interop.numpy_out import more_of
from handgrad.interop.rebuild import layer_table

Array = np.ndarray
_ROUNDINGS = 8  # of an elementary function, in units of its size


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
        return scale * e + _ROUNDINGS * u * (scale * (np.abs(x.value) + mean) + shift)
    if op in NORMS:
        return _normalised(node, w, x, u).error
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
    return steepest * e + _ROUNDINGS * u * size


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
        return numpy_layers.image_pad(e, o["pads"], 0.0)
    if op == "maxout":
        return numpy_layers.maxout(e, o["pieces"])
    if op == "max_pool":
        return numpy_layers.max_pool(
            e, o["size"], o["stride"], o["pad"], more_of(node, e.shape[1:])
        )
    if op == "avg_pool":
        more = more_of(node, e.shape[1:])
        return numpy_layers.avg_pool(
            e, o["size"], o["stride"], o["pad"], more, o["count_include_pad"]
        )
    if op == "global_avg_pool":
        return e.mean(axis=(2, 3))
    return numpy_layers.upsample(e, o["scale"], o["mode"])


class Normalised(NamedTuple):
    """Of a normalisation: xhat, its bound, 1 / std and the relative bound of that, out's bound, the axes."""

    xhat: Array
    xhat_error: Array
    inverse: Array
    relative: Array
    error: Array
    axes: tuple[int, ...]
    grouped: tuple[int, ...]


def _normalised(node: Node, w: Mapping[str, Array], x: Value, u: float) -> Normalised:
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


# -- backward --------------------------------------------------------------------------------------


class Gradients(NamedTuple):
    """Of a layer's inputs, in their order, and of its parameters by role."""

    inputs: list[Value]
    params: dict[str, Value]


def backward(
    node: Node,
    xs: Sequence[Value],
    done: Done,
    dout: Value,
    u: float,
    mode: str = "train",
    winograd: bool = False,
) -> Gradients:
    """Compute the backward pass of the layer of `node`, and the bounds of the gradients."""
    if node.op == "dropout":
        return Gradients([dout], {})
    with engines.use("vectorized"), np.errstate(all="ignore"):
        dxs, dparams = done.layer.backward(dout.value, done.cache)
        weights = done.layer.weights(*(x.value.shape[1:] for x in xs))
        named = dict(zip(weights, dparams, strict=True))
        errors, own = _backward_errors(node, xs, done, dout, u, mode)
        if winograd and node.op == "conv" and node.arrays["W"].shape[2:] == (3, 3):
            _by_tiles(node, xs[0], dout, u, errors, own)
    tiny = np.finfo(np.float32).tiny * (u > 1e-12)
    inputs = [Value(dx, error + tiny) for dx, error in zip(dxs, errors, strict=True)]
    return Gradients(inputs, {role: Value(dw, own[role] + tiny) for role, dw in named.items()})


def _backward_errors(
    node: Node, xs: Sequence[Value], done: Done, dout: Value, u: float, mode: str
) -> tuple[list[Array], dict[str, Array]]:
    op, o, x = node.op, node.options, xs[0]
    w = {role: np.asarray(a, np.float64) for role, a in node.arrays.items()}
    if op in ("affine", "conv", "conv_transpose"):
        return _products_back(node, w, x, dout, u)
    if op in NORMS:
        if op == "batchnorm" and mode == "test":
            wide = (1, -1) + (1,) * (x.value.ndim - 2)
            scale = np.abs(w.get("gamma", np.ones(1))) / np.sqrt(w["var"] + o["eps"])
            error = scale.reshape(wide) * (dout.error + _ROUNDINGS * u * np.abs(dout.value))
            inverse = 1 / np.sqrt(w["var"] + o["eps"]).reshape(wide)
            xhat = (x.value - w["mean"].reshape(wide)) * inverse
            off = inverse * (x.error + 4 * u * (np.abs(x.value) + np.abs(w["mean"]).reshape(wide)))
            return [error], _scale_and_shift(dout, xhat, off, u)
        return _normalised_back(node, w, x, dout, u)
    if op == "prelu":
        m = x.value.size // w["a"].size
        axes = tuple(range(x.value.ndim)) if w["a"].size == 1 else (0, *range(2, x.value.ndim))
        size = np.abs(dout.value * x.value)
        da = dout.error * np.abs(x.value) + np.abs(dout.value) * x.error + gamma(m, u) * size
        da = da.sum(axis=axes).reshape(w["a"].shape) + gamma(m, u) * size.sum(axis=axes).reshape(
            w["a"].shape
        )
        steep = max(1.0, float(np.abs(w["a"]).max()))
        near = np.abs(x.value) <= x.error
        dx = (
            steep * dout.error
            + 2 * u * steep * np.abs(dout.value)
            + near * (1 + steep) * np.abs(dout.value)
        )
        return [dx], {"a": da}
    absolute = done.layer.backward(np.abs(dout.value), done.cache)[0]
    moved = done.layer.backward(dout.error, done.cache)[0]
    sizes = [np.abs(a) for a in absolute]
    errors = [np.abs(e) + gamma(4, u) * s for e, s in zip(moved, sizes, strict=True)]
    if op in ("max_pool", "maxout"):  # another one may have been the largest
        errors[0] = errors[0] + _ties(node, x, done.out, Value(np.abs(dout.value), dout.error))
    elif op in ("relu", "leaky_relu"):
        errors[0] = errors[0] + (np.abs(x.value) <= x.error) * 1.5 * np.abs(dout.value)
    elif op in ("sigmoid", "tanh", "softplus", "elu", "gelu"):
        steep = max(1.2, abs(o.get("alpha", 0)))
        bend = steep * x.error + _ROUNDINGS * u * (
            1 + (np.abs(x.value) if op == "gelu" else 0) + steep
        )
        errors[0] = 1.2 * steep * dout.error + np.abs(dout.value) * bend
    elif op in ("avg_pool", "global_avg_pool", "upsample"):
        n = prod(o.get("size", ())) if op == "avg_pool" else 4 * prod(o.get("scale", (1, 1)))
        errors[0] = errors[0] + gamma(n + 2, u) * sizes[0]
    return errors, {}


def _ties(node: Node, x: Value, out: Value, dout: Value) -> Array:
    """What the numbers get that may be the largest of their window, or one of several."""
    wide = np.zeros_like(x.value)
    if node.op == "maxout":
        pieces = node.options["pieces"]
        best = np.repeat(out.value - out.error, pieces, axis=1)
        more = np.repeat(dout.value, pieces, axis=1)
        groups = (x.value + x.error >= best).reshape(len(wide), -1, pieces, *wide.shape[2:])
        tied = np.repeat(groups.sum(axis=2) > 1, pieces, axis=1)
        return more * tied * (x.value + x.error >= best)
    o = node.options
    beyond = more_of(node, x.value.shape[1:])
    high = numpy_layers.padded(x.value + x.error, o["pad"], beyond, -np.inf)
    low = numpy_layers.padded(x.value - x.error, o["pad"], beyond, -np.inf)
    view = numpy_layers.windows(high, o["size"], o["stride"])
    best = numpy_layers.windows(low, o["size"], o["stride"]).max(axis=(4, 5))
    may = view >= best[..., None, None]
    share = np.where(may.sum(axis=(4, 5)) > 1, dout.value, 0.0)
    given = may * share[..., None, None]
    big = np.zeros(high.shape)
    rows, columns = given.shape[2:4]
    for i in range(o["size"][0]):
        for j in range(o["size"][1]):
            place = big[
                :, :, i : i + (rows - 1) * o["stride"][0] + 1 : o["stride"][0],
                j : j + (columns - 1) * o["stride"][1] + 1 : o["stride"][1],
            ]  # fmt: skip
            place += given[..., i, j]
    row, column = o["pad"]
    return big[:, :, row : row + wide.shape[2], column : column + wide.shape[3]]


def _products_back(
    node: Node, w: Mapping[str, Array], x: Value, dout: Value, u: float
) -> tuple[list[Array], dict[str, Array]]:
    """The backward passes are sums of products as well: the same layer with sizes in place of numbers."""
    op, W = node.op, np.abs(w["W"])
    b = np.zeros(node.shape[0])
    if op == "affine":
        options: tuple[Any, ...] = ()
    else:
        keys = ("stride", "pad", "dilation", "groups", "output_pad")
        options = ({key: node.options[key] for key in keys if key in node.options},)
    call, back = (getattr(layers, f"{op}_{way}") for way in ("forward", "backward"))
    _, cache = call(np.abs(x.value), W, b, *options)
    dx, dW, db = back(np.abs(dout.value), cache)
    dx_moved, dW_moved, db_moved = back(dout.error, cache)
    _, error_cache = call(x.error, W, b, *options)
    _, dW_x, _ = back(np.abs(dout.value), error_cache)
    pixels = prod(dout.value.shape[2:])
    n = dout.value.shape[1] * (W[0, 0].size if op != "affine" else 1)
    m = len(dout.value) * max(pixels, prod(x.value.shape[2:]) if op != "affine" else 1)
    own = {"W": dW_moved + dW_x + 2 * gamma(m, u) * dW}
    if "b" in w:
        own["b"] = db_moved + gamma(m, u) * db
    return [dx_moved + 2 * gamma(n, u) * dx], own


def _by_tiles(
    node: Node, x: Value, dout: Value, u: float, errors: list[Array], own: dict[str, Array]
) -> None:
    """Let the largest of an image stand for all of it: Winograd's numbers are combinations of a tile's."""
    size, upstream = (
        np.broadcast_to(np.abs(a).max(axis=(2, 3), keepdims=True), a.shape)
        for a in (x.value, dout.value)
    )
    dxs, dws = _products_back(
        node, node.arrays, Value(size, 0 * size), Value(upstream, 0 * upstream), 4 * u
    )
    errors[0] = errors[0] + dxs[0].max(axis=(2, 3), keepdims=True)
    own["W"] = own["W"] + dws["W"].max(axis=(2, 3), keepdims=True)


def _scale_and_shift(dout: Value, xhat: Array, off: Array, u: float) -> dict[str, Array]:
    axes = (0, *range(2, xhat.ndim))
    m = xhat.size // xhat.shape[1]
    size = np.abs(dout.value)
    dgamma = dout.error * np.abs(xhat) + size * off + gamma(m, u) * size * np.abs(xhat)
    return {
        "gamma": dgamma.sum(axis=axes),
        "beta": (dout.error + gamma(m, u) * size).sum(axis=axes),
    }


def _normalised_back(
    node: Node, w: Mapping[str, Array], x: Value, dout: Value, u: float
) -> tuple[list[Array], dict[str, Array]]:
    shape = x.value.shape
    n = _normalised(node, w, x, u)
    wide = (1, -1) + (1,) * (len(shape) - 2)
    scale = np.abs(w.get("gamma", np.ones(1))).reshape(wide)
    size = (scale * np.abs(dout.value)).reshape(n.grouped)
    e = (scale * (dout.error + 2 * u * np.abs(dout.value))).reshape(n.grouped)
    m = size.size // max(size.mean(axis=n.axes).size, 1)

    def mean(array: Array) -> Array:
        return array.mean(axis=n.axes, keepdims=True)

    xhat = np.abs(n.xhat)
    whole = size + mean(size) + xhat * mean(size * xhat)
    off = e + mean(e) + xhat * mean(e * xhat) + n.xhat_error * mean(size * xhat)
    off = off + xhat * mean(size * n.xhat_error)
    off = off + gamma(m, u) * (mean(size) + xhat * mean(size * xhat))
    error = n.inverse * (off + (n.relative + _ROUNDINGS * u) * whole)
    own = _scale_and_shift(dout, n.xhat.reshape(shape), n.xhat_error.reshape(shape), u)
    return [error.reshape(shape)], own


def mistaken(
    node: Node, xs: Sequence[Value], dout: Value, mode: str
) -> Iterator[tuple[str, Array]]:
    """Yield what known mistakes of a backward pass give in the place of dx."""
    x = xs[0]
    w = {role: np.asarray(a, np.float64) for role, a in node.arrays.items()}
    if node.op in NORMS and (node.op != "batchnorm" or mode == "train"):
        wide = (1, -1) + (1,) * (x.value.ndim - 2)
        scaled = dout.value * w.get("gamma", np.ones(1)).reshape(wide)
        n = _normalised(node, w, x, 0.0)
        plain = scaled.reshape(n.grouped) * n.inverse
        words = "the gradient does not go through the statistics: they are taken for constants"
        yield words, plain.reshape(x.value.shape)
        mean = plain.mean(axis=n.axes, keepdims=True)
        words = "the gradient goes through the mean, not through the variance"
        yield words, (plain - mean).reshape(x.value.shape)
    elif node.op in ("relu", "leaky_relu", "elu", "gelu", "sigmoid", "tanh", "softplus", "prelu"):
        yield "the gradient goes through as if the activation were not there", dout.value
