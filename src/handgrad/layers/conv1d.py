"""The convolution of sequences: that of images of one row.

    out[n, f, i] = sum_{c, u} x[n, c, i s + u d - p] w[f, c, u] + b[f]

with the stride s, the pad p and the dilation d, as in `handgrad.layers.conv`, whose sums over one row
these are; so are those of backward.
"""

from __future__ import annotations

from typing import Any

from handgrad.engines.arrays import Array, promote
from handgrad.errors import ShapeError, as_count, check_ndim, check_shape
from handgrad.layers.conv import conv_backward, conv_forward
from handgrad.layers.pair import Cache
from handgrad.layers.rows import as_image, as_sequence, flat_options, sequence_cache, upstream
from handgrad.layers.windows import reach_of


def conv1d_forward(
    x: Array, w: Array, b: Array, conv1d_param: dict[str, Any], *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Convolution of sequences: ``out[n, f, i] = sum(window[n, :, i] * w[f]) + b[f]``.

    Args:
        x: sequences, (N, C, L).
        w: filters, (F, C / groups, LL).
        b: biases, (F,).
        conv1d_param: 'stride' (default 1), 'pad' (default 0, zeros on each side), 'dilation' (default 1),
            'groups' (default 1), by which C and F can be divided.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, F, L') with ``L' = 1 + (L + 2 pad - dilation (LL - 1) - 1) // stride``, and the cache for
        `conv1d_backward`.

    Raises:
        ShapeError, DtypeError: an argument does not fit the others, or no window fits the sequence.
        OptionError: conv1d_param is no dictionary, or has an unknown key or a number out of range.

    Source: A. Waibel et al., "Phoneme recognition using time-delay neural networks" (1989).

    >>> import numpy as np
    >>> out, cache = conv1d_forward(np.ones((2, 3, 10)), np.ones((4, 3, 5)), np.zeros(4), {"pad": 2})
    >>> out.shape
    (2, 4, 10)
    """
    layer = "conv1d_forward"
    x, w, b = promote(layer, x=x, w=w, b=b)
    check_ndim(layer, "x", x, 3, "(N, C, L)")
    check_ndim(layer, "w", w, 3, "(F, C, LL)")
    least = {"stride": 1, "pad": 0, "dilation": 1}
    param = flat_options(layer, "conv1d_param", conv1d_param, least, ("groups",))
    groups = as_count(layer, "conv1d_param['groups']", param.get("groups", 1))
    (F, _, LL), C = w.shape, x.shape[1]
    if C % groups or F % groups:
        raise ShapeError(
            f"{layer}: conv1d_param['groups'] must divide the channels and the filters, got {groups} for x "
            f"{tuple(x.shape)} and w {tuple(w.shape)}"
        )
    check_shape(layer, "w", w, (F, C // groups, LL), "(F, C / groups, LL) with the C of x")
    check_shape(layer, "b", b, (F,), "(F,) of w (F, C, LL)")
    _, reach = reach_of((1, LL), param.get("dilation", (1, 1)))
    length = x.shape[2] + 2 * param.get("pad", (0, 0))[1]
    if not 1 <= reach <= length:
        raise ShapeError(
            f"{layer}: a window of {reach} must fit the sequence of {length}, pad counted; got w "
            f"{tuple(w.shape)} for x {tuple(x.shape)}"
        )
    out, images = conv_forward(as_image(x), as_image(w), b, param, engine=engine)
    out = as_sequence(out)
    return out, sequence_cache("conv1d", out, images)


def conv1d_backward(
    dout: Array, cache: Cache, *, need_dx: bool = True
) -> tuple[Array | None, Array, Array]:
    """Gradients of `conv1d_forward`, those of the convolution of images of one row.

    Args:
        dout: upstream gradient, (N, F, L').
        cache: what `conv1d_forward` returned.
        need_dx: whether dx is wanted.

    Returns:
        dx (N, C, L), or None where it is not wanted, dw (F, C / groups, LL), db (F,).

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    dout = upstream("conv1d", dout, cache)
    dx, dw, db = conv_backward(dout, cache.saved.images, need_dx=need_dx)
    return None if dx is None else as_sequence(dx), as_sequence(dw), db
