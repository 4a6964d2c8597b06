"""Mistakes at pools, upsampling, sums and joins; see `handgrad.interop.causes`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.interop.bounds import Value
from handgrad.interop.causes_edges import edges, one, paddings
from handgrad.interop.causes_norms import Tried, tolerant, tried
from handgrad.interop.network import Node

Array = np.ndarray


def pools(
    node: Node, xs: Any, same: Any, option: Any, arrays: Any, right: Value, u: float, mode: str
) -> Iterator[Tried]:
    """Yield mistakes at pools."""
    x, o = xs[0], node.options
    if node.op == "global_avg_pool":
        for words, value in (
            ("the largest of each channel is taken, not the mean", x.value.max(axis=(2, 3))),
            ("each channel is summed, not averaged", x.value.sum(axis=(2, 3))),
            ("the smallest of each channel is taken", x.value.min(axis=(2, 3))),
            (
                "the root mean square of each channel is taken",
                np.sqrt((x.value**2).mean(axis=(2, 3))),
            ),
            ("the median of each channel is taken", np.median(x.value, axis=(2, 3))),
            (
                "the upper of the two middle numbers of each channel is taken",
                np.quantile(x.value, 0.5, axis=(2, 3), method="higher"),
            ),
            (
                "the lower of the two middle numbers of each channel is taken",
                np.quantile(x.value, 0.5, axis=(2, 3), method="lower"),
            ),
            ("the mean is that of the columns alone", x.value.mean(axis=2)),
            ("the last pixel of each channel is taken", x.value[:, :, -1, -1]),
            ("the first pixel of each channel is taken", x.value[:, :, 0, 0]),
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
        square = same(node, [Value(x.value**2, x.error)])
        root = np.sqrt(np.maximum(square.value, 0))
        yield "the root mean square of each window is taken", tried("", root, right, u)[1]
        window = o["size"][0] * o["size"][1]
        yield "the windows are summed, not averaged", tried("", right.value * window, right, u)[1]
    else:
        smallest = -same(node, [Value(-x.value, x.error)]).value
        yield "the smallest of each window is taken", tried("", smallest, right, u)[1]
        size = same(node, [Value(np.abs(x.value), x.error)])
        yield "the largest by size of each window is taken", size
        for counts in (True, False):
            other = replace(node, op="avg_pool", options={**o, "count_include_pad": counts})
            mean = same(other)
            yield "the mean of each window is taken, not the largest", mean
            total = mean.value * o["size"][0] * o["size"][1]
            yield (
                "the windows are summed, their largest is not taken",
                tried("", total, right, u)[1],
            )
        if any(o["pad"]):
            p, q = o["pad"]
            padded = np.pad(x.value, ((0, 0), (0, 0), (p, p), (q, q)))
            plain = replace(node, options={**o, "pad": (0, 0)})
            value = same(plain, [Value(padded, np.zeros(padded.shape))])
            yield "the image is padded with zeros, which win over negative numbers", value
    for p in (0, 1, 2):
        if tuple(o["pad"]) != (p, p) and 2 * p <= min(o["size"]):
            yield f"the padding is {p}, not {one(o['pad'])}", tolerant(option, pad=(p, p))
    fill = 0.0 if node.op == "avg_pool" else -np.inf
    yield from paddings(node, x, same, fill)
    yield from _later(node, x, same, fill)
    p, q = max(o["size"]) - 1, max(o["size"]) - 1
    for words, widths in (
        ("above and on the left", (p, 0, q, 0)),
        ("below and on the right", (0, p, 0, q)),
    ):
        plain = replace(node, options={**o, "pad": (0, 0)})
        for size in (1, 2):
            part = tuple(min(size, w) for w in widths)
            found = edges(plain, x, same, part, "constant", fill)
            if found is not None and tuple(part) != (0, 0, 0, 0):
                yield f"the image is padded {words} by {size}, the padding is the other way", found
    yield from _cut(node, x, right, u)
    for s in (1, 2, 3):
        if tuple(o["stride"]) != (s, s):
            yield f"the stride is {s}, not {one(o['stride'])}", tolerant(option, stride=(s, s))
        for size in ((s, 1), (1, s), (s, s)):
            for p in (0, 1):
                if size != tuple(o["size"]) and 2 * p <= min(size):
                    words = f"the window is {one(size)}, not {one(o['size'])}"
                    for stride in (o["stride"], size, (2, 2)):
                        yield words, tolerant(option, size=size, stride=stride, pad=(p, p))
        if tuple(o["size"]) != (s, s):
            for stride in (o["stride"], (s, s)):
                found = tolerant(
                    option, size=(s, s), stride=stride, pad=tuple(min(p, s // 2) for p in o["pad"])
                )
                yield f"the window is {s}, not {one(o['size'])}", found


def _later(node: Node, x: Value, same: Any, fill: float) -> Iterator[Tried]:
    """Yield windows that start later; as many are computed."""
    for rows in range(min(node.options["stride"][0], 3)):
        for columns in range(min(node.options["stride"][1], 3)):
            if rows or columns:
                ends = ((0, 0), (0, 0), (0, rows), (0, columns))
                value = np.pad(x.value, ends, constant_values=fill)[:, :, rows:, columns:]
                moved = Value(value, np.pad(x.error, ends)[:, :, rows:, columns:])
                words = f"the windows start {rows} rows and {columns} columns of pixels later"
                yield words, same(node, [moved])


def _cut(node: Node, x: Value, right: Value, u: float) -> Iterator[Tried]:
    """Yield windows that lie side by side, made by a reshape that cuts the image otherwise."""
    o, (N, C, H, W) = node.options, x.value.shape
    a, b = o["size"]
    if tuple(o["stride"]) != (a, b) or any(o["pad"]) or H % a or W % b:
        return
    taken = np.max if node.op == "max_pool" else np.mean
    whole, apart = (H // a, a), (a, H // a)
    wide, far = (W // b, b), (b, W // b)
    for rows, i in ((apart, 2), (whole, 3)):
        for columns, j in ((far, 4), (wide, 5)):
            if (i, j) != (3, 5):
                parts = x.value.reshape(N, C, *rows, *columns)
                words = (
                    "the windows take pixels that lie apart: the image is cut the other way round"
                )
                yield tried(words, taken(parts, axis=(i, j)), right, u)


def upsample(
    node: Node, xs: Any, same: Any, option: Any, arrays: Any, right: Value, u: float, mode: str
) -> Iterator[Tried]:
    """Yield mistakes at upsampling."""
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
    for a, words in (
        (-0.75, "bicubic"),
        (-0.5, "bicubic with the number -0.5, as in Keras and PIL"),
    ):
        yield f"it is {words}", tried("", _cubic(x, scale, a), right, u)[1]
    rows, columns = (
        np.minimum(np.rint(p).astype(int), n - 1) for p, n in zip(start, x.shape[2:], strict=True)
    )
    yield (
        "the nearest pixel is rounded to, not the one that covers",
        tried("", x[:, :, rows][..., columns], right, u)[1],
    )
    yield "the two neighbours of a pixel have each other's shares", tried(
        "", _between(x, _centres(x, scale), True), right, u)[1]  # fmt: skip
    for words, places in (
        ("centre", _centres(x, scale)), ("corner", start), ("aligned corner", corner),
    ):  # fmt: skip
        for how, f in (("below", np.floor), ("above", np.ceil), ("that is rounded to", np.rint)):
            rows, columns = (
                np.clip(f(p).astype(int), 0, n - 1)
                for p, n in zip(places, x.shape[2:], strict=True)
            )
            yield f"it takes the nearest pixel {how}, counted from the {words}", tried(
                "", x[:, :, rows][..., columns], right, u)[1]  # fmt: skip
    filled = np.zeros((*x.shape[:2], *sizes))
    filled[:, :, :: scale[0], :: scale[1]] = x
    yield "zeros stand between the pixels", tried("", filled, right, u)[1]
    tiled = np.tile(x, (1, 1, *scale))
    yield "the image is repeated as a whole, not pixel by pixel", tried("", tiled, right, u)[1]
    a, b = scale
    tiled = np.tile(x, (1, 1, a, b))
    yield "the image is repeated as a whole, side by side", tried("", tiled, right, u)[1]
    if a != b:
        yield "vertical and horizontal scale are exchanged", option(scale=(b, a))


def _cubic(x: Array, scale: Sequence[int], a: float) -> Array:
    """Cubic convolution, with the edges repeated."""
    for axis, s in zip((2, 3), scale, strict=True):
        n = x.shape[axis]
        place = (np.arange(n * s) + 0.5) / s - 0.5
        low = np.floor(place).astype(int)
        out = np.zeros((*x.shape[:axis], n * s, *x.shape[axis + 1 :]))
        for k in (-1, 0, 1, 2):
            t = np.abs(place - low - k)
            near = (a + 2) * t**3 - (a + 3) * t**2 + 1
            far = a * (t**3 - 5 * t**2 + 8 * t - 4)
            weight = np.where(t <= 1, near, np.where(t < 2, far, 0.0))
            shape = (-1, 1) if axis == 2 else (-1,)
            out = out + weight.reshape(shape) * x.take(np.clip(low + k, 0, n - 1), axis)
        x = out
    return x


def _centres(x: Array, scale: Sequence[int]) -> list[Array]:
    return [(np.arange(n * s) + 0.5) / s - 0.5 for n, s in zip(x.shape[2:], scale, strict=True)]


def _between(x: Array, places: Sequence[Array], turned: bool = False) -> Array:
    for axis, place in zip((2, 3), places, strict=True):
        n = x.shape[axis]
        place = np.clip(place, 0, n - 1)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, n - 1)
        part = (place - low).reshape((-1, 1) if axis == 2 else (-1,))
        part = 1 - part if turned else part
        x = (1 - part) * x.take(low, axis) + part * x.take(high, axis)
    return x


def joins(
    node: Node, xs: Any, same: Any, option: Any, arrays: Any, right: Value, u: float, mode: str
) -> Iterator[Tried]:
    """Yield mistakes at sums and joins."""
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
        ("a ReLU stands in front of the sum", np.maximum(a, 0) + np.maximum(b, 0)),
        ("the shortcut is missing: only one of the two values is there", a),
        ("the shortcut is missing: only one of the two values is there", b),
        ("the values are subtracted, not added", a - b),
        ("the values are subtracted, not added", b - a),
        ("the values are multiplied, not added", a * b),
        ("the maximum of the two values is taken, not the sum", np.maximum(a, b)),
        ("the minimum of the two values is taken, not the sum", np.minimum(a, b)),
        ("the mean of the values is taken, not the sum", (a + b) / 2),
        ("the larger of the two values is taken, not their sum", np.maximum(a, b)),
        ("the smaller of the two values is taken, not their sum", np.minimum(a, b)),
        ("one of the values is added twice", 2 * a + b),
        ("one of the values is added twice", a + 2 * b),
        ("one of the values is added to itself, and the other is lost", 2 * a),
        ("one of the values is added to itself, and the other is lost", 2 * b),
        ("the values are joined, not added", np.concatenate([a, b], axis=1)),
        ("the values are joined, not added", np.concatenate([b, a], axis=1)),
    ):
        yield words, tried("", value, right, u)[1]


def maxout(
    node: Node, xs: Any, same: Any, option: Any, arrays: Any, right: Value, u: float, mode: str
) -> Iterator[Tried]:
    """Yield mistakes at maxout."""
    x, pieces = xs[0].value, node.options["pieces"]
    apart = x.reshape(len(x), pieces, -1, *x.shape[2:]).max(axis=1)
    yield "the pieces of a group are not neighbours but C apart", tried("", apart, right, u)[1]
    groups = x.reshape(len(x), -1, pieces, *x.shape[2:])
    yield "the smallest of each group is taken", tried("", groups.min(axis=2), right, u)[1]
    yield "the mean of each group is taken", tried("", groups.mean(axis=2), right, u)[1]
