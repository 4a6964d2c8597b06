"""Mistakes of convolution: a backward in loops, with one thing done wrong at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call

Place = tuple[int, int, int, int]  # image, filter, row and column of the output


class Loops:
    """The arrays of a convolution and what its loops need; a mistake overrides one step."""

    def __init__(self, call: Call) -> None:
        """Pad x; make empty gradients."""
        self.x, self.w, self.b = (np.asarray(call.arrays[key], float) for key in "xwb")
        self.stride, self.pad = int(call.options[0]["stride"]), int(call.options[0]["pad"])
        self.padded = np.pad(self.x, ((0, 0), (0, 0), (self.pad,) * 2, (self.pad,) * 2))
        self.dx, self.dw = np.zeros(self.padded.shape), np.zeros(self.w.shape)
        self.db = np.zeros(self.b.shape)
        self.dout = call.dout
        H, W = self.padded.shape[2:]
        self.HH, self.WW = self.w.shape[2:]
        self.size = (1 + (H - self.HH) // self.stride, 1 + (W - self.WW) // self.stride)

    def places(self, order: str = "nfij") -> Iterator[Place]:
        """Every place of the output, the loops nested in `order`."""
        sizes = dict(zip("nfij", (len(self.x), len(self.w), *self.size), strict=True))
        for index in np.ndindex(*(sizes[letter] for letter in order)):
            at = dict(zip(order, index, strict=True))
            yield at["n"], at["f"], at["i"], at["j"]

    def window(self, i: int, j: int, stride: int | None = None) -> tuple[slice, slice]:
        """Rows and columns of the padded image under the kernel."""
        s = self.stride if stride is None else stride
        return slice(i * s, i * s + self.HH), slice(j * s, j * s + self.WW)

    def cropped(self) -> np.ndarray:
        """The gradient of x without its padding."""
        H, W = self.x.shape[2:]
        return self.dx[:, :, self.pad : self.pad + H, self.pad : self.pad + W]

    def run(self, step: Callable[[Loops, Place], None], order: str = "nfij") -> Loops:
        """Do `step` at every place."""
        for place in self.places(order):
            step(self, place)
        return self


def _loops(step: Callable[[Loops, Place], None], *keys: str, order: str = "nfij") -> Any:
    def predict(call: Call) -> dict[str, Any]:
        loops = Loops(call).run(step, order)
        found = {"dx": loops.cropped(), "dw": loops.dw, "db": loops.db}
        return {key: found[key] for key in keys}

    return predict


def _assign_dx(loops: Loops, at: Place) -> None:
    n, f, i, j = at
    loops.dx[(n, slice(None), *loops.window(i, j))] = loops.w[f] * loops.dout[at]


def _assign_dx_summed(loops: Loops, at: Place) -> None:
    n, _, i, j = at
    loops.dx[(n, slice(None), *loops.window(i, j))] = np.tensordot(
        loops.dout[n, :, i, j], loops.w, 1
    )


def _assign_dw(loops: Loops, at: Place) -> None:
    n, f, i, j = at
    loops.dw[f] = loops.padded[(n, slice(None), *loops.window(i, j))] * loops.dout[at]


def _assign_db(loops: Loops, at: Place) -> None:
    loops.db[at[1]] = loops.dout[at]


def _assign_db_image(loops: Loops, at: Place) -> None:
    loops.db[at[1]] = loops.dout[at[0], at[1]].sum()


def _by_filter(loops: Loops, at: Place) -> None:
    n, f, i, j = at
    loops.dx[(f, slice(None), *loops.window(i, j))] += loops.w[f] * loops.dout[at]


def _by_filter_added(loops: Loops, at: Place) -> None:
    n, f, i, j = at
    loops.dx[(f, slice(None), *loops.window(i, j))] += loops.w[f] + loops.dout[at]


def _added(loops: Loops, at: Place) -> None:
    n, f, i, j = at
    loops.dx[(n, slice(None), *loops.window(i, j))] += loops.w[f] + loops.dout[at]


def _dw_added(loops: Loops, at: Place) -> None:
    n, f, i, j = at
    loops.dw[f] += loops.padded[(n, slice(None), *loops.window(i, j))] + loops.dout[at]


def _dw_by_image(loops: Loops, at: Place) -> None:
    n, f, i, j = at
    loops.dw[n] += loops.padded[(n, slice(None), *loops.window(i, j))] * loops.dout[at]


def _dx_stride_one(loops: Loops, at: Place) -> None:
    n, f, i, j = at
    loops.dx[(n, slice(None), *loops.window(i, j, 1))] += loops.w[f] * loops.dout[at]


def _dw_stride_one(loops: Loops, at: Place) -> None:
    n, f, i, j = at
    loops.dw[f] += loops.padded[(n, slice(None), *loops.window(i, j, 1))] * loops.dout[at]


def _flipped(loops: Loops, at: Place) -> None:
    n, f, i, j = at
    loops.dx[(n, slice(None), *loops.window(i, j))] += loops.w[f, :, ::-1, ::-1] * loops.dout[at]


def _first_channel(loops: Loops, at: Place) -> None:
    n, f, i, j = at
    loops.dx[(n, 0, *loops.window(i, j))] += loops.w[f, 0] * loops.dout[at]


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


def _unpadded_dw(call: Call) -> dict[str, Any]:
    loops = Loops(call)
    H, W = loops.x.shape[2:]
    loops.padded = np.zeros_like(loops.padded)
    loops.padded[:, :, :H, :W] = loops.x

    def step(loops: Loops, at: Place) -> None:
        n, f, i, j = at
        loops.dw[f] += loops.padded[(n, slice(None), *loops.window(i, j))] * loops.dout[at]

    return {"dw": loops.run(step).dw}


# forward


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


def _bias_everywhere(call: Call) -> dict[str, Any]:
    loops = Loops(call)
    out = np.array(call.expected["out"]) - loops.b[:, None, None]
    return {"out": out + loops.b[:, None, None] * loops.w[0].size}


_SET = r"\bdx\w*\[.*\]\s*=[^=]"

FORWARD = [
    Hypothesis("bias_missing", "out lacks the bias b", _forward(bias=lambda loops, f: 0.0), r"sum"),
    Hypothesis("bias_subtracted", "the bias b is subtracted", _forward(bias=lambda loops, f: -loops.b[f]), r"-\s*b"),
    Hypothesis("bias_in_sum", "the bias is added to each product of the window, so it counts C HH WW times", _bias_everywhere, r"b\["),
    Hypothesis("bias_first", "every filter gets the first bias", _forward(bias=lambda loops, f: loops.b[0]), r"b\[0\]"),
    Hypothesis("bias_summed", "every filter gets the sum of all biases", _forward(bias=lambda loops, f: loops.b.sum()), r"\bb\b"),
    Hypothesis("kernel_flipped", "the kernel is rotated by 180 degrees: the courses' convolution does not flip it", _forward(weight=lambda w: w[:, ::-1, ::-1]), r"::-1|flip|rot"),
    Hypothesis("padding_edge", "the image is padded with its border, not with zeros", _forward(_pad_with("edge")), r"pad\("),
    Hypothesis("padding_reflect", "the image is padded with its reflection, not with zeros", _forward(_pad_with("reflect")), r"pad\("),
    Hypothesis("padding_ones", "the image is padded with ones, not with zeros", _forward(_pad_with("constant", constant_values=1)), r"pad\(|ones"),
    Hypothesis("padding_one_sided", "the padding is added behind only, not on both sides", _forward(_pad_behind), r"pad\("),
    Hypothesis("padding_missing", "the image is not padded", _forward(_unpadded), r"pad"),
    Hypothesis("stride_ignored", "the windows move by 1, not by the stride", _forward(stride=lambda loops: (1, 1)), r":\s*\w+\s*\+"),
    Hypothesis("stride_rows_only", "the columns move by 1, not by the stride", _forward(stride=lambda loops: (loops.stride, 1))),
    Hypothesis("stride_columns_only", "the rows move by 1, not by the stride", _forward(stride=lambda loops: (1, loops.stride))),
]  # fmt: skip
BACKWARD = [
    *[Hypothesis("assigned", "dx is wrong where windows overlap (stride < kernel) and where filters meet: contributions are assigned, not added", _loops(_assign_dx, "dx", order=order), _SET) for order in ("nfij", "nijf", "fnij", "ijnf", "ijfn")],
    Hypothesis("assigned", "dx is wrong where windows overlap (stride < kernel): contributions are assigned, not added", _loops(_assign_dx_summed, "dx"), _SET),
    *[Hypothesis("assigned_dw", "dw holds the last window only: contributions are assigned, not added", _loops(_assign_dw, "dw", order=order), r"\bdw\[.*\]\s*=[^=]") for order in ("nfij", "ijnf")],
    Hypothesis("assigned_db", "db holds the last place only: contributions are assigned, not added", _loops(_assign_db, "db"), r"\bdb\[.*\]\s*=[^=]"),
    Hypothesis("assigned_db", "db holds the last image only: contributions are assigned, not added", _loops(_assign_db_image, "db"), r"\bdb\[.*\]\s*=[^=]"),
    Hypothesis("index_by_filter", "dx is indexed by the filter, not by the image", _loops(_by_filter, "dx"), r"\bdx\w*\[f"),
    Hypothesis("index_by_filter", "dx is indexed by the filter, not by the image, and w is added to dout, not multiplied by it", _loops(_by_filter_added, "dx"), r"\bdx\w*\["),
    Hypothesis("product_added", "w is added to dout in dx: they must be multiplied", _loops(_added, "dx"), r"\bdx\w*\["),
    Hypothesis("product_added", "x is added to dout in dw: they must be multiplied", _loops(_dw_added, "dw"), r"\bdw\["),
    Hypothesis("index_by_image", "dw is indexed by the image, not by the filter", _loops(_dw_by_image, "dw"), r"\bdw\["),
    Hypothesis("crop_negative", "dx is cropped with pad:-pad, which is empty where pad is 0; use pad:pad+H", _crop(_pad_to_minus_pad), r":\s*-\s*\w*pad|:\s*-\s*p\b"),
    Hypothesis("crop_missing", "dx still has the padding: cut it off", _crop(_uncut), r"return"),
    Hypothesis("crop_corner", "dx is cropped from the corner of the padded image: it must start at pad", _crop(_cut_top_left), r":H|: *x\.shape"),
    Hypothesis("stride_ignored", "the windows of dx move by 1, not by the stride", _loops(_dx_stride_one, "dx"), r"\bdx\w*\[|stride"),
    Hypothesis("stride_ignored", "the windows of dx and dw move by 1, not by the stride", lambda call: _loops(_dx_stride_one, "dx")(call) | _loops(_dw_stride_one, "dw")(call), r"stride|:\s*\w+\s*\+"),
    Hypothesis("stride_ignored", "the windows of dw move by 1, not by the stride", _loops(_dw_stride_one, "dw"), r"\bdw\["),
    Hypothesis("kernel_flipped", "the kernel is rotated by 180 degrees in dx", _loops(_flipped, "dx"), r"::-1|flip|rot"),
    Hypothesis("first_channel", "only the first channel of dx is filled", _loops(_first_channel, "dx"), r"\bdx\w*\["),
    Hypothesis("unpadded_dw", "dw uses x without its padding", _unpadded_dw, r"\bdw\["),
    Hypothesis("missing_sum", "db is not summed over the batch and the places", lambda call: {"db": call.dout.sum(axis=(0, 2))}, r"\bdb\b"),
    Hypothesis("missing_sum", "db is not summed over the places", lambda call: {"db": call.dout.sum(axis=0)}, r"\bdb\b"),
    Hypothesis("missing_sum", "db is not summed over the batch", lambda call: {"db": call.dout.sum(axis=(2, 3))}, r"\bdb\b"),
    Hypothesis("sum_over_all", "db is the sum of all of dout, not one sum a filter", lambda call: {"db": np.full_like(call.expected["db"], call.dout.sum())}, r"\bdb\b"),
]  # fmt: skip
