"""Windows that slide over images: their parameters, and how many of them there are."""

from __future__ import annotations

from math import prod
from typing import Any

from handgrad.errors import LARGEST_SIZE, ShapeError, as_count, as_pair, check_dictionary, required

Pair = tuple[int, int]  # (vertical, horizontal)


def conv_options(layer: str, conv_param: Any) -> tuple[Pair, Pair, Pair, int]:
    """Return (stride, pad, dilation, groups) of `conv_param`; the defaults are 1, 0, 1 and 1."""
    hint = "; for the defaults pass {'stride': 1, 'pad': 0}"
    check_dictionary(layer, "conv_param", conv_param, hint)
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


def pool_options(layer: str, pool_param: Any) -> tuple[Pair, Pair]:
    """Return (window, stride) of `pool_param`; the default stride is the window, so they tile."""
    height = required(layer, "pool_param", pool_param, "pool_height")
    width = required(layer, "pool_param", pool_param, "pool_width")
    window = (
        as_count(layer, "pool_param['pool_height']", height),
        as_count(layer, "pool_param['pool_width']", width),
    )
    return window, as_pair(layer, "pool_param['stride']", pool_param.get("stride", window))


def check_windows(
    layer: str,
    images: tuple[int, ...],
    channels: int,
    window: Pair,
    stride: Pair,
    pad: Pair = (0, 0),
) -> None:
    """Check, before any allocation, that windows fit images (N, C, H, W) and the output fits memory.

    There are ``H' = 1 + (H + 2 pad - HH) // stride`` rows of windows; what no whole window reaches
    is left out.  Raises ShapeError where no window fits, and where a stride spans, or the padded images
    or the output with its `channels` channels would hold, more than `LARGEST_SIZE`.
    """
    if min(window) < 1:
        raise ShapeError(f"{layer}: the window must have pixels, got {window[0]} x {window[1]}")
    (N, C, H, W), (HH, WW) = images, window
    height, width = H + 2 * pad[0], W + 2 * pad[1]
    rows, columns = 1 + (height - HH) // stride[0], 1 + (width - WW) // stride[1]
    step = prod(stride) * max(C * H * W, 1)
    largest = max(N * C * height * width, N * channels * rows * columns, step)
    if rows >= 1 and columns >= 1 and largest <= LARGEST_SIZE:
        return
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
