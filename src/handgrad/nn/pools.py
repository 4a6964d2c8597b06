"""Layer objects that pool, and one that does the opposite."""

from __future__ import annotations

from typing import Any

from handgrad.engines.arrays import Array
from handgrad.errors import as_pair, check_choice
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
        name: str | None = None,
    ) -> None:
        """size: of the window; stride: from window to window, None for the size."""
        super().__init__(name)
        where = type(self).__name__
        self.size = as_pair(where, "size", size)
        self.stride = self.size if stride is None else as_pair(where, "stride", stride)

    def shape(self, *shapes: Shape) -> Shape:
        """(C, H', W') with ``H' = 1 + (H - size) // stride``."""
        C, *image = need_images(self, shapes[0])
        H, W = window_counts(self, image, self.size, self.stride)
        return (C, H, W)

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """pool_param."""
        height, width = self.size
        return ({"pool_height": height, "pool_width": width, "stride": self.stride},)


class MaxPool(Pool):
    """The largest number of each window (`max_pool_forward`)."""

    kind = pair_name = "max_pool"


class AvgPool(Pool):
    """The mean of each window (`avg_pool_forward`)."""

    kind = pair_name = "avg_pool"


class GlobalAvgPool(PairLayer):
    """The mean of each channel (`global_avg_pool_forward`): images become rows (N, C)."""

    kind = pair_name = "global_avg_pool"

    def shape(self, *shapes: Shape) -> Shape:
        """(C,)."""
        return need_images(self, shapes[0])[:1]


class Upsample(PairLayer):
    """Images, `scale` times as large (`upsample_forward`)."""

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
