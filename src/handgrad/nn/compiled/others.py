"""Layers as operations of a plan that the engine computes each by itself; see the layers beside this file."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from handgrad import layers
from handgrad.nn.compiled.layers import Array, Backward, Lowered
from handgrad.nn.compiled.memory import NONE, Memory, NotCovered, Ref
from handgrad.nn.graph import order_of

Pair = tuple[int, int]
_MOST_PIECES = 256  # whose number is a byte


def softplus(memory: Memory, x: Ref) -> Lowered:
    """Softplus of each entry."""
    out = x._replace(slot=memory.stored(x.numbers))
    memory.op("softplus", [x.slot, out.slot], [x.numbers])

    def backward(dout: Ref, need_dx: bool) -> Ref | None:
        given = memory.dense(x, dout.last)  # dx lies as dout does, which a layer in Python sees
        dx = dout._replace(slot=memory.stored(x.numbers))
        memory.op("softplus_backward", [dout.slot, given.slot, dx.slot], [x.numbers])
        return dx

    return out, backward


def scale(memory: Memory, x: Ref, factor: float) -> Lowered:
    """Each entry times a number."""
    out = x._replace(slot=memory.stored(x.numbers))
    memory.op("scale", [x.slot, out.slot], [x.numbers], [factor])

    def backward(dout: Ref, need_dx: bool) -> Ref | None:
        dx = dout._replace(slot=memory.stored(x.numbers))
        memory.op("scale", [dout.slot, dx.slot], [x.numbers], [factor])
        return dx

    return out, backward


def upsample(memory: Memory, x: Ref, scale: Any, bilinear: bool) -> Lowered:
    """Images, `scale` times as large."""
    x = memory.dense(x, True)
    N, C, H, W = x.shape
    shape, sizes = (N, C, scale[0] * H, scale[1] * W), [N, C, H, W, *scale, bilinear]
    out = memory.array(shape, True)
    memory.op("upsample", [x.slot, out.slot], sizes)

    def backward(dout: Ref, need_dx: bool) -> Ref | None:
        dout = memory.dense(dout, True)
        dx = memory.array(x.shape, True)
        memory.op("upsample_backward", [dout.slot, dx.slot], sizes)
        return dx

    return out, backward


def dropout(memory: Memory, x: Ref, p: float, stream: int) -> Lowered:
    """Dropout: a mask drawn in rows order, as NumPy draws it."""
    drawn = memory.array(x.shape)
    memory.op("dropout_mask", [drawn.slot], [x.numbers, stream], [p])
    mask = memory.dense(drawn, x.last)
    out = x._replace(slot=memory.stored(x.numbers))
    memory.op("product", [x.slot, mask.slot, out.slot], [x.numbers], [1.0 / p])

    def backward(dout: Ref, need_dx: bool) -> Ref | None:
        # dx lies as dout does, which a layer in Python sees
        same = mask if dout.last == mask.last else memory.dense(drawn, dout.last)
        dx = dout._replace(slot=memory.stored(x.numbers))
        memory.op("product", [dout.slot, same.slot, dx.slot], [x.numbers], [1.0 / p])
        return dx

    return out, backward


def maxout(memory: Memory, x: Ref, pieces: int) -> Lowered:
    """The largest of each group of channels."""
    if pieces > _MOST_PIECES:
        raise NotCovered(f"a maxout of {pieces} pieces")
    # no engine but NumPy computes the layer, and only NumPy knows in what order its results lie
    like, cache = layers.maxout_forward(_zeros(x, memory), pieces)
    x = memory.dense(x, len(x.shape) > 2)
    out = memory.array((x.shape[0], x.shape[1] // pieces, *x.shape[2:]), x.last)
    winner = memory.value(out.numbers, 1)
    memory.op("maxout", [x.slot, out.slot, winner], [out.numbers, pieces])

    def backward(dout: Ref, need_dx: bool) -> Ref | None:
        like = layers.maxout_backward(_zeros(dout, memory), cache)
        dout = memory.dense(dout, x.last)
        dx = x._replace(slot=memory.stored(x.numbers))
        memory.op("maxout_backward", [dout.slot, winner, dx.slot], [out.numbers, pieces])
        return _ordered(memory, dx, like)

    return _ordered(memory, out, like), backward


def _zeros(x: Ref, memory: Memory) -> np.ndarray:
    """Return an array that lies in memory as x does."""
    N, C, *image = x.shape
    if not x.last:
        return np.zeros(x.shape, memory.dtype)
    return np.moveaxis(np.zeros((N, *image, C), memory.dtype), -1, 1)


def _ordered(memory: Memory, x: Ref, like: np.ndarray) -> Ref:
    """Return x in the order of memory of `like`."""
    last = order_of(like)
    if last is None:
        raise NotCovered("a layer whose values lie in memory in another order")
    return memory.dense(x, last)


def concat(memory: Memory, a: Ref, b: Ref) -> tuple[Ref, tuple[int, ...]]:
    """The channels of b behind those of a; and the sizes for `split`."""
    last = len(a.shape) > 2
    a, b = memory.dense(a, last), memory.dense(b, last)
    rows = a.shape[0] * prod(a.shape[2:])
    out = memory.array((a.shape[0], a.shape[1] + b.shape[1], *a.shape[2:]), last)
    sizes = rows, a.shape[1], b.shape[1]
    memory.op("concat", [a.slot, b.slot, out.slot], sizes)
    return out, sizes


def split(memory: Memory, dout: Ref, sizes: Sequence[int]) -> tuple[Ref, Ref]:
    """The gradients of what `concat` has joined."""
    _, left, right = sizes
    N, _, *image = dout.shape
    da, db = memory.array((N, left, *image), dout.last), memory.array((N, right, *image), dout.last)
    if not dout.last:  # the parts lie as dout does, which a layer in Python sees
        sizes = N, left * prod(image), right * prod(image)
    memory.op("split", [dout.slot, da.slot, db.slot], sizes)
    return da, db


def conv_transpose(
    memory: Memory,
    x: Ref,
    arrays: Sequence[Array],
    stride: Pair,
    pad: Pair,
    output_pad: Pair,
    dilation: Pair,
    groups: int,
) -> Lowered:
    """The transposed convolution; its operations have the sizes of the convolution that goes back."""
    w, b = arrays
    x = memory.dense(x, True)
    F, window = w.shape[1] * groups, w.shape[2:]
    image = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + 1 + more
        for n, k, s, p, d, more in zip(
            x.shape[2:], window, stride, pad, dilation, output_pad, strict=True
        )
    )
    out = memory.array((x.shape[0], F, *image), True)
    sizes = [*out.shape, x.shape[1], *window, *stride, *pad, *dilation, groups]
    memory.op("conv_transpose", [x.slot, w.slot, b.slot, out.slot], sizes)
    return out, _backward_of(memory, x, w, b, sizes)


def _backward_of(memory: Memory, x: Ref, w: Array, b: Array, sizes: Sequence[int]) -> Backward:
    def backward(dout: Ref, need_dx: bool) -> Ref | None:
        dout = memory.dense(dout, True)
        dx = memory.array(x.shape, True) if need_dx else None
        slots = [dout.slot, x.slot, w.slot, dx.slot if dx else NONE, w.gradient, b.gradient]
        memory.op("conv_transpose_backward", slots, sizes)
        return dx

    return backward
