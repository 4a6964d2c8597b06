"""What goes into a network and what comes out: inputs that fit it, gradients that are complete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from handgrad.engines.arrays import Array
from handgrad.engines.devices import to_numpy
from handgrad.nn.answers import Answers
from handgrad.nn.built import Arrays
from handgrad.nn.fit import as_inputs, check_inputs, check_rows
from handgrad.nn.options import Shape


class Checks(Answers):
    """Inputs and gradients of a network, which a Model fits to its shapes and its dtype."""

    forward: Callable[..., Any]
    _casts_input: bool

    def _completed(
        self, loss: Any, grads: dict[str, Array], params: Arrays, with_reg: bool = True
    ) -> tuple[float, Arrays]:
        """Return the loss and the gradients of all parameters, with the regularisation if asked to."""
        loss = loss.item() if hasattr(loss, "item") else loss
        complete: Arrays = {}
        for name, w in params.items():
            dw = grads.get(name)
            if not isinstance(dw, np.ndarray):
                dw = np.zeros_like(w) if dw is None else to_numpy(dw)
            complete[name] = dw
        if with_reg and self.reg != 0.0:
            return self.penalised(loss, complete, params)
        return loss, complete

    def _checked(self, X: Any) -> list[np.ndarray]:
        """Return the inputs as arrays that fit the network, in its dtype; build it if it is not."""
        xs = self._fitting(X)
        if self.dtype is None or not self._casts_input:
            return xs
        if len(xs) == 1 and xs[0].dtype == self.dtype:  # as it is in most calls
            return xs
        return [x.astype(self.dtype, copy=False) for x in xs]

    def _fitting(self, X: Any) -> list[np.ndarray]:
        """Return the inputs as arrays that fit the network; build it if it is not."""
        xs = as_inputs(self._name, X, self.dtype)
        if self._root is not None and self._root is not self:
            self._check_built("loss")
        self._check_rows([x.shape[1:] for x in xs])
        return xs

    def _check_rows(self, rows: Sequence[Shape]) -> None:
        """Raise ShapeError unless inputs of `rows` fit the network; build it if it is not."""
        if self._row_shape is None:
            check_inputs(self._name, self.forward, rows)
            self._build(rows)
        assert self._input_shapes is not None
        if rows != self._input_shapes:
            check_rows(self._name, rows, self._input_shapes)
