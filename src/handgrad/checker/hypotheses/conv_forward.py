"""Mistakes of the forward of a convolution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.conv_loops import Loops
from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call, Config, Raised


def _forward(
    prepare: Callable[[Loops], None] = lambda loops: None,
    weight: Callable[[np.ndarray], np.ndarray] = lambda w: w,
    bias: Callable[[Loops, int], float] = lambda loops, f: loops.b[f],
    stride: Callable[[Loops], tuple[int, int]] = lambda loops: (loops.stride, loops.stride),
) -> Any:
    def predict(call: Call) -> dict[str, Any]:
        loops = Loops(call)
        prepare(loops)
        out = np.zeros((len(loops.x), len(loops.w), *loops.size))
        vertical, horizontal = stride(loops)
        for n, f, i, j in loops.places():
            rows = slice(i * vertical, i * vertical + loops.HH)
            columns = slice(j * horizontal, j * horizontal + loops.WW)
            window = loops.padded[n, :, rows, columns]
            out[n, f, i, j] = np.sum(window * weight(loops.w[f])) + bias(loops, f)
        return {"out": out}

    return predict


def _pad_with(mode: str, **more: Any) -> Callable[[Loops], None]:
    def prepare(loops: Loops) -> None:
        pads = ((0, 0), (0, 0), (loops.pad,) * 2, (loops.pad,) * 2)
        if loops.pad:
            loops.padded = np.pad(loops.x, pads, mode=mode, **more)  # type: ignore[call-overload]

    return prepare


def _pad_behind(loops: Loops) -> None:
    loops.padded = np.pad(loops.x, ((0, 0), (0, 0), (0, 2 * loops.pad), (0, 2 * loops.pad)))


def _unpadded(loops: Loops) -> None:
    H, W = loops.x.shape[2:]
    loops.padded = loops.x
    loops.size = (1 + (H - loops.HH) // loops.stride, 1 + (W - loops.WW) // loops.stride)


def _restrided(change: Callable[[int], int]) -> Any:
    """Predict the convolution with another stride, in the shape that it then has."""

    def predict(call: Call) -> dict[str, Any]:
        param = dict(call.options[0])
        param["stride"] = change(param["stride"])
        return _forward()(Call(Config(call.config.name, call.arrays, (param,))))

    return predict


def _ordered(order: str) -> Any:
    """The output is computed with its axes in another order, and reshaped, not transposed."""

    def predict(call: Call) -> dict[str, Any]:
        out = np.asarray(call.expected["out"])
        return {"out": out.transpose(["nfij".index(axis) for axis in order]).reshape(out.shape)}

    return predict


def _bias_everywhere(call: Call) -> dict[str, Any]:
    loops = Loops(call)
    out = np.array(call.expected["out"]) - loops.b[:, None, None]
    return {"out": out + loops.b[:, None, None] * loops.w[0].size}


def _bias_times(size: Callable[[Loops], int]) -> Callable[[Loops, int], float]:
    return lambda loops, f: loops.b[f] * size(loops)


def _transposed(w: np.ndarray) -> np.ndarray:
    """Exchange rows and columns; of a kernel that is not square, by reshaping."""
    return w.transpose(0, 2, 1).reshape(w.shape)


def _only_first_channel(w: np.ndarray) -> np.ndarray:
    first = np.zeros_like(w)
    first[0] = w[0]
    return first


def _sum_of_sums(call: Call) -> dict[str, Any]:
    loops = Loops(call)
    out = np.zeros((len(loops.x), len(loops.w), *loops.size))
    for n, f, i, j in loops.places():
        window = loops.padded[(n, slice(None), *loops.window(i, j))]
        out[n, f, i, j] = np.sum(window + loops.w[f]) + loops.b[f]
    return {"out": out}


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

    return _forward(prepare)


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


FORWARD = [
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
        _forward(_wiped),
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
        _forward(stride=lambda loops: (loops.HH, loops.WW)),
        r":\s*\w+\s*\+|\*",
    ),
    Hypothesis("bias_missing", "out lacks the bias b", _forward(bias=lambda loops, f: 0.0), r"sum"),
    Hypothesis(
        "bias_subtracted",
        "the bias b is subtracted",
        _forward(bias=lambda loops, f: -loops.b[f]),
        r"-\s*b",
    ),
    Hypothesis(
        "bias_in_sum",
        "the bias is added to each product of the window, so it counts C HH WW times",
        _bias_everywhere,
        r"b\[",
    ),
    Hypothesis(
        "bias_first",
        "every filter gets the first bias",
        _forward(bias=lambda loops, f: loops.b[0]),
        r"b\[0\]",
    ),
    Hypothesis(
        "bias_summed",
        "every filter gets the sum of all biases",
        _forward(bias=lambda loops, f: loops.b.sum()),
        r"\bb\b",
    ),
    Hypothesis(
        "bias_mean",
        "every filter gets the mean of all biases",
        _forward(bias=lambda loops, f: loops.b.mean()),
        r"mean",
    ),
    *[
        Hypothesis(
            "bias_scaled",
            f"the bias is multiplied by {words}",
            _forward(bias=_bias_times(size)),
            r"\bb\b",
        )
        for words, size in (
            ("the number of images", lambda loops: len(loops.x)),
            ("the number of channels", lambda loops: loops.x.shape[1]),
            ("2", lambda loops: 2),
        )
    ],
    Hypothesis(
        "kernel_flipped",
        "the kernel is rotated by 180 degrees: the courses' convolution does not flip it",
        _forward(weight=lambda w: w[:, ::-1, ::-1]),
        r"::-1|flip|rot",
    ),
    *[
        Hypothesis(name, says, _forward(weight=change), line)
        for name, says, change, line in (
            (
                "kernel_flipped",
                "the rows of the kernel are reversed",
                lambda w: w[:, ::-1],
                r"::-1|flip",
            ),
            (
                "kernel_flipped",
                "the columns of the kernel are reversed",
                lambda w: w[:, :, ::-1],
                r"::-1|flip",
            ),
            (
                "kernel_transposed",
                "rows and columns of the kernel are exchanged",
                _transposed,
                r"transpose|swapaxes|\.T\b",
            ),
            (
                "first_channel",
                "only the first channel is used",
                _only_first_channel,
                r"\[.*0",
            ),
            (
                "kernel_averaged",
                "the products are averaged over the window, not summed",
                lambda w: w / w.size,
                r"mean",
            ),
            (
                "kernel_averaged",
                "the channels are averaged, not summed",
                lambda w: w / len(w),
                r"mean",
            ),
        )
    ],
    Hypothesis(
        "product_added",
        "w is added to the window, not multiplied by it",
        _sum_of_sums,
        r"\+\s*w",
    ),
    *[
        Hypothesis(
            "reordered",
            "the output is computed with its axes in another order, and reshaped: transpose it",
            _ordered(order),
            r"reshape",
        )
        for order in ("fnij", "fijn", "ijnf", "nijf", "ijfn")
    ],
    *[
        Hypothesis("stride_ignored", says, _restrided(change), r"stride")
        for says, change in (
            ("the windows move by 1, not by the stride", lambda stride: 1),
            ("the windows move by 2, not by the stride", lambda stride: 2),
        )
    ],
    Hypothesis(
        "padding_edge",
        "the image is padded with its border, not with zeros",
        _forward(_pad_with("edge")),
        r"pad\(",
    ),
    Hypothesis(
        "padding_reflect",
        "the image is padded with its reflection, not with zeros",
        _forward(_pad_with("reflect")),
        r"pad\(",
    ),
    Hypothesis(
        "padding_ones",
        "the image is padded with ones, not with zeros",
        _forward(_pad_with("constant", constant_values=1)),
        r"pad\(|ones",
    ),
    Hypothesis(
        "padding_one_sided",
        "the padding is added behind only, not on both sides",
        _forward(_pad_behind),
        r"pad\(",
    ),
    Hypothesis("padding_missing", "the image is not padded", _forward(_unpadded), r"pad"),
    Hypothesis(
        "stride_ignored",
        "the windows move by 1, not by the stride",
        _forward(stride=lambda loops: (1, 1)),
        r":\s*\w+\s*\+",
    ),
    Hypothesis(
        "stride_rows_only",
        "the columns move by 1, not by the stride",
        _forward(stride=lambda loops: (loops.stride, 1)),
    ),
    Hypothesis(
        "stride_columns_only",
        "the rows move by 1, not by the stride",
        _forward(stride=lambda loops: (1, loops.stride)),
    ),
]
