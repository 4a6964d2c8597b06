"""The exponential moving average of a model's weights, which is often better than the last ones.

After step t, counted from 0, and for every parameter and running statistic w:

    a <- d a + (1 - d) w          d = min(decay, (1 + t) / (10 + t))

The first steps count less than `decay` says, so that the start is soon forgotten.

Source: Polyak and Juditsky (1992); the growing d: TensorFlow, ``ExponentialMovingAverage``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from handgrad.nn.state import Stateful, changing
from handgrad.training.arrays import Arrays, buffers_of, copied


def add_to_average(average: Arrays, arrays: Arrays, decay: float, step: int) -> None:
    """Move `average` towards `arrays`, in place; what it does not hold yet is copied."""
    share = min(decay, (1.0 + step) / (10.0 + step))
    for name, array in arrays.items():
        old = average.get(name)
        if old is None or old.shape != array.shape or old.dtype.kind != "f":
            average[name] = array.copy(order="K")
        else:
            old *= share
            old += (1.0 - share) * array


@contextmanager
def weights_of(model: Any, params: Arrays, buffers: Arrays) -> Iterator[None]:
    """Give `model` these parameters and running statistics inside the ``with`` block.

    The library's networks show them to this thread alone.
    """
    if isinstance(model, Stateful):
        with model.fixed(params, buffers):
            yield
        return
    kept, kept_buffers = model.params, copied(buffers_of(model))
    model.params = dict(params)
    try:
        load_buffers(model, buffers)
        yield
    finally:
        model.params = kept
        load_buffers(model, kept_buffers)


def replace(model: Any, params: Arrays, buffers: Arrays) -> None:
    """Give `model` copies of these parameters and running statistics, in one step."""
    with changing:
        model.params = copied(params)
        load_buffers(model, buffers)


def load_buffers(model: Any, buffers: Arrays) -> None:
    """Give `model` a copy of `buffers`, if it takes any."""
    if hasattr(model, "load_buffers"):
        model.load_buffers(copied(buffers))
