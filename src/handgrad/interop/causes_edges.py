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
    for value in (-1.0, 1.0, float(x.value.min()), float(x.value.mean())):
        found = edges(plain, x, same, (p, p, q, q), "constant", value)
        if found is not None:
            yield f"the edges of the image are padded with {value:.4g}, not {fill:g}", found
    for kind, words in (("reflect", "reflected"), ("edge", "repeated"), ("wrap", "wrapped around")):
        found = edges(plain, x, same, (p, p, q, q), kind, fill)
        if found is not None:
            yield f"the edges of the image are {words}, not padded with zeros", found


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
