"""Mistakes in where a convolution's windows lie: how many, how large, on an image padded by how much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.convolution.conv_loops import Loops, forward
from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call, Raised


def _wiped(loops: Loops) -> None:
    """The border is set to 0 with -pad:, which is the whole axis where pad is 0."""
    if loops.pad == 0:
        loops.padded = 0 * loops.padded


def _padded_by(pad: Callable[[Loops], int], resized: bool) -> Any:
    """Predict the convolution of an image with another padding.

    resized: whether the output has the size that follows; else windows are cut off, or left out.
    """

    def prepare(loops: Loops) -> None:
        p = pad(loops)
        loops.padded = np.pad(loops.x, ((0, 0), (0, 0), (p, p), (p, p)))
        if resized:
            H, W = loops.padded.shape[2:]
            loops.size = (
                1 + (H - loops.HH) // loops.stride,
                1 + (W - loops.WW) // loops.stride,
            )

    return forward(prepare)


def _of_filter(size: int) -> Any:
    """The windows are size x size, whatever the filter is."""

    def predict(call: Call) -> dict[str, Any]:
        loops = Loops(call)
        out = np.zeros((len(loops.x), len(loops.w), *loops.size))
        for n, f, i, j in loops.places():
            rows, columns = loops.window(i, j)
            window = loops.padded[
                n, :, rows.start : rows.start + size, columns.start : columns.start + size
            ]
            out[n, f, i, j] = np.sum(window * loops.w[f]) + loops.b[f]
        return {"out": out}

    return predict


def _empty_at_zero(call: Call) -> dict[str, Any]:
    """Return the exception that came where pad is 0, if it is one of an empty part of an array."""
    loops, got = Loops(call), call.got["out"]
    raised = isinstance(got, Raised) and got.kind == "ValueError" and ",0" in got.message
    return {"out": got} if loops.pad == 0 and raised else {}


def _loop_to(limit: Callable[[Loops, int, int], int]) -> Any:
    """The loops are range(0, limit, stride), from the sides of image and filter; out has its size."""

    def predict(call: Call) -> dict[str, Any]:
        loops = Loops(call)
        counts = [
            len(range(0, limit(loops, side, kernel), loops.stride))
            for side, kernel in zip(loops.x.shape[2:], loops.w.shape[2:], strict=True)
        ]
        if any(count > size for count, size in zip(counts, loops.size, strict=True)):
            got = call.got["out"]
            past = isinstance(got, Raised) and got.kind in ("IndexError", "ValueError")
            return {"out": got} if past else {}
        out = np.zeros(np.shape(call.expected["out"]))
        reached = out[:, :, : counts[0], : counts[1]]
        reached[...] = np.asarray(call.expected["out"])[:, :, : counts[0], : counts[1]]
        return {"out": out}

    return predict


PLACES = [
    *[
        Hypothesis(
            "loops_over_image",
            f"the loops run over {words}: they must run over the output's places",
            _loop_to(limit),
            r"range\(.*[HW]|range\(.*shape|range\(",
        )
        for words, limit in (
            ("the image, past the last window or short of it", lambda loops, side, kernel: side),
            (
                "the padded image, past the last window",
                lambda loops, side, kernel: side + 2 * loops.pad,
            ),
            (
                "the image less the filter, short of the last window",
                lambda loops, side, kernel: side - kernel,
            ),
            (
                "the padded image less the filter, short of the last window",
                lambda loops, side, kernel: side + 2 * loops.pad - kernel,
            ),
            (
                "the image less the filter, without the padding",
                lambda loops, side, kernel: side - kernel + 1,
            ),
        )
    ],
    Hypothesis(
        "pad_slice_empty",
        "where pad is 0 the image is emptied: a[-pad:] is then the whole axis",
        forward(_wiped),
        r"-\s*\w+\s*:",
    ),
    Hypothesis(
        "pad_slice_empty",
        "where pad is 0 the slice pad:-pad is empty: use pad:pad+H",
        _empty_at_zero,
        r":\s*-\s*\w+",
    ),
    *[
        Hypothesis(
            "pad_fixed",
            f"the image is padded by {words}: the option pad is not used",
            _padded_by(pad, resized),
            r"pad\(|pad",
        )
        for words, pad in (
            ("1, whatever pad is", lambda loops: 1),
            ("2, whatever pad is", lambda loops: 2),
            ("half the filter's size, whatever pad is", lambda loops: (loops.HH - 1) // 2),
        )
        for resized in (False, True)
    ],
    *[
        Hypothesis(
            "filter_fixed",
            f"the windows are {size} x {size}, whatever the filter's size is",
            _of_filter(size),
            rf"\+\s*{size}|range\({size}\)",
        )
        for size in (2, 3, 5)
    ],
    Hypothesis(
        "stride_is_window",
        "the windows move by the filter's size, not by the stride",
        forward(stride=lambda loops: (loops.HH, loops.WW)),
        r":\s*\w+\s*\+|\*",
    ),
]
