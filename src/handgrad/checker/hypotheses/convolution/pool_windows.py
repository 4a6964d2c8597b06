"""Mistakes in where the windows of a pool lie, and the walk over them that all its hypotheses share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call, Config, Raised

Window = tuple[tuple[int, int, int, int], tuple[Any, ...]]


def windows(
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


def every_maximum(window: np.ndarray) -> Any:
    """The mask of all places that hold the maximum."""
    return window == window.max()


def _sized(side: Callable[[int, int], int]) -> tuple[Any, Any]:
    """Predict forward and backward with windows of another size at the right places."""

    def forward(call: Call) -> dict[str, Any]:
        x = np.asarray(call.arrays["x"], float)
        out = np.zeros(np.shape(call.expected["out"]))
        for at, window in windows(call, side=side):
            out[at] = np.max(x[window])
        return {"out": out}

    def backward(call: Call) -> dict[str, Any]:
        x = np.asarray(call.arrays["x"], float)
        dx = np.zeros_like(x)
        for at, window in windows(call, side=side):
            dx[window] += every_maximum(x[window]) * call.dout[at]
        return {"dx": dx}

    return forward, backward


def _axes_by_reshape() -> tuple[Any, Any]:
    """Predict both passes where channels are put last, and back, by reshape."""

    def folded(call: Call) -> tuple[Any, Call]:
        x = np.asarray(call.arrays["x"], float)
        N, C, H, W = x.shape
        last = x.reshape(N, H, W, C).transpose(0, 3, 1, 2)
        return x.shape, Call(Config(call.config.name, {"x": last}, call.options))

    def forward(call: Call) -> dict[str, Any]:
        _, other = folded(call)
        x, out = other.arrays["x"], np.zeros(np.shape(call.expected["out"]))
        for at, window in windows(other):
            out[at] = np.max(x[window])
        return {"out": out.transpose(0, 2, 3, 1).reshape(out.shape)}

    def backward(call: Call) -> dict[str, Any]:
        shape, other = folded(call)
        x, dx = other.arrays["x"], np.zeros(np.shape(other.arrays["x"]))
        N, F, H, W = np.shape(call.dout)
        dout = np.asarray(call.dout).reshape(N, H, W, F).transpose(0, 3, 1, 2)
        for at, window in windows(other):
            block = x[window]
            first = np.arange(block.size).reshape(block.shape) == np.argmax(block)
            dx[window] += first * dout[at]
        return {"dx": dx.transpose(0, 2, 3, 1).reshape(shape)}

    return forward, backward


def _constant(size: int) -> Callable[[int, int], int]:
    return lambda side, stride: size


def _over(places: Callable[[Call], Iterator[Window]]) -> tuple[Any, Any]:
    """Predict both passes over some windows; one that is cut to nothing raises, as NumPy does."""

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
            dx[window] += every_maximum(x[window]) * call.dout[at]
        return {"dx": dx}

    return forward, backward


def _moved(advance: Callable[[int, int], int]) -> tuple[Any, Any]:
    """Predict both passes where windows move by another number of rows and columns."""

    def places(call: Call) -> Iterator[Window]:
        param = call.options[0]
        down = advance(param["pool_height"], param["stride"])
        right = advance(param["pool_width"], param["stride"])
        for at, (n, c, rows, columns) in windows(call):
            top, left = at[2] * down, at[3] * right
            height, width = rows.stop - rows.start, columns.stop - columns.start
            yield at, (n, c, slice(top, top + height), slice(left, left + width))

    return _over(places)


def _between(
    ends: Callable[[int, int, int], tuple[int, int]], turned: bool = False
) -> Callable[[Call], Iterator[Window]]:
    """The windows, between other rows and columns.

    ends: from (place, side of the window, stride) to its first row and the one behind its last.
    turned: whether height and width of the window are exchanged.
    """

    def places(call: Call) -> Iterator[Window]:
        param = call.options[0]
        sides = param["pool_height"], param["pool_width"]
        high, wide = sides[::-1] if turned else sides
        for at, (n, c, _, _) in windows(call):
            rows, columns = ends(at[2], high, param["stride"]), ends(at[3], wide, param["stride"])
            yield at, (n, c, slice(*rows), slice(*columns))

    return places


def assigned_over(places: Callable[[Call], Iterator[Window]]) -> Callable[[Call], dict[str, Any]]:
    """Predict the backward that assigns to the first maximum of each window, and does not add."""

    def predict(call: Call) -> dict[str, Any]:
        x = np.asarray(call.arrays["x"], float)
        dx = np.zeros_like(x)
        for at, window in places(call):
            first = np.unravel_index(x[window].argmax(), x[window].shape)
            dx[window][first] = call.dout[at]
        return {"dx": dx}

    return predict


MISPLACED: list[tuple[str, str, Callable[[Call], Iterator[Window]], str]] = [
    (
        "window_swapped",
        "height and width of the window are exchanged where it is cut out",
        _between(lambda place, side, stride: (place * stride, place * stride + side), turned=True),
        r":|pool_height|pool_width",
    ),
    (
        "window_end",
        "a window ends at (i + 1) pool_height, not at i stride + pool_height; likewise its columns",
        _between(lambda place, side, stride: (place * stride, (place + 1) * side)),
        r"pool_height|pool_width|:",
    ),
    (
        "window_start",
        "a window begins at i pool_height, not at i stride; likewise its columns",
        _between(lambda place, side, stride: (place * side, place * stride + side)),
        r"pool_height|pool_width|:",
    ),
]
SIZED: list[tuple[str, str, tuple[Any, Any], str]] = [
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
        "axes_by_reshape",
        "channels are put last by reshape, which mixes their numbers: move axes by transpose",
        _axes_by_reshape(),
        r"reshape",
    ),
    *[(name, says, _over(places), line) for name, says, places, line in MISPLACED],
    (
        "stride_is_window",
        "the windows move by their own size, not by the stride",
        _moved(lambda side, stride: side),
        r":",
    ),
]


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


OVER_IMAGE = Hypothesis(
    "loops_over_image",
    "the loops run over the image, past the last window: they must run over the output's places",
    _loops_over_image,
    r"range\(.*[HW]|range\(.*shape",
)
