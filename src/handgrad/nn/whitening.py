"""A convolution whose filters are computed from the images rather than trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from handgrad.engines.arrays import Array
from handgrad.engines.devices import like
from handgrad.errors import (
    OptionError,
    ShapeError,
    as_count,
    as_number,
    check_known,
    check_ndim,
)
from handgrad.layers.windows import reach_of
from handgrad.nn.layer import PairLayer, Weight, filled, need_images
from handgrad.nn.linear import window_counts
from handgrad.nn.options import Shape

_IMAGES = 2000  # that the covariance is estimated from
_CHUNK = 100


class Whitening(PairLayer):
    """Convolution with the whitened principal components of the images' patches, each with both signs.

    Component k of the patches' covariance, the eigenvector e_k with the eigenvalue v_k, gives the
    filters ``+e_k / sqrt(v_k + eps)`` and ``-e_k / sqrt(v_k + eps)``: on the images they were computed
    from, the outputs have the variance v_k / (v_k + eps) and no correlation.  Nothing is trained.  The
    filters are a buffer of the network, which `Model.prepare` computes from training images, as the
    Solver does when it begins; until then each picks out one pixel of the patch.

    Source: D. Page, How to train your ResNet 8: bag of tricks (2019), "input patch whitening".

    >>> Whitening(3, 24).shape((3, 32, 32))
    (48, 32, 32)
    """

    kind = "whitening"
    pair_name = link = "conv"
    keeps = True

    def __init__(
        self, filter_size: int, components: int, *, eps: float = 5e-4, name: str | None = None
    ) -> None:
        """Describe the layer.

        Args:
            filter_size: an odd integer; the image keeps its size.
            components: how many are kept, those of the largest eigenvalues; twice as many channels
                come out.
            eps: added to the eigenvalues.
            name: in place of the automatic one.
        """
        super().__init__(name)
        self.size = as_count("Whitening", "filter_size", filter_size)
        if self.size % 2 == 0:
            raise OptionError(f"Whitening: filter_size must be odd, got {filter_size!r}")
        self.components = as_count("Whitening", "components", components)
        self.eps = as_number("Whitening", "eps", eps, 0, open_low=True)
        self.filters: np.ndarray | None = None  # (2 components, C, size, size), once C is known

    def weights(self, *shapes: Shape) -> dict[str, Weight]:
        """None; here the number of channels is known for the first time."""
        C = need_images(self, shapes[0])[0]
        numbers = C * self.size**2
        if self.components > numbers:
            raise OptionError(
                f"{self!r} keeps more components than the {numbers} that patches of {C} channels have"
            )
        if self.filters is None:
            pixels = np.eye(numbers)[: self.components].reshape(-1, C, self.size, self.size)
            self.filters = np.concatenate([pixels, -pixels])
        return {}

    def shape(self, *shapes: Shape) -> Shape:
        """(2 components, H, W)."""
        _, *image = need_images(self, shapes[0])
        size = (self.size, self.size)
        H, W = window_counts(self, image, reach_of(size, (1, 1)), (1, 1), self._pad)
        return (2 * self.components, H, W)

    def arrays(self, x: Array, params: Sequence[Array]) -> list[tuple[Array, bool]]:
        """The filters, and zeros in place of b."""
        filters = self.filters
        assert filters is not None
        if isinstance(x, np.ndarray) and filters.dtype != x.dtype:
            filters = filters.astype(x.dtype)
        return [(like(filters, x), False), (filled(x, 2 * self.components, 0.0), False)]

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """conv_param."""
        return ({"stride": (1, 1), "pad": self._pad},)

    @property
    def _pad(self) -> tuple[int, int]:
        return (self.size // 2, self.size // 2)

    def prepare(self, X: np.ndarray) -> None:
        """Compute the filters from images X (N, C, H, W), of which at most 2,000 are looked at."""
        check_ndim("Whitening.prepare", "X", X, 4, "(N, C, H, W)")
        assert self.filters is not None
        C = self.filters.shape[1]
        if X.shape[1] != C or min(X.shape[2:]) < self.size:
            raise ShapeError(
                f"Whitening.prepare: X must be images of {C} channels and at least {self.size} x "
                f"{self.size} pixels, got {X.shape}"
            )
        self.filters = whitening_filters(X, self.size, self.components, self.eps)

    @property
    def has_state(self) -> bool:
        """The filters."""
        return True

    def in_call(self, buffers: dict[str, Array]) -> Whitening:
        """A copy with filters of its own."""
        own = super().in_call(buffers)
        assert isinstance(own, Whitening)
        own.filters = buffers.get("W", self.filters)
        return own

    def buffer_shapes(self) -> dict[str, Shape | None]:
        """That of the filters."""
        return {"W": None if self.filters is None else self.filters.shape}

    def buffers(self) -> dict[str, Array]:
        """The filters, as W."""
        kept = self._kept_by_network()
        if kept:
            return kept
        return {} if self.filters is None else {"W": self.filters}

    def load_buffers(self, buffers: dict[str, np.ndarray]) -> None:
        """Take the filters."""
        check_known(f"{self._label}.load_buffers", buffers, ["W"])
        if "W" not in buffers:
            return
        filters = np.array(buffers["W"])
        expected = None if self.filters is None else self.filters.shape
        if filters.dtype.kind != "f" or filters.shape != (expected or filters.shape):
            raise ShapeError(
                f"load_buffers: {self._label}.W must be numbers of shape {expected}, got "
                f"{filters.shape} {filters.dtype}"
            )
        self.filters = filters


def whitening_filters(X: np.ndarray, size: int, components: int, eps: float) -> np.ndarray:
    """Return the filters (2 components, C, size, size) of `Whitening` for images X (N, C, H, W)."""
    step = max(len(X) // _IMAGES, 1)
    X = X[::step][:_IMAGES]
    numbers = X.shape[1] * size**2
    total, product, count = np.zeros(numbers), np.zeros((numbers, numbers)), 0
    for start in range(0, len(X), _CHUNK):
        chunk = np.asarray(X[start : start + _CHUNK], np.float64)
        windows = np.lib.stride_tricks.sliding_window_view(chunk, (size, size), axis=(2, 3))
        patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, numbers)
        total += patches.sum(axis=0)
        product += patches.T @ patches
        count += len(patches)
    mean = total / max(count, 1)
    values, vectors = np.linalg.eigh(product / max(count, 1) - np.outer(mean, mean))
    values, vectors = values[::-1][:components], vectors[:, ::-1][:, :components]
    largest = np.abs(vectors).argmax(axis=0)  # whose sign is made positive, as eigh leaves it open
    vectors = vectors * np.sign(vectors[largest, np.arange(components)])
    filters = (vectors / np.sqrt(np.maximum(values, 0) + eps)).T.reshape(-1, X.shape[1], size, size)
    return np.concatenate([filters, -filters]).astype(X.dtype)
