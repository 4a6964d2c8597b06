"""The courses' ``im2col``: each window of an image as a column of a matrix, and back.

The columns of images (N, C, H, W) are a matrix (C HH WW, H' W' N): a row for each channel c and
offset (u, v) of the window, a column for each place (i, j) of the window and image n, the last
index of each varying fastest:

    cols[(c, u, v), (i, j, n)] = x[n, c, i stride + u - padding, j stride + v - padding]

and 0 outside of the image.  ``col2im`` is the transpose of this linear map: it adds every entry of
`cols` to the place in the images that it came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from handgrad.errors import OptionError, ShapeError, as_count, check_ndim, check_shape
from handgrad.layers.windows import check_windows, count, shifted

Shape = Sequence[int]


def get_im2col_indices(
    x_shape: Shape, field_height: int, field_width: int, padding: int = 1, stride: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return k, i, j, broadcasting to (C HH WW, H' W'), with ``cols = padded[:, k, i, j]``."""
    C = x_shape[1]
    rows, columns = _places(x_shape, field_height, field_width, padding, stride)
    k, u, v = (index.reshape(-1, 1) for index in np.indices((C, field_height, field_width)))
    i, j = (index.reshape(1, -1) for index in np.indices((rows, columns)))
    return k, u + stride * i, v + stride * j


def im2col_indices(
    x: np.ndarray, field_height: int, field_width: int, padding: int = 1, stride: int = 1
) -> np.ndarray:
    """Return the columns of x, (C HH WW, H' W' N)."""
    check_ndim("im2col_indices", "x", x, 4, "(N, C, H, W)")
    places = _places(x.shape, field_height, field_width, padding, stride)
    edge = (padding, padding)
    padded = np.pad(x, ((0, 0), (0, 0), edge, edge))
    slices = [
        shifted(padded, u, v, places, (stride, stride))
        for u in range(field_height)
        for v in range(field_width)
    ]
    # (HH WW, N, C, H', W') to (C, HH WW, H', W', N)
    windows = np.stack(slices).transpose(2, 0, 3, 4, 1)
    return windows.reshape(x.shape[1] * field_height * field_width, -1)


def col2im_indices(
    cols: np.ndarray,
    x_shape: Shape,
    field_height: int = 3,
    field_width: int = 3,
    padding: int = 1,
    stride: int = 1,
) -> np.ndarray:
    """Return the images `x_shape`, each entry of `cols` added to the place that it came from."""
    N, C, _, _ = x_shape
    places = _places(x_shape, field_height, field_width, padding, stride)
    size = (C * field_height * field_width, places[0] * places[1] * N)
    check_shape("col2im_indices", "cols", cols, size, "(C HH WW, H' W' N) of x_shape")
    windows = cols.reshape(C, field_height, field_width, *places, N).transpose(0, 1, 2, 5, 3, 4)
    return _add_windows(windows, x_shape, padding, stride)


def im2col_cython(
    x: np.ndarray, field_height: int, field_width: int, padding: int, stride: int
) -> np.ndarray:
    """`im2col_indices`, with the arguments of the compiled extension, which cuts them to whole numbers."""
    return im2col_indices(x, *_cut(field_height, field_width, padding, stride))


def col2im_cython(
    cols: np.ndarray,
    N: int,
    C: int,
    H: int,
    W: int,
    field_height: int,
    field_width: int,
    padding: int,
    stride: int,
) -> np.ndarray:
    """`col2im_indices`, with the arguments of the compiled extension, which cuts them to whole numbers."""
    return col2im_indices(cols, _cut(N, C, H, W), *_cut(field_height, field_width, padding, stride))


def col2im_6d_cython(
    cols: np.ndarray, N: int, C: int, H: int, W: int, HH: int, WW: int, pad: int, stride: int
) -> np.ndarray:
    """`col2im_indices` for columns of the shape (C, HH, WW, N, H', W')."""
    N, C, H, W, HH, WW, pad, stride = _cut(N, C, H, W, HH, WW, pad, stride)
    places = _places((N, C, H, W), HH, WW, pad, stride)
    check_shape("col2im_6d_cython", "cols", cols, (C, HH, WW, N, *places), "(C, HH, WW, N, H', W')")
    return _add_windows(cols, (N, C, H, W), pad, stride)


def _cut(*sizes: Any) -> tuple[int, ...]:
    """Sizes as a compiled function takes them: the float of ``pad = (HH - 1) / 2``, too."""
    return tuple(int(size) if isinstance(size, float | np.floating) else size for size in sizes)


def get_num_fields(
    x_shape: Shape, field_height: int, field_width: int, padding: int, stride: int
) -> tuple[int, int]:
    """Return the numbers of windows (H', W'); ValueError unless they fill the image exactly."""
    for name, size, field in (
        ("width", x_shape[3], field_width),
        ("height", x_shape[2], field_height),
    ):
        if (size + 2 * padding - field) % stride != 0:
            raise OptionError(f"Invalid params for im2col; {name} does not work")
    return _places(x_shape, field_height, field_width, padding, stride)


def field_coords(
    H: int, W: int, field_height: int, field_width: int, padding: int, stride: int
) -> Iterator[tuple[int, int, int, int]]:
    """Yield (top, bottom, left, right) of each window of the padded image, row by row."""
    rows, columns = get_num_fields((1, 1, H, W), field_height, field_width, padding, stride)
    for top in range(0, rows * stride, stride):
        for left in range(0, columns * stride, stride):
            yield top, top + field_height, left, left + field_width


def im2col_naive(
    x: np.ndarray, field_height: int = 3, field_width: int = 3, padding: int = 1, stride: int = 1
) -> np.ndarray:
    """`im2col_indices` for windows that fill the image exactly."""
    get_num_fields(x.shape, field_height, field_width, padding, stride)
    return im2col_indices(x, field_height, field_width, padding, stride)


def col2im(
    cols: np.ndarray,
    x_shape: Shape,
    field_height: int = 3,
    field_width: int = 3,
    padding: int = 1,
    stride: int = 1,
) -> np.ndarray:
    """`col2im_indices` for windows that fill the image exactly."""
    get_num_fields(x_shape, field_height, field_width, padding, stride)
    return col2im_indices(cols, x_shape, field_height, field_width, padding, stride)


def _places(
    x_shape: Shape, field_height: int, field_width: int, padding: int, stride: int
) -> tuple[int, int]:
    if len(x_shape) != 4:
        raise ShapeError(f"im2col: x_shape must be (N, C, H, W), got {tuple(x_shape)}")
    window = as_count("im2col", "field_height", field_height), field_width
    as_count("im2col", "field_width", field_width)
    as_count("im2col", "padding", padding, minimum=0)
    as_count("im2col", "stride", stride)
    pads, strides = (padding, padding), (stride, stride)
    check_windows("im2col", tuple(x_shape), x_shape[1], window, strides, pads)
    H, W = x_shape[2:]
    return count((H + 2 * padding, W + 2 * padding), window, strides)


def _add_windows(windows: np.ndarray, x_shape: Shape, padding: int, stride: int) -> np.ndarray:
    """Add `windows`, (C, HH, WW, N, H', W'), to images of zeros, at their places."""
    N, C, H, W = x_shape
    images = np.zeros((C, N, H + 2 * padding, W + 2 * padding), windows.dtype)
    for u in range(windows.shape[1]):
        for v in range(windows.shape[2]):
            view = shifted(images, u, v, windows.shape[4:], (stride, stride))
            view += windows[:, u, v]
    inner = images[:, :, padding : padding + H, padding : padding + W]
    return np.ascontiguousarray(inner.transpose(1, 0, 2, 3))
