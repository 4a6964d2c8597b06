"""Augmentation: random changes of training images that keep their labels.

Every function takes images (N, C, H, W) and a random number generator and returns new images of the
same shape and dtype; the input is never changed.  Pixels that come from nowhere are 0, which after
preprocessing is the mean image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, Literal

import numpy as np

from handgrad.engines.arrays import as_numpy
from handgrad.errors import (
    DtypeError,
    OptionError,
    ShapeError,
    as_count,
    as_number,
    check_choice,
    check_known,
    check_ndim,
    shown,
)

LARGEST: Final = 1024  # pixels of an image each way
Random = np.random.Generator | np.random.RandomState


def as_random(rng: Any) -> Random:
    """Return `rng`, a Generator, a RandomState or an int, as a generator of random numbers.

    None means NumPy's global stream.
    """
    if isinstance(rng, np.random.Generator | np.random.RandomState):
        return rng
    if rng is None:
        return np.random.mtrand._rand
    return np.random.default_rng(as_count("augmentation", "rng", rng, minimum=0))


def random_flip(X: np.ndarray, rng: Any = None, p: float = 0.5) -> np.ndarray:
    """Mirror each image left to right with probability `p`.

    >>> import numpy as np
    >>> X = np.arange(2 * 3 * 4 * 4.0).reshape(2, 3, 4, 4)
    >>> bool(np.array_equal(random_flip(X, np.random.default_rng(0), p=1.0), X[..., ::-1]))
    True
    """
    check_ndim("random_flip", "X", X, 4, "(N, C, H, W)")
    p = as_number("random_flip", "p", p, 0, 1)
    chosen = _drawn_flips(as_random(rng), len(X), p)
    out = X.copy()
    out[chosen] = X[chosen, :, :, ::-1]
    return out


def alternating_flip(
    X: np.ndarray, rng: Any = None, first: int = 0, *, rows: Any = None, epoch: int = 0
) -> np.ndarray:
    """Mirror half of the images in the even epochs, and the other half in the odd ones.

    So two epochs show each image once each way, where `random_flip` shows half of them the same way twice.

    Args:
        X: images (N, C, H, W).
        rng: not used.
        first: 0 or 1, which half begins.
        rows: the places (N,) of the images in the training set, which decide on their half; None is
            0 to N - 1.
        epoch: how many epochs have gone before.

    Source: K. Jordan (2024), 94% on CIFAR-10 in 3.29 Seconds on a Single GPU, arXiv:2404.00498.
    """
    check_ndim("alternating_flip", "X", X, 4, "(N, C, H, W)")
    first = as_count("alternating_flip", "first", first, minimum=0, maximum=1)
    epoch = as_count("alternating_flip", "epoch", epoch, minimum=0)
    places = np.arange(len(X)) if rows is None else as_numpy("alternating_flip", "rows", rows)
    if places.dtype.kind not in "iu" or (places < 0).any():
        raise DtypeError(f"alternating_flip: rows must be whole numbers from 0, got {shown(rows)}")
    places = places.astype(np.uint64)
    if places.shape != (len(X),):
        raise ShapeError(
            f"alternating_flip: rows must be one place for each of {len(X)} images, got {places.shape}"
        )
    chosen = _alternating_flips(places, first, epoch)
    out = X.copy(order="K")
    out[chosen] = X[chosen, :, :, ::-1]
    return out


def random_crop(
    X: np.ndarray, rng: Any = None, pad: int = 4, mode: Literal["constant", "reflect"] = "constant"
) -> np.ndarray:
    """Shift each image by up to `pad` pixels each way: pad with zeros, crop at a random place.

    `pad` is at most the size of the images, beyond which nothing of them is left.  With the mode
    "reflect" the image is continued by its mirror image in place of zeros; pad is then less than its
    size.

    Source: K. He et al. (2016), Deep Residual Learning for Image Recognition, section 4.2.

    >>> import numpy as np
    >>> X = np.arange(2 * 3 * 4 * 4.0).reshape(2, 3, 4, 4)
    >>> random_crop(X, np.random.default_rng(0), pad=1).shape
    (2, 3, 4, 4)
    """
    check_ndim("random_crop", "X", X, 4, "(N, C, H, W)")
    check_choice("random_crop", "mode", mode, ("constant", "reflect"))
    most = max(X.shape[2:]) if mode == "constant" else min(X.shape[2:]) - 1
    pad = as_count("random_crop", "pad", pad, minimum=0, maximum=most)
    padded = (
        _padded(X, pad)
        if mode == "constant"
        else np.pad(X, (*[(0, 0)] * 2, *[(pad, pad)] * 2), mode)
    )
    windows = np.lib.stride_tricks.sliding_window_view(padded, X.shape[2:], axis=(2, 3))
    corner = _corners(as_random(rng), len(X), pad)
    return np.ascontiguousarray(windows[np.arange(len(X)), :, corner[0], corner[1]])


def _padded(X: np.ndarray, pad: int) -> np.ndarray:
    """X with `pad` zeros around each image, faster than `np.pad` where there are few pixels."""
    N, C, height, width = X.shape
    padded = np.zeros((N, C, height + 2 * pad, width + 2 * pad), X.dtype)
    padded[:, :, pad : pad + height, pad : pad + width] = X
    return padded


def cutout(X: np.ndarray, rng: Any = None, size: int = 8) -> np.ndarray:
    """Set a square of `size` pixels in each image to 0; its centre is any pixel of the image.

    Source: T. DeVries and G. W. Taylor (2017), Improved Regularization of Convolutional Neural
    Networks with Cutout, arXiv:1708.04552.

    >>> import numpy as np
    >>> int((cutout(np.ones((1, 1, 8, 8)), np.random.default_rng(0), size=2) == 0).sum()) in (1, 2, 4)
    True
    """
    check_ndim("cutout", "X", X, 4, "(N, C, H, W)")
    size = as_count("cutout", "size", size)
    height, width = X.shape[2:]
    rng = as_random(rng)
    inside = []
    for length in (height, width):
        start = _integers(rng, length, (len(X), 1)) - size // 2
        position = np.arange(length)
        inside.append((position >= start) & (position < start + size))
    hidden = inside[0][:, :, None] & inside[1][:, None, :]
    return np.where(hidden[:, None], np.zeros((), X.dtype), X)


def color_jitter(X: np.ndarray, rng: Any = None, strength: float = 0.1) -> np.ndarray:
    """Change each image's contrast, and the brightness of each of its channels.

    ``out = (1 + strength g) x + strength h_c``, with g, and h_c for each channel c, drawn for each image
    from the standard normal distribution.  It is meant for standardized images, whose mean is 0 and
    whose standard deviation is 1; integers are rounded, and stay in the range of their type.

    >>> import numpy as np
    >>> X = np.arange(2 * 3 * 4 * 4.0).reshape(2, 3, 4, 4)
    >>> color_jitter(X, np.random.default_rng(0)).shape
    (2, 3, 4, 4)
    """
    check_ndim("color_jitter", "X", X, 4, "(N, C, H, W)")
    strength = as_number("color_jitter", "strength", strength, 0)
    N, C = X.shape[:2]
    drawn = strength * as_random(rng).standard_normal((N, C + 1))
    drawn = drawn.astype(np.result_type(X, np.float32))[:, :, None, None]
    out = X * (1 + drawn[:, :1])
    out += drawn[:, 1:]
    if X.dtype.kind in "iu":
        limits = np.iinfo(X.dtype)
        out = np.clip(np.rint(out), limits.min, limits.max)
    return out.astype(X.dtype, copy=False)


def _drawn_flips(rng: Random, N: int, p: float) -> np.ndarray:
    return rng.random(N) < p


def _alternating_flips(places: np.ndarray, first: int, epoch: int) -> np.ndarray:
    half = (places * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(63)  # neighbours differ at random
    return half == (first + epoch) % 2


def _corners(rng: Random, N: int, pad: int) -> np.ndarray:
    """Where in the padded images the shifted ones begin, (2, N)."""
    return _integers(rng, 2 * pad + 1, (2, N))


def _integers(rng: Random, high: int, shape: tuple[int, ...]) -> np.ndarray:
    """Random integers in [0, high), drawn in the same way from either kind of generator."""
    return (rng.random(shape) * high).astype(np.int64)


AUGMENTATIONS: Final[dict[str, tuple[Callable[..., np.ndarray], str]]] = {
    "flip": (random_flip, "p"),
    "alternating_flip": (alternating_flip, "first"),
    "crop": (random_crop, "pad"),
    "reflected_crop": (partial(random_crop, mode="reflect"), "pad"),
    "cutout": (cutout, "size"),
    "color_jitter": (color_jitter, "strength"),
}


class Augmentation:
    """Several augmentations, one after the other, described by a plain dictionary or list.

    >>> augment = Augmentation({"flip": 0.5, "crop": 4})
    >>> augment(np.zeros((10, 3, 32, 32), np.float32), rng=0).shape
    (10, 3, 32, 32)

    Args:
        steps: {"flip": p, "alternating_flip": first, "crop": pad, "reflected_crop": pad,
            "cutout": size, "color_jitter": strength}, applied in the order given; or the names
            alone, each with its default.

    Attributes beside it: takes_rows, whether a step needs to know which images it is given; only_moves,
    whether `moves` tells all that is done.

    Raises:
        OptionError: an unknown name, or a value outside its range.
    """

    def __init__(self, steps: Mapping[str, float] | Iterable[str]) -> None:
        """Check the steps."""
        if isinstance(steps, str) or not isinstance(steps, Mapping | list | tuple | range):
            raise OptionError(f"augmentation: expected a dictionary or a list, got {shown(steps)}")
        self.steps = dict(steps) if isinstance(steps, Mapping) else dict.fromkeys(map(str, steps))
        check_known("augmentation", map(str, self.steps), AUGMENTATIONS)
        self.takes_rows = "alternating_flip" in self.steps
        self.only_moves = self.steps.keys() <= {"flip", "alternating_flip", "crop"}
        self(np.zeros((0, 1, LARGEST, LARGEST)), rng=0)  # lets each step check its option now

    def __repr__(self) -> str:
        return f"Augmentation({self.steps})"

    def __call__(
        self, X: np.ndarray, rng: Any = None, *, rows: Any = None, epoch: int = 0
    ) -> np.ndarray:
        """Return the changed images (N, C, H, W), which are `rows` of the training set."""
        rng = as_random(rng)
        for name, value in self.steps.items():
            function, option = AUGMENTATIONS[name]
            options = {} if value is None else {option: value}
            if name == "alternating_flip":
                options |= {"rows": rows, "epoch": epoch}
            X = function(X, rng, **options)
        return X

    def moves(self, rng: Any, rows: np.ndarray, epoch: int = 0) -> np.ndarray:
        """Draw what a call draws, and return how it moves each of the images, which are `rows`.

        Only where `only_moves` is true.

        Returns:
            (N, 3), int32: whether an image is mirrored, and how far down and right it then begins; beyond its
            edges are zeros.
        """
        rng, N = as_random(rng), len(rows)
        found = np.zeros((N, 3), np.int32)
        for name, value in self.steps.items():
            if name == "crop":
                pad = 4 if value is None else int(value)
                found[:, 1:] = _corners(rng, N, pad).T - pad
                continue
            if name == "flip":
                chosen = _drawn_flips(rng, N, 0.5 if value is None else value)
            else:
                first = 0 if value is None else int(value)
                chosen = _alternating_flips(rows.astype(np.uint64), first, epoch)
            found[:, 0] ^= chosen
            found[chosen, 2] *= -1  # of a crop that came before
        return found
