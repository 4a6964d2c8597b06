"""Single layers of the benchmark in bf16, on arrays that are stored in it.

Networks train in bf16 by themselves; a layer's function takes float32, so that here the compiled
functions are called, with weights in float32, as a network has them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad import engines
from handgrad.bench import work
from handgrad.bench.work import Arrays, Job

LAYERS = ("conv", "affine")


def half_call(job: Job) -> Callable[[], Any]:
    """Return the function whose calls are timed: one pass of a layer, of `LAYERS`."""
    forward, backward = _passes(job)
    return forward if job["part"] == "forward" else backward


def half_results(job: Job) -> Arrays:
    """Return out, dx, dw and db as float32."""
    kernels = engines.get("native").control._kernels
    forward, backward = _passes(job)
    arrays = (forward(), *backward())
    wide = [kernels.bf16_widen(a) if a.dtype == np.uint16 else a for a in arrays]
    return dict(zip(("out", "dx", "dw", "db"), wide, strict=True))


def _passes(job: Job) -> tuple[Callable[[], Any], Callable[[], Any]]:
    kernels = engines.get("native").control._kernels
    drawn = work.layer_arrays(job, "float32")
    w, b = drawn["w"], drawn["b"]
    x, dout = (_stored(kernels, drawn[name]) for name in ("x", "dout"))
    if job["kind"] == "conv":
        windows = (job["stride"],) * 2, (job["pad"],) * 2
        return (
            lambda: kernels.bf16_conv_forward(x, w, b, *windows),
            lambda: kernels.bf16_conv_backward(dout, x, w, *windows),
        )
    return (
        lambda: kernels.bf16_product(x, w, b, full=False),
        lambda: (
            kernels.bf16_product(dout, w.T, full=False),
            kernels.bf16_product(x.T, dout),
            kernels.bf16_column_sums(dout),
        ),
    )


def _stored(kernels: Any, array: np.ndarray) -> np.ndarray:
    """Return an array in bf16, channels last in memory."""
    if array.ndim < 4:
        return np.asarray(kernels.bf16_round(array))
    last = kernels.bf16_round(np.ascontiguousarray(array.transpose(0, 2, 3, 1)))
    return np.asarray(last.transpose(0, 3, 1, 2))
