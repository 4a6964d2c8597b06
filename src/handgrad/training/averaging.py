"""The exponential moving average of a model's weights, which is often better than the last ones.

After step t, counted from 0, and for every parameter and running statistic w:

    a <- d a + (1 - d) w          d = min(decay, (1 + t) / (10 + t))

The first steps count less than `decay` says, so that the start is soon forgotten.

Source: Polyak and Juditsky (1992); the growing d: TensorFlow, ``ExponentialMovingAverage``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from handgrad.nn.state import Stateful, changing
from handgrad.training.arrays import Arrays, buffers_of, copied
from handgrad.training.parts import Part, State, check_fit


class Average(Part):
    """The average; `decay` is None where there is none, then `params` and `buffers` stay empty."""

    def __init__(self, decay: float | None) -> None:
        self.decay = decay
        self.params: Arrays = {}
        self.buffers: Arrays = {}

    def add(self, model: Any, step: int) -> None:
        """Move towards the weights and running statistics of `model` after step number `step`."""
        if self.decay is not None:
            share = self.share(step)
            self.params = moved(self.params, model.params, share)
            self.buffers = moved(self.buffers, buffers_of(model), share)

    def share(self, step: int) -> float:
        """Return what the average keeps of itself after step number `step`."""
        assert self.decay is not None
        return min(self.decay, (1.0 + step) / (10.0 + step))

    def take(self, model: Any, arrays: Arrays) -> None:
        """Take the averages that a plan has computed by name; what it has none of is as in `model`."""
        self.params = {name: arrays[name] for name in model.params}
        self.buffers = {
            name: arrays[name] if name in arrays else array.copy(order="K")
            for name, array in buffers_of(model).items()
        }

    def kept(self, model: Any) -> tuple[Arrays, Arrays]:
        """Return the parameters and running statistics that count: the averages, if there are any."""
        if self.decay is not None:
            return self.params, self.buffers
        return model.params, buffers_of(model)

    def state(self) -> State:
        """Return the averages."""
        return {"ema_params": self.params, "ema_buffers": self.buffers}

    def checked(self, state: Mapping[str, Any], params: Mapping[str, Any]) -> State:
        """Return the averages."""
        check_fit("ema_params", state["ema_params"], params)
        return {name: state[name] for name in ("ema_params", "ema_buffers")}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up the averages."""
        self.params, self.buffers = state["ema_params"], state["ema_buffers"]


def moved(average: Arrays, arrays: Arrays, share: float) -> Arrays:
    """Return ``share * average + (1 - share) * arrays``; what there is no average of yet is copied."""
    result = dict(average)
    for name, array in arrays.items():
        old = average.get(name)
        if old is None or old.shape != array.shape or old.dtype.kind != "f":
            result[name] = array.copy(order="K")
        else:
            new = old * share
            new += (1.0 - share) * array
            result[name] = new
    return result


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
