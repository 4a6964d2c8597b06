"""A trained network in 8-bit integers, and what it computes, bit by bit as the C file does.

A value of the network is ``scale (q - zero)`` with an int8 q; scale and zero come from the smallest and
the largest number that a calibration set puts there.  Weights are ``scale_f q`` with a scale for each
output channel.  A sum of products is an int32, and goes to the next layer's scale by ``M / 2^shift``:

    q_out = zero_out + round(sum M / 2^shift),        M / 2^shift = scale_in scale_f / scale_out

Source: B. Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only
inference" (2018), arXiv:1712.05877.
"""

from __future__ import annotations

from dataclasses import replace
from math import frexp
from typing import Any

import numpy as np

from handgrad import layers
from handgrad.errors import OptionError, ShapeError
from handgrad.interop.c_out import channel_arrays
from handgrad.interop.int8_parts import DIGITS, Quantized, Scale, Step, rounded
from handgrad.interop.network import (
    POINTWISE,
    Network,
    Node,
    folded,
    scale_and_shift,
    size,
    without_dropout,
)
from handgrad.interop.rebuild import model_of

_SAME = (
    "max_pool",
    "avg_pool",
    "global_avg_pool",
    "flatten",
    "reshape",
    "upsample",
    "maxout",
    "permute",
    "pad",
)
_FUSES = ("affine", "conv", "conv_transpose", "batchnorm", "add")


def quantized(network: Network, X: Any, *, bare: bool = False) -> Quantized:
    """Return `network` in integers, with scales from calibration rows X (a tuple for several inputs).

    X are what the network sees: of images with preprocessing, prepared ones.
    """
    network = _fused(folded(without_dropout(network)))
    ranges = _ranges(network, X)
    scales: dict[str, Scale] = {name: _scale(*ranges[name]) for name in network.inputs}
    steps = []
    nodes = list(network.nodes)
    for node in nodes:
        given = [scales[name] for name in node.inputs]
        if node.op in _SAME:
            scales[node.name] = given[0]
        else:
            scales[node.name] = _above_noise(_scale(*ranges[node.name]), given)
        steps.append(_step(node, given, scales[node.name], network))
    last = nodes[-1] if nodes else None
    if (
        last is not None
        and last.op == "affine"
        and last.name == network.output
        and not last.options.get("relu")
    ):
        arrays = steps[-1].arrays
        kept = {"W": arrays["W"], "b": arrays["b"], "scale": arrays["scale"]}
        steps[-1] = Step(replace(last, op="scores"), steps[-1].numbers, kept)
    else:
        name = network.output
        scale = scales[name]
        out = Node(f"{name}_scores", "dequantize", (name,), shape=network.shapes[name])
        numbers = {"scale": np.float32(scale.scale), "zero": scale.zero}
        steps.append(Step(out, numbers, {}))
    nodes = [step.node for step in steps]
    network = replace(network, nodes=tuple(nodes), output=nodes[-1].name)
    first = {}
    for name, shape in network.inputs.items():
        step, zero = scales[name]
        if network.images.mean is not None and not bare:
            mean, inverse, each = channel_arrays(network.images, shape)
        else:
            mean, inverse, each = np.zeros(1), np.ones(1), size(shape)
        factor = inverse / step
        first[name] = (factor.astype(np.float32), (zero - mean * factor).astype(np.float32), each)
    return Quantized(network, tuple(steps), scales, first)


def _above_noise(scale: Scale, given: list[Scale]) -> Scale:
    """The scale, or where all that comes out is far below the steps of what goes in, a share of these."""
    least = max(one.scale for one in given) * 2.0**-20
    return scale if scale.scale >= least else Scale(least, 0)


