"""Mistakes of max pooling: loops over the windows, with one thing done wrong at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call

Window = tuple[tuple[int, int, int, int], tuple[Any, ...]]


def _windows(call: Call, stride: int | None = None) -> Iterator[Window]:
    """Yield each place of the output and the index of its window in x."""
    param, shape = call.options[0], np.shape(call.arrays["x"])
    height, width = param["pool_height"], param["pool_width"]
    step = param["stride"]
    sizes = (1 + (shape[2] - height) // step, 1 + (shape[3] - width) // step)
    s = step if stride is None else stride
    for n, c, i, j in np.ndindex(*shape[:2], *sizes):
        yield (n, c, i, j), (n, c, slice(i * s, i * s + height), slice(j * s, j * s + width))


def _backward(
    mask: Callable[[np.ndarray], Any], add: bool = True, stride: int | None = None
) -> Any:
    def predict(call: Call) -> dict[str, Any]:
        x = np.asarray(call.arrays["x"], float)
        dx = np.zeros_like(x)
        for at, window in _windows(call, stride):
            part = mask(x[window]) * call.dout[at]
            dx[window] = dx[window] + part if add else part
        return {"dx": dx}

    return predict


def _forward(value: Callable[[np.ndarray], Any], stride: int | None = None) -> Any:
    def predict(call: Call) -> dict[str, Any]:
        x = np.asarray(call.arrays["x"], float)
        places = list(_windows(call, stride))
        out = np.zeros(tuple(max(at[axis] for at, _ in places) + 1 for axis in range(4)))
        for at, window in places:
            out[at] = value(x[window])
        return {"out": out}

    return predict


def _every_maximum(window: np.ndarray) -> Any:
    return window == window.max()


def _first_maximum(window: np.ndarray) -> Any:
    mask = np.zeros(window.shape)
    mask[np.unravel_index(np.argmax(window), window.shape)] = 1
    return mask


def _set_at_maximum(call: Call) -> dict[str, Any]:
    x = np.asarray(call.arrays["x"], float)
    dx = np.zeros_like(x)
    for at, (n, c, rows, columns) in _windows(call):
        window = x[n, c, rows, columns]
        r, q = np.unravel_index(np.argmax(window), window.shape)
        dx[n, c, rows.start + r, columns.start + q] = call.dout[at]
    return {"dx": dx}


def _in_the_corner(call: Call) -> dict[str, Any]:
    """The place of the maximum is taken as that in the image."""
    x = np.asarray(call.arrays["x"], float)
    dx = np.zeros_like(x)
    for at, (n, c, rows, columns) in _windows(call):
        window = x[n, c, rows, columns]
        r, q = np.unravel_index(np.argmax(window), window.shape)
        dx[n, c, r, q] += call.dout[at]
    return {"dx": dx}


_SET = r"\bdx\[.*\]\s*=[^=]"
FORWARD = [
    Hypothesis(
        "pool_mean", "out is the mean of each window, not its maximum", _forward(np.mean), r"mean"
    ),
    Hypothesis("pool_minimum", "out is the minimum of each window", _forward(np.min), r"min"),
    Hypothesis("pool_sum", "out is the sum of each window", _forward(np.sum), r"sum"),
    Hypothesis(
        "pool_absolute",
        "out is the largest |x| of each window",
        _forward(lambda w: np.max(np.abs(w))),
        r"abs",
    ),
    Hypothesis(
        "pool_from_zero",
        "negative maxima become 0: the maximum is searched from 0",
        _forward(lambda w: max(0.0, np.max(w))),
        r"\b0\b|zeros",
    ),
    Hypothesis(
        "stride_ignored",
        "the windows move by 1, not by the stride",
        _forward(np.max, 1),
        r":\s*\w+\s*\+",
    ),
]
BACKWARD = [
    Hypothesis(
        "assigned",
        "dx is wrong where windows overlap (stride < window): contributions are assigned, not added",
        _backward(_every_maximum, False),
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
        _backward(_every_maximum),
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
    Hypothesis(
        "mask_of_positive",
        "dx hands dout to all positive numbers of the window: the mask must be that of the maximum",
        _backward(lambda w: w > 0),
        r">",
    ),
    Hypothesis(
        "times_maximum",
        "dx is multiplied by the maximum itself",
        _backward(lambda w: _every_maximum(w) * w),
        r"\*",
    ),
    Hypothesis(
        "window_offset",
        "the place of the maximum in its window is taken as its place in the image",
        _in_the_corner,
        r"\bdx\[",
    ),
    Hypothesis(
        "stride_ignored",
        "the windows of dx move by 1, not by the stride",
        _backward(_every_maximum, stride=1),
        r"\bdx\[|stride|:\s*\w+\s*\+",
    ),
]
