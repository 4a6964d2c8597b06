"""Windows that slide over images: their parameters, and how many of them there are."""

from __future__ import annotations

from collections.abc import Sequence, Set
from math import prod
from typing import Any, NamedTuple

from handgrad.engines.arrays import Array
from handgrad.errors import (
    LARGEST_SIZE,
    OptionError,
    ShapeError,
    as_count,
    as_flag,
    as_pair,
    check_keys,
    required,
)

Pair = tuple[int, int]  # (vertical, horizontal)
Border = tuple[
    Pair, Pair
]  # as the engines take it: pad above and on the left, rows and columns of windows

CONV_KEYS = frozenset({"stride", "pad", "dilation", "groups"})
POOL_KEYS = frozenset({"pool_height", "pool_width", "stride", "pad", "ceil_mode"})


def conv_options(
    layer: str, conv_param: Any, known: Set[str] = CONV_KEYS
) -> tuple[Pair, Pair, Pair, int]:
    """Return (stride, pad, dilation, groups) of `conv_param`; the defaults are 1, 0, 1 and 1."""
    hint = "; for the defaults pass {'stride': 1, 'pad': 0}"
    check_keys(layer, "conv_param", conv_param, known, hint)
    stride = as_pair(layer, "conv_param['stride']", conv_param.get("stride", 1))
    pad = as_pair(layer, "conv_param['pad']", conv_param.get("pad", 0), minimum=0)
    dilation = as_pair(layer, "conv_param['dilation']", conv_param.get("dilation", 1))
    groups = as_count(layer, "conv_param['groups']", conv_param.get("groups", 1))
    return stride, pad, dilation, groups


def reach_of(window: Pair, dilation: Pair) -> Pair:
    """Return the rows and columns of an image that a dilated window spans: d (HH - 1) + 1."""
    (height, width), (dy, dx) = window, dilation
    return dy * (height - 1) + 1 if height else 0, dx * (width - 1) + 1 if width else 0


def check_groups(layer: str, groups: int, *counts: tuple[str, int]) -> None:
    """Raise ShapeError unless each of `counts`, (what, how many), can be divided by `groups`."""
    for what, count in counts:
        if count % groups:
            raise ShapeError(
                f"{layer}: conv_param['groups'] must divide the {count} {what}, got {groups}"
            )


class PoolOptions(NamedTuple):
    """What `pool_param` says of the windows of a pooling layer."""

    window: Pair
    stride: Pair
    pad: Pair
    ceil_mode: bool

    @property
    def is_plain(self) -> bool:
        """Whether all windows lie inside of the image."""
        return self.pad == (0, 0) and not self.ceil_mode


def pool_options(layer: str, pool_param: Any, known: Set[str] = POOL_KEYS) -> PoolOptions:
    """Return the options of `pool_param`; the default stride is the window, so they tile."""
    check_keys(layer, "pool_param", pool_param, known)
    height = required(layer, "pool_param", pool_param, "pool_height")
    width = required(layer, "pool_param", pool_param, "pool_width")
    window = (
        as_count(layer, "pool_param['pool_height']", height),
        as_count(layer, "pool_param['pool_width']", width),
    )
    stride = as_pair(layer, "pool_param['stride']", pool_param.get("stride", window))
    pad = as_pool_pad(layer, "pool_param['pad']", pool_param.get("pad", 0), window)
    ceil_mode = as_flag(layer, "pool_param['ceil_mode']", pool_param.get("ceil_mode", False))
    return PoolOptions(window, stride, pad, ceil_mode)


def as_pool_pad(layer: str, name: str, value: Any, window: Pair) -> Pair:
    """Return `value` as a pair, of which no window can hold nothing but padding."""
    pad = as_pair(layer, name, value, minimum=0)
    if 2 * pad[0] > window[0] or 2 * pad[1] > window[1]:
        raise OptionError(
            f"{layer}: {name} must be at most half of the window {window}, or a window would hold "
            f"nothing but padding; got {value!r}"
        )
    return pad


def pool_counts(image: Sequence[int], options: PoolOptions) -> Pair:
    """Return the rows and columns of windows of a pooling layer in an image (H, W).

    A window lies inside of the padded image; with ceil_mode it may reach beyond the far end, but begins
    in the image or in the padding before it.
    """
    window, stride, pad, ceil_mode = options
    counts = []
    for n, w, s, p in zip(image, window, stride, pad, strict=True):
        count = 1 + (n + 2 * p - w + (s - 1 if ceil_mode else 0)) // s
        counts.append(count - (ceil_mode and (count - 1) * s >= n + p))
    return counts[0], counts[1]


def check_pool(layer: str, images: tuple[int, ...], options: PoolOptions) -> Border | None:
    """Check that windows fit images (N, C, H, W); return where they lie, None for all inside of them."""
    window, stride, pad, _ = options
    if options.is_plain:
        check_windows(layer, images, images[1], window, stride)
        return None
    counts = pool_counts(images[2:], options)
    beyond = [  # what the last window reaches of the far padding, and beyond it
        max((count - 1) * s + w - n - p, 0)
        for n, w, s, p, count in zip(images[2:], window, stride, pad, counts, strict=True)
    ]
    far = max(beyond[0], pad[0]), max(beyond[1], pad[1])
    check_windows(layer, images, images[1], window, stride, pad, far)
    return pad, counts