def _fused(network: Network) -> Network:
    """Make a ReLU the lower limit of the layer before it, where no other layer reads that layer's output."""
    uses = network.uses()
    by_name = {node.name: node for node in network.nodes}
    nodes: dict[str, Node] = {}
    for node in network.nodes:
        front = by_name.get(node.inputs[0])
        if (
            node.op == "relu"
            and front is not None
            and front.op in _FUSES
            and len(uses[front.name]) == 1
            and front.name != network.output
        ):
            known = nodes.pop(front.name)
            nodes[node.name] = replace(
                known, name=node.name, options={**known.options, "relu": True}
            )
        else:
            nodes[node.name] = node
    return replace(network, nodes=tuple(nodes.values()))


def _ranges(network: Network, X: Any) -> dict[str, tuple[float, float]]:
    """The smallest and the largest number of each value on the rows X."""
    plain: list[Node] = []
    for node in network.nodes:  # each fused ReLU is a node of its own here
        if node.options.get("relu"):
            options = {k: v for k, v in node.options.items() if k != "relu"}
            plain.append(replace(node, name=f"{node.name}|", options=options))
            plain.append(Node(node.name, "relu", (f"{node.name}|",), shape=node.shape))
        else:
            plain.append(node)
    model = model_of(replace(network, nodes=tuple(plain)), fuse=False)
    xs = X if isinstance(X, tuple) else (X,)
    if not len(xs[0]):
        raise ShapeError("export to C in int8: the calibration set holds no rows")
    found: dict[str, tuple[float, float]] = {}
    for start in range(0, len(xs[0]), 100):
        part = tuple(x[start : start + 100] for x in xs)
        values = model.activations(part if len(part) > 1 else part[0])
        values |= dict(zip(network.inputs, part, strict=True))
        for name, value in values.items():
            low, high = found.get(name, (0.0, 0.0))
            found[name] = min(low, float(value.min())), max(high, float(value.max()))
    return found


def _scale(low: float, high: float) -> Scale:
    if not np.isfinite([low, high]).all():
        raise OptionError(
            "export to C in int8: the network gives no finite numbers on the calibration set"
        )
    scale = (high - low) / 255 or 1.0
    return Scale(scale, int(np.clip(round(-128 - low / scale), -128, 127)))


