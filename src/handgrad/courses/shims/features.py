"""Assignment 1's features of images: histograms of gradients' directions and of hues.

The gradients' histogram follows Dalal and Triggs, "Histograms of oriented gradients for human detection"
(CVPR 2005): in each cell of 8 x 8 pixels, how much gradient points in each of nine directions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from handgrad.errors import ShapeError

Feature = Callable[[np.ndarray], np.ndarray]
DIRECTIONS: Final = 9
CELL: Final = 8


def extract_features(
    imgs: np.ndarray, feature_fns: Sequence[Feature], verbose: bool = False
) -> np.ndarray:
    """Return a row for each of the images (N, H, W, C): the vectors of all `feature_fns` side by side."""
    rows = []
    for i, image in enumerate(imgs):
        parts = [feature(image.squeeze()) for feature in feature_fns]
        for part in parts:
            if part.ndim != 1:
                raise ShapeError(f"extract_features: a feature must be a vector, got {part.shape}")
        rows.append(np.hstack(parts))
        if verbose and i % 1000 == 999:
            print(f"Done extracting features for {i + 1} / {len(imgs)} images")  # noqa: T201
    return np.array(rows)


def rgb2gray(rgb: np.ndarray) -> np.ndarray:
    """Return the grey values of an image (H, W, 3), with the course's weights of red, green and blue."""
    return np.dot(rgb[..., :3], [0.299, 0.587, 0.144])


def hog_feature(im: np.ndarray) -> np.ndarray:
    """Return the histogram of gradients of an image (H, W, 3) or (H, W): 9 (H // 8) (W // 8) numbers.

    A gradient's direction is ``atan2(dy, dx) + 90`` degrees; what lies outside of (0, 180) counts nowhere.
    Each number is the mean gradient of a cell in one direction.
    """
    image = rgb2gray(im) if im.ndim == 3 else np.atleast_2d(im)
    dx, dy = np.zeros(image.shape), np.zeros(image.shape)
    dx[:, :-1] = np.diff(image, axis=1)
    dy[:-1, :] = np.diff(image, axis=0)
    size = np.sqrt(dx**2 + dy**2)
    angle = np.arctan2(dy, dx + 1e-15) * (180 / np.pi) + 90
    rows, columns = image.shape[0] // CELL, image.shape[1] // CELL
    histogram = np.zeros((rows, columns, DIRECTIONS))
    width = 180 / DIRECTIONS
    for i in range(DIRECTIONS):
        here = (angle > 0) & (angle >= width * i) & (angle < width * (i + 1))
        cells = np.where(here, size, 0)[: rows * CELL, : columns * CELL]
        means = cells.reshape(rows, CELL, columns, CELL).mean(axis=(1, 3))
        histogram[:, :, i] = means.T if rows == columns else means
    return histogram.ravel()


def color_histogram_hsv(
    im: np.ndarray, nbin: int = 10, xmin: float = 0, xmax: float = 255, normalized: bool = True
) -> np.ndarray:
    """Return the histogram of the hues of an image (H, W, 3): `nbin` numbers, with sum 1 if normalized."""
    bins = np.linspace(xmin, xmax, nbin + 1)
    histogram, edges = np.histogram(_hue(im / xmax) * xmax, bins=bins, density=normalized)
    return histogram * np.diff(edges)


def hue_saturation_value(rgb: np.ndarray) -> np.ndarray:
    """Return hue, saturation and value (..., 3) of colours (..., 3) in [0, 1], as Matplotlib does."""
    top = rgb.max(axis=-1)
    saturation = np.where(top > 0, (top - rgb.min(axis=-1)) / np.where(top > 0, top, 1.0), 0.0)
    return np.stack([_hue(rgb), saturation, top], axis=-1)


def _hue(rgb: np.ndarray) -> np.ndarray:
    """Return the hue of colours (..., 3) in [0, 1]: where on the colour wheel they lie, in [0, 1)."""
    red, green, blue = np.moveaxis(rgb, -1, 0)
    top = rgb.max(axis=-1)
    spread = top - rgb.min(axis=-1)
    grey = spread == 0
    spread = np.where(grey, 1.0, spread)
    hue = np.select(
        [blue == top, green == top],
        [4 + (red - green) / spread, 2 + (blue - red) / spread],
        (green - blue) / spread,
    )
    return np.where(grey, 0.0, hue / 6 % 1.0)
