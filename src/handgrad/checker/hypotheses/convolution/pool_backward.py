"""Mistakes of the backward of max pooling: loops over the windows, with one thing done wrong at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.convolution.pool_windows import (
    MISPLACED,
    OVER_IMAGE,
    SIZED,
    assigned_over,
    every_maximum,
    windows,
)
from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call


def _place(row: Callable[[int, int, int], int], column: Callable[[int, int, int], int]) -> Any:
    """Predict dx where row and column of the maximum come of its number by a wrong division."""

    def predict(call: Call) -> dict[str, Any]:
        x = np.asarray(call.arrays["x"], float)
        dx = np.zeros_like(x)
        for at, (n, c, rows, columns) in windows(call):
            window = x[n, c, rows, columns]
            top = int(np.argmax(window))
            r, q = row(top, *window.shape), column(top, *window.shape)
            dx[n, c, rows.start + r, columns.start + q] += call.dout[at]
        return {"dx": dx}

    return predict


_PLACES = [
    Hypothesis(
        "place_by_wrong_side",
        f"the place of the maximum in its window is divided by the wrong side: {words}",
        _place(row, column),
        r"//|/|%|divmod|unravel_index",
    )
    for words, row, column in (
        (
            "its row is index // pool_width, not index // pool_height",
            lambda top, h, w: top // h,
            lambda top, h, w: top % w,
        ),
        (
            "its row is index // pool_width, not index // pool_height",
            lambda top, h, w: (top - top % w) // h,
            lambda top, h, w: top % w,
        ),
        (
            "its column is index % pool_width, not index % pool_height",
            lambda top, h, w: top // w,
            lambda top, h, w: top % h,
        ),
        (
            "row and column are index // pool_width and index % pool_width, not by pool_height",
            lambda top, h, w: top // h,
            lambda top, h, w: top % h,
        ),
    )
]


def _reused_names(call: Call) -> dict[str, Any]:
    """The loops over the window reuse i and j: dout is read at the place within the window."""
    x = np.asarray(call.arrays["x"], float)
    dx = np.zeros_like(x)
    for (n, c, _, _), (_, _, rows, columns) in windows(call):
        window = x[n, c, rows, columns]
        for r, q in np.argwhere(window == window.max()):
            dx[n, c, rows.start + r, columns.start + q] += call.dout[n, c, r, q]
    return {"dx": dx}


def _backward(
    mask: Callable[[np.ndarray], Any], add: bool = True, stride: int | None = None
) -> Any:
    def predict(call: Call) -> dict[str, Any]:
        x = np.asarray(call.arrays["x"], float)
        dx = np.zeros_like(x)
        for at, window in windows(call, stride):
            part = mask(x[window]) * call.dout[at]
            dx[window] = dx[window] + part if add else part
        return {"dx": dx}

    return predict


def _first_maximum(window: np.ndarray) -> Any:
    mask = np.zeros(window.shape)
    mask[np.unravel_index(np.argmax(window), window.shape)] = 1
    return mask


def _last_maximum(window: np.ndarray) -> Any:
    return _first_maximum(window[::-1, ::-1])[::-1, ::-1]


def _set_at_maximum(call: Call) -> dict[str, Any]:
    x = np.asarray(call.arrays["x"], float)
    dx = np.zeros_like(x)
    for at, (n, c, rows, columns) in windows(call):
        window = x[n, c, rows, columns]
        r, q = np.unravel_index(np.argmax(window), window.shape)
        dx[n, c, rows.start + r, columns.start + q] = call.dout[at]
    return {"dx": dx}


def _in_the_corner(call: Call) -> dict[str, Any]:
    """The place of the maximum is taken as that in the image."""
    x = np.asarray(call.arrays["x"], float)
    dx = np.zeros_like(x)
    for at, (n, c, rows, columns) in windows(call):
        window = x[n, c, rows, columns]
        r, q = np.unravel_index(np.argmax(window), window.shape)
        dx[n, c, r, q] += call.dout[at]
    return {"dx": dx}


def _shared_maximum(axes: tuple[int, ...], shared: bool) -> Any:
    """The maximum is taken over images or channels too: only the largest of them all gets dout.

    shared: equal maxima share it, and a window without one divides zero by zero.
    """

    def predict(call: Call) -> dict[str, Any]:
        x = np.asarray(call.arrays["x"], float)
        dx = np.zeros_like(x)
        for at, (n, c, rows, columns) in windows(call):
            if n or c:
                continue
            block = x[:, :, rows, columns]
            hot = block == block.max(axis=axes, keepdims=True)
            if shared:
                hot = hot / hot.sum(axis=(2, 3), keepdims=True)
            dx[:, :, rows, columns] += hot * call.dout[:, :, at[2] : at[2] + 1, at[3] : at[3] + 1]
        return {"dx": dx}

    return predict


def _of_ones(call: Call) -> Call:
    """The same call with ones upstream."""
    return Call(call.config, dout=np.ones_like(call.dout))


def _misplaced(call: Call) -> dict[str, Any]:
    """The maximum is that of the right window; its place is counted from a window one step on."""
    x = np.asarray(call.arrays["x"], float)
    dx = np.zeros_like(x)
    for at, (n, c, rows, columns) in windows(call):
        window = x[n, c, rows, columns]
        r, q = np.unravel_index(np.argmax(window), window.shape)
        dx[n, c, at[2] + r, at[3] + q] += call.dout[at]
    return {"dx": dx}


def _transposed_place(call: Call) -> dict[str, Any]:
    """The place of the maximum in its window is read column by column."""
    x = np.asarray(call.arrays["x"], float)
    dx = np.zeros_like(x)
    for at, (n, c, rows, columns) in windows(call):
        window = x[n, c, rows, columns]
        r, q = np.unravel_index(np.argmax(window), window.shape)
        dx[n, c, rows.start + q, columns.start + r] += call.dout[at]
    return {"dx": dx}


def _columns_by_height(call: Call) -> dict[str, Any]:
    """The loops end where windows as wide as they are high would: too early, or past the last window."""
    x, param = np.asarray(call.arrays["x"], float), call.options[0]
    height, width, stride = param["pool_height"], param["pool_width"], param["stride"]
    rows, columns = (1 + (side - height) // stride for side in x.shape[2:])
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(*x.shape[:2], rows, columns):
        top, left = i * stride, j * stride
        window = x[n, c, top : top + height, left : left + width]
        # a window that is cut off is counted as a whole one
        r, q = divmod(int(np.argmax(window)), width)
        dx[n, c, top + r, left + q] += call.dout[n, c, i, j]
    return {"dx": dx}


_SET = r"\bdx\[.*\]\s*=[^=]"


BACKWARD = [
    *_PLACES,
    *[Hypothesis(name, says, predictions[1], line) for name, says, predictions, line in SIZED],
    *[
        Hypothesis(
            name,
            f"{says}; also, dx is assigned, not added, where windows overlap",
            assigned_over(places),
            line,
        )
        for name, says, places, line in MISPLACED
    ],
    Hypothesis(
        "loop_variable_reused",
        "the loops over the window reuse the names of the loops over the output, i and j: dout is "
        "read at the place within the window",
        _reused_names,
        r"for .*range",
    ),
    OVER_IMAGE,
    Hypothesis(
        "columns_by_height",
        "the columns are counted by pool_height: there are 1 + (W - pool_width) / stride of them",
        _columns_by_height,
        r"W.*pool_height|W.*\bph\b",
    ),
    Hypothesis(
        "assigned",
        "dx is wrong where windows overlap (stride < window): contributions are assigned, not added",
        _backward(every_maximum, False),
        _SET,
    ),
    Hypothesis(
        "assigned",
        "dx is wrong where windows overlap (stride < window): contributions are assigned, not added",
        _backward(_first_maximum, False),
        _SET,
    ),
    Hypothesis(
        "assigned",
        "dx is wrong where two windows have one maximum: contributions are assigned, not added",
        _set_at_maximum,
        _SET,
    ),
    Hypothesis(
        "every_maximum",
        "a window with several equal maxima hands dout to each of them, so the "
        "gradient is multiplied: share it, or choose one",
        _backward(every_maximum),
        r"==",
        True,
    ),
    Hypothesis(
        "pool_mean",
        "dx spreads dout over the window, as mean pooling does",
        _backward(lambda w: np.full(w.shape, 1 / w.size)),
    ),
    Hypothesis(
        "whole_window",
        "dx hands dout to the whole window, not to its maximum",
        _backward(np.ones_like),
        r"\bdx\[",
    ),
    Hypothesis(
        "pool_minimum", "dx hands dout to the minimum", _backward(lambda w: w == w.min()), r"min"
    ),
    *[
        Hypothesis(
            "pool_minimum", "dx hands dout to the minimum of the window", _backward(mask), r"min"
        )
        for mask in (lambda w: _first_maximum(-w), lambda w: _last_maximum(-w))
    ],
    Hypothesis(
        "mask_of_positive",
        "dx hands dout to all positive numbers of the window: the mask must be that of the maximum",
        _backward(lambda w: w > 0),
        r">",
    ),
    Hypothesis(
        "times_maximum",
        "dx is multiplied by the maximum itself",
        _backward(lambda w: every_maximum(w) * w),
        r"\*",
    ),
    Hypothesis(
        "window_offset",
        "the place of the maximum in its window is taken as its place in the image",
        _in_the_corner,
        r"\bdx\[",
    ),
    Hypothesis(
        "mask_absolute",
        "dx hands dout to the largest |x| of the window",
        _backward(lambda w: np.abs(w) == np.abs(w).max()),
        r"abs",
    ),
    Hypothesis(
        "mask_negated",
        "dx hands dout to all but the maximum",
        _backward(lambda w: w != w.max()),
        r"!=|~|<",
    ),
    Hypothesis(
        "mask_without_dout",
        "dx is the mask itself: it is not multiplied by dout",
        lambda call: _backward(every_maximum)(_of_ones(call)),
        r"==",
    ),
    *[
        Hypothesis(
            "maximum_over_all",
            f"the maximum is taken over {words} too: each window has its own",
            _shared_maximum(axes, shared),
            r"max",
        )
        for shared in (False, True)
        for words, axes in (
            ("the batch and the channels", (0, 1, 2, 3)),
            ("the batch", (0, 2, 3)),
            ("the channels", (1, 2, 3)),
        )
    ],
    *[
        Hypothesis(
            "mask_corner",
            f"dx hands dout to the {which} place of the window, not to that of the maximum",
            _backward(mask),
            r"\bdx\[",
        )
        for which, mask in (
            ("first", lambda w: _first_maximum(-np.arange(w.size).reshape(w.shape))),
            ("last", lambda w: _first_maximum(np.arange(w.size).reshape(w.shape))),
        )
    ],
    Hypothesis(
        "place_transposed",
        "row and column of the maximum are exchanged",
        _transposed_place,
        r"unravel_index|%|//",
    ),
    Hypothesis(
        "stride_ignored",
        "the windows of dx move by 1, not by the stride: their maxima land in the wrong places",
        _misplaced,
        r"\bdx\[|stride",
    ),
    Hypothesis(
        "stride_ignored",
        "the windows of dx move by 1, not by the stride",
        _backward(every_maximum, stride=1),
        r"\bdx\[|stride|:\s*\w+\s*\+",
    ),
]
