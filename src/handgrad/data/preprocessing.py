"""How the pixels of images become the numbers that a network sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Final

import numpy as np

from handgrad.data.pixels import check_pixels, whole_pixels
from handgrad.data.preparing import Parts, as_float_dtype
from handgrad.data.rows import Chosen
from handgrad.engines.arrays import as_numpy
from handgrad.errors import (
    DtypeError,
    OptionError,
    ShapeError,
    as_count,
    as_flag,
    shown,
)

ROWS: Final = 200  # images converted at a time, so that float64 temporaries stay small


@dataclass(frozen=True)
class Preprocessing:
    """How pixels become the numbers that a network sees: ``X = (image - mean) / std``.

    Attributes:
        image_shape: (C, H, W) of one image.
        levels: the largest pixel value (0 is black): 255, or 16 for the digits.
        mean, std: float64 arrays that broadcast to `image_shape`, measured on the training images.
        dtype: float32 or float64, the dtype of X.
    """

    image_shape: tuple[int, int, int]
    levels: int
    mean: np.ndarray
    std: np.ndarray
    dtype: np.dtype
    kind: ClassVar[str] = "images"

    def __post_init__(self) -> None:
        """Check the attributes."""
        where, shape = "Preprocessing", self.image_shape
        if not isinstance(shape, tuple | list) or len(shape) != 3:
            raise OptionError(f"{where}: image_shape must be (C, H, W), got {shown(shape)}")
        channels, height, width = (as_count(where, "image_shape", size) for size in shape)
        shape = (channels, height, width)
        as_count(where, "levels", self.levels)
        for name in ("mean", "std"):
            array = as_numpy(where, name, getattr(self, name))
            if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
                raise DtypeError(f"{where}: {name} must hold finite numbers, got {shown(array)}")
            if array.ndim > 3 or any(
                a not in (1, n) for a, n in zip(array.shape[::-1], shape[::-1], strict=False)
            ):
                raise ShapeError(
                    f"{where}: {name} must broadcast to image_shape {shape}, got {array.shape}"
                )
            object.__setattr__(self, name, array)
        if not (self.std > 0).all():
            raise OptionError(f"{where}: std must be above 0, got {shown(self.std)}")
        object.__setattr__(self, "image_shape", shape)
        object.__setattr__(self, "dtype", as_float_dtype(where, self.dtype))

    @classmethod
    def fit(
        cls,
        where: str,
        images: np.ndarray | Chosen,
        *,
        levels: int = 255,
        subtract_mean: bool = True,
        standardize: bool = False,
        dtype: Any = np.float32,
    ) -> Preprocessing:
        """Measure the mean and the deviation of training images.

        Args:
            where: the data set's name, for messages.
            images: (N, C, H, W), whole numbers in 0..levels.
            levels: the largest pixel value.
            subtract_mean: subtract the mean image, as the courses do.
            standardize: instead, subtract each channel's mean and divide by its standard deviation.
            dtype: float32 or float64.

        Returns:
            The preprocessing; sums are integers, so that no order of adding changes the last digit.

        Raises:
            DataError: pixels are negative, above `levels` or NaN.  DtypeError: they are fractions.
            ShapeError: the images are not (N, C, H, W), N at least 1.
        """
        levels = as_count(where, "levels", levels, maximum=65535)
        if not isinstance(images, Chosen):
            images = whole_pixels(where, images, levels)
        shape = images.shape[1:]
        mean, std = np.zeros((1, 1, 1)), np.ones((1, 1, 1))
        subtract_mean = as_flag(where, "subtract_mean", subtract_mean)
        if as_flag(where, "standardize", standardize):
            mean, std = _channel_statistics(images, levels)
        elif subtract_mean:
            mean = _sum(images) / len(images)
        return cls(shape, levels, mean, std, as_float_dtype(where, dtype))

    def __call__(self, images: Any) -> np.ndarray:
        """Turn pixels into X.

        Args:
            images: (N, C, H, W), (N, H, W, C), or (N, H, W) for one channel; values 0..levels, whole
                or not.

        Returns:
            X (N, C, H, W), C-contiguous, of `dtype`: the float64 value, rounded once.

        Raises:
            ShapeError: the images are of another size.
            DataError: pixels are negative, above `levels`, NaN, or of the range 0..1 where `levels` is not 1.

        Warns:
            UserWarning: whole numbers of only 0 and 1 where white is far above.
        """
        images = as_numpy("preprocess", "images", images, "hold numbers")
        images = self._channels_first(images)
        check_pixels("preprocess", images, self.levels)
        return self.convert(images)

    def convert(self, images: np.ndarray) -> np.ndarray:
        """Turn pixels (N, C, H, W) that are known to be in 0..levels into X, as a call does."""
        out = np.empty(images.shape, self.dtype)
        if self._table is not None and images.dtype == np.uint8:
            for channel, values in enumerate(self._table):
                np.take(values, images[:, channel], out=out[:, channel], mode="clip")
            return out
        for start in range(0, len(images), ROWS):
            part = images[start : start + ROWS] - self.mean
            if self._divides:
                part /= self.std
            out[start : start + ROWS] = part
        return out

    @cached_property
    def _divides(self) -> bool:
        """Whether a deviation is not 1, which would change nothing."""
        return bool((self.std != 1).any())

    @cached_property
    def _table(self) -> np.ndarray | None:
        """X of each byte and channel (C, 256), where it does not depend on the place in the image."""
        if max(self.mean.size, self.std.size) > self.image_shape[0]:
            return None
        scale = (self.image_shape[0], 1, 1)
        if self.mean.shape not in ((1, 1, 1), scale) or self.std.shape not in ((1, 1, 1), scale):
            return None
        values = np.arange(256)[None, None] - self.mean
        values = np.broadcast_to(values / self.std, (self.image_shape[0], 1, 256))[:, 0]
        return np.ascontiguousarray(values.astype(self.dtype))

    def of_bytes(self) -> tuple[np.ndarray, ...]:
        """Return what X of bytes is made with: the table of their numbers, or mean and std of an image."""
        if self._table is not None:
            return (self._table,)
        shape = self.image_shape
        return tuple(
            np.ascontiguousarray(np.broadcast_to(array, shape), np.float64)
            for array in (self.mean, self.std)
        )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W), the shape of one row of X."""
        return self.image_shape

    def to_parts(self) -> Parts:
        """Return plain JSON and arrays, of which `from_parts` makes the same preprocessing."""
        content = {
            "kind": self.kind,
            "image_shape": list(self.image_shape),
            "levels": self.levels,
            "dtype": self.dtype.name,
        }
        return content, {"mean": self.mean, "std": self.std}

    @classmethod
    def from_parts(
        cls, content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Preprocessing:
        """Return the preprocessing that `to_parts` described."""
        shape, levels = tuple(content["image_shape"]), content["levels"]
        return cls(shape, levels, arrays["mean"], arrays["std"], np.dtype(content["dtype"]))

    def undo(self, X: np.ndarray) -> np.ndarray:
        """Return the images (N, C, H, W) in 0..levels, float64, of which `X` was made."""
        X = as_numpy("undo", "X", X)
        if X.dtype.kind not in "iuf":
            raise DtypeError(f"undo: X must hold real numbers, got {X.dtype}")
        if X.shape[1:] != self.image_shape:
            raise ShapeError(f"undo: X must have rows of {self.image_shape}, got shape {X.shape}")
        return X * self.std + self.mean

    def _channels_first(self, images: np.ndarray) -> np.ndarray:
        """The images as (N, C, H, W)."""
        channels, height, width = self.image_shape
        if images.shape[1:] == self.image_shape:
            return images
        if images.shape[1:] == (height, width, channels):
            return images.transpose(0, 3, 1, 2)
        if channels == 1 and images.shape[1:] == (height, width):
            return images[:, None]
        raise ShapeError(
            f"preprocess: images must have shape (N, {channels}, {height}, {width}) or "
            f"(N, {height}, {width}, {channels}), got {images.shape}"
        )


def _sum(images: np.ndarray | Chosen) -> np.ndarray:
    """The sum of all images (C, H, W), of whole numbers, so of any order."""
    total = np.zeros(images.shape[1:], np.uint64)
    for start in range(0, len(images), ROWS):
        total += images[start : start + ROWS].sum(axis=0, dtype=np.uint64)
    return total


def _channel_statistics(images: np.ndarray | Chosen, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Each channel's mean and standard deviation (C, 1, 1), from exact counts of its pixel values."""
    channels = images.shape[1]
    counts = np.zeros((channels, levels + 1), np.int64)
    for start in range(0, len(images), ROWS):
        part = images[start : start + ROWS]
        for channel in range(channels):
            pixels = part[:, channel].ravel()
            counts[channel] += np.bincount(pixels, minlength=levels + 1)
    value, total = np.arange(levels + 1.0), counts.sum(axis=1)
    mean = counts @ value / total
    variance = (counts * (value - mean[:, None]) ** 2).sum(axis=1) / total
    std = np.sqrt(np.where(variance > 0, variance, 1.0))
    return mean[:, None, None], std[:, None, None]
