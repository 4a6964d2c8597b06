"""One row of the contract table: a layer, its inputs, and what is special about them."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np

from handgrad import layers


class Case(NamedTuple):
    """A call of ``handgrad.layers.<layer>_forward(*arrays, *options)``.

    arrays: the differentiable inputs by name, in argument order, float64, away from kinks and ties;
    the backward returns their gradients in this order.  options: the arguments behind them.
    empty_batch: whether zero rows are meaningful (the output is then empty, and gradients are zero).
    batched: how many of the arrays, from the first, have the batch's rows.  dout: what the layer calls it.
    """

    layer: str
    name: str
    arrays: dict[str, np.ndarray]
    options: tuple[Any, ...] = ()
    empty_batch: bool = True
    batched: int = 1
    dout: str = "dout"

    @property
    def id(self) -> str:
        return f"{self.layer}-{self.name}"

    def forward(self, *arrays: Any, engine: str | None = None) -> tuple[Any, Any]:
        """Call forward on `arrays` (default: the case's own) with fresh copies of the options."""
        values = arrays or tuple(self.arrays.values())
        return self.call(values, copy.deepcopy(self.options), engine)

    def call(self, arrays: Any, options: Any, engine: str | None) -> tuple[Any, Any]:
        """Call forward on these very arrays and options."""
        return getattr(layers, f"{self.layer}_forward")(*arrays, *options, engine=engine)

    def backward(self, dout: Any, cache: Any) -> tuple[Any, ...]:
        """Call backward; always a tuple, one gradient for each array."""
        gradients = getattr(layers, f"{self.layer}_backward")(dout, cache)
        return gradients if isinstance(gradients, tuple) else (gradients,)
