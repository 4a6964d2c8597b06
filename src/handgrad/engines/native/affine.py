"""Affine layer on packed matrix products."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from handgrad.engines.native import _kernels

Array = np.ndarray


class Saved(NamedTuple):
    """The arguments whose products backward takes."""

    x: Array
    w: Array


def affine_forward(x: Array, w: Array, b: Array) -> tuple[Array, Saved]:
    return _kernels.affine_forward(x, w, b), Saved(x, w)


def affine_backward(dout: Array, saved: Saved) -> tuple[Array, Array, Array]:
    return _kernels.affine_backward(dout, *saved, True, True)
