"""The courses' ``vis_utils``: grids of images, and skynet's three plots."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import numpy as np

from handgrad import report
from handgrad.courses.shims.data_utils import generate_decision_boundary_data


def visualize_grid(Xs: np.ndarray, ubound: float = 255.0, padding: int = 1) -> np.ndarray:
    """`handgrad.report.visualize_grid`, with NaN in place of images of one constant colour."""
    return report.visualize_grid(Xs, ubound, padding, constant=math.nan)


def vis_grid(Xs: np.ndarray) -> np.ndarray:
    """Lay images (N, H, W, C) out in a square, one line apart, stretched together to [0, 1].

    The places without an image have the smallest value; the lines have it too.
    """
    side = math.ceil(math.sqrt(len(Xs)))
    rows = [Xs[start : start + side] for start in range(0, side * side, side)]
    return _stretched(_tiled(rows, side, background=np.min(Xs)))


def vis_nn(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Lay out rows of images (H, W, C), one line apart, the lines 1; stretched to [0, 1]."""
    return _stretched(_tiled(rows, len(rows[0]), background=1))


def visualize_decision_boundary(
    f: Callable[[np.ndarray], np.ndarray],
    X: np.ndarray,
    y: np.ndarray,
    save_path: str | PathLike[str] | None = None,
) -> None:
    """Draw the probabilities ``f(points)`` as contours, and the line of 1/2, with the points X.

    Two figures, of which the last is saved to `save_path` if that is given, else both are shown.
    """
    import matplotlib.pyplot as plt

    xx, yy, grid = generate_decision_boundary_data(X)
    probs = np.asarray(f(grid))
    shapes = (xx.shape, yy.shape, grid.shape, probs.shape)
    print("xx, yy, grid, probs shape: ", *shapes)  # noqa: T201
    probs = probs.reshape(xx.shape)
    for title in ("decision boundary with contour", "decision boundary"):
        figure, axes = plt.subplots(figsize=(8, 6))
        axes.set_title(title)
        if title == "decision boundary":
            axes.contour(xx, yy, probs, levels=[0.5], cmap="Greys", vmin=0, vmax=0.6)
        else:
            contour = axes.contourf(xx, yy, probs, 25, cmap="RdBu", vmin=0, vmax=1)
            bar = figure.colorbar(contour, ticks=[0, 0.25, 0.5, 0.75, 1])
            bar.set_label("$P(y = 1)$")
        points: dict[str, Any] = {
            "cmap": "RdBu",
            "vmin": -0.2,
            "vmax": 1.2,
            "edgecolor": "white",
            "s": 50,
        }
        axes.scatter(X[:, 0], X[:, 1], c=y, linewidth=1, **points)
        axes.set(aspect="equal", xlim=(-5, 5), ylim=(-5, 5), xlabel="$X_1$", ylabel="$X_2$")
    if save_path:
        plt.savefig(save_path)
    else:
        plt.show()


def visualize_regression(f: Any, X: np.ndarray, y: np.ndarray) -> None:
    """Do nothing, as in skynet."""


def visualize_cross_validation(results: dict[tuple[float, float], Any]) -> None:
    """Draw ``results[learning_rate, scale][0]``, accuracies, as colours over both logarithms."""
    import matplotlib.pyplot as plt

    axes = plt.subplot(2, 1, 1)
    rates, scales = zip(*results, strict=True)
    colors = [accuracies[0] for accuracies in results.values()]
    plt.colorbar(axes.scatter(np.log10(rates), np.log10(scales), 100, c=colors))
    axes.set(
        xlabel="log learning rate", ylabel="weight scale", title="cross validation performance"
    )
    plt.show()


def _tiled(rows: Sequence[Any], columns: int, background: Any) -> np.ndarray:
    """Return the images of `rows` in one, each with a line of `background` below and to its right."""
    first = rows[0][0]
    H, W, C = first.shape
    tiles = np.full((len(rows), H + 1, columns, W + 1, C), background, first.dtype)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            tiles[i, :H, j, :W] = image
    return tiles.reshape(len(rows) * (H + 1), columns * (W + 1), C)


def _stretched(image: np.ndarray) -> np.ndarray:
    low, high = image.min(), image.max()
    return (image - low) / (high - low)
