"""How far rounding can move the gradients of a layer, number by number; see `handgrad.interop.bounds`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from handgrad import engines, layers
from handgrad.interop import numpy_images
from handgrad.interop.bounds import NORMS, ROUNDINGS, Done, Value, gamma, normalised
from handgrad.interop.network import Node
from handgrad.interop.numpy_out import more_of

Array = np.ndarray


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
            error = scale.reshape(wide) * (dout.error + ROUNDINGS * u * np.abs(dout.value))
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
        bend = steep * x.error + ROUNDINGS * u * (
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
    high = numpy_images.padded(x.value + x.error, o["pad"], beyond, -np.inf)
    low = numpy_images.padded(x.value - x.error, o["pad"], beyond, -np.inf)
    view = numpy_images.windows(high, o["size"], o["stride"])
    best = numpy_images.windows(low, o["size"], o["stride"]).max(axis=(4, 5))
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
    n = normalised(node, w, x, u)
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
    error = n.inverse * (off + (n.relative + ROUNDINGS * u) * whole)
    own = _scale_and_shift(dout, n.xhat.reshape(shape), n.xhat_error.reshape(shape), u)
    return [error.reshape(shape)], own
