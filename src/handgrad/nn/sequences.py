"""Layer objects of sequences (N, C, L): convolution, pools, batch normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from handgrad.engines.arrays import Array
from handgrad.errors import OptionError, ShapeError, as_count, as_flag
from handgrad.layers.rows import as_image, as_sequence
from handgrad.nn.layer import Layer, PairLayer, Weight
from handgrad.nn.linear import Linear
from handgrad.nn.norms import BatchNorm
from handgrad.nn.options import Shape


def need_sequences(layer: Layer, shape: Shape) -> tuple[int, int]:
    """Return (C, L) if `shape` is that, else raise ShapeError."""
    if len(shape) != 2:
        text = str(("N", *shape)).replace("'", "")
        raise ShapeError(f"{layer!r} takes sequences (N, C, L), got {text}")
    return shape[0], shape[1]


class Conv1d(Linear):
    """The convolution of sequences (`conv1d_forward`).

    >>> Conv1d(8, 5).shape((3, 40))
    (8, 36)
    """

    kind = pair_name = "conv1d"

    def __init__(
        self,
        num_filters: int,
        filter_size: int,
        *,
        stride: int = 1,
        pad: int | str = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        init: Any = None,
        name: str | None = None,
    ) -> None:
        """Describe the layer.

        Args:
            num_filters: the number of filters, so of output channels.
            filter_size: how many places a filter sees.
            stride: from window to window.
            pad: zeros on each side; or 'same', which keeps the length where the filter is odd and the
                stride 1.
            dilation: from place to place in a window.
            groups: of channels and filters, each a convolution of its own.
            bias: whether b is added.
            init: how W starts, see `Model`; None is the network's rule.
            name: in place of the automatic one.
        """
        super().__init__(as_count("Conv1d", "num_filters", num_filters), bias, init, name)
        self.size = as_count("Conv1d", "filter_size", filter_size)
        dilation = as_count("Conv1d", "dilation", dilation)
        self.reach = dilation * (self.size - 1) + 1
        if isinstance(pad, str):
            if pad != "same":
                raise OptionError(f"Conv1d: pad must be an integer or 'same'; got {pad!r}")
            pad = (self.reach - 1) // 2
        self.groups = as_count("Conv1d", "groups", groups)
        if self.outputs % self.groups:
            raise OptionError(
                f"Conv1d: groups must divide the {self.outputs} filters, got {groups}"
            )
        self.conv1d_param: dict[str, int] = {
            "stride": as_count("Conv1d", "stride", stride),
            "pad": as_count("Conv1d", "pad", pad, minimum=0),
            "dilation": dilation,
            "groups": self.groups,
        }

    def weights(self, *shapes: Shape) -> dict[str, Weight]:
        """W (F, C / groups, LL) and b (F,)."""
        C = self._channels(shapes[0])
        return self._weights((self.outputs, C, self.size), C * self.size)

    def _channels(self, shape: Shape) -> int:
        C, _ = need_sequences(self, shape)
        if C % self.groups:
            raise ShapeError(f"{self!r}: its groups must divide the {C} channels")
        return C // self.groups

    def shape(self, *shapes: Shape) -> Shape:
        """(F, L') with ``L' = 1 + (L + 2 pad - dilation (LL - 1) - 1) // stride``."""
        self._channels(shapes[0])
        param = self.conv1d_param
        length = _windows(self, shapes[0][1], self.reach, param["stride"], param["pad"])
        return (self.outputs, length)

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """conv1d_param."""
        return (self.conv1d_param,)


class Pool1d(PairLayer):
    """What pooling of sequences shares."""

    def __init__(
        self, size: int = 2, stride: int | None = None, *, pad: int = 0, name: str | None = None
    ) -> None:
        """Describe the layer.

        Args:
            size: of the window.
            stride: from window to window, None for the size.
            pad: on each side, at most half of the size.
            name: in place of the automatic one.
        """
        super().__init__(name)
        where = type(self).__name__
        self.size = as_count(where, "size", size)
        self.stride = self.size if stride is None else as_count(where, "stride", stride)
        self.pad = as_count(where, "pad", pad, minimum=0)
        if 2 * self.pad > self.size:
            raise OptionError(f"{where}: pad must be at most half of the size {size}, got {pad}")

    def shape(self, *shapes: Shape) -> Shape:
        """(C, L') with ``L' = 1 + (L + 2 pad - size) // stride``."""
        C, L = need_sequences(self, shapes[0])
        return (C, _windows(self, L, self.size, self.stride, self.pad))

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """pool1d_param."""
        return ({"pool_length": self.size, "stride": self.stride, "pad": self.pad},)


class MaxPool1d(Pool1d):
    """The largest number of each window (`max_pool1d_forward`).

    >>> MaxPool1d(2).shape((3, 40))
    (3, 20)
    """

    kind = pair_name = "max_pool1d"


class AvgPool1d(Pool1d):
    """The mean of each window (`avg_pool1d_forward`).

    >>> AvgPool1d(2).shape((3, 40))
    (3, 20)
    """

    kind = pair_name = "avg_pool1d"

    def __init__(
        self,
        size: int = 2,
        stride: int | None = None,
        *,
        pad: int = 0,
        count_include_pad: bool = True,
        name: str | None = None,
    ) -> None:
        """count_include_pad: whether zeros of the padding count in the mean; others as in `MaxPool1d`."""
        super().__init__(size, stride, pad=pad, name=name)
        self.count_include_pad = as_flag("AvgPool1d", "count_include_pad", count_include_pad)

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """pool1d_param."""
        (param,) = super().options(x, mode)
        return ({**param, "count_include_pad": self.count_include_pad},)


class _AsImages(PairLayer):
    """A layer of images that is given sequences as images of one row."""

    def forward(self, xs: Sequence[Array], params: Sequence[Array], mode: str) -> tuple[Array, Any]:
        """Call the pair's forward on (N, C, 1, L)."""
        out, cache = super().forward([as_image(xs[0])], params, mode)
        return as_sequence(out) if out.ndim == 4 else out, cache

    def backward(self, dout: Array, cache: Any) -> tuple[Sequence[Array], Sequence[Array]]:
        """Call the pair's backward."""
        (dx,), own = super().backward(as_image(dout) if dout.ndim == 3 else dout, cache)
        return (as_sequence(dx),), own


class GlobalAvgPool1d(_AsImages):
    """The mean of each channel (`global_avg_pool_forward`): sequences become rows (N, C).

    >>> GlobalAvgPool1d().shape((3, 40))
    (3,)
    """

    kind = "global_avg_pool1d"
    pair_name = "global_avg_pool"

    def shape(self, *shapes: Shape) -> Shape:
        """(C,)."""
        return (need_sequences(self, shapes[0])[0],)


class BatchNorm1d(_AsImages, BatchNorm):
    """Batch normalisation of sequences: each channel over the batch and its places.

    >>> BatchNorm1d().shape((3, 40))
    (3, 40)
    """

    kind = "batchnorm1d"

    def shape(self, *shapes: Shape) -> Shape:
        """The input's."""
        need_sequences(self, shapes[0])
        return shapes[0]


def _windows(layer: Layer, length: int, window: int, stride: int, pad: int) -> int:
    count = 1 + (length + 2 * pad - window) // stride
    if count < 1:
        raise ShapeError(
            f"{layer!r}: its window {window} is longer than the sequence of {length} with pad {pad}; use "
            "fewer layers or strides, a smaller window or a larger pad"
        )
    return count
