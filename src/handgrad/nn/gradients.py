"""The gradients of a network's loss, also that of its input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from handgrad.engines.arrays import Array
from handgrad.errors import HandgradError
from handgrad.layers import add_forward

if TYPE_CHECKING:
    from handgrad.nn.graph import Call
    from handgrad.nn.layer import Layer


class Gradients(NamedTuple):
    """What `Model.gradients` returns.

    Attributes:
        loss: a number.
        params: name -> gradient, shaped like the parameter.
        dx: the gradient of X, shaped like it (a tuple for several inputs).

    >>> import numpy as np
    >>> from handgrad.nn import Affine, Sequential
    >>> model = Sequential([Affine(3)], input_shape=(4,))
    >>> model.gradients(np.ones((2, 4)), np.array([0, 2])).dx.shape
    (2, 4)
    """

    loss: float
    params: dict[str, Array]
    dx: Any


class Played:
    """Recorded calls, computed one by one, so that backward can go on to the inputs."""

    def __init__(
        self,
        calls: Sequence[Call],
        params: Mapping[str, Array],
        own: Mapping[int, Layer],
        mode: str,
    ) -> None:
        self._calls = [(own.get(id(call.layer), call.layer), call) for call in calls]
        self._params = params
        self._mode = mode
        self._caches: list[Any] = []

    def forward(self, xs: Sequence[Array], output: int) -> Array:
        """Return value number `output` of the inputs `xs`."""
        values = dict(enumerate(xs))
        for layer, call in self._calls:
            weights = [self._params[name] for name in layer.parameters]
            try:
                out, cache = layer.forward([values[i] for i in call.inputs], weights, self._mode)
            except HandgradError as error:
                raise type(error)(f"layer {call.label}: {error}") from error
            values[call.output] = out
            self._caches.append(cache)
        return values[output]

    def backward(self, dout: Array, output: int, inputs: int) -> tuple[dict[str, Array], list[Any]]:
        """Return the gradients of the parameters that have one, and those of the inputs, or None."""
        douts: dict[int, Array] = {output: dout}
        gradients: dict[str, Array] = {}
        for (layer, call), cache in zip(self._calls[::-1], self._caches[::-1], strict=True):
            if call.output not in douts:
                continue
            dxs, dparams = layer.backward(douts.pop(call.output), cache)
            for name, gradient in zip(layer.parameters, dparams, strict=True):
                known = gradients.get(name)
                gradients[name] = gradient if known is None else known + gradient
            for i, dx in zip(call.inputs, dxs, strict=True):
                douts[i] = dx if i not in douts else add_forward(douts[i], dx)[0]
        return gradients, [douts.get(i) for i in range(inputs)]
