"""Layer objects with weights: affine and convolutional."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from handgrad.engines.arrays import Array
from handgrad.errors import OptionError, ShapeError, as_count, as_flag, as_pair, check_size
from handgrad.nn.layer import PairLayer, Weight, filled, need_images, numbers, zeros
from handgrad.nn.options import Init, Shape, as_init


class Linear(PairLayer):
    """What affine and convolutional layers share: weights W, and a bias b unless it is left out."""

    def __init__(self, outputs: int, bias: bool, init: Any, name: str | None) -> None:
        """Check what all have; see the subclasses."""
        super().__init__(name)
        self.outputs = outputs
        self.bias = as_flag(type(self).__name__, "bias", bias)
        self.init: Init | None = None if init is None else as_init(type(self).__name__, init)

    def _weights(self, shape: Shape, fan_in: int) -> dict[str, Weight]:
        check_size(repr(self), "the weights", *shape)
        weights = {"W": Weight(shape, fan_in, self.init, decays=True)}
        if self.bias:
            weights["b"] = Weight((self.outputs,), init=zeros)
        return weights

    def arrays(self, x: Array, params: Sequence[Array]) -> list[tuple[Array, bool]]:
        """Return W, and b or zeros in its place."""
        if self.bias:
            return [(w, True) for w in params]
        return [(params[0], True), (filled(x, self.outputs, 0.0), False)]


class Affine(Linear):
    """The affine layer (`affine_forward`); flattens what comes in."""

    kind = "affine"
    pair_name = "affine"

    def __init__(
        self, width: int, *, bias: bool = True, init: Any = None, name: str | None = None
    ) -> None:
        """Describe the layer.

        Args:
            width: the number of outputs.
            bias: whether b is added.
            init: how W starts, see `Model`; None is the network's rule.
            name: in place of the automatic one.
        """
        super().__init__(as_count("Affine", "width", width), bias, init, name)

    def weights(self, *shapes: Shape) -> dict[str, Weight]:
        """W (D, M) and b (M,)."""
        D = numbers(shapes[0])
        return self._weights((D, self.outputs), D)

    def shape(self, *shapes: Shape) -> Shape:
        """(M,)."""
        return (self.outputs,)


class Conv2d(Linear):
    """The convolutional layer (`conv_forward`)."""

    kind = "conv"
    pair_name = "conv"

    def __init__(
        self,
        num_filters: int,
        filter_size: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        pad: int | tuple[int, int] | str = 0,
        bias: bool = True,
        init: Any = None,
        name: str | None = None,
    ) -> None:
        """Describe the layer.

        Args:
            num_filters: the number of filters, so of output channels.
            filter_size: an integer or a pair (vertical, horizontal), as are stride and pad.
            stride: from window to window.
            pad: zeros on each side; or 'same', which keeps the size of the image where the filter is
                odd and the stride 1.
            bias: whether b is added.
            init: how W starts, see `Model`; None is the network's rule.
            name: in place of the automatic one.
        """
        super().__init__(as_count("Conv2d", "num_filters", num_filters), bias, init, name)
        self.size = as_pair("Conv2d", "filter_size", filter_size)
        self.conv_param = {
            "stride": as_pair("Conv2d", "stride", stride),
            "pad": self._padding(pad),
        }

    def _padding(self, pad: Any) -> tuple[int, int]:
        if not isinstance(pad, str):
            return as_pair("Conv2d", "pad", pad, minimum=0)
        if pad != "same":
            raise OptionError(f"Conv2d: pad must be an integer, a pair, or 'same'; got {pad!r}")
        return ((self.size[0] - 1) // 2, (self.size[1] - 1) // 2)

    def weights(self, *shapes: Shape) -> dict[str, Weight]:
        """W (F, C, HH, WW) and b (F,)."""
        C = need_images(self, shapes[0])[0]
        return self._weights((self.outputs, C, *self.size), C * self.size[0] * self.size[1])

    def shape(self, *shapes: Shape) -> Shape:
        """(F, H', W') with ``H' = 1 + (H + 2 pad - HH) // stride``."""
        _, *image = need_images(self, shapes[0])
        stride, pad = self.conv_param["stride"], self.conv_param["pad"]
        H, W = window_counts(self, image, self.size, stride, pad)
        return (self.outputs, H, W)

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """conv_param."""
        return (self.conv_param,)


def window_counts(
    layer: PairLayer,
    image: Sequence[int],
    window: tuple[int, int],
    stride: tuple[int, int],
    pad: tuple[int, int] = (0, 0),
) -> tuple[int, int]:
    """Return the rows and columns of windows in an image; ShapeError where none fits."""
    H, W = (1 + (n + 2 * p - w) // s for n, w, s, p in zip(image, window, stride, pad, strict=True))
    if H < 1 or W < 1:
        raise ShapeError(
            f"{layer!r}: its window {window} is larger than the image of {image[0]} x {image[1]} "
            f"with pad {pad}; use fewer layers or strides, a smaller window or a larger pad"
        )
    return H, W
