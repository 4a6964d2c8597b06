"""Layer objects that normalise; for rows (N, D) and for images (N, C, H, W)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import expm1, log
from typing import Any

import numpy as np

from handgrad.engines.arrays import Array
from handgrad.engines.devices import like
from handgrad.errors import OptionError, ShapeError, as_count, as_flag, as_number, check_known
from handgrad.nn.fit import check_complete
from handgrad.nn.layer import PairLayer, Weight, filled, need_images, ones, zeros
from handgrad.nn.options import Shape
from handgrad.nn.state import copied

STATISTICS = ("running_mean", "running_var")
STEPS = "steps"
_STATISTICS = set(STATISTICS)


def momentum_at(momentum: float, step: int) -> float:
    """Return the momentum of training step t = 1, 2, ... that corrects the start of a moving average.

    An average that starts at 0 and moves by ``r <- m r + (1 - m) s`` is too small by the factor
    ``1 - m^t``, which Adam divides by.  The corrected average ``c = r / (1 - m^t)`` moves by

        c <- a c + (1 - a) s        a = m (1 - m^(t-1)) / (1 - m^t)

    At the first step a = 0, so c is the batch's own statistic; for large t, a = m.  With m = 1 the average
    never moves.

    >>> [round(momentum_at(0.9, t), 3) for t in (1, 2, 3, 1000)]
    [0.0, 0.474, 0.631, 0.9]
    """
    if momentum in (0.0, 1.0):
        return momentum
    rate = log(momentum)
    return momentum * expm1((step - 1) * rate) / expm1(step * rate)


def steps_of(statistics: Mapping[str, Any]) -> int | None:
    """Return how many batches the running statistics have seen; None where they were not counted.

    Files of version 0.1.0 do not say it: their statistics go on uncorrected.
    """
    if not statistics.keys() >= _STATISTICS:
        return 0
    return int(statistics[STEPS]) if STEPS in statistics else None


def as_steps(where: str, value: Any) -> np.ndarray:
    """Return `value`, a number of training steps, as an array of no dimensions."""
    array = np.asarray(value)
    if array.ndim or array.dtype.kind not in "iu" or array < 0:
        raise OptionError(f"{where} must be a whole number of training steps, got {array!r}")
    return array.astype(np.int64)


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
    """Batch normalisation: `batchnorm_forward` of rows, `spatial_batchnorm_forward` of images.

    The running statistics are corrected for their start at zero, see `momentum_at`; those of
    `batchnorm_forward` are not, as the courses have it.

    >>> BatchNorm().shape((3, 32, 32))
    (3, 32, 32)
    """

    kind = "batchnorm"
    link = "bn"
    keeps = True

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
        self.momentum = as_number("BatchNorm", "momentum", momentum, 0, 1)
        self._steps: int | None = 0  # that the running statistics have seen

    def pair(self, x: Array) -> str:
        """By the number of dimensions."""
        return "batchnorm" if x.ndim == 2 else "spatial_batchnorm"

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """bn_param, which receives the running statistics."""
        self.param["mode"] = mode
        self.param["momentum"] = self.momentum
        if mode == "train" and self._steps is not None:
            self._steps += 1
            self.param["momentum"] = momentum_at(self.momentum, self._steps)
        for key in STATISTICS:
            if key in self.param and type(self.param[key]) is not type(x):
                self.param[key] = like(self.param[key], x)
        return (self.param,)

    def in_call(self, buffers: dict[str, Array]) -> BatchNorm:
        """A copy with running statistics of its own."""
        own = copied(self)
        own._root = None
        own.param = self.param.copy()
        for key in STATISTICS:
            own.param.pop(key, None)
            if key in buffers:
                own.param[key] = buffers[key]
        own._steps = steps_of(buffers)
        return own

    def buffers(self) -> dict[str, Array]:
        """The running statistics and how many steps they have seen; none before the first step."""
        if self._root is not None:
            return self._kept_by_network() or {}
        found = {key: self.param[key] for key in STATISTICS if key in self.param}
        if found and self._steps:
            found[STEPS] = np.array(self._steps)
        return found

    def load_buffers(self, buffers: dict[str, np.ndarray]) -> None:
        """Put copies of `buffers` in the place of the running statistics."""
        check_known(f"{self._label}.load_buffers", buffers, [*STATISTICS, STEPS])
        loaded = {}
        for key, value in buffers.items():
            if key == STEPS:
                as_steps(f"load_buffers: {self._label}.{key}", value)
                continue
            array = np.array(value)
            expected = self._known_shape()
            if expected is not None and array.shape != expected:
                raise ShapeError(
                    f"load_buffers: {self._label}.{key} must have shape {expected}, one number a "
                    f"channel, got {array.shape}"
                )
            loaded[key] = array
        check_complete(f"load_buffers: {self._label}", buffers, STATISTICS)
        for key in STATISTICS:
            self.param.pop(key, None)
        self.param |= loaded
        self._steps = steps_of(buffers)

    def buffer_shapes(self) -> dict[str, Shape | None]:
        """One number a channel."""
        return {**dict.fromkeys(STATISTICS, self._known_shape()), STEPS: ()}

    def _known_shape(self) -> Shape | None:
        for shapes in list(self._shapes):
            return shapes[0][:1]
        return None

    @property
    def has_state(self) -> bool:
        """Always: the running statistics."""
        return True


class LayerNorm(Norm):
    """Layer normalisation: `layernorm_forward` of rows; of images, all channels as one group.

    >>> LayerNorm().shape((10,))
    (10,)
    """

    kind = "layernorm"
    link = "ln"

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
    """Group normalisation of images (`spatial_groupnorm_forward`).

    >>> GroupNorm(3).shape((3, 32, 32))
    (3, 32, 32)
    """

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
    """Instance normalisation of images (`spatial_instancenorm_forward`).

    >>> InstanceNorm().shape((3, 32, 32))
    (3, 32, 32)
    """

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
