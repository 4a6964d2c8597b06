"""Max pooling: the largest number of each window.

    out[n, c, i, j] = max_{u, v} x[n, c, i s + u, j s + v]

Only the maximum moves the output, so backward hands dout to it and nothing to the others:

    dx[n, c, r, q]  = sum of dout[n, c, i, j] over the windows (i, j) whose maximum is (r, q)

Where several numbers of a window are equally large, the first of them (row by row) is the maximum;
the gradient is never multiplied, so its sum is kept.  A NaN counts as larger than any number.  Of
complex numbers the real parts are compared.  Padding is never the maximum, not even of numbers that are
all minus infinity.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from handgrad.engines import bordered, vectorized
from handgrad.engines.arrays import Array, namespace, promote, real_part
from handgrad.errors import check_ndim
from handgrad.layers.pair import Cache, Checked, run_backward, run_forward
from handgrad.layers.windows import Border, Pair, check_pool, pool_counts, pool_options, slices


def max_pool_forward(
    x: Array, pool_param: dict[str, Any], *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Maximum of each window: ``out[n, c, i, j] = max(window[n, c, i, j])``.

    Args:
        x: images, (N, C, H, W).
        pool_param: 'pool_height' and 'pool_width', the window; 'stride' (default: the window) and
            'pad' (default 0, on each side, at most half of the window), each an integer or a pair
            (vertical, horizontal); 'ceil_mode' (default False): whether a last window that reaches
            beyond the far end counts, if it begins in the image or in the padding before it.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, C, H', W') with ``H' = 1 + (H + 2 pad - pool_height) // stride``, rounded up with
        ceil_mode, and W' likewise, and the cache for `max_pool_backward`.

    Raises:
        ShapeError, DtypeError: x is not four-dimensional, or smaller than the window.
        OptionError: pool_param lacks a key, has an unknown one, or a number out of range.

    Source: CS231n assignment 2, ``max_pool_forward_naive``.
    """
    (x,) = promote("max_pool_forward", x=x)
    return run_forward("max_pool", engine, (x,), *check(x, pool_param).options)


def check(x: Array, pool_param: dict[str, Any]) -> Checked:
    """Do the checks of `max_pool_forward`; the options are window, stride and border."""
    check_ndim("max_pool_forward", "x", x, 4, "(N, C, H, W)")
    options = pool_options("max_pool_forward", pool_param)
    shape = tuple(x.shape)
    border = check_pool("max_pool_forward", shape, options)
    counts = pool_counts(shape[2:], options)
    return Checked("max_pool", (options.window, options.stride, border), (*shape[:2], *counts))


def max_pool_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `max_pool_forward`: dout, at the first maximum of each window.

    Args:
        dout: upstream gradient, (N, C, H', W').
        cache: what `max_pool_forward` returned.

    Returns:
        dx, (N, C, H, W).

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return run_backward("max_pool", dout, cache)


class Saved(NamedTuple):
    """x: kept so that dx takes its memory layout; index: each maximum's number in its window."""

    x: Array
    index: Array
    window: Pair
    stride: Pair


@vectorized.computes("max_pool_forward")
def _forward(
    x: Array, window: Pair, stride: Pair, border: Border | None = None
) -> tuple[Array, Saved | bordered.Saved]:
    """One step for each offset of the window, for all windows at once."""
    if border is not None:
        return bordered.max_pool_forward(x, window, stride, border)
    xp = namespace(x)
    first, *others = slices(x, window, stride)
    out = xp.asarray(first, copy=True)
    index_dtype = xp.uint8 if len(others) < 256 else xp.int32
    index = xp.zeros_like(out, dtype=index_dtype)
    for k, candidate in enumerate(others, start=1):
        value, largest = real_part(candidate), real_part(out)
        larger = ~(value <= largest) & (largest == largest)  # true of the first NaN, too
        is_real = value is candidate  # where would do for both, at six times the price
        out = xp.maximum(out, candidate) if is_real else xp.where(larger, candidate, out)
        index = xp.maximum(index, xp.astype(larger, index_dtype) * k)
    return out, Saved(x, index, window, stride)


@vectorized.computes("max_pool_backward")
def _backward(dout: Array, saved: Saved | bordered.Saved) -> Array:
    if isinstance(saved, bordered.Saved):
        return bordered.max_pool_backward(dout, saved)
    x, index, window, stride = saved
    xp = namespace(x)
    dx = xp.zeros_like(x)
    zero = xp.zeros((), dtype=dout.dtype, device=dout.device)
    finite = bool(xp.all(xp.isfinite(dout)))
    for k, dslice in enumerate(slices(dx, window, stride)):
        chosen = index == k
        # The product is several times faster than where, but infinity times zero is NaN.
        dslice += dout * xp.astype(chosen, dout.dtype) if finite else xp.where(chosen, dout, zero)
    return dx
