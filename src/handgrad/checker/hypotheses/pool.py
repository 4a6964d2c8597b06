"""Mistakes of max pooling: loops over the windows, with one thing done wrong at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call, Config, Raised

Window = tuple[tuple[int, int, int, int], tuple[Any, ...]]


def _windows(
    call: Call, stride: int | None = None, side: Callable[[int, int], int] | None = None
) -> Iterator[Window]:
    """Yield each place of the output and the index of its window in x.

    stride: what the windows move by; side: from a side of the window and the stride to the side taken.
    """
    param, shape = call.options[0], np.shape(call.arrays["x"])
    height, width = param["pool_height"], param["pool_width"]
    step = param["stride"]
    sizes = (1 + (shape[2] - height) // step, 1 + (shape[3] - width) // step)
    s = step if stride is None else stride
    if side is not None:
        height, width = side(height, step), side(width, step)
    for n, c, i, j in np.ndindex(*shape[:2], *sizes):
        yield (n, c, i, j), (n, c, slice(i * s, i * s + height), slice(j * s, j * s + width))


def _sized(side: Callable[[int, int], int]) -> tuple[Any, Any]:
    """Predict forward and backward with windows of another size at the right places."""

    def forward(call: Call) -> dict[str, Any]:
        x = np.asarray(call.arrays["x"], float)
        out = np.zeros(np.shape(call.expected["out"]))
        for at, window in _windows(call, side=side):
            out[at] = np.max(x[window])
        return {"out": out}

    def backward(call: Call) -> dict[str, Any]:
        x = np.asarray(call.arrays["x"], float)
        dx = np.zeros_like(x)
        for at, window in _windows(call, side=side):
            dx[window] += _every_maximum(x[window]) * call.dout[at]
        return {"dx": dx}

    return forward, backward


def _constant(size: int) -> Callable[[int, int], int]:
    return lambda side, stride: size


def _moved(advance: Callable[[int, int], int]) -> tuple[Any, Any]:
    """Predict both passes where windows move by another number of rows and columns."""

    def places(call: Call) -> Iterator[Window]:
        param = call.options[0]
        down = advance(param["pool_height"], param["stride"])
        right = advance(param["pool_width"], param["stride"])
        for at, (n, c, rows, columns) in _windows(call):
            top, left = at[2] * down, at[3] * right
            height, width = rows.stop - rows.start, columns.stop - columns.start
            yield at, (n, c, slice(top, top + height), slice(left, left + width))

    def forward(call: Call) -> dict[str, Any]:
        x = np.asarray(call.arrays["x"], float)
        out = np.zeros(np.shape(call.expected["out"]))
        for at, window in places(call):
            out[at] = np.max(x[window])
        return {"out": out}

    def backward(call: Call) -> dict[str, Any]:
        x = np.asarray(call.arrays["x"], float)
        dx = np.zeros_like(x)
        for at, window in places(call):
            dx[window] += _every_maximum(x[window]) * call.dout[at]
        return {"dx": dx}

    return forward, backward


_SIZED: list[tuple[str, str, tuple[Any, Any], str]] = [
    (
        "window_is_stride",
        "the window's size is the stride: pool_height and pool_width are not used",
        _sized(lambda side, stride: stride),
        r":.*stride|:.*\(\w+\s*\+\s*1\)",
    ),
    *[
        (
            "window_fixed",
            f"the window is {size} x {size}: pool_height and pool_width are not used",
            _sized(_constant(size)),
            rf"\+\s*{size}|range\({size}\)",
        )
        for size in (2, 3)
    ],
    (
        "stride_is_window",
        "the windows move by their own size, not by the stride",
        _moved(lambda side, stride: side),
        r":",
    ),
]


def _place(row: Callable[[int, int, int], int], column: Callable[[int, int, int], int]) -> Any:
    """Predict dx where row and column of the maximum come of its number by a wrong division."""

    def predict(call: Call) -> dict[str, Any]:
        x = np.asarray(call.arrays["x"], float)
        dx = np.zeros_like(x)
        for at, (n, c, rows, columns) in _windows(call):
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
    for (n, c, _, _), (_, _, rows, columns) in _windows(call):
        window = x[n, c, rows, columns]
        for r, q in np.argwhere(window == window.max()):
            dx[n, c, rows.start + r, columns.start + q] += call.dout[n, c, r, q]
    return {"dx": dx}


def _loops_over_image(call: Call) -> dict[str, Any]:
    """range(0, H, stride): past the last window; the output has no place for it."""
    param, shape = call.options[0], np.shape(call.arrays["x"])
    key = "out" if "out" in call.expected else "dx"
    s, sides = param["stride"], (param["pool_height"], param["pool_width"])
    more = [
        len(range(0, size, s)) > 1 + (size - side) // s
        for size, side in zip(shape[2:], sides, strict=True)
    ]
    return _past_the_end(call, key) if any(more) else {}


def _past_the_end(call: Call, key: str) -> dict[str, Any]:
    """Return what came, if it is an exception of a place that is not there."""
    got = call.got[key]
    there = isinstance(got, Raised) and got.kind in ("IndexError", "ValueError")
    return {key: got} if there else {}


_OVER_IMAGE = Hypothesis(
    "loops_over_image",
    "the loops run over the image, past the last window: they must run over the output's places",
    _loops_over_image,
    r"range\(.*[HW]|range\(.*shape",
)


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


def _every_maximum(window: np.ndarray) -> Any:
    return window == window.max()


def _first_maximum(window: np.ndarray) -> Any:
    mask = np.zeros(window.shape)
    mask[np.unravel_index(np.argmax(window), window.shape)] = 1
    return mask


def _last_maximum(window: np.ndarray) -> Any:
    return _first_maximum(window[::-1, ::-1])[::-1, ::-1]


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


def _shared_maximum(axes: tuple[int, ...]) -> Any:
    """The maximum is taken over images or channels too: only the largest of them all gets dout."""

    def predict(call: Call) -> dict[str, Any]:
        x = np.asarray(call.arrays["x"], float)
        dx = np.zeros_like(x)
        for at, (n, c, rows, columns) in _windows(call):
            if n or c:
                continue
            block = x[:, :, rows, columns]
            hot = block == block.max(axis=axes, keepdims=True)
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
    for at, (n, c, rows, columns) in _windows(call):
        window = x[n, c, rows, columns]
        r, q = np.unravel_index(np.argmax(window), window.shape)
        dx[n, c, at[2] + r, at[3] + q] += call.dout[at]
    return {"dx": dx}


def _transposed_place(call: Call) -> dict[str, Any]:
    """The place of the maximum in its window is read column by column."""
    x = np.asarray(call.arrays["x"], float)
    dx = np.zeros_like(x)
    for at, (n, c, rows, columns) in _windows(call):
        window = x[n, c, rows, columns]
        r, q = np.unravel_index(np.argmax(window), window.shape)
        dx[n, c, rows.start + q, columns.start + r] += call.dout[at]
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
    *[Hypothesis(name, says, predictions[0], line) for name, says, predictions, line in _SIZED],
    _OVER_IMAGE,
]
BACKWARD = [
    *_PLACES,
    *[Hypothesis(name, says, predictions[1], line) for name, says, predictions, line in _SIZED],
    Hypothesis(
        "loop_variable_reused",
        "the loops over the window reuse the names of the loops over the output, i and j: dout is "
        "read at the place within the window",
        _reused_names,
        r"for .*range",
    ),
    _OVER_IMAGE,
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
        lambda call: _backward(_every_maximum)(_of_ones(call)),
        r"==",
    ),
    *[
        Hypothesis(
            "maximum_over_all",
            f"the maximum is taken over {words} too: each window has its own",
            _shared_maximum(axes),
            r"max",
        )
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
        _backward(_every_maximum, stride=1),
        r"\bdx\[|stride|:\s*\w+\s*\+",
    ),
]
