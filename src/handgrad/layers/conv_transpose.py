"""The transposed convolution, which makes images larger: convolution, with input and output exchanged.

Every pixel of x writes its own copy of the filters, times its value, into the output; s is the
stride, p the pad, d the dilation.  With the row r = i s + u d - p and the column q = j s + v d - p:

    out[n, f, r, q] = sum of x[n, c, i, j] w[c, f, u, v] over all (c, i, j, u, v) that reach (r, q), + b[f]

That sum is dx of the convolution with the filters w, (C, F, HH, WW), for dout = x.  What leaves the
output at its edges, the pad, is dropped.  Backward is the convolution itself:

    dx[n, c, i, j] = sum_{f, u, v} dout[n, f, r, q] w[c, f, u, v]
    dw[c, f, u, v] = sum_{n, i, j} x[n, c, i, j] dout[n, f, r, q]
    db[f]          = sum_{n, r, q} dout[n, f, r, q]

A convolution of stride s gives images of s different sizes the same number of windows; output_pad,
below s, says which of them the output has.  Its last rows and columns are then b alone, or less.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, promote
from handgrad.errors import OptionError, as_pair, check_ndim, check_shape
from handgrad.layers.pair import Cache, run_forward, run_linear_backward
from handgrad.layers.products import (
    Windows,
    as_images,
    as_matrix,
    filter_gradient,
    image_gradient,
    padded,
    products,
)
from handgrad.layers.windows import (
    CONV_KEYS,
    Pair,
    check_groups,
    check_transposed_windows,
    conv_options,
    reach_of,
)

_KEYS = CONV_KEYS | {"output_pad"}


def conv_transpose_forward(
    x: Array, w: Array, b: Array, conv_param: dict[str, Any], *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Transposed convolution: ``conv_backward``'s dx, with w for filters and x for dout, plus b.

    Args:
        x: images, (N, C, H, W).
        w: filters, (C, F / groups, HH, WW).
        b: biases, (F,).
        conv_param: 'stride' (default 1), 'pad' (default 0), 'dilation' (default 1) and 'output_pad'
            (default 0), each an integer or a pair (vertical, horizontal); 'groups' (default 1), by
            which C and F can be divided.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, F, H', W') with
        ``H' = (H - 1) stride - 2 pad + dilation (HH - 1) + 1 + output_pad`` and W' likewise, and the
        cache for `conv_transpose_backward`.

    Raises:
        ShapeError, DtypeError: an argument does not fit the others, or nothing is left of the output.
        OptionError: conv_param is no dictionary, or has an unknown key or a number out of range, as an
            output_pad that is not below the stride.

    Source: Zeiler et al., Deconvolutional networks (2010); Dumoulin and Visin, arXiv:1603.07285.
    """
    where = "conv_transpose_forward"
    x, w, b = promote(where, x=x, w=w, b=b)
    check_ndim(where, "x", x, 4, "(N, C, H, W)")
    check_ndim(where, "w", w, 4, "(C, F, HH, WW)")
    stride, pad, dilation, groups = conv_options(where, conv_param, _KEYS)
    given = conv_param.get("output_pad", 0)
    output_pad = as_pair(where, "conv_param['output_pad']", given, minimum=0)
    if output_pad[0] >= stride[0] or output_pad[1] >= stride[1]:
        raise OptionError(
            f"{where}: conv_param['output_pad'] must be below the stride {stride}, got {given!r}; "
            "a larger image has more windows"
        )
    _, depth, HH, WW = w.shape
    C, F = x.shape[1], groups * depth
    check_groups(where, groups, ("channels of x", C))
    check_shape(where, "w", w, (C, depth, HH, WW), "(C, F / groups, HH, WW) with the C of x")
    check_shape(where, "b", b, (F,), "(F,) of w (C, F / groups, HH, WW)")
    reach = reach_of((HH, WW), dilation)
    check_transposed_windows(where, tuple(x.shape), F, reach, stride, pad, output_pad)
    options = stride, pad, output_pad, dilation, groups
    return run_forward("conv_transpose", engine, (x, w, b), *options)


def conv_transpose_backward(
    dout: Array, cache: Cache, *, need_dx: bool = True
) -> tuple[Array | None, Array, Array]:
    """Gradients of `conv_transpose_forward`, by the sums at the head of this file.

    Args:
        dout: upstream gradient, (N, F, H', W').
        cache: what `conv_transpose_forward` returned.
        need_dx: whether dx is wanted; in front of the first layer of a network it is not.

    Returns:
        dx (N, C, H, W), or None where it is not wanted, dw (C, F / groups, HH, WW), db (F,).

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return run_linear_backward("conv_transpose", dout, cache, need_dx)


class Saved(NamedTuple):
    """x: as it came; w: the filters."""

    x: Array
    w: Array
    windows: Windows


@vectorized.computes("conv_transpose_forward")
def _forward(
    x: Array,
    w: Array,
    b: Array,
    stride: Pair,
    pad: Pair,
    output_pad: Pair,
    dilation: Pair,
    groups: int,
) -> tuple[Array, Saved]:
    """The gradient of the images of a convolution."""
    N, _, H, W = x.shape
    reach = reach_of(w.shape[2:], dilation)
    height = (H - 1) * stride[0] + reach[0] + output_pad[0]
    width = (W - 1) * stride[1] + reach[1] + output_pad[1]
    windows = Windows((H, W), stride, pad, dilation, groups)
    out = image_gradient(as_matrix(x), w, (groups * w.shape[1], N, height, width), windows)
    return out + b[:, None, None], Saved(x, w, windows)


@vectorized.computes("conv_transpose_backward")
def _backward(dout: Array, saved: Saved) -> tuple[Array, Array, Array]:
    """The convolution itself."""
    x, w, windows = saved
    images = padded(dout, windows.pad)
    dx = as_images(products(images, w, windows), windows.counts)
    dw = filter_gradient(as_matrix(x), images, w.shape, windows)
    return dx, dw, namespace(dout).sum(dout, axis=(0, 2, 3))
