"""Why a layer's output may be another one: the mistakes that porters make, tried one after the other.

Each cause is a function of a node and its inputs that yields ``(words, output)``: what the other network
would have computed, had it made that mistake.  The first whose output is what it did compute is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.interop import bounds
from handgrad.interop.bounds import Value
from handgrad.interop.causes_norms import Tried, norms, tolerant, tried
from handgrad.interop.network import Node

Array = np.ndarray


def causes(node: Node, xs: Sequence[Value], u: float, mode: str) -> Iterator[Tried]:
    """Yield mistakes at `node`, the likely ones first."""

    def same(changed: Node, inputs: Sequence[Value] = xs, how: str = mode) -> Value:
        return bounds.forward(changed, inputs, u, how).out

    def option(**changes: Any) -> Value:
        return same(replace(node, options={**node.options, **changes}))

    def arrays(**changes: Array | None) -> Value:
        kept = {**node.arrays, **changes}
        return same(replace(node, arrays={k: a for k, a in kept.items() if a is not None}))

    right = same(node)
    by_kind = {
        "affine": _products, "conv": _products, "conv_transpose": _products, "flatten": _flatten,
        **dict.fromkeys(bounds.NORMS, norms), "max_pool": _pools, "avg_pool": _pools,
        "global_avg_pool": _pools, "upsample": _upsample, "add": _joins, "concat": _joins,
        "maxout": _maxout, "standardize": _standardize, "dropout": _dropout,
    }  # fmt: skip
    tools = (same, option, arrays, right, u, mode)
    if node.op in by_kind:
        yield from by_kind[node.op](node, xs, *tools)
    if node.op in ("relu", "leaky_relu", "elu", "gelu", "sigmoid", "tanh", "softplus", "prelu"):
        yield from _activations(node, xs, *tools)
    yield from _anywhere(node, xs, *tools)


def _products(
    node: Node, xs: Any, same: Any, option: Any, arrays: Any, right: Value, u: float, mode: str
) -> Iterator[Tried]:
    W, o, x = node.arrays["W"], node.options, xs[0]
    if "b" in node.arrays:
        yield "the bias is missing", arrays(b=None)
        yield "the bias is added twice", arrays(b=2 * node.arrays["b"])
        yield "the bias is subtracted", arrays(b=-node.arrays["b"])
    if node.op == "affine":
        if W.shape[0] == W.shape[1]:
            yield "the weights are transposed", arrays(W=W.T)
        if x.value.ndim == 4:
            yield from _flatten_orders(node, x, lambda changed: same(node, [changed]))
        yield "the rows of the weights are in reverse order", arrays(W=W[::-1])
        yield "the outputs are in reverse order", arrays(W=W[:, ::-1], b=_reversed(node))
        C = _likely_channels(W.shape[0])
        for c in C:
            part = W.shape[0] // c
            order = W.reshape(c, part, -1).transpose(1, 0, 2).reshape(W.shape)
            yield (
                f"the rows of the weights are in NHWC order, not NCHW ({c} channels)",
                arrays(W=order),
            )
            back = W.reshape(part, c, -1).transpose(1, 0, 2).reshape(W.shape)
            yield f"the input is flattened in NHWC order, not NCHW ({c} channels)", arrays(W=back)
        return
    k = W.shape[2:]
    yield (
        "the filters are flipped: a convolution in place of a correlation",
        arrays(W=W[:, :, ::-1, ::-1]),
    )
    if k[0] == k[1]:
        yield (
            "rows and columns of the filters are exchanged (weights transposed)",
            arrays(W=W.swapaxes(2, 3)),
        )
    if W.shape[0] == W.shape[1]:
        yield (
            "input and output channels of the filters are exchanged (weights transposed)",
            arrays(W=W.swapaxes(0, 1)),
        )
    yield "the input channels of the filters are in reverse order", arrays(W=W[:, ::-1])
    yield "the filters are in reverse order", arrays(W=W[::-1])
    if node.op == "conv":
        yield from _paddings(node, x, same)
    for s in (1, 2, 3):
        if tuple(o["stride"]) != (s, s):
            yield (
                f"the stride is {s}, not {_one(o['stride'])}",
                tolerant(option, stride=(s, s), output_pad=None),
            )
    a, b = o["stride"]
    if a != b:
        yield (
            "vertical and horizontal stride are exchanged",
            tolerant(option, stride=(b, a), output_pad=None),
        )
    for d in (1, 2, 3):
        if tuple(o["dilation"]) != (d, d):
            yield (
                f"the dilation is {d}, not {_one(o['dilation'])}",
                tolerant(option, dilation=(d, d)),
            )
    for p in range(max(k) + 1):
        if tuple(o["pad"]) != (p, p):
            yield f"the padding is {p}, not {_one(o['pad'])}", tolerant(option, pad=(p, p))
    a, b = o["pad"]
    if a != b:
        yield "vertical and horizontal padding are exchanged", tolerant(option, pad=(b, a))
    if node.op == "conv_transpose":
        for p in (0, 1):
            if tuple(o["output_pad"]) != (p, p) and p < min(o["stride"]):
                yield f"the output padding is {p}", tolerant(option, output_pad=(p, p))
    if o["groups"] > 1:
        g = o["groups"]
        places = np.arange(x.value.shape[1]).reshape(g, -1).T.reshape(-1)
        mixed = Value(x.value[:, places], x.error[:, places])
        yield "the channels of the groups are interleaved", same(node, [mixed])


def _one(pair: Any) -> Any:
    return pair[0] if pair[0] == pair[1] else tuple(pair)


def _reversed(node: Node) -> Array | None:
    b = node.arrays.get("b")
    return None if b is None else b[::-1]


def _likely_channels(D: int) -> list[int]:
    return [c for c in range(2, D) if D % c == 0 and c < D][:40]


def _paddings(node: Node, x: Value, same: Any, fill: float = 0.0) -> Iterator[Tried]:
    """The same sum of pads, distributed otherwise; and edges that are no zeros."""
    p, q = node.options["pad"]
    if not (p or q):
        top = [(1, 0), (0, 1)]
        for a, b in top:
            yield from _padded(node, x, same, (a, b, a, b), "the padding", fill)
        return
    plain = replace(node, options={**node.options, "pad": (0, 0)})
    sides = [
        ("the padding is the other way: all of it above and on the left", (2 * p, 0, 2 * q, 0)),
        ("the padding is the other way: all of it below and on the right", (0, 2 * p, 0, 2 * q)),
        ("the padding is above and on the left alone", (p, 0, q, 0)),
        ("the padding is below and on the right alone", (0, p, 0, q)),
    ]  # fmt: skip
    for words, widths in sides:
        found = _edges(plain, x, same, widths, "constant", fill)
        if found is not None:
            yield words, found
    for kind, words in (("reflect", "reflected"), ("edge", "repeated"), ("wrap", "wrapped around")):
        found = _edges(plain, x, same, (p, p, q, q), kind, fill)
        if found is not None:
            yield f"the edges of the image are {words}, not padded with zeros", found


def _padded(
    node: Node, x: Value, same: Any, widths: Any, words: str, fill: float
) -> Iterator[Tried]:
    found = _edges(node, x, same, widths, "constant", fill)
    if found is not None:
        where = "above and on the left" if widths[0] else "below and on the right"
        yield f"{words} is {max(widths)} {where}, not 0", found


def _edges(node: Node, x: Value, same: Any, widths: Any, kind: str, fill: float) -> Any:
    top, bottom, left, right = widths
    around = ((0, 0), (0, 0), (top, bottom), (left, right))
    more = {"constant_values": fill} if kind == "constant" else {}
    try:
        value = np.pad(x.value, around, kind, **more)  # type: ignore[call-overload]
        return same(node, [Value(value, np.pad(x.error, around))])
    except Exception:  # a mistake that the shapes rule out
        return None


def _flatten_orders(node: Node, x: Value, then: Any) -> Iterator[Tried]:
    orders = {
        "NHWC": (0, 2, 3, 1), "NWHC": (0, 3, 2, 1), "NCWH": (0, 1, 3, 2), "NHCW": (0, 2, 1, 3),
        "NWCH": (0, 3, 1, 2),
    }  # fmt: skip
    for name, order in orders.items():
        parts = (np.ascontiguousarray(a.transpose(order)).reshape(x.value.shape) for a in x)
        yield f"the image is flattened in {name} order, not NCHW", then(Value(*parts))


def _flatten(node: Node, xs: Any, same: Any, *others: Any) -> Iterator[Tried]:
    yield from _flatten_orders(node, xs[0], lambda changed: same(node, [changed]))


def _pools(
    node: Node, xs: Any, same: Any, option: Any, arrays: Any, right: Value, u: float, mode: str
) -> Iterator[Tried]:
    x, o = xs[0], node.options
    if node.op == "global_avg_pool":
        for words, value in (
            ("the largest of each channel is taken, not the mean", x.value.max(axis=(2, 3))),
            ("each channel is summed, not averaged", x.value.sum(axis=(2, 3))),
            ("the mean is that of the columns alone", x.value.mean(axis=2)),
        ):
            yield words, tried("", value, right, u)[1]
        return
    flipped = tolerant(option, ceil_mode=not o["ceil_mode"])
    yield f"ceil_mode is {not o['ceil_mode']}, not {o['ceil_mode']}", flipped
    if node.op == "avg_pool":
        counts = not o["count_include_pad"]
        yield (
            f"count_include_pad is {counts}, not {not counts}",
            tolerant(option, count_include_pad=counts),
        )
        kept = {k: v for k, v in o.items() if k != "count_include_pad"}
        other = replace(node, op="max_pool", options=kept)
        yield "the largest of each window is taken, not the mean", same(other)
        window = o["size"][0] * o["size"][1]
        yield "the windows are summed, not averaged", tried("", right.value * window, right, u)[1]
    else:
        for counts in (True, False):
            other = replace(node, op="avg_pool", options={**o, "count_include_pad": counts})
            yield "the mean of each window is taken, not the largest", same(other)
        if any(o["pad"]):
            p, q = o["pad"]
            padded = np.pad(x.value, ((0, 0), (0, 0), (p, p), (q, q)))
            plain = replace(node, options={**o, "pad": (0, 0)})
            value = same(plain, [Value(padded, np.zeros(padded.shape))])
            yield "the image is padded with zeros, which win over negative numbers", value
    for p in (0, 1, 2):
        if tuple(o["pad"]) != (p, p) and 2 * p <= min(o["size"]):
            yield f"the padding is {p}, not {_one(o['pad'])}", tolerant(option, pad=(p, p))
    fill = 0.0 if node.op == "avg_pool" else -np.inf
    yield from _paddings(node, x, same, fill)
    p, q = max(o["size"]) - 1, max(o["size"]) - 1
    for words, widths in (
        ("above and on the left", (p, 0, q, 0)),
        ("below and on the right", (0, p, 0, q)),
    ):
        plain = replace(node, options={**o, "pad": (0, 0)})
        for size in (1, 2):
            part = tuple(min(size, w) for w in widths)
            found = _edges(plain, x, same, part, "constant", fill)
            if found is not None and tuple(part) != (0, 0, 0, 0):
                yield f"the image is padded {words} by {size}, the padding is the other way", found
    for s in (1, 2, 3):
        if tuple(o["stride"]) != (s, s):
            yield f"the stride is {s}, not {_one(o['stride'])}", tolerant(option, stride=(s, s))
        if tuple(o["size"]) != (s, s):
            for stride in (o["stride"], (s, s)):
                found = tolerant(
                    option, size=(s, s), stride=stride, pad=tuple(min(p, s // 2) for p in o["pad"])
                )
                yield f"the window is {s}, not {_one(o['size'])}", found


def _upsample(
    node: Node, xs: Any, same: Any, option: Any, arrays: Any, right: Value, u: float, mode: str
) -> Iterator[Tried]:
    x, scale = xs[0].value, node.options["scale"]
    other = "bilinear" if node.options["mode"] == "nearest" else "nearest"
    yield f"it is {other}, not {node.options['mode']}", option(mode=other)
    sizes = [n * s for n, s in zip(x.shape[2:], scale, strict=True)]
    corner = [np.linspace(0, n - 1, m) for n, m in zip(x.shape[2:], sizes, strict=True)]
    yield (
        "align_corners is True: the corners of both images coincide",
        tried("", _between(x, corner), right, u)[1],
    )
    start = [np.arange(m) / s for m, s in zip(sizes, scale, strict=True)]
    yield "the pixels are counted from their corners, not their centres (asymmetric)", tried(
        "", _between(x, start), right, u)[1]  # fmt: skip
    rows, columns = (
        np.minimum(np.rint(p).astype(int), n - 1) for p, n in zip(start, x.shape[2:], strict=True)
    )
    yield (
        "the nearest pixel is rounded to, not the one that covers",
        tried("", x[:, :, rows][..., columns], right, u)[1],
    )
    a, b = scale
    if a != b:
        yield "vertical and horizontal scale are exchanged", option(scale=(b, a))


def _between(x: Array, places: Sequence[Array]) -> Array:
    for axis, place in zip((2, 3), places, strict=True):
        n = x.shape[axis]
        place = np.clip(place, 0, n - 1)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, n - 1)
        part = (place - low).reshape((-1, 1) if axis == 2 else (-1,))
        x = (1 - part) * x.take(low, axis) + part * x.take(high, axis)
    return x


def _joins(
    node: Node, xs: Any, same: Any, option: Any, arrays: Any, right: Value, u: float, mode: str
) -> Iterator[Tried]:
    values = [x.value for x in xs]
    if node.op == "concat":
        orders = [list(range(len(xs)))[::-1]]
        orders += [[*range(1, len(xs)), 0], [len(xs) - 1, *range(len(xs) - 1)]]
        for order in orders:
            value = np.concatenate([values[i] for i in order], axis=1)
            yield "the values are joined in another order", tried("", value, right, u)[1]
        if len({v.shape for v in values}) == 1:
            stacked = np.stack(values, axis=2).reshape(right.value.shape)
            yield "the channels of the values are interleaved", tried("", stacked, right, u)[1]
            yield "the values are added, not joined", tried("", sum(values), right, u)[1]
        return
    a, b = values
    for words, value in (
        ("a ReLU stands in front of the sum", np.maximum(a, 0) + b),
        ("a ReLU stands in front of the sum", a + np.maximum(b, 0)),
        ("the shortcut is missing: only one of the two values is there", a),
        ("the shortcut is missing: only one of the two values is there", b),
        ("the values are subtracted, not added", a - b),
        ("the values are subtracted, not added", b - a),
        ("the values are multiplied, not added", a * b),
        ("the mean of the values is taken, not the sum", (a + b) / 2),
        ("one of the values is added twice", 2 * a + b),
        ("one of the values is added twice", a + 2 * b),
        ("the values are joined, not added", np.concatenate([a, b], axis=1)),
        ("the values are joined, not added", np.concatenate([b, a], axis=1)),
    ):
        yield words, tried("", value, right, u)[1]


def _maxout(
    node: Node, xs: Any, same: Any, option: Any, arrays: Any, right: Value, u: float, mode: str
) -> Iterator[Tried]:
    x, pieces = xs[0].value, node.options["pieces"]
    apart = x.reshape(len(x), pieces, -1, *x.shape[2:]).max(axis=1)
    yield "the pieces of a group are not neighbours but C apart", tried("", apart, right, u)[1]
    groups = x.reshape(len(x), -1, pieces, *x.shape[2:])
    yield "the smallest of each group is taken", tried("", groups.min(axis=2), right, u)[1]
    yield "the mean of each group is taken", tried("", groups.mean(axis=2), right, u)[1]


def _standardize(
    node: Node, xs: Any, same: Any, option: Any, arrays: Any, right: Value, u: float, mode: str
) -> Iterator[Tried]:
    x, mean, std = xs[0].value, node.arrays["mean"], node.arrays["std"]
    for words, value in (
        ("the mean is not subtracted", x / std),
        ("nothing is divided by the deviation", x - mean),
        ("the variance stands for the deviation", (x - mean) / std**2),
        ("the pixels were divided by 255 before", (x / 255 - mean) / std),
        ("the mean is divided, too, and subtracted last", x / std - mean),
    ):
        yield words, tried("", value, right, u)[1]


def _dropout(
    node: Node, xs: Any, same: Any, option: Any, arrays: Any, right: Value, u: float, mode: str
) -> Iterator[Tried]:
    x, p = xs[0].value, node.options["p"]
    for words, factor in (
        (
            "in test mode the values are multiplied by the share that is kept: dropout is not inverted",
            p,
        ),
        ("in test mode the values are multiplied by the share that is dropped", 1 - p),
        ("in test mode the values are divided by the share that is kept", 1 / p),
    ):
        yield words, tried("", x * factor, right, u)[1]


def _activations(
    node: Node, xs: Any, same: Any, option: Any, arrays: Any, right: Value, u: float, mode: str
) -> Iterator[Tried]:
    x = xs[0]

    def other(op: str, **options: Any) -> Value:
        return same(Node(node.name, op, node.inputs, options, {}, {}, node.shape))

    alpha = node.options.get("alpha")
    if alpha is not None:
        for value in (0.01, 0.1, 0.2, 0.25, 0.3, 0.5, 1.0, 1 / 3, 1.6733):
            if value != alpha:
                yield f"alpha is {value:g}, not {alpha:g}", option(alpha=value)
    if node.op == "gelu":
        kind = "none" if node.options["approximate"] == "tanh" else "tanh"
        yield (
            f"approximate is {kind!r}, not {node.options['approximate']!r}",
            option(approximate=kind),
        )
    if node.op == "prelu":
        yield "the slopes are in reverse order", arrays(a=node.arrays["a"][::-1])
        yield "the slopes are negated", arrays(a=-node.arrays["a"])
        yield "one slope stands for all", arrays(a=node.arrays["a"][:1])
    table: dict[str, Value] = {
        "the activation is missing": x,
        "it is a ReLU": other("relu"),
        "it is a sigmoid": other("sigmoid"),
        "it is a tanh": other("tanh"),
        "it is a softplus": other("softplus"),
        "it is a GELU": other("gelu", approximate="none"),
        "it is a GELU of the tanh form": other("gelu", approximate="tanh"),
        **{
            f"it is a leaky ReLU of slope {a:g}": other("leaky_relu", alpha=a)
            for a in (0.01, 0.1, 0.2, 0.25, 0.3)
        },
        **{f"it is an ELU of alpha {a:g}": other("elu", alpha=a) for a in (1.0, 0.5)},
    }
    v = x.value
    plain = {
        "it is a SiLU (x times its sigmoid)": v * other("sigmoid").value,
        "it is a ReLU6, cut off at 6": np.clip(v, 0, 6),
        "it is a hard sigmoid": np.clip(v / 6 + 0.5, 0, 1),
        "it is a hard tanh": np.clip(v, -1, 1),
        "it is a hard swish": v * np.clip(v / 6 + 0.5, 0, 1),
        "the negative side is kept, not the positive one": np.minimum(v, 0),
        "the size is taken": np.abs(v),
        "it is a SELU": 1.0507009873554805
        * np.where(v > 0, v, 1.6732632423543772 * np.expm1(np.minimum(v, 0))),
        "it is a Mish": v * np.tanh(np.logaddexp(v, 0)),
        "it is a softsign": v / (1 + np.abs(v)),
        "the quick form x sigmoid(1.702 x) stands for the GELU": v / (1 + np.exp(-1.702 * v)),
    }
    for words, out in table.items():
        yield words, out
    for words, value in plain.items():
        yield words, tried("", value, right, u)[1]


def _anywhere(
    node: Node, xs: Any, same: Any, option: Any, arrays: Any, right: Value, u: float, mode: str
) -> Iterator[Tried]:
    """Mistakes of any layer."""
    out = right.value
    e = np.exp(out - out.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    for words, value in (
        ("a softmax follows, which the scores of the other have not", p),
        (
            "a log softmax follows, which the scores of the other have not",
            np.log(np.maximum(p, 1e-300)),
        ),
        ("a sigmoid follows", 1 / (1 + np.exp(-np.clip(out, -500, 500)))),
        ("a ReLU follows", np.maximum(out, 0)),
        ("its sign is the other", -out),
    ):
        yield words, tried("", value, right, u)[1]
    if len(xs) == 1 and xs[0].value.shape == out.shape:
        yield "the layer is missing", xs[0]
    if out.ndim == 4:
        yield (
            "rows and columns of the image are exchanged",
            tried("", out.swapaxes(2, 3), right, u)[1],
        )
        yield "the channels are in reverse order", tried("", out[:, ::-1], right, u)[1]
    if xs[0].value.ndim == 4:
        x = xs[0]
        for words, turned in (
            (
                "the channels of the input are in reverse order (RGB and BGR)",
                [a[:, ::-1] for a in x],
            ),
            ("rows and columns of the input are exchanged", [a.swapaxes(2, 3) for a in x]),
            ("the input is upside down", [a[:, :, ::-1] for a in x]),
            ("the input is mirrored", [a[:, :, :, ::-1] for a in x]),
            ("the input is divided by 255", [a / 255 for a in x]),
            ("the input is multiplied by 255", [a * 255 for a in x]),
        ):
            try:
                yield words, same(node, [Value(*turned), *xs[1:]])
            except Exception:
                continue
