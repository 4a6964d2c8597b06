"""What a network in 8-bit integers computes, bit by bit as the C file does."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad import layers
from handgrad.interop import numpy_images, numpy_layers
from handgrad.interop.int8_parts import DIGITS, Quantized, Step, rounded
from handgrad.interop.network import POINTWISE, Network, Node
from handgrad.interop.numpy_out import more_of


def scores(net: Quantized, X: Any) -> np.ndarray:
    """Return the scores (N, C) that the C file gives for pixels (or, bare, rows) X."""
    xs = X if isinstance(X, tuple) else (X,)
    values: dict[str, np.ndarray] = {}
    for name, x in zip(net.network.inputs, xs, strict=True):
        factor, shift, each = net.first[name]
        flat = np.asarray(x, np.float32).reshape(len(x), -1)
        q = flat * np.repeat(factor, each) + np.repeat(shift, each)
        q = np.trunc(q + np.where(q >= 0, np.float32(0.5), np.float32(-0.5)))
        values[name] = np.clip(q, -128, 127).reshape(x.shape).astype(np.float64)
    for step in net.steps:
        given = [values[name] for name in step.node.inputs]
        values[step.node.name] = _compute(step, given, net.network)
    out: np.ndarray = values[net.network.output]
    return out.astype(np.float32)


def _scaled(total: np.ndarray, M: Any, shift: Any) -> np.ndarray:
    """``total M / 2^shift``, rounded as in C; arrays of floats that hold integers."""
    product = total.astype(np.int64) * np.asarray(M, np.int64)
    half = np.int64(1) << (np.asarray(shift, np.int64) - 1)
    size_of = (np.abs(product) + half) >> np.asarray(shift, np.int64)
    return np.sign(product) * size_of


def _narrow(value: np.ndarray, low: int = -128) -> np.ndarray:
    return np.clip(value, low, 127).astype(np.float64)


def _compute(step: Step, xs: list[np.ndarray], network: Network) -> np.ndarray:
    node, n, a = step.node, step.numbers, step.arrays
    o, op, (x, *_) = node.options, node.op, xs
    wide = (-1, *[1] * (len(node.shape) - 1))
    if op in ("affine", "scores"):
        total = (x.reshape(len(x), -1) - n["zero"]) @ a["W"].T + a["b"]
        if op == "scores":
            return total.astype(np.float32) * a["scale"]
        return _narrow(_scaled(total, a["M"], a["shift"]) + n["next"], n["low"])
    if op in ("conv", "conv_transpose"):
        keys = ("stride", "pad", "dilation", "groups", "output_pad")
        param = {key: o[key] for key in keys if key in o}
        forward = getattr(layers, f"{op}_forward")
        total, _ = forward(x - n["zero"], a["W"], a["b"], param, engine="vectorized")
        M, shift = a["M"].reshape(wide), a["shift"].reshape(wide)
        return _narrow(_scaled(np.rint(total), M, shift) + n["next"], n["low"])
    if op == "batchnorm":
        M, shift, plus = (a[key].reshape(wide) for key in ("M", "shift", "plus"))
        return _narrow(_scaled(x - n["zero"], M, shift) + plus, n["low"])
    if op == "prelu":
        M, shift = (a[key].reshape(wide) if a[key].size > 1 else a[key] for key in ("M", "shift"))
        value = x - n["zero"]
        up, down = _scaled(value, n["M1"], n["shift1"]), _scaled(value, M, shift)
        return _narrow(np.where(value > 0, up, down) + n["next"])
    if op == "add":
        parts = [
            _scaled(x - n[f"zero_{w}"], n[f"M{w}"], n[f"shift_{w}"])
            for x, w in zip(xs, "ab", strict=True)
        ]
        return _narrow(_scaled(parts[0] + parts[1], 1, DIGITS) + n["next"], n["low"])
    if op == "concat":
        done = [
            _narrow(_scaled(x - z, M, s) + n["next"])
            for x, (z, M, s) in zip(xs, n["parts"], strict=True)
        ]
        return np.concatenate(done, axis=1)
    if op in POINTWISE:
        table: np.ndarray = a["table"][(x + 128).astype(int)]
        return table.astype(np.float64)
    if op == "dequantize":
        return (x - n["zero"]).astype(np.float32) * n["scale"]
    if op in ("layernorm", "groupnorm", "instancenorm"):
        return _group_norm(node, x, n, a)
    return _moved(node, x, n, network)


def _group_norm(
    node: Node, x: np.ndarray, n: dict[str, Any], a: dict[str, np.ndarray]
) -> np.ndarray:
    groups = {"layernorm": 1, "instancenorm": node.shape[0]}.get(
        node.op, node.options.get("groups")
    )
    assert groups is not None
    parts = x.reshape(len(x), groups, -1)
    part = np.float32(parts.shape[2])
    total = parts.sum(axis=2, keepdims=True)
    squares = (parts**2).sum(axis=2, keepdims=True)
    mean = total.astype(np.float32) / part
    var = (squares * parts.shape[2] - total**2).astype(np.float32) / (part * part)
    xhat = (parts.astype(np.float32) - mean) * (1 / np.sqrt(var + n["eps"]))
    wide = (-1, *[1] * (len(node.shape) - 1))
    value = a["gamma"].reshape(wide) * xhat.reshape(x.shape) + a["beta"].reshape(wide)
    return np.clip(rounded(value), -128, 127).astype(np.float64)


def _moved(node: Node, x: np.ndarray, n: dict[str, Any], network: Network) -> np.ndarray:
    """Layers that keep the scale of their input."""
    o, op = node.options, node.op
    if op == "flatten":
        return x.reshape(len(x), -1)
    if op == "reshape":
        return x.reshape(len(x), *o["to"])
    if op == "permute":
        return x.transpose(0, *(i + 1 for i in o["order"]))
    if op == "pad":
        return numpy_images.image_pad(x, o["pads"], n["value"])
    if op == "maxout":
        return numpy_layers.maxout(x, o["pieces"])
    if op == "max_pool":
        return numpy_images.max_pool(
            x, o["size"], o["stride"], o["pad"], more_of(node, x.shape[1:])
        )
    value = x - n["zero"]
    if op == "global_avg_pool":
        return _narrow(
            _divided(value.sum(axis=(2, 3)), np.array(x.shape[2] * x.shape[3])) + n["zero"]
        )
    if op == "avg_pool":
        more = more_of(node, x.shape[1:])
        view = numpy_images.windows(
            numpy_images.padded(value, o["pad"], more), o["size"], o["stride"]
        )
        counts = numpy_images.window_counts(
            value, o["size"], o["stride"], o["pad"], more, o["count_include_pad"]
        )
        return _narrow(_divided(view.sum(axis=(4, 5)), counts) + n["zero"])
    assert op == "upsample", op
    out = numpy_images.upsample(value, o["scale"], o["mode"])
    whole = 4 * o["scale"][0] * o["scale"][1]
    return _narrow(_divided(np.rint(out * whole), np.array(whole)) + n["zero"])


def _divided(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """``total / count``, rounded as in C."""
    total, count = total.astype(np.int64), count.astype(np.int64)
    return np.sign(total) * ((np.abs(total) + count // 2) // count)
