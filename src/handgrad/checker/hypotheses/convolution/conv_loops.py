"""A convolution in loops, of which the hypotheses override one step at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

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


def forward(
    prepare: Callable[[Loops], None] = lambda loops: None,
    weight: Callable[[np.ndarray], np.ndarray] = lambda w: w,
    bias: Callable[[Loops, int], float] = lambda loops, f: loops.b[f],
    stride: Callable[[Loops], tuple[int, int]] = lambda loops: (loops.stride, loops.stride),
) -> Any:
    """Predict a convolution: its image prepared, each filter, bias and stride changed."""

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
