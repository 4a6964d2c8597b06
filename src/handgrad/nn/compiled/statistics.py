"""What layers keep from step to step beside parameters, as the arrays of a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad.nn.compiled import rules
from handgrad.nn.compiled.memory import NotCovered
from handgrad.nn.compiled.network import Norming
from handgrad.nn.norms import STATISTICS, BatchNorm
from handgrad.nn.whitening import Whitening

if TYPE_CHECKING:
    from handgrad.nn.answers import InCall


def filters_of(
    filters: Sequence[tuple[Whitening, tuple[int, ...]]], call: InCall, dtype: np.dtype
) -> list[np.ndarray]:
    """Return the filters that layers keep as buffers."""
    found = []
    for layer, shape in filters:
        kept = call.layers[id(layer)].buffers()["W"]
        if not isinstance(kept, np.ndarray) or kept.shape != shape:
            raise NotCovered(f"the filters of {layer._label}")
        found.append(np.ascontiguousarray(kept, dtype))
    return found


def statistics_of(
    norms: Sequence[Norming], buffers: Mapping[str, Any], call: InCall, dtype: np.dtype
) -> tuple[list[np.ndarray], list[str]]:
    """Return the running statistics before the steps, and what `buffers` calls them."""
    arrays, names = [], []
    called = {id(array): name for name, array in buffers.items()}
    for layer, moments in norms:
        own = call.layers[id(layer)]
        assert isinstance(own, BatchNorm)
        for key in STATISTICS:
            array = own.param.get(key)
            if array is None:
                array = np.zeros(moments.channels, dtype)
            elif not rules.fits(array, (moments.channels,), dtype):
                raise NotCovered(f"{key} of {layer._label}")
            arrays.append(array)
            names.append(called.get(id(array), ""))
    return arrays, names


def note_statistics(
    norms: Sequence[Norming], call: InCall, after: Sequence[np.ndarray], done: int
) -> None:
    """Give the layers of a call the running statistics `after` so many steps."""
    for place, (layer, _) in enumerate(norms):
        own = call.layers[id(layer)]
        assert isinstance(own, BatchNorm)
        for _ in range(done):
            momentum_of(own)
        own.param.update(zip(STATISTICS, after[2 * place : 2 * place + 2], strict=True))


def momentum_of(layer: BatchNorm) -> float:
    """Return the momentum of the next step of `layer`, a copy for a call."""
    (param,) = layer.options(np.empty((1, 1)), "train")
    momentum = param.get("momentum", 0.9)
    if type(momentum) is not float or not 0.0 <= momentum <= 1.0:
        raise NotCovered(f"momentum {momentum!r} of {layer._label}")
    return momentum


def average_of(arrays: Mapping[str, Any], name: str, dtype: np.dtype) -> np.ndarray:
    """Return the average called `name` out of `arrays`."""
    array = arrays.get(name)
    if array is None or not rules.fits(array, array.shape, dtype):
        raise NotCovered(f"the average of {name or 'a running statistic'}")
    found: np.ndarray = array
    return found
