"""Layer objects that networks of other libraries need, and the courses' do not.

Each computes with arrays of constants, and its backward is one line:

    Scale        out = factor x                    dx = factor dout
    Standardize  out = (x - mean) / std            dx = dout / std
    Pad          out = x with `value` around it    dx = the inner part of dout
    Permute      out = x with its axes in another order    dx = dout with them back
    Reshape      out = x in another shape         dx = dout in the shape of x
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from handgrad.engines.arrays import Array, namespace
from handgrad.engines.devices import like
from handgrad.errors import OptionError, ShapeError, as_count, as_items, as_number, check_size
from handgrad.nn.layer import Layer, need_images
from handgrad.nn.options import Shape


class _Fixed(Layer):
    """A layer of one input without parameters."""

    def shape(self, *shapes: Shape) -> Shape:
        """The input's."""
        if len(shapes) != 1:
            raise ShapeError(f"{self!r} takes one value, got {len(shapes)}")
        return shapes[0]


class Scale(_Fixed):
    """``factor x``.

    >>> from handgrad import nn
    >>> net = nn.Sequential([nn.Affine(2, init=1.0, bias=False), Scale(0.5)], input_shape=(3,), rng=0)
    >>> net.params["affine1.W"][:] = 1
    >>> net.loss(np.ones((1, 3)))
    array([[1.5, 1.5]], dtype=float32)
    """

    kind = "scale"

    def __init__(self, factor: float, *, name: str | None = None) -> None:
        """factor: a number."""
        super().__init__(name)
        self.factor = as_number("Scale", "factor", factor)

    def forward(self, xs: Sequence[Array], params: Sequence[Array], mode: str) -> tuple[Array, Any]:
        """``factor x``."""
        return xs[0] * self.factor, None

    def backward(self, dout: Array, cache: Any) -> tuple[Sequence[Array], Sequence[Array]]:
        """``factor dout``."""
        return (dout * self.factor,), ()


class Standardize(_Fixed):
    """``(x - mean) / std`` with constants that broadcast to a row of x, as pixels become numbers.

    >>> Standardize(128.0, 64.0).shape((3, 8, 8))
    (3, 8, 8)
    """

    kind = "standardize"

    def __init__(self, mean: Any, std: Any, *, name: str | None = None) -> None:
        """mean, std: numbers or nested lists of them, of at most as many axes as a row has."""
        super().__init__(name)
        self.mean, self.std = (_constants(n, v) for n, v in (("mean", mean), ("std", std)))
        if not self.std.all():
            raise OptionError("Standardize: std must not be 0")

    def __repr__(self) -> str:
        return f"Standardize(mean {self.mean.shape}, std {self.std.shape})"

    def shape(self, *shapes: Shape) -> Shape:
        """The input's."""
        shape = super().shape(*shapes)
        for array in (self.mean, self.std):
            sizes = zip(array.shape[::-1], shape[::-1], strict=False)
            if array.ndim > len(shape) or any(a not in (1, n) for a, n in sizes):
                raise ShapeError(f"{self!r}: mean and std must broadcast to rows of {shape}")
        return shape

    def forward(self, xs: Sequence[Array], params: Sequence[Array], mode: str) -> tuple[Array, Any]:
        """``(x - mean) / std``."""
        x = xs[0]
        mean, std = (_beside(array, x) for array in (self.mean, self.std))
        return (x - mean) / std, std

    def backward(self, dout: Array, cache: Any) -> tuple[Sequence[Array], Sequence[Array]]:
        """``dout / std``."""
        return (dout / cache,), ()


