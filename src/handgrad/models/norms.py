"""Normalisations whose options and running statistics stand in a network's `bn_params`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handgrad import nn
from handgrad.engines.devices import like
from handgrad.errors import as_number
from handgrad.nn.norms import STATISTICS, STEPS, momentum_at, steps_of
from handgrad.nn.state import copied

if TYPE_CHECKING:
    from handgrad.engines.arrays import Array
    from handgrad.models.network import Network

_MOMENTUM = 0.9


class CourseBatchNorm(nn.BatchNorm):
    """Batch normalisation whose bn_param is one of the network's."""

    link = "bn"

    def in_call(self, buffers: dict[str, Any]) -> CourseBatchNorm:
        """A copy with bn_param, which `buffers` is, of its own."""
        own = copied(self)
        network: Network = self._root  # type: ignore[assignment]
        own.network_name = network._name
        own._root = None
        own.param = dict(buffers)
        own.param.pop(STEPS, None)
        own.momentum = buffers.get("momentum", _MOMENTUM)
        own._steps = steps_of(buffers) if network.corrects_start else None
        return own

    network_name = ""

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """bn_param, which receives the running statistics."""
        param = self.param
        param["mode"] = mode
        for key in STATISTICS:
            if key in param and type(param[key]) is not type(x):
                param[key] = like(param[key], x)
        if mode == "train" and self._steps is not None:
            self._steps += 1
            momentum = as_number(self.network_name, "bn_params: momentum", self.momentum, 0, 1)
            param["momentum"] = momentum_at(momentum, self._steps)
        return (param,)


class CourseLayerNorm(nn.LayerNorm):
    """Layer normalisation whose ln_param is one of the network's; groups: of channels, for images."""

    link = "ln"
    keeps = True

    def __init__(self, *, groups: int | None = None) -> None:
        """groups: of the channels of images; None for rows."""
        super().__init__()
        self.groups = groups
        if groups is not None:
            self.kind = "groupnorm"  # type: ignore[misc]

    def in_call(self, buffers: dict[str, Any]) -> CourseLayerNorm:
        """A copy with ln_param, which `buffers` is, of its own."""
        own = copied(self)
        own._root = None
        own.param = dict(buffers)
        return own

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """ln_param; of images, G and gn_param."""
        return (self.param,) if self.groups is None else (self.groups, self.param)
