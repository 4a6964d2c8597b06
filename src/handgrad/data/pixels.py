"""Checks that arrays hold pixels, in the range that was fitted."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from handgrad.engines.arrays import as_numpy
from handgrad.errors import DataError, DtypeError, ShapeError

_SLACK = 1e-4  # of the range: floats that were computed may be that much outside of it


def check_pixels(where: str, images: np.ndarray, levels: int) -> None:
    """Raise an error unless `images` hold brightness from 0, black, to `levels`, white.

    Floats may hold fractions.  Where they, or booleans, are all in 0..1 and white is more than 1, their
    white surely is 1, and they are refused.  Whole numbers of 0 and 1 may be pictures nearly black: they
    are warned of.
    """
    if images.dtype.kind not in "biuf":
        raise DtypeError(f"{where}: images must hold numbers, got {images.dtype}")
    if not images.size:
        return
    low, high = images.min(), images.max()
    if not np.isfinite(low) or not np.isfinite(high):
        raise DataError(f"{where}: images must be finite, got NaN or infinity")
    expected = f"images must be in 0..{levels}, the range that was fitted"
    got = f"got {images.dtype} in {_short(low)}..{_short(high)}"
    slack = _SLACK * levels if images.dtype.kind == "f" else 0
    if images.dtype.kind == "b":
        if levels > 1:
            raise DataError(f"{where}: {expected}, {got}; if True is white, pass images * {levels}")
        return
    if low < -slack:
        raise DataError(
            f"{where}: {expected}, {got}; were they already preprocessed, or read as signed numbers? "
            "Pass the pixels themselves"
        )
    if high > levels + slack:
        white = next((w for w in (255, 4095, 65535) if high <= w), None)
        advice = (
            f"if their white is {white}, pass images * ({levels} / {white})"
            if white
            else ("scale them to that range first")
        )
        raise DataError(f"{where}: {expected}, {got}; {advice}")
    if levels > 1 and high <= 1 and images.dtype.kind == "f" and high > _SLACK * levels:
        raise DataError(f"{where}: {expected}, {got}; if their white is 1, pass images * {levels}")
    _warn_of_black(where, images, levels)


def whole_pixels(where: str, images: Any, levels: int) -> np.ndarray:
    """Return training images (N, C, H, W) as integers in 0..levels; raise an error if they are none."""
    images = as_numpy(where, "images", images)
    if images.ndim != 4 or not images.size:
        raise ShapeError(
            f"{where}: images must be (N, C, H, W) with at least one pixel, got shape {images.shape}"
        )
    if images.dtype.kind == "b":
        if levels > 1:
            raise DtypeError(
                f"{where}: images must hold whole numbers in 0..{levels}, got bool; if True is white, "
                f"pass images * {levels}, or levels=1"
            )
        images = images.astype(np.uint8)
    if images.dtype.kind == "f":
        images = _whole(where, images, levels)
    if images.dtype.kind not in "iu":
        raise DtypeError(f"{where}: images must hold whole numbers, got {images.dtype}")
    low, high = images.min(), images.max()
    if low < 0 or high > levels:
        advice = (
            f"pass levels={high}"
            if low >= 0 and high <= 65535
            else "make them whole numbers from 0"
        )
        raise DataError(
            f"{where}: images must be in 0..{levels} (levels), got {images.dtype} in {low}..{high}; {advice}"
        )
    _warn_of_black(where, images, levels)
    return images


def _warn_of_black(where: str, images: np.ndarray, levels: int) -> None:
    if levels > 2 and images.dtype.kind in "iu" and images.max() == 1:
        warnings.warn(
            f"{where}: images must be in 0..{levels}, black to white, but hold only 0 and 1, nearly black; "
            f"if their white is 1, pass images * {levels}",
            stacklevel=4,
        )


def _whole(where: str, images: np.ndarray, levels: int) -> np.ndarray:
    """Floats as integers, if they are whole and no 0..1."""
    low, high = images.min(), images.max()
    if not np.isfinite(low) or not np.isfinite(high):
        raise DataError(f"{where}: images must be finite, got NaN or infinity")
    is_unit = levels > 1 and low >= 0 and 0 < high <= 1
    if is_unit or any((part != np.rint(part)).any() for part in images):
        factor = f"{levels} * " if is_unit else ""
        dtype = "uint8" if levels <= 255 else "uint16"
        raise DtypeError(
            f"{where}: images must hold whole numbers in 0..{levels}, got {images.dtype} in "
            f"{_short(low)}..{_short(high)}; convert them with np.rint({factor}images).astype(np.{dtype})"
        )
    if abs(low) > 65535 or abs(high) > 65535:
        raise DataError(
            f"{where}: images must be in 0..{levels}, got {images.dtype} in {_short(low)}..{_short(high)}"
        )
    return images.astype(np.int32)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)
