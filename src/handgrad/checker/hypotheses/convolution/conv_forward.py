"""Mistakes of the forward of a convolution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.convolution.conv_loops import Loops, forward
from handgrad.checker.hypotheses.convolution.conv_places import PLACES
from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call, Config


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
        return forward()(Call(Config(call.config.name, call.arrays, (param,))))

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


FORWARD = [
    *PLACES,
    Hypothesis("bias_missing", "out lacks the bias b", forward(bias=lambda loops, f: 0.0), r"sum"),
    Hypothesis(
        "bias_subtracted",
        "the bias b is subtracted",
        forward(bias=lambda loops, f: -loops.b[f]),
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
        forward(bias=lambda loops, f: loops.b[0]),
        r"b\[0\]",
    ),
    Hypothesis(
        "bias_summed",
        "every filter gets the sum of all biases",
        forward(bias=lambda loops, f: loops.b.sum()),
        r"\bb\b",
    ),
    Hypothesis(
        "bias_mean",
        "every filter gets the mean of all biases",
        forward(bias=lambda loops, f: loops.b.mean()),
        r"mean",
    ),
    *[
        Hypothesis(
            "bias_scaled",
            f"the bias is multiplied by {words}",
            forward(bias=_bias_times(size)),
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
        forward(weight=lambda w: w[:, ::-1, ::-1]),
        r"::-1|flip|rot",
    ),
    *[
        Hypothesis(name, says, forward(weight=change), line)
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
        forward(_pad_with("edge")),
        r"pad\(",
    ),
    Hypothesis(
        "padding_reflect",
        "the image is padded with its reflection, not with zeros",
        forward(_pad_with("reflect")),
        r"pad\(",
    ),
    Hypothesis(
        "padding_ones",
        "the image is padded with ones, not with zeros",
        forward(_pad_with("constant", constant_values=1)),
        r"pad\(|ones",
    ),
    Hypothesis(
        "padding_one_sided",
        "the padding is added behind only, not on both sides",
        forward(_pad_behind),
        r"pad\(",
    ),
    Hypothesis("padding_missing", "the image is not padded", forward(_unpadded), r"pad"),
    Hypothesis(
        "stride_ignored",
        "the windows move by 1, not by the stride",
        forward(stride=lambda loops: (1, 1)),
        r":\s*\w+\s*\+",
    ),
    Hypothesis(
        "stride_rows_only",
        "the columns move by 1, not by the stride",
        forward(stride=lambda loops: (loops.stride, 1)),
    ),
    Hypothesis(
        "stride_columns_only",
        "the rows move by 1, not by the stride",
        forward(stride=lambda loops: (1, loops.stride)),
    ),
]
