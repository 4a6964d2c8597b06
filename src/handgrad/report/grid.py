"""Many small images as one."""

from __future__ import annotations

from math import ceil, isnan, sqrt

import numpy as np

from handgrad.engines.arrays import as_numpy
from handgrad.errors import DtypeError, as_count, as_number, check_ndim


def visualize_grid(
    Xs: np.ndarray, ubound: float = 255.0, padding: int = 1, constant: float = 0.0
) -> np.ndarray:
    """Lay images out in a square grid, each stretched to the full range [0, ubound].

    Args:
        Xs: images, (N, H, W, C).
        ubound: the largest value of the result.
        padding: black pixels between neighbours.
        constant: the value of images of one constant colour, which cannot be stretched.

    Returns:
        grid, (side*H + (side-1)*padding, side*W + (side-1)*padding, C) float64 with
        side = ceil(sqrt(N)); unused cells are 0.

    Source: CS231n assignment 2, ``vis_utils.visualize_grid``.
    """
    Xs = as_numpy("visualize_grid", "Xs", Xs)
    check_ndim("visualize_grid", "Xs", Xs, 4, "(N, H, W, C)")
    if Xs.dtype.kind not in "biuf" or not Xs.size:
        raise DtypeError(
            f"visualize_grid: Xs must hold real numbers, got {Xs.dtype} of shape {Xs.shape}"
        )
    if not isinstance(constant, float) or not isnan(constant):  # NaN leaves such images empty
        constant = as_number("visualize_grid", "constant", constant)
    ubound = as_number("visualize_grid", "ubound", ubound)
    padding = as_count("visualize_grid", "padding", padding, minimum=0)
    N, H, W, C = Xs.shape
    side = ceil(sqrt(N))
    spacing = max(side - 1, 0) * padding
    grid = np.zeros((side * H + spacing, side * W + spacing, C))
    for n in range(N):
        row, column = divmod(n, side)
        top, left = row * (H + padding), column * (W + padding)
        low, high = Xs[n].min(), Xs[n].max()
        stretched = ubound * (Xs[n] - low) / (high - low) if high > low else constant
        grid[top : top + H, left : left + W] = stretched
    return grid
