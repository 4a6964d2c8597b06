"""Pooling in one step for each offset of the window, for all windows at once.

Max pooling keeps the number of the chosen offset for each output.  x is kept only so that dx takes
its memory layout.
"""

from __future__ import annotations

from handgrad.engines import bordered
from handgrad.engines.arrays import Array, namespace, real_part
from handgrad.engines.vectorized.windows import Pair, count, shifted


def max_pool_forward(
    x: Array, window: Pair, stride: Pair, border: bordered.Border | None = None
) -> tuple[Array, tuple]:
    if border is not None:
        return bordered.max_pool_forward(x, window, stride, border)
    xp = namespace(x)
    first, *others = _slices(x, window, stride)
    out = xp.asarray(first, copy=True)
    index_dtype = xp.uint8 if len(others) < 256 else xp.int32
    index = xp.zeros_like(out, dtype=index_dtype)
    for k, candidate in enumerate(others, start=1):
        value, largest = real_part(candidate), real_part(out)
        larger = ~(value <= largest) & (largest == largest)  # true of the first NaN, too
        is_real = value is candidate  # where would do for both, at six times the price
        out = xp.maximum(out, candidate) if is_real else xp.where(larger, candidate, out)
        index = xp.maximum(index, xp.astype(larger, index_dtype) * k)
    return out, (x, index, window, stride)


def max_pool_backward(dout: Array, saved: tuple) -> Array:
    if isinstance(saved, bordered.Saved):
        return bordered.max_pool_backward(dout, saved)
    x, index, window, stride = saved
    xp = namespace(x)
    dx = xp.zeros_like(x)
    zero = xp.zeros((), dtype=dout.dtype, device=dout.device)
    finite = bool(xp.all(xp.isfinite(dout)))
    for k, dslice in enumerate(_slices(dx, window, stride)):
        chosen = index == k
        # The product is several times faster than where, but infinity times zero is NaN.
        dslice += dout * xp.astype(chosen, dout.dtype) if finite else xp.where(chosen, dout, zero)
    return dx


def avg_pool_forward(
    x: Array,
    window: Pair,
    stride: Pair,
    border: bordered.Border | None = None,
    sizes: bordered.Sizes | None = None,
) -> tuple[Array, tuple]:
    if border is not None and sizes is not None:
        return bordered.avg_pool_forward(x, window, stride, border, sizes)
    xp = namespace(x)
    first, *others = _slices(x, window, stride)
    out = xp.asarray(first, copy=True)
    for other in others:
        out += other
    out /= window[0] * window[1]
    return out, (x, window, stride)


def avg_pool_backward(dout: Array, saved: tuple) -> Array:
    if isinstance(saved, bordered.Saved):
        return bordered.avg_pool_backward(dout, saved)
    x, window, stride = saved
    dx = namespace(x).zeros_like(x)
    share = dout / (window[0] * window[1])
    for dslice in _slices(dx, window, stride):
        dslice += share
    return dx


def global_avg_pool_forward(x: Array) -> tuple[Array, Array]:
    return namespace(x).sum(x, axis=(2, 3)) / (x.shape[2] * x.shape[3]), x


def global_avg_pool_backward(dout: Array, saved: Array) -> Array:
    share = dout / (saved.shape[2] * saved.shape[3])
    return namespace(saved).zeros_like(saved) + share[:, :, None, None]


def _slices(images: Array, window: Pair, stride: Pair) -> list[Array]:
    """Return what each offset (u, v) of the window sees, row by row: views of (N, C, H', W')."""
    counts = count(images.shape[2:], window, stride)
    offsets = [(u, v) for u in range(window[0]) for v in range(window[1])]
    return [shifted(images, u, v, counts, stride) for u, v in offsets]
