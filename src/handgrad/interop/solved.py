"""Options and functions that are solved for: what a layer's input and the other's output say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from handgrad.interop.bounds import Value
from handgrad.interop.network import POINTWISE, Node

Array = np.ndarray


def solved(
    node: Node, x: Value, value: Array, right: Array, mode: str, forward: Callable[..., Value]
) -> str | None:
    """Say which option, or which function of each number, makes `value` of `x` in the place of `right`."""
    eps = added_eps(node, x.value, value, mode)
    if eps is not None:
        return f"eps is {eps:.3g}, and added to the standard deviation, not to the variance"
    option = solved_option(node, x.value, value, mode)
    if option is not None:
        name, number = option
        changed = replace(node, options={**node.options, name: number})
        error = 1e-3 * np.abs(value - right).max()
        if np.abs(forward(changed, [x]).value - value).max() <= error:
            return f"{name} is {number:.3g}, not {node.options[name]:g}"
    if node.op not in POINTWISE:
        return None
    if np.allclose(value, x.value, 1e-9, 1e-12):
        return "the activation is missing"
    kept = value == x.value
    if node.op == "relu" and kept.any() and not value[~kept].any():
        return f"the numbers below {x.value[kept].min():.3g} become 0, not those below 0"
    if is_function(x.value, value):
        few = [f"f({p}) = {np.interp(p, *sorted_by(x.value, value)):.3g}" for p in (-1, 0, 1)]
        return f"it is another function of each number: {', '.join(few)}"
    return None


def solved_option(node: Node, x: Array, y: Array, mode: str) -> tuple[str, float] | None:
    """The eps of a normalisation, or the alpha of an activation, with which `y` comes out."""
    with np.errstate(all="ignore"):
        if node.op in ("leaky_relu", "elu"):
            part = np.where(x < 0, x if node.op == "leaky_relu" else np.expm1(np.minimum(x, 0)), 0)
            size = float((part**2).sum())
            return ("alpha", float((y * part).sum() / size)) if size else None
        parts = _standardised(node, x, y, mode)
        if parts is None:
            return None
        centred, var, xhat = parts
        found = (centred / xhat) ** 2 - var
    found = found[np.isfinite(found) & (np.abs(xhat) > 0.3)]
    eps = float(np.median(found)) if found.size else -1.0
    return ("eps", eps) if 1e-12 < eps < 10 else None


def added_eps(node: Node, x: Array, y: Array, mode: str) -> float | None:
    """The number that was added to the deviations of a normalisation, outside of the root."""
    with np.errstate(all="ignore"):
        parts = _standardised(node, x, y, mode)
        if parts is None:
            return None
        centred, var, xhat = parts
        found = centred / xhat - np.sqrt(var)
    found = found[np.isfinite(found) & (np.abs(xhat) > 0.3)]
    eps = float(np.median(found)) if found.size else 0.0
    is_one = eps > 1e-9 and float(np.abs(found - eps).max()) <= 1e-3 * eps
    return eps if is_one else None


def _standardised(node: Node, x: Array, y: Array, mode: str) -> tuple[Array, Array, Array] | None:
    """The centred numbers of a normalisation's input, their variances, and `y` without gamma and beta."""
    if node.op not in ("batchnorm", "layernorm", "groupnorm", "instancenorm"):
        return None
    wide = (1, -1) + (1,) * (x.ndim - 2)
    w = {role: np.asarray(a, np.float64).reshape(wide) for role, a in node.arrays.items()}
    groups = {"layernorm": 1, "instancenorm": x.shape[1]}.get(node.op, node.options.get("groups"))
    if node.op == "batchnorm":
        axes = (0, *range(2, x.ndim))
        mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
        if mode == "test":
            mean, var = w["mean"], w["var"]
    else:
        parts = x.reshape(len(x), int(groups or 1), -1)
        mean, var = (
            np.broadcast_to(f(axis=2, keepdims=True), parts.shape).reshape(x.shape)
            for f in (parts.mean, parts.var)
        )
    return x - mean, var, (y - w.get("beta", 0.0)) / w.get("gamma", 1.0)


def is_function(x: Array, y: Array) -> bool:
    """Whether y seems to be a smooth function of each number of x."""
    if x.shape != y.shape or x.size < 30 or not np.isfinite(y).all():
        return False
    a, b = sorted_by(x, y)
    between = np.interp(a[1:-1:2], a[::2], b[::2])
    spread = float(b.max() - b.min())
    return spread > 0 and float(np.median(np.abs(between - b[1:-1:2]))) < 2e-3 * spread


def sorted_by(x: Array, y: Array) -> tuple[Array, Array]:
    """Both, in the order of `x`."""
    order = np.argsort(x, axis=None)
    return x.reshape(-1)[order], y.reshape(-1)[order]