def pool_sizes(
    image: Sequence[int], options: PoolOptions, border: Border, counts_pad: bool
) -> tuple[list[int], list[int]]:
    """Return how many rows count in each row of windows, and how many columns in each column.

    Those of the image (H, W), and with `counts_pad` those of the padding; none that lie beyond it.
    """
    sizes: tuple[list[int], list[int]] = ([], [])
    for axis, (n, count) in enumerate(zip(image, border[1], strict=True)):
        pad = options.pad[axis]
        low, high = (-pad, n + pad) if counts_pad else (0, n)
        for i in range(count):
            start = i * options.stride[axis] - pad
            end = start + options.window[axis]
            sizes[axis].append(min(end, high) - max(start, low))
    return sizes


def check_windows(
    layer: str,
    images: tuple[int, ...],
    channels: int,
    window: Pair,
    stride: Pair,
    pad: Pair = (0, 0),
    far: Pair | None = None,
) -> Pair:
    """Check, before any allocation, that windows fit images (N, C, H, W) and the output fits memory.

    There are ``H' = 1 + (H + 2 pad - HH) // stride`` rows of windows; what no whole window reaches
    is left out; returned are the numbers of rows and columns.  `far` is the pad at the far ends, where it
    differs.  Raises ShapeError where no window
    fits, and where a stride spans, or the padded images or the output with its `channels` channels would
    hold, more than `LARGEST_SIZE`.
    """
    if min(window) < 1:
        raise ShapeError(f"{layer}: the window must have pixels, got {window[0]} x {window[1]}")
    (N, C, H, W), (HH, WW) = images, window
    far = pad if far is None else far
    height, width = H + pad[0] + far[0], W + pad[1] + far[1]
    rows, columns = 1 + (height - HH) // stride[0], 1 + (width - WW) // stride[1]
    step = prod(stride) * max(C * H * W, 1)
    largest = max(N * C * height * width, N * channels * rows * columns, step)
    if rows >= 1 and columns >= 1 and largest <= LARGEST_SIZE:
        return rows, columns
    given = (
        f"images of {H} x {W} with pad {pad} are {height} x {width}, "
        f"the window is {HH} x {WW}, and stride is {stride}"
    )
    if rows < 1 or columns < 1:
        raise ShapeError(f"{layer}: the window is larger than the padded image: {given}")
    raise ShapeError(
        f"{layer}: these sizes are beyond any memory (2**59 elements): {given}, "
        f"for N = {N}, {C} channels in and {channels} out"
    )


def check_transposed_windows(
    layer: str,
    images: tuple[int, ...],
    channels: int,
    window: Pair,
    stride: Pair,
    pad: Pair,
    output_pad: Pair,
) -> None:
    """Check that a transposed convolution of images (N, C, H, W) has an output, and that it fits memory.

    It has ``H' = (H - 1) stride + HH + output_pad - 2 pad`` rows of `channels` channels.
    """
    N, C, *sizes = images
    if 0 in (*sizes, *window):
        raise ShapeError(
            f"{layer}: images and window must have pixels, got images of {sizes[0]} x {sizes[1]} and "
            f"a window of {window[0]} x {window[1]}"
        )
    padded = [
        (size - 1) * s + w + o
        for size, s, w, o in zip(sizes, stride, window, output_pad, strict=True)
    ]
    H, W = (size - 2 * p for size, p in zip(padded, pad, strict=True))
    given = (
        f"images of {sizes[0]} x {sizes[1]}, a window of {window[0]} x {window[1]}, stride {stride}, "
        f"pad {pad}"
    )
    if H < 1 or W < 1:
        raise ShapeError(f"{layer}: the pad leaves nothing of the output, {H} x {W}: {given}")
    if max(prod((N, channels, *padded)), prod((N, C, *sizes)), *stride) > LARGEST_SIZE:
        raise ShapeError(f"{layer}: these sizes are beyond any memory (2**59 elements): {given}")


def count(size: Sequence[int], window: Pair, stride: Pair) -> Pair:
    """Return the numbers of windows, vertical and horizontal, in images of `size`."""
    return 1 + (size[0] - window[0]) // stride[0], 1 + (size[1] - window[1]) // stride[1]


def shifted(images: Array, u: int, v: int, counts: Pair, stride: Pair) -> Array:
    """Return the view ``images[:, :, i * stride + u, j * stride + v]`` for all windows (i, j)."""
    bottom, right = u + (counts[0] - 1) * stride[0] + 1, v + (counts[1] - 1) * stride[1] + 1
    return images[:, :, u : bottom : stride[0], v : right : stride[1]]


def slices(images: Array, window: Pair, stride: Pair) -> list[Array]:
    """Return what each offset (u, v) of the window sees, row by row: views of (N, C, H', W')."""
    counts = count(images.shape[2:], window, stride)
    offsets = [(u, v) for u in range(window[0]) for v in range(window[1])]
    return [shifted(images, u, v, counts, stride) for u, v in offsets]
