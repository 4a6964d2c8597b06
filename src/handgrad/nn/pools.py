"""Layer objects that pool, and one that does the opposite."""

from __future__ import annotations

from typing import Any

from handgrad.engines.arrays import Array
from handgrad.errors import as_flag, as_pair, check_choice
from handgrad.layers.windows import PoolOptions, as_pool_pad, pool_counts
from handgrad.nn.layer import PairLayer, need_images
from handgrad.nn.linear import window_counts
from handgrad.nn.options import Shape


class Pool(PairLayer):
    """What pooling over windows shares."""

    def __init__(
        self,
        size: int | tuple[int, int] = 2,
        stride: int | tuple[int, int] | None = None,
        *,
        pad: int | tuple[int, int] = 0,
        ceil_mode: bool = False,
        name: str | None = None,
    ) -> None:
        """Describe the layer.

        Args:
            size: of the window, an integer or a pair (vertical, horizontal), as are stride and pad.
            stride: from window to window, None for the size.
            pad: on each side, at most half of the size.
            ceil_mode: whether a last window that reaches beyond the far end counts.
            name: in place of the automatic one.
        """
        super().__init__(name)
        where = type(self).__name__
        self.size = as_pair(where, "size", size)
        self.stride = self.size if stride is None else as_pair(where, "stride", stride)
        self.pad = as_pool_pad(where, "pad", pad, self.size)
        self.ceil_mode = as_flag(where, "ceil_mode", ceil_mode)

    def shape(self, *shapes: Shape) -> Shape:
        """(C, H', W') with ``H' = 1 + (H + 2 pad - size) // stride``, rounded up with ceil_mode."""
        C, *image = need_images(self, shapes[0])
        if not self.ceil_mode:
            return (C, *window_counts(self, image, self.size, self.stride, self.pad))
        counts = pool_counts(image, PoolOptions(self.size, self.stride, self.pad, True))
        if min(counts) < 1:  # then there is none without ceil_mode, either
            window_counts(self, image, self.size, self.stride, self.pad)
        return (C, *counts)

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """pool_param."""
        height, width = self.size
        param = {"pool_height": height, "pool_width": width, "stride": self.stride}
        return ({**param, "pad": self.pad, "ceil_mode": self.ceil_mode},)


class MaxPool(Pool):
    """The largest number of each window (`max_pool_forward`).

    >>> MaxPool(2).shape((3, 32, 32))
    (3, 16, 16)
    """

    kind = pair_name = "max_pool"
    link = "pool"


class AvgPool(Pool):
    """The mean of each window (`avg_pool_forward`).

    >>> AvgPool(2).shape((3, 32, 32))
    (3, 16, 16)
    """

    kind = pair_name = "avg_pool"

    def __init__(
        self,
        size: int | tuple[int, int] = 2,
        stride: int | tuple[int, int] | None = None,
        *,
        pad: int | tuple[int, int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        name: str | None = None,
    ) -> None:
        """count_include_pad: whether zeros of the padding count in the mean; others as in `MaxPool`."""
        super().__init__(size, stride, pad=pad, ceil_mode=ceil_mode, name=name)
        self.count_include_pad = as_flag("AvgPool", "count_include_pad", count_include_pad)

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """pool_param."""
        (param,) = super().options(x, mode)
        return ({**param, "count_include_pad": self.count_include_pad},)


class GlobalAvgPool(PairLayer):
    """The mean of each channel (`global_avg_pool_forward`): images become rows (N, C).

    >>> GlobalAvgPool().shape((3, 32, 32))
    (3,)
    """

    kind = pair_name = "global_avg_pool"

    def shape(self, *shapes: Shape) -> Shape:
        """(C,)."""
        return need_images(self, shapes[0])[:1]


class Upsample(PairLayer):
    """Images, `scale` times as large (`upsample_forward`).

    >>> Upsample(2).shape((3, 32, 32))
    (3, 64, 64)
    """

    kind = pair_name = "upsample"

    def __init__(
        self,
        scale: int | tuple[int, int] = 2,
        mode: str = "nearest",
        *,
        name: str | None = None,
    ) -> None:
        """scale: an integer or a pair (vertical, horizontal); mode: 'nearest' or 'bilinear'."""
        super().__init__(name)
        self.scale = as_pair("Upsample", "scale", scale)
        check_choice("Upsample", "mode", mode, ("nearest", "bilinear"))
        self.mode = mode

    def shape(self, *shapes: Shape) -> Shape:
        """(C, scale H, scale W)."""
        C, H, W = need_images(self, shapes[0])
        return (C, self.scale[0] * H, self.scale[1] * W)

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """upsample_param."""
        return ({"scale": self.scale, "mode": self.mode},)
