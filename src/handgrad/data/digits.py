"""Handwritten digits: 1,797 grey images of 8x8 pixels, shipped with the package.

Source: E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine
Learning Repository, https://doi.org/10.24432/C50P49, licensed under CC BY 4.0.  The shipped file holds
the test part of that set unchanged, in its order (DIGITS.md beside it says how it was made).  A pixel
counts the ink in a 4x4 block of a 32x32 bitmap: 0 is empty paper, 16 is full ink, so digits are bright
on dark.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

import numpy as np

from handgrad.data.dataset import Dataset, build

LEVELS = 16
NUM_TRAINING, NUM_VALIDATION, NUM_TEST = 1200, 297, 300
SPLIT_SEED = 231


def read_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return all images (1797, 1, 8, 8) uint8 in 0..16 and labels (1797,) int64, in UCI's order."""
    file = resources.files("handgrad.data") / "digits.npz"
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
        return content["images"][:, None], content["labels"].astype(np.int64)


def digits_dataset(
    *, subtract_mean: bool = True, standardize: bool = True, dtype: Any = np.float32
) -> Dataset:
    """Return the digits: 1,200 training, 297 validation and 300 test images (N, 1, 8, 8).

    The split is fixed: the images in the order of ``RandomState(231).permutation(1797)``, a stream
    that NumPy keeps for ever.  Every writer is then in every part, so the test accuracy is that for
    known hands.

    Args:
        subtract_mean: subtract the mean training image (if not `standardize`).
        standardize: subtract the mean of all pixels and divide by their standard deviation.
        dtype: float32 or float64.
    """
    images, labels = read_digits()
    order = np.random.RandomState(SPLIT_SEED).permutation(len(images))
    first, second = NUM_TRAINING, NUM_TRAINING + NUM_VALIDATION
    rows = {"train": order[:first], "val": order[first:second], "test": order[second:]}
    return build(
        "digits",
        {split: (images[chosen], labels[chosen]) for split, chosen in rows.items()},
        tuple("0123456789"),
        levels=LEVELS,
        subtract_mean=subtract_mean,
        standardize=standardize,
        dtype=dtype,
    )


def load_digits(
    *, subtract_mean: bool = True, standardize: bool = True, dtype: Any = np.float32
) -> dict[str, np.ndarray]:
    """Return the courses' dictionary of the digits; see `digits_dataset`.

    >>> load_digits()['X_train'].shape
    (1200, 1, 8, 8)
    """
    options = {"subtract_mean": subtract_mean, "standardize": standardize, "dtype": dtype}
    return dict(digits_dataset(**options).arrays)
