"""Layer objects that normalise; for rows (N, D) and for images (N, C, H, W)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from handgrad.engines.arrays import Array
from handgrad.engines.devices import like, to_numpy
from handgrad.errors import OptionError, ShapeError, as_count, as_flag, as_number, check_known
from handgrad.nn.layer import PairLayer, Weight, filled, need_images, ones, zeros
from handgrad.nn.options import Shape

_STATISTICS = ("running_mean", "running_var")


class Norm(PairLayer):
    """What all normalisations share: eps, and the scale gamma and shift beta of each channel."""

    def __init__(self, eps: float, scale: bool, shift: bool, name: str | None) -> None:
        """Check what all have; see the subclasses."""
        super().__init__(name)
        where = type(self).__name__
        self.param: dict[str, Any] = {"eps": as_number(where, "eps", eps, 0, open_low=True)}
        self.scale = as_flag(where, "scale", scale)
        self.shift = as_flag(where, "shift", shift)

    def weights(self, *shapes: Shape) -> dict[str, Weight]:
        """Gamma (C,) and beta (C,), unless they are left out."""
        channels = shapes[0][:1]
        weights = {}
        if self.scale:
            weights["gamma"] = Weight(channels, init=ones)
        if self.shift:
            weights["beta"] = Weight(channels, init=zeros)
        return weights

    def shape(self, *shapes: Shape) -> Shape:
        """The input's."""
        if len(shapes[0]) not in (1, 3):
            text = str(("N", *shapes[0])).replace("'", "")
            raise ShapeError(f"{self!r} takes rows (N, D) or images (N, C, H, W), got {text}")
        return shapes[0]

    def arrays(self, x: Array, params: Sequence[Array]) -> list[tuple[Array, bool]]:
        """Gamma or ones, beta or zeros."""
        left = list(params)
        gamma = (left.pop(0), True) if self.scale else (filled(x, x.shape[1], 1.0), False)
        beta = (left.pop(0), True) if self.shift else (filled(x, x.shape[1], 0.0), False)
        return [gamma, beta]

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """The dictionary of the pair."""
        return (self.param,)


class BatchNorm(Norm):
    """Batch normalisation: `batchnorm_forward` of rows, `spatial_batchnorm_forward` of images."""

    kind = "batchnorm"

    def __init__(
        self,
        *,
        eps: float = 1e-5,
        momentum: float = 0.9,
        scale: bool = True,
        shift: bool = True,
        name: str | None = None,
    ) -> None:
        """Describe the layer.

        Args:
            eps: added to the variance.
            momentum: what the running statistics keep of themselves at a training step.
            scale, shift: whether gamma and beta are learned; else they are ones and zeros.
            name: in place of the automatic one.
        """
        super().__init__(eps, scale, shift, name)
        self.param["momentum"] = as_number("BatchNorm", "momentum", momentum, 0, 1)

    def pair(self, x: Array) -> str:
        """By the number of dimensions."""
        return "batchnorm" if x.ndim == 2 else "spatial_batchnorm"

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """bn_param, which receives the running statistics."""
        self.param["mode"] = mode
        for key in _STATISTICS:
            if key in self.param:
                self.param[key] = like(self.param[key], x)
        return (self.param,)

    def buffers(self) -> dict[str, np.ndarray]:
        """The running statistics; none before the first training step."""
        return {key: to_numpy(self.param[key]) for key in _STATISTICS if key in self.param}

    def load_buffers(self, buffers: dict[str, np.ndarray]) -> None:
        """Put copies of `buffers` in the place of the running statistics."""
        check_known(f"{self._label}.load_buffers", buffers, _STATISTICS)
        loaded = {}
        for key, value in buffers.items():
            array = np.array(value)
            expected = self._known_shape()
            if expected is not None and array.shape != expected:
                raise ShapeError(
                    f"load_buffers: {self._label}.{key} must have shape {expected}, one number a "
                    f"channel, got {array.shape}"
                )
            loaded[key] = array
        for key in _STATISTICS:
            self.param.pop(key, None)
        self.param |= loaded

    def _known_shape(self) -> Shape | None:
        for shapes in self._shapes:
            return shapes[0][:1]
        return None

    @property
    def has_state(self) -> bool:
        """Always: the running statistics."""
        return True


class LayerNorm(Norm):
    """Layer normalisation: `layernorm_forward` of rows; of images, all channels as one group."""

    kind = "layernorm"

    def __init__(
        self,
        *,
        eps: float = 1e-5,
        scale: bool = True,
        shift: bool = True,
        name: str | None = None,
    ) -> None:
        """eps: added to the variance; scale, shift: whether gamma and beta are learned."""
        super().__init__(eps, scale, shift, name)

    def pair(self, x: Array) -> str:
        """By the number of dimensions."""
        return "layernorm" if x.ndim == 2 else "spatial_groupnorm"

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """ln_param; of images, G = 1 and gn_param."""
        return (self.param,) if x.ndim == 2 else (1, self.param)


class GroupNorm(Norm):
    """Group normalisation of images (`spatial_groupnorm_forward`)."""

    kind = "groupnorm"
    pair_name = "spatial_groupnorm"

    def __init__(
        self,
        groups: int,
        *,
        eps: float = 1e-5,
        scale: bool = True,
        shift: bool = True,
        name: str | None = None,
    ) -> None:
        """groups: of channels, a divisor of their number; the others as in `LayerNorm`."""
        super().__init__(eps, scale, shift, name)
        self.groups = as_count("GroupNorm", "groups", groups)

    def shape(self, *shapes: Shape) -> Shape:
        """The input's."""
        C = need_images(self, shapes[0])[0]
        if C % self.groups:
            raise OptionError(f"{self!r}: its groups must divide the {C} channels")
        return shapes[0]

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """G and gn_param."""
        return (self.groups, self.param)


class InstanceNorm(Norm):
    """Instance normalisation of images (`spatial_instancenorm_forward`)."""

    kind = "instancenorm"
    pair_name = "spatial_instancenorm"

    def __init__(
        self,
        *,
        eps: float = 1e-5,
        scale: bool = True,
        shift: bool = True,
        name: str | None = None,
    ) -> None:
        """eps: added to the variance; scale, shift: whether gamma and beta are learned."""
        super().__init__(eps, scale, shift, name)

    def shape(self, *shapes: Shape) -> Shape:
        """The input's."""
        return need_images(self, shapes[0])
