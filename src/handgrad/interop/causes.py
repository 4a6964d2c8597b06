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
from handgrad.interop.causes_edges import crops, one, paddings, strides
from handgrad.interop.causes_images import joins, maxout, pools, upsample
from handgrad.interop.causes_norms import Tried, norms, tolerant, tried
from handgrad.interop.causes_points import activations, anywhere, dropout, standardize
from handgrad.interop.network import Node
from handgrad.interop.relations import rounded, turned

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
        **dict.fromkeys(bounds.NORMS, norms), "max_pool": pools, "avg_pool": pools,
        "global_avg_pool": pools, "upsample": upsample, "add": joins, "concat": joins,
        "maxout": maxout, "standardize": standardize, "dropout": dropout,
    }  # fmt: skip
    tools = (same, option, arrays, right, u, mode)
    if node.op in by_kind:
        yield from by_kind[node.op](node, xs, *tools)
    if node.op in ("relu", "leaky_relu", "elu", "gelu", "sigmoid", "tanh", "softplus", "prelu"):
        yield from activations(node, xs, *tools)
    yield from anywhere(node, xs, *tools)


def _products(
    node: Node, xs: Any, same: Any, option: Any, arrays: Any, right: Value, u: float, mode: str
) -> Iterator[Tried]:
    W, o, x = node.arrays["W"], node.options, xs[0]
    if "b" in node.arrays:
        bare = arrays(b=None)
        wide = (1, -1) + (1,) * (bare.value.ndim - 2)
        late = np.maximum(bare.value, 0) + np.asarray(node.arrays["b"]).reshape(wide)
        yield "a ReLU stands in front of the bias", tried("", late, right, u)[1]
        yield "the bias is missing", bare
        yield "the bias is added twice", arrays(b=2 * node.arrays["b"])
        yield "the bias is subtracted", arrays(b=-node.arrays["b"])
    for words, value in rounded(np.asarray(W, np.float64)):
        if words.endswith(("float16", "bits")):
            yield f"W holds other numbers: {words}", arrays(W=value)
    for words, value in turned(np.asarray(W, np.float64)):
        if "reshaped" in words or "in the order" in words:
            yield f"W holds other numbers: {words}", arrays(W=value)
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
        yield from paddings(node, x, same)
    if node.op == "conv" and max(o["stride"]) > 1:
        yield from _phases(node, x, same)
        yield from strides(node, x, same)
    if node.op == "conv_transpose":
        yield from crops(node, x, same)
    for s in (1, 2, 3):
        if tuple(o["stride"]) != (s, s):
            yield (
                f"the stride is {s}, not {one(o['stride'])}",
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
                f"the dilation is {d}, not {one(o['dilation'])}",
                tolerant(option, dilation=(d, d)),
            )
    for pair in ((1, 2), (2, 1), (1, 3), (3, 1)):
        if tuple(o["dilation"]) != pair:
            words = f"the dilation is {pair}, not {one(o['dilation'])}"
            yield words, tolerant(option, dilation=pair)
            same_size = tuple(d * (n - 1) // 2 for d, n in zip(pair, k, strict=True))
            yield words, tolerant(option, dilation=pair, pad=same_size)
    for d in (1, 2, 3):
        same_size = tuple(d * (n - 1) // 2 for n in k)
        if tuple(o["dilation"]) != (d, d):
            words = f"the dilation is {d}, not {one(o['dilation'])}"
            yield words, tolerant(option, dilation=(d, d), pad=same_size)
    if node.op == "conv" and max(o["dilation"]) > 1:
        yield from _undilated(node, x, same)
    for p in range(max(k) + 1):
        if tuple(o["pad"]) != (p, p):
            yield f"the padding is {p}, not {one(o['pad'])}", tolerant(option, pad=(p, p))
    a, b = o["pad"]
    if a != b:
        yield "vertical and horizontal padding are exchanged", tolerant(option, pad=(b, a))
    if node.op == "conv_transpose":
        for p in (0, 1):
            if tuple(o["output_pad"]) != (p, p) and p < min(o["stride"]):
                yield f"the output padding is {p}", tolerant(option, output_pad=(p, p))
    if o["groups"] > 1:
        yield from _groups(node, x, same, arrays)


def _groups(node: Node, x: Value, same: Any, arrays: Any) -> Iterator[Tried]:
    """The groups read other channels, or have other filters."""
    g = node.options["groups"]
    split = np.arange(x.value.shape[1]).reshape(g, -1)
    for words, order in (
        ("the channels of the groups are interleaved", np.arange(split.size).reshape(g, -1).T),
        ("the groups read each other's channels, in reverse order", split[::-1]),
        ("all groups read the channels of the first", np.repeat(split[:1], g, 0)),
        ("the groups read the channels of the one before", np.roll(split, 1, 0)),
    ):
        read = order.reshape(-1)
        yield words, same(node, [Value(x.value[:, read], x.error[:, read])])
    for words, turn in (
        ("the groups have each other's filters, in reverse order", slice(None, None, -1)),
        ("the groups have the filters of the one before", [*range(-1, g - 1)]),
    ):
        parts = {k: a.reshape(g, -1)[turn].reshape(a.shape) for k, a in node.arrays.items()}
        yield words, arrays(**parts)


def _undilated(node: Node, x: Value, same: Any) -> Iterator[Tried]:
    """The filters are not dilated, and as many windows are computed, from one edge on."""
    o, k = node.options, node.arrays["W"].shape[2:]
    room = [(d - 1) * (n - 1) for d, n in zip(o["dilation"], k, strict=True)]
    plain = replace(node, options={**o, "dilation": (1, 1), "pad": (0, 0)})
    (p, q), (down, right) = o["pad"], room
    for near in (False, True):
        cut = [(p, p), (q, q)]
        parts = [np.pad(a, ((0, 0), (0, 0), *cut)) for a in x]
        rows = slice(down if near else 0, parts[0].shape[2] - (0 if near else down))
        columns = slice(right if near else 0, parts[0].shape[3] - (0 if near else right))
        words = f"the dilation is 1, not {one(o['dilation'])}"
        yield words, same(plain, [Value(*(a[:, :, rows, columns] for a in parts))])


def _phases(node: Node, x: Value, same: Any) -> Iterator[Tried]:
    """The windows start later."""
    for rows in range(min(node.options["stride"][0], 3)):
        for columns in range(min(node.options["stride"][1], 3)):
            if rows or columns:
                ends = ((0, 0), (0, 0), (0, rows), (0, columns))
                moved = [np.pad(a, ends)[:, :, rows:, columns:] for a in x]
                words = f"the windows start {rows} rows and {columns} columns of pixels later"
                yield words, same(node, [Value(*moved)])


def _reversed(node: Node) -> Array | None:
    b = node.arrays.get("b")
    return None if b is None else b[::-1]


def _likely_channels(D: int) -> list[int]:
    return [c for c in range(2, D) if D % c == 0 and c < D][:40]


def _flatten_orders(node: Node, x: Value, then: Any) -> Iterator[Tried]:
    orders = {
        "NHWC": (0, 2, 3, 1), "NWHC": (0, 3, 2, 1), "NCWH": (0, 1, 3, 2), "NHCW": (0, 2, 1, 3),
        "NWCH": (0, 3, 1, 2),
    }  # fmt: skip
    for name, order in orders.items() if x.value.ndim == 4 else ():
        parts = (np.ascontiguousarray(a.transpose(order)).reshape(x.value.shape) for a in x)
        yield f"the image is flattened in {name} order, not NCHW", then(Value(*parts))


def _flatten(node: Node, xs: Any, same: Any, *others: Any) -> Iterator[Tried]:
    yield from _flatten_orders(node, xs[0], lambda changed: same(node, [changed]))
