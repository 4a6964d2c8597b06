"""Known mistakes of backward passes, and the search for one behind a parameter's gradient.

Where no gradients of values are seen, as in a model of the courses' form, a wrong gradient of a parameter may
come from any layer between it and the loss: each of their known mistakes is carried back to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from handgrad.interop import bounds
from handgrad.interop.bounds import NORMS, Value, normalised
from handgrad.interop.bounds_back import Gradients, backward
from handgrad.interop.match import Found, fits
from handgrad.interop.network import POINTWISE, Network, Node

Array = np.ndarray
Wrong = tuple[str, Array]


def mistaken(node: Node, xs: Sequence[Value], dout: Value, mode: str) -> Iterator[Wrong]:
    """Yield what known mistakes of a backward pass give in the place of dx."""
    if node.op in NORMS and (node.op != "batchnorm" or mode == "train"):
        yield from _norms(node, xs[0], dout.value)
    elif node.op in POINTWISE:
        yield from _points(node, xs[0], dout, mode)
    elif node.op in ("affine", "conv"):
        yield from _products(node, xs, dout, mode)
    elif node.op == "avg_pool":
        window = prod(node.options["size"])
        yield "the gradient is not divided by the window", window * _plain(node, xs, dout, mode)
    elif node.op == "global_avg_pool":
        pixels = prod(xs[0].value.shape[2:])
        yield "the gradient is not divided by the pixels", pixels * _plain(node, xs, dout, mode)


def mistaken_parameter(node: Node, role: str, xs: Sequence[Value], dout: Value) -> Iterator[Wrong]:
    """Yield what known mistakes give in the place of the gradient of a parameter."""
    x, d = xs[0].value, dout.value
    axes = (0, *range(2, d.ndim))
    if role == "gamma" and x.shape == d.shape:
        yield "the gradient of gamma has the input, not the normalised numbers", (d * x).sum(axes)
        yield "the gradient of gamma lacks the normalised numbers", d.sum(axes)
    if role in ("b", "beta"):
        yield "the gradient is the mean over the rows, not their sum", d.sum(axes) / len(d)
        yield "the gradient is that of the first row alone", d[:1].sum(axes)
    if role == "W" and node.op == "affine":
        flat = x.reshape(len(x), -1)
        yield "the gradient has the input after a ReLU", np.maximum(flat, 0).T @ d
        yield "the gradient is divided by the rows once more", flat.T @ d / len(d)


def _plain(node: Node, xs: Sequence[Value], dout: Value, mode: str) -> Array:
    return _back(node, xs, dout, mode).inputs[0].value


def _back(node: Node, xs: Sequence[Value], dout: Value, mode: str) -> Gradients:
    unit = 2.0**-53
    return backward(node, xs, bounds.forward(node, xs, unit, mode), dout, unit, mode)


def _norms(node: Node, x: Value, dout: Array) -> Iterator[Wrong]:
    w = {role: np.asarray(a, np.float64) for role, a in node.arrays.items()}
    wide = (1, -1) + (1,) * (x.value.ndim - 2)
    n = normalised(node, w, x, 0.0)
    inverse = n.inverse
    xhat = (
        x.value.reshape(n.grouped) - x.value.reshape(n.grouped).mean(n.axes, keepdims=True)
    ) * inverse

    def full(scaled: Array, mean: float = 1.0, spread: float = 1.0) -> Array:
        g = scaled.reshape(n.grouped)
        return (
            g
            - mean * g.mean(n.axes, keepdims=True)
            - spread * xhat * (g * xhat).mean(n.axes, keepdims=True)
        )

    scaled = dout * w.get("gamma", np.ones(1)).reshape(wide)
    words = {
        "the gradient does not go through the statistics: they are taken for constants":
            full(scaled, 0, 0) * inverse,
        "the gradient goes through the mean, not through the variance": full(scaled, 1, 0) * inverse,
        "the gradient goes through the variance, not through the mean": full(scaled, 0, 1) * inverse,
        "the part of the variance has the other sign": full(scaled, 1, -1) * inverse,
        "the part of the variance lacks a half, or has one too many (2 for 1)": full(scaled, 1, 2) * inverse,
        "the part of the variance is halved": full(scaled, 1, 0.5) * inverse,
        "gamma is missing in the gradient of the input": full(dout) * inverse,
        "the gradient is not divided by the deviation": full(scaled),
        "the gradient is divided by the variance, not by its root": full(scaled) * inverse**2,
        "the gradient goes through as if the normalisation were not there": dout,
    }  # fmt: skip
    for text, value in words.items():
        yield text, value.reshape(x.value.shape)


def _points(node: Node, x: Value, dout: Value, mode: str) -> Iterator[Wrong]:
    d, v = dout.value, x.value
    out = bounds.forward(node, [x], 2.0**-53, mode).out
    yield "the gradient goes through as if the activation were not there", d
    yield "the derivative is taken at the output, not at the input", _plain(node, [out], dout, mode)
    if node.op in ("relu", "leaky_relu", "elu", "prelu"):
        right = _plain(node, [x], dout, mode)
        yield (
            "the negative side passes no gradient: the mask is that of a ReLU",
            np.where(v > 0, d, 0),
        )
        yield (
            "the gradient passes where the gradient is positive, not the input",
            np.where(d > 0, d, 0),
        )
        yield (
            "the gradient passes where input and gradient are positive",
            np.where((d > 0) & (v > 0), d, 0),
        )
        yield "the mask is the other way round: the negative side passes", np.where(v < 0, d, 0)
        yield "the gradient is multiplied by the input, not by the mask", d * np.maximum(v, 0)
        alpha = float(node.options.get("alpha", 0.0))
        if alpha:
            yield "the slope has the other sign in the gradient", np.where(v > 0, d, -right)
            yield (
                "the slope is subtracted from 1 in the gradient",
                np.where(v > 0, d, (1 - alpha) * d),
            )
    y = out.value
    forms = {
        "tanh": {"1 - t": 1 - y, "1 - x^2": 1 - v**2, "1 + t^2": 1 + y**2, "t^2": y**2},
        "sigmoid": {"s": y, "1 - s": 1 - y, "x (1 - x)": v * (1 - v), "1 - s^2": 1 - y**2, "s^2": y**2},
        "elu": {"exp(x), without alpha": np.where(v > 0, 1, np.exp(np.minimum(v, 0))),
                "the output": np.where(v > 0, 1, y)},
        "softplus": {"1 - s": 1 / (1 + np.exp(v)), "tanh": np.tanh(v)},
    }  # fmt: skip
    for words, factor in forms.get(node.op, {}).items():
        yield f"the derivative of the {node.op} is {words}, which it is not", d * factor


def _products(node: Node, xs: Sequence[Value], dout: Value, mode: str) -> Iterator[Wrong]:
    W = np.asarray(node.arrays["W"])
    turned = {}
    if node.op == "affine" and W.shape[0] == W.shape[1]:
        turned["the gradient of the input has the weights, not their transpose"] = W.T
    if node.op == "conv":
        turned["the filters are not flipped on the way back"] = W[:, :, ::-1, ::-1]
    for words, other in turned.items():
        changed = replace(node, arrays={**node.arrays, "W": np.ascontiguousarray(other)})
        yield words, _plain(changed, xs, dout, mode)


def from_above(
    network: Network, found: Found, upstream: Array, grads: Mapping[str, Array], mode: str
) -> tuple[Node, str] | None:
    """Find the layer and the mistake in its backward pass with which all of `grads` come out.

    grads: of parameters, in this network's layout, by its names.
    """
    start = Value.exact(upstream.reshape(found.values[network.output].value.shape))
    right = _walked(network, found, start, mode)
    rows = len(upstream)
    factors = {
        "is the sum over the rows, not their mean": rows,
        "is divided by the rows twice": 1 / rows,
        "has the other sign": -1.0,
        "is doubled": 2.0,
        "is halved": 0.5,
    }
    for what, factor in factors.items():
        words = f"the gradient of the loss {what}"
        if _agree(
            {k: Value(factor * g.value, abs(factor) * g.error) for k, g in right[1].items()}, grads
        ):
            last = next(n for n in reversed(network.nodes) if n.params)
            return last, words
    for node in reversed(network.nodes):
        if node.name not in right[0]:
            continue
        xs, dout = [found.values[name] for name in node.inputs], right[0][node.name]
        for words, dx in (
            *mistaken(node, xs, dout, mode),
            *_elsewhere(network, node, found, dout, mode),
        ):
            if _agree(_walked(network, found, start, mode, {node.name: dx})[1], grads):
                return node, words
        if len(node.inputs) > 1:
            for k, name in enumerate(node.inputs):
                if _agree(_walked(network, found, start, mode, {node.name: k})[1], grads):
                    return (
                        node,
                        f"the gradient that goes to {name} is missing: it is detached there",
                    )
    return None


def _elsewhere(
    network: Network, node: Node, found: Found, dout: Value, mode: str
) -> Iterator[Wrong]:
    """Yield the gradients of an activation whose derivative is taken at another value."""
    if node.op not in POINTWISE:
        return
    (own,) = node.inputs
    x = found.values[own].value
    places = {name: v.value for name, v in found.values.items() if name not in (own, node.name)}
    for norm in network.nodes:
        if norm.op in NORMS and norm.name in found.values:
            y = found.values[norm.name].value
            wide = (1, -1) + (1,) * (y.ndim - 2)
            g, b = (
                np.asarray(norm.arrays.get(r, d)) for r, d in (("gamma", [1.0]), ("beta", [0.0]))
            )
            with np.errstate(all="ignore"):
                places[f"the normalised numbers of {norm.name}"] = np.nan_to_num(
                    (y - b.reshape(wide)) / g.reshape(wide)
                )
    for name, value in places.items():
        if value.shape == x.shape:
            words = f"the derivative is taken at {name}, not at {own} (the mask of a ReLU)"
            yield words, _plain(node, [Value.exact(value)], dout, mode)


def _walked(
    network: Network,
    found: Found,
    start: Value,
    mode: str,
    changed: Mapping[str, Array | int] | None = None,
) -> tuple[dict[str, Value], dict[str, Value]]:
    """The gradients of values and of parameters; changed: a layer's dx, or the input that gets none."""
    unit = 2.0**-44
    values: dict[str, Value] = {network.output: start}
    params: dict[str, Value] = {}
    for node in reversed(network.nodes):
        if node.name not in values:
            continue
        xs = [found.values[name] for name in node.inputs]
        back = backward(node, xs, found.done[node.name], values[node.name], unit, mode)
        given = [*back.inputs]
        other = (changed or {}).get(node.name)
        if isinstance(other, int):
            given[other] = Value.exact(np.zeros_like(given[other].value))
        elif other is not None:
            given[0] = Value(other.reshape(given[0].value.shape), given[0].error)
        pairs = [(values, name, g) for name, g in zip(node.inputs, given, strict=True)]
        pairs += [(params, node.params[r], g) for r, g in back.params.items() if r in node.params]
        for kept, name, g in pairs:
            known = kept.get(name)
            kept[name] = g if known is None else Value(known.value + g.value, known.error + g.error)
    return values, params


def _agree(mine: Mapping[str, Value], grads: Mapping[str, Array]) -> bool:
    return all(
        name in mine and fits(g, Value(mine[name].value, 8 * mine[name].error))
        for name, g in grads.items()
    )