class Pad(_Fixed):
    """Images with `value` around them; each side has its own width.

    >>> Pad((1, 0, 2, 0)).shape((3, 8, 8))
    (3, 9, 10)
    """

    kind = "pad"

    def __init__(
        self, pads: tuple[int, int, int, int], value: float = 0.0, *, name: str | None = None
    ) -> None:
        """pads: rows above and below, columns on the left and on the right; value: what they hold."""
        super().__init__(name)
        items = as_items("Pad", "pads", pads, "four widths: top, bottom, left, right")
        if len(items) != 4:
            raise OptionError(f"Pad: pads must be four widths, got {len(items)}")
        self.pads = tuple(as_count("Pad", f"pads[{i}]", n, 0) for i, n in enumerate(items))
        self.value = as_number("Pad", "value", value)

    def shape(self, *shapes: Shape) -> Shape:
        """(C, top + H + bottom, left + W + right)."""
        C, H, W = need_images(self, super().shape(*shapes))
        top, bottom, left, right = self.pads
        shape = (C, top + H + bottom, left + W + right)
        check_size(repr(self), "the output", *shape)
        return shape

    def forward(self, xs: Sequence[Array], params: Sequence[Array], mode: str) -> tuple[Array, Any]:
        """Put x into the middle of a larger image."""
        x = xs[0]
        N, C, H, W = x.shape
        top, bottom, left, right = self.pads
        xp = namespace(x)
        shape = (N, C, top + H + bottom, left + W + right)
        device = {} if isinstance(x, np.ndarray) else {"device": x.device}
        out = xp.full(shape, self.value, dtype=x.dtype, **device)
        out[:, :, top : top + H, left : left + W] = x
        return out, (H, W)

    def backward(self, dout: Array, cache: Any) -> tuple[Sequence[Array], Sequence[Array]]:
        """Cut the middle out of dout."""
        (H, W), (top, _, left, _) = cache, self.pads
        return (dout[:, :, top : top + H, left : left + W],), ()


class Permute(_Fixed):
    """The axes of a row in another order, as (1, 2, 0) from (C, H, W) to (H, W, C).

    >>> Permute((1, 2, 0)).shape((3, 8, 9))
    (8, 9, 3)
    """

    kind = "permute"

    def __init__(self, order: Sequence[int], *, name: str | None = None) -> None:
        """order: for each axis of the output, N left out, the axis of the input that it is."""
        super().__init__(name)
        items = as_items("Permute", "order", order, "axes")
        self.order = tuple(as_count("Permute", f"order[{i}]", n, 0) for i, n in enumerate(items))
        if sorted(self.order) != list(range(len(self.order))):
            raise OptionError(f"Permute: order must hold each axis once, got {order!r}")

    def shape(self, *shapes: Shape) -> Shape:
        """The input's, in the order."""
        shape = super().shape(*shapes)
        if len(shape) != len(self.order):
            raise ShapeError(f"{self!r} takes rows of {len(self.order)} axes, got {shape}")
        return tuple(shape[i] for i in self.order)

    def forward(self, xs: Sequence[Array], params: Sequence[Array], mode: str) -> tuple[Array, Any]:
        """Permute the axes behind N."""
        axes = (0, *(i + 1 for i in self.order))
        return namespace(xs[0]).permute_dims(xs[0], axes), axes

    def backward(self, dout: Array, cache: Any) -> tuple[Sequence[Array], Sequence[Array]]:
        """Permute them back."""
        back = tuple(int(i) for i in np.argsort(cache))
        return (namespace(dout).permute_dims(dout, back),), ()


class Reshape(_Fixed):
    """The numbers of a row in another shape, as sequences (C, L) that become images of one row (C, 1, L).

    >>> Reshape((3, 1, 40)).shape((3, 40))
    (3, 1, 40)
    """

    kind = "reshape"

    def __init__(self, to: Sequence[int], *, name: str | None = None) -> None:
        """to: the shape of a row, N left out."""
        super().__init__(name)
        items = as_items("Reshape", "to", to, "sizes")
        self.to = tuple(as_count("Reshape", f"to[{i}]", n) for i, n in enumerate(items))

    def shape(self, *shapes: Shape) -> Shape:
        """The shape `to`."""
        shape = super().shape(*shapes)
        if prod(shape) != prod(self.to):
            raise ShapeError(f"{self!r}: rows of {shape} have other sizes than {self.to}")
        return self.to

    def forward(self, xs: Sequence[Array], params: Sequence[Array], mode: str) -> tuple[Array, Any]:
        """Give each row its shape."""
        x = xs[0]
        return namespace(x).reshape(x, (x.shape[0], *self.to)), x.shape

    def backward(self, dout: Array, cache: Any) -> tuple[Sequence[Array], Sequence[Array]]:
        """Give each row the old one back."""
        return (namespace(dout).reshape(dout, cache),), ()


def _constants(name: str, value: Any) -> np.ndarray:
    try:
        array = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise OptionError(f"Standardize: {name} must hold numbers") from None
    except Exception:  # as of closed files and arrays of other libraries
        raise OptionError(f"Standardize: {name} must hold numbers") from None
    if not np.isfinite(array).all():
        raise OptionError(f"Standardize: {name} must hold finite numbers")
    return array


def _beside(array: np.ndarray, x: Array) -> Array:
    if isinstance(x, np.ndarray):
        return array.astype(x.dtype if x.dtype.kind in "fc" else np.float64)
    return like(array.astype(str(x.dtype).rpartition(".")[2]), x)
