"""Mistakes of the backward of a convolution: loops with one step done wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.convolution.conv_crop import CROPS
from handgrad.checker.hypotheses.convolution.conv_loops import Loops, Place
from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call


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


def _assign_by_kernel(call: Call) -> dict[str, Any]:
    """The loops run over the places of the kernel: the last one that reaches a pixel stays."""
    loops = Loops(call)
    for u in range(loops.HH):
        for v in range(loops.WW):
            for n, i, j in np.ndindex(len(loops.x), *loops.size):
                at = (n, slice(None), i * loops.stride + u, j * loops.stride + v)
                loops.dx[at] = loops.dout[n, :, i, j] @ loops.w[:, :, u, v]
    return {"dx": loops.cropped()}


def _assign_dw(loops: Loops, at: Place) -> None:
    n, f, i, j = at
    loops.dw[f] = loops.padded[(n, slice(None), *loops.window(i, j))] * loops.dout[at]


def _assign_db(loops: Loops, at: Place) -> None:
    loops.db[at[1]] = loops.dout[at]


def _assign_db_image(loops: Loops, at: Place) -> None:
    loops.db[at[1]] = loops.dout[at[0], at[1]].sum()


def _by_filter(loops: Loops, at: Place) -> None:
    _, f, i, j = at
    loops.dx[(f, slice(None), *loops.window(i, j))] += loops.w[f] * loops.dout[at]


def _by_filter_added(loops: Loops, at: Place) -> None:
    _, f, i, j = at
    loops.dx[(f, slice(None), *loops.window(i, j))] += loops.w[f] + loops.dout[at]


def _added(loops: Loops, at: Place) -> None:
    n, f, i, j = at
    loops.dx[(n, slice(None), *loops.window(i, j))] += loops.w[f] + loops.dout[at]


def _dw_added(loops: Loops, at: Place) -> None:
    n, f, i, j = at
    loops.dw[f] += loops.padded[(n, slice(None), *loops.window(i, j))] + loops.dout[at]


def _dw_by_image(loops: Loops, at: Place) -> None:
    n, _, i, j = at
    loops.dw[n] += loops.padded[(n, slice(None), *loops.window(i, j))] * loops.dout[at]


def _dx_stride_one(loops: Loops, at: Place) -> None:
    n, f, i, j = at
    loops.dx[(n, slice(None), *loops.window(i, j, 1))] += loops.w[f] * loops.dout[at]


def _dw_stride_one(loops: Loops, at: Place) -> None:
    n, f, i, j = at
    loops.dw[f] += loops.padded[(n, slice(None), *loops.window(i, j, 1))] * loops.dout[at]


def _one_way(rows: bool) -> tuple[Any, Any]:
    """Steps of dx and dw whose rows, or columns, move by 1, not by the stride."""

    def window(loops: Loops, i: int, j: int) -> tuple[slice, slice]:
        moved, plain = loops.window(i, j, 1), loops.window(i, j)
        return (moved[0], plain[1]) if rows else (plain[0], moved[1])

    def dx(loops: Loops, at: Place) -> None:
        n, f, i, j = at
        loops.dx[(n, slice(None), *window(loops, i, j))] += loops.w[f] * loops.dout[at]

    def dw(loops: Loops, at: Place) -> None:
        n, f, i, j = at
        loops.dw[f] += loops.padded[(n, slice(None), *window(loops, i, j))] * loops.dout[at]

    return dx, dw


def _dx_with(weight: Callable[[np.ndarray], np.ndarray]) -> Callable[[Loops, Place], None]:
    """dx with each filter changed."""

    def step(loops: Loops, at: Place) -> None:
        n, f, i, j = at
        loops.dx[(n, slice(None), *loops.window(i, j))] += weight(loops.w[f]) * loops.dout[at]

    return step


def _dw_with(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Loops, Place], None]:
    """dw with each window of x changed."""

    def step(loops: Loops, at: Place) -> None:
        n, f, i, j = at
        window = loops.padded[(n, slice(None), *loops.window(i, j))]
        loops.dw[f] += change(window) * loops.dout[at]

    return step


def _rotated(value: np.ndarray) -> np.ndarray:
    return value[:, ::-1, ::-1]


_KERNELS: list[tuple[str, str, Callable[[np.ndarray], np.ndarray], str]] = [
    ("kernel_flipped", "is rotated by 180 degrees", _rotated, r"::-1|flip|rot"),
    ("kernel_flipped", "has its rows reversed", lambda v: v[:, ::-1], r"::-1|flip|rot"),
    ("kernel_flipped", "has its columns reversed", lambda v: v[:, :, ::-1], r"::-1|flip|rot"),
    ("kernel_flipped", "has its channels reversed", lambda v: v[::-1], r"::-1|flip"),
    (
        "kernel_transposed",
        "has rows and columns exchanged",
        lambda v: v.transpose(0, 2, 1),
        r"transpose|\.T\b|swapaxes",
    ),
    (
        "kernel_summed",
        "is summed over its channels",
        lambda v: np.broadcast_to(v.sum(axis=0), v.shape),
        r"sum",
    ),
    (
        "first_channel_everywhere",
        "is that of the first channel in every channel",
        lambda v: np.broadcast_to(v[0], v.shape),
        r"\[.*0",
    ),
    ("absolute", "loses its sign", np.abs, r"abs"),
    ("squared", "is squared", np.square, r"\*\*|square"),
]


def _first_filter(loops: Loops, at: Place) -> None:
    n, _, i, j = at
    loops.dx[(n, slice(None), *loops.window(i, j))] += loops.w[0] * loops.dout[at]


def _first_image(loops: Loops, at: Place) -> None:
    _, f, i, j = at
    loops.dw[f] += loops.padded[(0, slice(None), *loops.window(i, j))] * loops.dout[at]


def _every_filter(loops: Loops, at: Place) -> None:
    n, _, i, j = at
    loops.dw += loops.padded[(n, slice(None), *loops.window(i, j))] * loops.dout[at]


def _first_channel(loops: Loops, at: Place) -> None:
    n, f, i, j = at
    loops.dx[(n, 0, *loops.window(i, j))] += loops.w[f, 0] * loops.dout[at]


_SET = r"\bdx\w*\[.*\]\s*=[^=]"


BACKWARD = [
    Hypothesis(
        "assigned",
        "dx is wrong where windows overlap (stride < kernel): contributions are assigned, not added",
        _assign_by_kernel,
        _SET,
    ),
    *[
        Hypothesis(
            "assigned",
            "dx is wrong where windows overlap (stride < kernel) and where filters "
            "meet: contributions are assigned, not added",
            _loops(_assign_dx, "dx", order=order),
            _SET,
        )
        for order in ("nfij", "nijf", "fnij", "ijnf", "ijfn")
    ],
    Hypothesis(
        "assigned",
        "dx is wrong where windows overlap (stride < kernel): contributions are assigned, not added",
        _loops(_assign_dx_summed, "dx"),
        _SET,
    ),
    *[
        Hypothesis(
            "assigned_dw",
            "dw holds the last window only: contributions are assigned, not added",
            _loops(_assign_dw, "dw", order=order),
            r"\bdw\[.*\]\s*=[^=]",
        )
        for order in ("nfij", "ijnf")
    ],
    Hypothesis(
        "assigned_db",
        "db holds the last place only: contributions are assigned, not added",
        _loops(_assign_db, "db"),
        r"\bdb\[.*\]\s*=[^=]",
    ),
    Hypothesis(
        "assigned_db",
        "db holds the last image only: contributions are assigned, not added",
        _loops(_assign_db_image, "db"),
        r"\bdb\[.*\]\s*=[^=]",
    ),
    Hypothesis(
        "index_by_filter",
        "dx is indexed by the filter, not by the image",
        _loops(_by_filter, "dx"),
        r"\bdx\w*\[f",
    ),
    Hypothesis(
        "index_by_filter",
        "dx is indexed by the filter, not by the image, and w is added to dout, not multiplied by it",
        _loops(_by_filter_added, "dx"),
        r"\bdx\w*\[",
    ),
    Hypothesis(
        "product_added",
        "w is added to dout in dx: they must be multiplied",
        _loops(_added, "dx"),
        r"\bdx\w*\[",
    ),
    Hypothesis(
        "product_added",
        "x is added to dout in dw: they must be multiplied",
        _loops(_dw_added, "dw"),
        r"\bdw\[",
    ),
    Hypothesis(
        "index_by_image",
        "dw is indexed by the image, not by the filter",
        _loops(_dw_by_image, "dw"),
        r"\bdw\[",
    ),
    *CROPS,
    Hypothesis(
        "stride_ignored",
        "the windows of dx move by 1, not by the stride",
        _loops(_dx_stride_one, "dx"),
        r"\bdx\w*\[|stride",
    ),
    Hypothesis(
        "stride_ignored",
        "the windows of dx and dw move by 1, not by the stride",
        lambda call: _loops(_dx_stride_one, "dx")(call) | _loops(_dw_stride_one, "dw")(call),
        r"stride|:\s*\w+\s*\+",
    ),
    Hypothesis(
        "stride_ignored",
        "the windows of dw move by 1, not by the stride",
        _loops(_dw_stride_one, "dw"),
        r"\bdw\[",
    ),
    *[
        Hypothesis(
            "stride_ignored",
            f"the {words} of the windows of {key} move by 1, not by the stride",
            _loops(_one_way(words == "rows")[number], key),
            r"\w+\s*:\s*\w+\s*\+",
        )
        for words in ("rows", "columns")
        for number, key in enumerate(("dx", "dw"))
    ],
    *[
        Hypothesis(name, f"the kernel {words} in dx", _loops(_dx_with(change), "dx"), line)
        for name, words, change, line in _KERNELS
    ],
    *[
        Hypothesis(name, f"the window of x {words} in dw", _loops(_dw_with(change), "dw"), line)
        for name, words, change, line in _KERNELS
    ],
    Hypothesis(
        "first_filter",
        "dx uses the first filter for every channel of dout",
        _loops(_first_filter, "dx"),
        r"\bw\[0",
    ),
    Hypothesis(
        "first_image",
        "dw uses the first image of x for every image of dout",
        _loops(_first_image, "dw"),
        r"\[0",
    ),
    Hypothesis(
        "filters_summed",
        "dw is the same for every filter: dout is summed over the filters",
        _loops(_every_filter, "dw"),
        r"sum",
    ),
    Hypothesis(
        "first_channel",
        "only the first channel of dx is filled",
        _loops(_first_channel, "dx"),
        r"\bdx\w*\[",
    ),
    Hypothesis(
        "missing_sum",
        "db is not summed over the batch and the places",
        lambda call: {"db": call.dout.sum(axis=(0, 2))},
        r"\bdb\b",
    ),
    Hypothesis(
        "missing_sum",
        "db is not summed over the places",
        lambda call: {"db": call.dout.sum(axis=0)},
        r"\bdb\b",
    ),
    Hypothesis(
        "missing_sum",
        "db is not summed over the batch",
        lambda call: {"db": call.dout.sum(axis=(2, 3))},
        r"\bdb\b",
    ),
    Hypothesis(
        "sum_over_all",
        "db is the sum of all of dout, not one sum a filter",
        lambda call: {"db": np.full_like(call.expected["db"], call.dout.sum())},
        r"\bdb\b",
    ),
]
