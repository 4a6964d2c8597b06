"""Mistakes at normalisations; see `handgrad.interop.causes`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.interop.bounds import Value
from handgrad.interop.network import Node

Array = np.ndarray
Tried = tuple[str, Value]
_EPS = (1e-3, 1e-5, 1e-6, 1e-8, 1e-12, 0.0, 1e-2, 1e-4, 1e-7, 1e-1)


def tried(words: str, value: Array, like: Value, u: float) -> Tried:
    """Return a cause whose output has errors as large as that of the right one."""
    error = float(like.error.max(initial=0)) + 16 * u * np.abs(value)
    return words, Value(value, np.broadcast_to(error, value.shape))


def tolerant(option: Any, **changes: Any) -> Any:
    """Compute with an option that may not fit the image; None where it does not."""
    try:
        return option(**{k: v for k, v in changes.items() if v is not None})
    except Exception:  # a mistake that the shapes rule out
        return None


def norms(
    node: Node, xs: Any, same: Any, option: Any, arrays: Any, right: Value, u: float, mode: str
) -> Iterator[Tried]:
    """Yield mistakes at the normalisation `node`."""
    x, o, w = xs[0].value, node.options, node.arrays
    for eps in _EPS:
        if eps != o["eps"]:
            # an eps of 0 is none that a layer takes
            yield f"eps is {eps:g}, not {o['eps']:g}", tolerant(option, eps=max(eps, 1e-300))
    wide = (1, -1) + (1,) * (x.ndim - 2)
    g = np.asarray(w.get("gamma", np.ones(1)), np.float64).reshape(wide)
    b = np.asarray(w.get("beta", np.zeros(1)), np.float64).reshape(wide)
    statistics = {}
    if node.op == "batchnorm":
        running = {k: np.asarray(w[k], np.float64).reshape(wide) for k in ("mean", "var")}
        if mode == "test":
            fresh = {"mean": np.zeros_like(w["mean"]), "var": np.ones_like(w["var"])}
            yield (
                "the running statistics are not loaded: mean 0 and variance 1",
                same(replace(node, arrays={**w, **fresh})),
            )
            yield "the running mean is not loaded: it is 0", arrays(mean=fresh["mean"])
            yield "the running variance is not loaded: it is 1", arrays(var=fresh["var"])
            statistics["the statistics are those of the batch, not the running ones (training mode)"] = (
                (0, *range(2, x.ndim)), None)  # fmt: skip
            yield "mean and variance are exchanged", same(
                replace(node, arrays={**w, "mean": w["var"], "var": np.abs(w["mean"])}))  # fmt: skip
            yield (
                "the running variance is taken for a standard deviation",
                tried(
                    "",
                    (x - running["mean"]) / (np.abs(running["var"]) + o["eps"]) * g + b,
                    right,
                    u,
                )[1],
            )
            yield (
                "the running variance is left out",
                tried("", (x - running["mean"]) * g + b, right, u)[1],
            )
        else:
            yield "the statistics are the running ones, not those of the batch (test mode)", same(
                node, xs, "test")  # fmt: skip
    mine = _axes_of(node, x)
    others = {
        "each number of a row over the batch": (0,),
        "each row, over all of it": tuple(range(1, x.ndim)),
        "each pixel, over its channels": (1,),
        "each channel of an image": tuple(range(2, x.ndim)),
        "each channel, over the batch": (0, *range(2, x.ndim)),
        "the whole batch at once": tuple(range(x.ndim)),
    }
    y, axes = mine
    mean, var = y.mean(axis=axes, keepdims=True), y.var(axis=axes, keepdims=True)
    if node.op == "batchnorm" and mode == "test":
        mean, var, y = running["mean"], running["var"], x

    def done(xhat: Array) -> Value:
        return tried("", xhat.reshape(x.shape) * g + b, right, u)[1]

    n = y.size / max(mean.size, 1)
    if n > 1:
        unbiased = done((y - mean) / np.sqrt(var * n / (n - 1) + o["eps"]))
        yield "the variance is unbiased: divided by n - 1, not n (biased variance)", unbiased
        yield (
            f"the squares are summed, not averaged: the variance is {n:g} times as large",
            done((y - mean) / np.sqrt(var * n + o["eps"])),
        )
    yield (
        "eps is added to the standard deviation, not to the variance",
        done((y - mean) / (np.sqrt(var) + o["eps"])),
    )
    yield "the variance is not put under a root", done((y - mean) / (var + o["eps"]))
    yield "the mean is not subtracted", done(y / np.sqrt(var + o["eps"]))
    yield "the root mean square stands for the deviation, without the mean", done(
        y / np.sqrt((y**2).mean(axis=axes, keepdims=True) + o["eps"]))  # fmt: skip
    yield "the values are only centred, not divided by the deviation", done(y - mean)
    size = np.abs(y - y.mean(axis=axes, keepdims=True)).mean(axis=axes, keepdims=True)
    for plus in (0.0, o["eps"]):
        words = "the mean of the sizes stands for the deviation, without squares and root"
        yield words, done((y - mean) / (size + plus))
    for words, (over, _) in statistics.items():
        yield (
            words,
            done(
                (x - x.mean(axis=over, keepdims=True))
                / np.sqrt(x.var(axis=over, keepdims=True) + o["eps"])
            ),
        )
    yield "gamma is missing", arrays(gamma=None)
    yield "beta is missing", arrays(beta=None)
    yield "gamma and beta are missing", arrays(gamma=None, beta=None)
    xhat = ((y - mean) / np.sqrt(var + o["eps"])).reshape(x.shape)
    for words, value in (
        ("gamma and beta are exchanged", xhat * b + g),
        ("beta is added before gamma multiplies", (xhat + b) * g),
        ("gamma is counted from 0: 1 + gamma", xhat * (1 + g) + b),
    ):
        yield words, tried("", value, right, u)[1]
    if node.op in ("groupnorm", "instancenorm"):
        C = x.shape[1]
        for G in (k for k in range(1, C + 1) if C % k == 0):
            if o.get("groups") != G:
                parts = x.reshape(len(x), G, -1)
                yield (
                    f"the channels are normalised in {G} groups",
                    done(_standard(parts, (2,), o["eps"])),
                )
            mixed = x.reshape(len(x), -1, G, *x.shape[2:]).swapaxes(1, 2)
            flat = mixed.reshape(len(x), G, -1)
            spread = _standard(flat, (2,), o["eps"]).reshape(mixed.shape).swapaxes(1, 2)
            yield f"the channels of its {G} groups are interleaved", done(spread)
            if x.ndim == 4:
                last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
                split = _standard(last.reshape(len(x), G, -1), (2,), o["eps"]).reshape(last.shape)
                words = f"its {G} groups are made of images in NHWC order, not of their channels"
                yield words, done(split.transpose(0, 3, 1, 2))
    for words, over in others.items():
        with np.errstate(all="ignore"):
            largest = np.abs(x).max(axis=over, keepdims=True)
            spread = x.max(axis=over, keepdims=True) - x.min(axis=over, keepdims=True)
            yield f"it is divided by the largest size of {words}", done(x / largest)
            lowest = x.min(axis=over, keepdims=True)
            yield f"it is spread between 0 and 1 over {words}", done((x - lowest) / spread)
    for words, over in others.items():
        yield f"the statistics are those of {words}", done(_standard(x, over, o["eps"]))


def _standard(x: Array, axes: tuple[int, ...], eps: float) -> Array:
    with np.errstate(all="ignore"):
        out: Array = (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(
            x.var(axis=axes, keepdims=True) + eps
        )
    return out


def _axes_of(node: Node, x: Array) -> tuple[Array, tuple[int, ...]]:
    if node.op == "batchnorm":
        return x, (0, *range(2, x.ndim))
    groups = {"layernorm": 1, "instancenorm": x.shape[1]}.get(node.op, node.options.get("groups"))
    return x.reshape(len(x), int(groups or 1), -1), (2,)
