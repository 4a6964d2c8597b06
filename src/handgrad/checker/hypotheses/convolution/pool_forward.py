"""Mistakes of the forward of max pooling: loops over the windows, with one thing done wrong at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.convolution.pool_windows import OVER_IMAGE, SIZED, windows
from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call, Config


def _forward(value: Callable[[np.ndarray], Any], stride: int | None = None) -> Any:
    def predict(call: Call) -> dict[str, Any]:
        x = np.asarray(call.arrays["x"], float)
        places = list(windows(call, stride))
        out = np.zeros(tuple(max(at[axis] for at, _ in places) + 1 for axis in range(4)))
        for at, window in places:
            out[at] = value(x[window])
        return {"out": out}

    return predict


def _resized(change: Callable[[dict[str, int]], dict[str, int]]) -> Any:
    """Predict the pool of another window or stride, with the shape that it then has."""

    def predict(call: Call) -> dict[str, Any]:
        param = change(call.options[0])
        config = Config(call.config.name, call.arrays, (param,))
        return _forward(np.max)(Call(config))

    return predict


_RESIZED: list[tuple[str, str, Callable[[dict[str, int]], dict[str, int]]]] = [
    ("stride_ignored", "the windows move by 1, not by the stride", lambda p: p | {"stride": 1}),
    (
        "stride_ignored",
        "the windows move by their height, not by the stride",
        lambda p: p | {"stride": p["pool_height"]},
    ),
    (
        "stride_ignored",
        "the windows move by their width, not by the stride",
        lambda p: p | {"stride": p["pool_width"]},
    ),
    ("stride_ignored", "the windows move by 2, not by the stride", lambda p: p | {"stride": 2}),
    (
        "window_swapped",
        "height and width of the window are exchanged",
        lambda p: p | {"pool_height": p["pool_width"], "pool_width": p["pool_height"]},
    ),
    (
        "window_square",
        "the window is pool_height wide: pool_width is not used",
        lambda p: p | {"pool_width": p["pool_height"]},
    ),
    (
        "window_square",
        "the window is pool_width high: pool_height is not used",
        lambda p: p | {"pool_height": p["pool_width"]},
    ),
    (
        "window_fixed",
        "the window is 2 x 2: pool_height and pool_width are not used",
        lambda p: p | {"pool_height": 2, "pool_width": 2},
    ),
    (
        "window_fixed",
        "the window is stride x stride: pool_height and pool_width are not used",
        lambda p: p | {"pool_height": p["stride"], "pool_width": p["stride"]},
    ),
    (
        "window_short",
        "the window lacks its last row and column",
        lambda p: p | {"pool_height": p["pool_height"] - 1, "pool_width": p["pool_width"] - 1},
    ),
]


def _short(window: np.ndarray) -> Any:
    """The maximum without the last row and column."""
    return window[: max(1, len(window) - 1), : max(1, window.shape[1] - 1)].max()


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
        "pool_absolute",
        "out is the number of the largest |x| of each window",
        _forward(lambda w: w.flat[np.argmax(np.abs(w))]),
        r"abs",
    ),
    Hypothesis("pool_median", "out is the median of each window", _forward(np.median), r"median"),
    Hypothesis("pool_first", "out is the first number of each window", _forward(lambda w: w[0, 0])),
    Hypothesis(
        "pool_place",
        "out is the place of the maximum, not the maximum",
        _forward(np.argmax),
        r"argmax",
    ),
    Hypothesis(
        "window_short", "the window lacks its last row and column", _forward(_short), r"-\s*1"
    ),
    Hypothesis(
        "stride_ignored",
        "the windows move by 1, not by the stride",
        _forward(np.max, 1),
        r":\s*\w+\s*\+",
    ),
    *[
        Hypothesis(name, says, _resized(change), r"stride|pool_height|pool_width")
        for name, says, change in _RESIZED
    ],
    *[Hypothesis(name, says, predictions[0], line) for name, says, predictions, line in SIZED],
    OVER_IMAGE,
]
