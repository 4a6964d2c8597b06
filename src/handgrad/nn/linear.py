"""Layer objects with weights: affine and convolutional."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from handgrad import layers
from handgrad.engines.arrays import Array
from handgrad.errors import OptionError, ShapeError, as_count, as_flag, as_pair, check_size
from handgrad.layers.windows import reach_of
from handgrad.nn.layer import (
    PairLayer,
    Weight,
    filled,
    learned_ones,
    need_images,
    numbers,
    zeros,
)
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

    def backward_of_parameters(self, dout: Array, cache: Any) -> Sequence[Array]:
        """Return dW and db, without computing dx on the way."""
        pair, learned, kept = cache
        _, *own = getattr(layers, pair + "_backward")(dout, kept, need_dx=False)
        return learned_ones(own, learned)


class Affine(Linear):
    """The affine layer (`affine_forward`); flattens what comes in.

    >>> Affine(10).shape((3, 32, 32))
    (10,)
    """

    kind = pair_name = link = "affine"

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
    """The convolutional layer (`conv_forward`).

    >>> Conv2d(8, 3, pad=1).shape((3, 32, 32))
    (8, 32, 32)
    """

    kind = pair_name = link = "conv"

    def __init__(
        self,
        num_filters: int,
        filter_size: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        pad: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        init: Any = None,
        name: str | None = None,
    ) -> None:
        """Describe the layer.

        Args:
            num_filters: the number of filters, so of output channels.
            filter_size: an integer or a pair (vertical, horizontal), as are stride, pad and dilation.
            stride: from window to window.
            pad: zeros on each side; or 'same', which keeps the size of the image where the filter is
                odd and the stride 1.
            dilation: from pixel to pixel in a window.
            groups: of channels and filters, each a convolution of its own; as many as there are
                channels make it depthwise.
            bias: whether b is added.
            init: how W starts, see `Model`; None is the network's rule.
            name: in place of the automatic one.
        """
        super().__init__(as_count("Conv2d", "num_filters", num_filters), bias, init, name)
        self.size = as_pair("Conv2d", "filter_size", filter_size)
        self.dilation = as_pair("Conv2d", "dilation", dilation)
        self.groups = _group_count("Conv2d", groups, self.outputs)
        self.conv_param: dict[str, Any] = {
            "stride": as_pair("Conv2d", "stride", stride),
            "pad": self._padding(pad),
            "dilation": self.dilation,
            "groups": self.groups,
        }

    def _padding(self, pad: Any) -> tuple[int, int]:
        if not isinstance(pad, str):
            return as_pair("Conv2d", "pad", pad, minimum=0)
        if pad != "same":
            raise OptionError(f"Conv2d: pad must be an integer, a pair, or 'same'; got {pad!r}")
        height, width = reach_of(self.size, self.dilation)
        return (height - 1) // 2, (width - 1) // 2

    def weights(self, *shapes: Shape) -> dict[str, Weight]:
        """W (F, C / groups, HH, WW) and b (F,)."""
        C = _channels_of_group(self, need_images(self, shapes[0])[0], self.groups)
        return self._weights((self.outputs, C, *self.size), C * self.size[0] * self.size[1])

    def shape(self, *shapes: Shape) -> Shape:
        """(F, H', W') with ``H' = 1 + (H + 2 pad - dilation (HH - 1) - 1) // stride``."""
        C, *image = need_images(self, shapes[0])
        _channels_of_group(self, C, self.groups)
        stride, pad = self.conv_param["stride"], self.conv_param["pad"]
        H, W = window_counts(self, image, reach_of(self.size, self.dilation), stride, pad)
        return (self.outputs, H, W)

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """conv_param."""
        return (self.conv_param,)


class ConvTranspose2d(Linear):
    """The transposed convolution (`conv_transpose_forward`), which makes images larger.

    >>> ConvTranspose2d(8, 2, stride=2).shape((3, 32, 32))
    (8, 64, 64)
    """

    kind = pair_name = "conv_transpose"

    def __init__(
        self,
        num_filters: int,
        filter_size: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        pad: int | tuple[int, int] = 0,
        output_pad: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        init: Any = None,
        name: str | None = None,
    ) -> None:
        """Describe the layer.

        Args:
            num_filters: the number of filters, so of output channels.
            filter_size: an integer or a pair (vertical, horizontal), as are the next four.
            stride: from one copy of the filter to the next.
            pad: taken off each side.
            output_pad: added at the end, below the stride.
            dilation: from pixel to pixel of a filter.
            groups: of channels and filters, each a transposed convolution of its own.
            bias: whether b is added.
            init: how W starts, see `Model`; None is the network's rule.
            name: in place of the automatic one.
        """
        where = "ConvTranspose2d"
        super().__init__(as_count(where, "num_filters", num_filters), bias, init, name)
        self.size = as_pair(where, "filter_size", filter_size)
        self.stride = as_pair(where, "stride", stride)
        self.pad = as_pair(where, "pad", pad, minimum=0)
        self.output_pad = as_pair(where, "output_pad", output_pad, minimum=0)
        self.dilation = as_pair(where, "dilation", dilation)
        self.groups = _group_count(where, groups, self.outputs)
        if self.output_pad[0] >= self.stride[0] or self.output_pad[1] >= self.stride[1]:
            raise OptionError(f"{where}: output_pad must be below the stride, got {output_pad!r}")

    def weights(self, *shapes: Shape) -> dict[str, Weight]:
        """W (C, F / groups, HH, WW) and b (F,); an output sees HH WW / stride^2 windows."""
        C = need_images(self, shapes[0])[0]
        seen = _channels_of_group(self, C, self.groups) * self.size[0] * self.size[1]
        fan_in = max(1, seen // (self.stride[0] * self.stride[1]))
        return self._weights((C, self.outputs // self.groups, *self.size), fan_in)

    def shape(self, *shapes: Shape) -> Shape:
        """(F, H', W') with ``H' = (H - 1) stride - 2 pad + dilation (HH - 1) + 1 + output_pad``."""
        C, *image = need_images(self, shapes[0])
        _channels_of_group(self, C, self.groups)
        reach = reach_of(self.size, self.dilation)
        H, W = (
            (image[axis] - 1) * self.stride[axis]
            - 2 * self.pad[axis]
            + reach[axis]
            + self.output_pad[axis]
            for axis in (0, 1)
        )
        if H < 1 or W < 1:
            raise ShapeError(f"{self!r}: its pad leaves nothing of the output, {H} x {W}")
        return (self.outputs, H, W)

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """conv_param."""
        names = ("stride", "pad", "output_pad", "dilation", "groups")
        return ({name: getattr(self, name) for name in names},)


def _group_count(where: str, groups: Any, filters: int) -> int:
    groups = as_count(where, "groups", groups)
    if filters % groups:
        raise OptionError(f"{where}: groups must divide the {filters} filters, got {groups}")
    return groups


def _channels_of_group(layer: PairLayer, channels: int, groups: int) -> int:
    if channels % groups:
        raise OptionError(f"{layer!r}: its groups must divide the {channels} channels")
    return channels // groups


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
