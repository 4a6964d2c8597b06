"""What a data set is: the courses' dictionary of arrays, and how its images became numbers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from handgrad.errors import DtypeError, OptionError, ShapeError, as_flag, dtype_name

SPLITS: Final = ("train", "val", "test")
DTYPES: Final = ("float32", "float64")
ROWS: Final = 200  # images converted at a time, so that float64 temporaries stay small


def as_float_dtype(where: str, dtype: Any) -> np.dtype:
    """Return `dtype` as a NumPy dtype; OptionError unless it is float32 or float64."""
    if dtype_name(dtype) not in DTYPES:
        raise OptionError(f"{where}: dtype must be one of {', '.join(DTYPES)}; got {dtype!r}")
    return np.dtype(dtype)


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

    @classmethod
    def fit(
        cls,
        where: str,
        images: np.ndarray,
        *,
        levels: int = 255,
        subtract_mean: bool = True,
        standardize: bool = False,
        dtype: Any = np.float32,
    ) -> Preprocessing:
        """Measure the mean and the deviation of training images.

        Args:
            where: the data set's name, for messages.
            images: (N, C, H, W) unsigned integers in 0..levels.
            levels: the largest pixel value.
            subtract_mean: subtract the mean image, as the courses do.
            standardize: instead, subtract each channel's mean and divide by its standard deviation.
            dtype: float32 or float64.

        Returns:
            The preprocessing; sums are integers, so that no order of adding changes the last digit.
        """
        shape = images.shape[1:]
        mean, std = np.zeros((1, 1, 1)), np.ones((1, 1, 1))
        subtract_mean = as_flag(where, "subtract_mean", subtract_mean)
        if as_flag(where, "standardize", standardize):
            mean, std = _channel_statistics(images, levels)
        elif subtract_mean:
            mean = images.sum(axis=0, dtype=np.uint64) / len(images)
        return cls(shape, levels, mean, std, as_float_dtype(where, dtype))

    def __call__(self, images: Any) -> np.ndarray:
        """Turn pixels into X.

        Args:
            images: (N, C, H, W), (N, H, W, C), or (N, H, W) for one channel; values 0..levels.

        Returns:
            X (N, C, H, W), C-contiguous, of `dtype`: the float64 value, rounded once.

        Raises:
            ShapeError: the images are of another size.
        """
        images = np.asarray(images)
        if images.dtype.kind not in "biuf":
            raise DtypeError(f"preprocess: images must hold numbers, got {images.dtype}")
        images = self._channels_first(images)
        out = np.empty(images.shape, self.dtype)
        for start in range(0, len(images), ROWS):
            part = images[start : start + ROWS] - self.mean
            part /= self.std
            out[start : start + ROWS] = part
        return out

    def undo(self, X: np.ndarray) -> np.ndarray:
        """Return the images (N, C, H, W) in 0..levels, float64, of which `X` was made."""
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


def _channel_statistics(images: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Each channel's mean and standard deviation (C, 1, 1), from exact counts of its pixel values."""
    channels = images.shape[1]
    counts = np.zeros((channels, levels + 1), np.int64)
    for start in range(0, len(images), ROWS):
        for channel in range(channels):
            pixels = images[start : start + ROWS, channel].ravel()
            counts[channel] += np.bincount(pixels, minlength=levels + 1)
    value, total = np.arange(levels + 1.0), counts.sum(axis=1)
    mean = counts @ value / total
    variance = (counts * (value - mean[:, None]) ** 2).sum(axis=1) / total
    std = np.sqrt(np.where(variance > 0, variance, 1.0))
    return mean[:, None, None], std[:, None, None]


@dataclass(frozen=True)
class Dataset:
    """A data set, split and preprocessed.

    Attributes:
        name: its name in ``handgrad.data.DATASETS``.
        arrays: the courses' dictionary: ``X_train, y_train, X_val, y_val, X_test, y_test``; X are
            (N, C, H, W), y are (N,) int64.
        class_names: what the labels mean.
        preprocessing: how pixels became X, to treat other images in the same way.
    """

    name: str
    arrays: dict[str, np.ndarray]
    class_names: tuple[str, ...]
    preprocessing: Preprocessing

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        return self.preprocessing.image_shape

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    def preprocess(self, images: Any) -> np.ndarray:
        """Turn pixels into X; see `Preprocessing`."""
        return self.preprocessing(images)

    def fingerprint(self) -> str:
        """A SHA-256 digest of all arrays: equal only for equal data."""
        digest = hashlib.sha256()
        for name, array in self.arrays.items():
            digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def build(
    name: str,
    splits: dict[str, tuple[np.ndarray, np.ndarray]],
    class_names: tuple[str, ...],
    **preprocessing: Any,
) -> Dataset:
    """Make the Dataset of `splits`, {"train" | "val" | "test": (images, labels)}.

    The preprocessing is fitted to the training images alone; `preprocessing` are options of
    `Preprocessing.fit`.
    """
    prepare = Preprocessing.fit(name, splits["train"][0], **preprocessing)
    arrays = {}
    for split in SPLITS:
        images, labels = splits[split]
        arrays[f"X_{split}"] = prepare(images)
        arrays[f"y_{split}"] = labels.astype(np.int64)
    return Dataset(name, arrays, class_names, prepare)
