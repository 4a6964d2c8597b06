"""Mistakes of a convolution's backward at the padding: dx cut off wrongly, dw of an image without it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.convolution.conv_loops import Loops, Place
from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call, Raised


def _right(loops: Loops, at: Place) -> None:
    n, f, i, j = at
    loops.dx[(n, slice(None), *loops.window(i, j))] += loops.w[f] * loops.dout[at]


def _crop(cut: Callable[[Loops], np.ndarray]) -> Any:
    return lambda call: {"dx": cut(Loops(call).run(_right))}


def _uncut(loops: Loops) -> np.ndarray:
    return loops.dx


def _pad_to_minus_pad(loops: Loops) -> np.ndarray:
    return loops.dx[:, :, loops.pad : -loops.pad, loops.pad : -loops.pad]


def _cut_top_left(loops: Loops) -> np.ndarray:
    H, W = loops.x.shape[2:]
    return loops.dx[:, :, :H, :W]


def _short(loops: Loops) -> np.ndarray:
    H, W = loops.x.shape[2:]
    return loops.dx[:, :, loops.pad : H, loops.pad : W]


def _crop_by(count: int) -> Callable[[Loops], np.ndarray]:
    return lambda loops: loops.dx[:, :, count:-count, count:-count]


def _crop_from(count: int, whole: bool) -> Callable[[Loops], np.ndarray]:
    """A part that begins at a fixed place and is as large as the image.

    whole: at pad 0 nothing is cut; else the part is too small there.
    """

    def cut(loops: Loops) -> np.ndarray:
        H, W = loops.x.shape[2:]
        cut_off = loops.dx[:, :, count : count + H, count : count + W]
        return loops.dx if whole and not loops.pad else cut_off

    return cut


def _empty_at_zero(call: Call) -> dict[str, Any]:
    """Return the exception that came where pad is 0, if it is one of an empty part of an array."""
    pad = int(call.options[0]["pad"])
    return {
        key: got
        for key, got in call.got.items()
        if pad == 0
        and isinstance(got, Raised)
        and got.kind == "ValueError"
        and re.search(r"\b0[,)]", got.message)
    }


def _unpadded_dw(call: Call) -> dict[str, Any]:
    loops = Loops(call)
    H, W = loops.x.shape[2:]
    loops.padded = np.zeros_like(loops.padded)
    loops.padded[:, :, :H, :W] = loops.x

    def step(loops: Loops, at: Place) -> None:
        n, f, i, j = at
        loops.dw[f] += loops.padded[(n, slice(None), *loops.window(i, j))] * loops.dout[at]

    return {"dw": loops.run(step).dw}


CROPS = [
    Hypothesis(
        "crop_negative",
        "dx is cropped with pad:-pad, which is empty where pad is 0; use pad:pad+H",
        _crop(_pad_to_minus_pad),
        r":\s*-\s*\w*pad|:\s*-\s*p\b",
    ),
    Hypothesis(
        "crop_negative",
        "dx is cropped with pad:-pad, which is empty where pad is 0; use pad:pad+H",
        _empty_at_zero,
        r":\s*-\s*\w*pad|:\s*-\s*p\b|:\s*-",
    ),
    *[
        Hypothesis(
            "crop_fixed",
            f"dx is cropped by {count} on each side, whatever pad is",
            _crop(_crop_by(count)),
            rf"{count}\s*:\s*-\s*{count}",
        )
        for count in (1, 2)
    ],
    *[
        Hypothesis(
            "crop_fixed",
            "dx is cropped from place 1 on, whatever pad is: it must be pad:pad+H, pad:pad+W",
            _crop(_crop_from(1, whole)),
            r"1\s*:",
        )
        for whole in (True, False)
    ],
    Hypothesis("crop_missing", "dx still has the padding: cut it off", _crop(_uncut), r"return"),
    Hypothesis(
        "crop_corner",
        "dx is cropped from the corner of the padded image: it must start at pad",
        _crop(_cut_top_left),
        r":H|: *x\.shape",
    ),
    Hypothesis(
        "crop_behind",
        "dx is cropped at its end: it must be cropped on both sides",
        _crop(lambda loops: loops.dx[:, :, 2 * loops.pad :, 2 * loops.pad :]),
        r"pad",
    ),
    Hypothesis(
        "crop_short",
        "dx is cropped to pad:H, pad:W: it must be pad:pad+H, pad:pad+W",
        _crop(_short),
        r":\s*[HW]\b",
    ),
    Hypothesis("unpadded_dw", "dw uses x without its padding", _unpadded_dw, r"\bdw\["),
]
