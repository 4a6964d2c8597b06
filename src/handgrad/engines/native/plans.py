"""Plans: lists of operations that native code runs whole (native/plan/)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from handgrad.engines.native import _kernels

Pair = tuple[int, int]


def make(dtype: np.dtype, *parts: Any) -> Any:
    """Return a plan for arrays of `dtype`; `parts` are those of ``plan32`` in `_kernels.pyi`.

    With a true last part values of layers are stored in bf16, of plans of float32.
    """
    return _kernels.plan32(*parts) if dtype == np.float32 else _kernels.plan64(*parts)


def settings() -> tuple[Any, ...]:
    """Return what the kernels' choices depend on beside sizes."""
    return _kernels.isa(), _kernels.is_exact(), _kernels.bf16()


def takes_pool(
    x: np.ndarray, w: np.ndarray, options: Sequence[Any], rectify: bool, normed: bool
) -> bool:
    """Whether a convolution, of stride, pad, dilation and groups, computes a 2x2 pooling behind it."""
    stride, pad, dilation, groups = options
    return _kernels.conv_takes_pool(x, w, stride, pad, dilation, groups, rectify, normed)


def read_rows(file: int, offset: int, places: np.ndarray, out: np.ndarray) -> bool:
    """Read rows of an open file into `out`, bytes of shape (n, bytes of a row); say whether it could be done.

    Args:
        file: its number; offset: where row 0 begins; places: of the rows, (n,), whole numbers of 8 bytes.
    """
    return _kernels.read_rows(file, offset, places, out)


def finished(
    scores: np.ndarray, finish: str, scale: np.ndarray, shift: np.ndarray
) -> np.ndarray | None:
    """Return what scores (N, C) become, see `handgrad.nn.compiled.scoring`; None where one is not finite."""
    return _kernels.finished(scores, finish, scale, shift)