def multiplier(real: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return int32 M and shifts with ``M / 2^shift = real`` to 30 binary digits."""
    Ms, shifts = [], []
    for number in np.atleast_1d(np.asarray(real, np.float64)).reshape(-1):
        fraction, exponent = frexp(float(number))
        M, shift = round(fraction * 2**30), 30 - exponent
        if shift < 1:
            raise OptionError(
                f"export to C in int8: a factor of {number:g} between layers is too large"
            )
        if shift > 62:
            M, shift = 0, 1
        Ms.append(M)
        shifts.append(shift)
    return np.array(Ms), np.array(shifts)


def _step(node: Node, given: list[Scale], out: Scale, network: Network) -> Step:
    """The whole numbers that a layer computes with."""
    op, o = node.op, node.options
    low = out.zero if o.get("relu") else -128
    numbers: dict[str, Any] = {"zero": given[0].zero, "next": out.zero, "low": low}
    if op in ("affine", "conv", "conv_transpose"):
        return Step(node, numbers, _weights(node, given[0], out))
    if op == "batchnorm":
        factor, shift = scale_and_shift(node)
        M, shifts = multiplier(factor * given[0].scale / out.scale)
        plus = np.rint(shift / out.scale) + out.zero
        return Step(node, numbers, {"M": M, "shift": shifts, "plus": _int32(plus)})
    if op == "prelu":
        real = given[0].scale / out.scale
        M, shifts = multiplier(node.arrays["a"].astype(np.float64) * real)
        (M1,), (shift1,) = multiplier(real)
        return Step(
            node, {**numbers, "M1": int(M1), "shift1": int(shift1)}, {"M": M, "shift": shifts}
        )
    if op == "add":
        for which, scale in zip("ab", given, strict=True):
            (M,), (shift,) = multiplier(scale.scale / out.scale * 2**DIGITS)
            numbers |= {
                f"zero_{which}": scale.zero,
                f"M{which}": int(M),
                f"shift_{which}": int(shift),
            }
        return Step(node, numbers, {})
    if op == "concat":
        parts = []
        for scale in given:
            (M,), (shift,) = multiplier(scale.scale / out.scale)
            parts.append((scale.zero, int(M), int(shift)))
        return Step(node, {**numbers, "parts": parts}, {})
    if op in POINTWISE:
        q = (np.arange(-128, 128) - given[0].zero) * given[0].scale
        value = _pointwise(node, q) / out.scale + out.zero
        return Step(node, numbers, {"table": np.clip(rounded(value), -128, 127)})
    if op in ("layernorm", "groupnorm", "instancenorm"):
        ones = np.ones(node.shape[0])
        arrays = {
            "gamma": node.arrays.get("gamma", ones) / out.scale,
            "beta": node.arrays.get("beta", 0 * ones) / out.scale + out.zero,
        }
        eps = np.float32(o["eps"] / given[0].scale ** 2)
        return Step(
            node, {**numbers, "eps": eps}, {k: a.astype(np.float32) for k, a in arrays.items()}
        )
    if op == "pad":
        numbers["value"] = int(np.clip(round(o["value"] / out.scale) + out.zero, -128, 127))
        return Step(node, numbers, {})
    if op in _SAME:
        return Step(node, numbers, {})
    raise OptionError(
        f"export to C in int8: {node.name} ({op}) has no form in integers; export floats"
    )


def _weights(node: Node, given: Scale, out: Scale) -> dict[str, np.ndarray]:
    W = node.arrays["W"].astype(np.float64)
    if node.op == "affine":
        W = W.T
    groups = node.options.get("groups", 1)
    rows = W if node.op != "conv_transpose" else _by_filter(W, groups)
    largest = np.abs(rows.reshape(len(rows), -1)).max(axis=1)
    scale = np.where(largest > 0, largest, 1.0) / 127
    wide = scale.reshape(-1, *[1] * (rows.ndim - 1))
    q = np.rint(rows / wide)
    b = node.arrays.get("b", np.zeros(len(scale))).astype(np.float64)
    bias = _int32(b / (given.scale * scale))
    reach = np.abs(q.reshape(len(q), -1)).sum(axis=1) * 255 + np.abs(bias)
    if reach.max(initial=0) >= 2**31:
        raise OptionError(f"export to C in int8: the sums of {node.name} do not fit 32 bits")
    M, shift = multiplier(given.scale * scale / out.scale)
    whole = q if node.op != "conv_transpose" else _by_channel(q, groups)
    return {
        "W": whole,
        "b": bias,
        "M": M,
        "shift": shift,
        "scale": (given.scale * scale).astype(np.float32),
    }


def _by_filter(W: np.ndarray, groups: int) -> np.ndarray:
    """(C, F / groups, ...) as (F, C / groups, ...)."""
    parts = W.reshape(groups, W.shape[0] // groups, *W.shape[1:]).swapaxes(1, 2)
    return parts.reshape(-1, *parts.shape[2:])


def _by_channel(rows: np.ndarray, groups: int) -> np.ndarray:
    """The inverse of `_by_filter`."""
    parts = rows.reshape(groups, rows.shape[0] // groups, *rows.shape[1:]).swapaxes(1, 2)
    return parts.reshape(-1, *parts.shape[2:])


def _int32(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), -(2**31) + 1, 2**31 - 1)


def _pointwise(node: Node, x: np.ndarray) -> np.ndarray:
    o, op = node.options, node.op
    if op == "scale":
        return x * o["factor"]
    given = (o["alpha"],) if "alpha" in o else (o["approximate"],) if "approximate" in o else ()
    out: np.ndarray = getattr(layers, f"{op}_forward")(x[None], *given)[0][0]
    return out
