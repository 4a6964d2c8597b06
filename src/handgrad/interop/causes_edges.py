"""Mistakes at the edges of images; see `handgrad.interop.causes`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.interop.bounds import Value
from handgrad.interop.causes_norms import Tried
from handgrad.interop.network import Node


def one(pair: Any) -> Any:
    """Return a pair of two equal numbers as one."""
    return pair[0] if pair[0] == pair[1] else tuple(pair)


def paddings(node: Node, x: Value, same: Any, fill: float = 0.0) -> Iterator[Tried]:
    """Yield the same sum of pads, distributed otherwise; and edges that are no zeros."""
    p, q = node.options["pad"]
    yield from _same(node, x, same, fill)
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
        found = edges(plain, x, same, widths, "constant", fill)
        if found is not None:
            yield words, found
    ways = {
        "on both sides": (1, 1), "at the near edge": (2, 0), "at the far edge": (0, 2),
        "at the near edge, half of it": (1, 0), "at the far edge, half of it": (0, 1), "nowhere": (0, 0),
    }  # fmt: skip
    for rows, (a, b) in ways.items():
        for columns, (c, d) in ways.items():
            if rows != columns:
                found = edges(plain, x, same, (a * p, b * p, c * q, d * q), "constant", fill)
                if found is not None:
                    yield f"the padding is the other way: rows {rows}, columns {columns}", found
    yield from _shifted(plain, x, same, fill, (p, q))
    for value in (-1.0, 1.0, float(x.value.min()), float(x.value.mean())):
        found = edges(plain, x, same, (p, p, q, q), "constant", value)
        if found is not None:
            yield f"the edges of the image are padded with {value:.4g}, not {fill:g}", found
    for kind, words in (("reflect", "reflected"), ("edge", "repeated"), ("wrap", "wrapped around")):
        found = edges(plain, x, same, (p, p, q, q), kind, fill)
        if found is not None:
            yield f"the edges of the image are {words}, not padded with zeros", found


def _same(node: Node, x: Value, same: Any, fill: float) -> Iterator[Tried]:
    """Yield the padding that TensorFlow and Keras call 'same', and its mirror image.

    Rows of n pixels get ``(ceil(n / s) - 1) s + d (k - 1) + 1 - n`` in all, the odd one at the far edge.
    """
    o = node.options
    size = o["size"] if "size" in o else node.arrays["W"].shape[2:]
    dilation = o.get("dilation", (1, 1))
    total = [
        max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        for n, s, d, k in zip(x.value.shape[2:], o["stride"], dilation, size, strict=True)
    ]
    plain = replace(node, options={**o, "pad": (0, 0)})
    near, far = [n // 2 for n in total], [n - n // 2 for n in total]
    for (a, b), (c, d), words in (
        (near, far, "the padding is that of TensorFlow and Keras, 'same'"),
        (
            far,
            near,
            "the padding is that of 'same', but the odd row and column are at the near edges",
        ),
    ):
        found = edges(plain, x, same, (a, c, b, d), "constant", fill)
        if found is not None and (near != far or tuple(near) != tuple(o["pad"])):
            yield f"{words}: {_four(a, c, b, d)}, not {one(o['pad'])}", found


def _shifted(
    plain: Node, x: Value, same: Any, fill: float, pad: tuple[int, int]
) -> Iterator[Tried]:
    """Yield windows that start earlier or later, where as many come out, and pads of one side alone."""
    p, q = pad
    moves = [(i, -i) for i in range(-p, p + 1)] + [(0, -1), (-1, 0), (0, 1), (1, 0)]
    wide = [(j, -j) for j in range(-q, q + 1)] + [(0, -1), (-1, 0), (0, 1), (1, 0)]
    pairs = sorted(((a, b) for a in moves for b in wide), key=lambda two: two[0] != two[1])
    for (a, b), (c, d) in pairs[:90]:
        widths = (p + a, p + b, q + c, q + d)
        if min(widths) >= 0 and (a, b, c, d) != (0, 0, 0, 0):
            found = edges(plain, x, same, widths, "constant", fill)
            if found is not None:
                yield f"the padding is {_four(*widths)}, not {one(pad)} on all sides", found


def _four(top: int, bottom: int, left: int, right: int) -> str:
    if (top, bottom) == (left, right):
        return f"{top} above and on the left, {bottom} below and on the right"
    return f"{top} above, {bottom} below, {left} on the left, {right} on the right"


def _padded(
    node: Node, x: Value, same: Any, widths: Any, words: str, fill: float
) -> Iterator[Tried]:
    found = edges(node, x, same, widths, "constant", fill)
    if found is not None:
        where = "above and on the left" if widths[0] else "below and on the right"
        yield f"{words} is {max(widths)} {where}, not 0", found


def edges(node: Node, x: Value, same: Any, widths: Any, kind: str, fill: float) -> Any:
    """Compute the layer of `node` on images whose edges are padded so; None where they cannot be."""
    top, bottom, left, right = widths
    around = ((0, 0), (0, 0), (top, bottom), (left, right))
    more = {"constant_values": fill} if kind == "constant" else {}
    try:
        value = np.pad(x.value, around, kind, **more)  # type: ignore[call-overload]
        return same(node, [Value(value, np.pad(x.error, around))])
    except Exception:  # a mistake that the shapes rule out
        return None


def strides(node: Node, x: Value, same: Any) -> Iterator[Tried]:
    """Yield a pool in front of a convolution, or behind it, in the place of its stride."""
    o, shape = node.options, node.shape
    pool = {"size": o["stride"], "stride": o["stride"], "pad": (0, 0), "ceil_mode": False}
    still = replace(node, options={**o, "stride": (1, 1)})
    for op, words in (("avg_pool", "an average pool"), ("max_pool", "a max pool")):
        more = {"count_include_pad": True} if op == "avg_pool" else {}
        for ceil_mode in (False, True):
            kind = Node(
                "pool", op, node.inputs, {**pool, **more, "ceil_mode": ceil_mode}, {}, {}, shape
            )
            try:
                yield (
                    f"{words} in front of it stands for the stride",
                    same(still, [same(kind, [x])]),
                )
                yield f"{words} behind it stands for the stride", same(kind, [same(still, [x])])
            except Exception:  # windows that the image has no room for
                continue


def crops(node: Node, x: Value, same: Any) -> Iterator[Tried]:
    """Yield a transposed convolution without padding whose output is cut otherwise."""
    whole = tuple(node.options["pad"])
    plain = replace(node, options={**node.options, "pad": (0, 0), "output_pad": (0, 0)})
    try:
        out = same(plain, [x])
    except Exception:  # a mistake that the shapes rule out
        return
    rows, columns = node.shape[1:]
    for a in range(out.value.shape[2] - rows + 1):
        for b in range(out.value.shape[3] - columns + 1):
            if (a, b) != whole:
                cut = (part[:, :, a : a + rows, b : b + columns] for part in out)
                words = f"the output is cropped at the other side: {a} rows and {b} columns at the near edge"
                yield f"{words}, not {one(whole)}", Value(*cut)
