"""Layer objects that change each number for itself, and dropout and maxout."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.engines.arrays import Array
from handgrad.errors import (
    OptionError,
    ShapeError,
    as_count,
    as_flag,
    as_number,
    check_choice,
)
from handgrad.nn.layer import PairLayer, Weight
from handgrad.nn.options import Shape


class Activation(PairLayer):
    """What all activations share: the output has the shape of the input."""

    def shape(self, *shapes: Shape) -> Shape:
        """The input's."""
        return shapes[0]


class ReLU(Activation):
    """``max(0, x)`` (`relu_forward`).

    >>> ReLU().shape((10,))
    (10,)
    """

    kind = pair_name = link = "relu"


class Sigmoid(Activation):
    """``1 / (1 + exp(-x))`` (`sigmoid_forward`).

    >>> Sigmoid().shape((10,))
    (10,)
    """

    kind = pair_name = "sigmoid"


class Softplus(Activation):
    """``log(1 + exp(x))`` (`softplus_forward`).

    >>> Softplus().shape((10,))
    (10,)
    """

    kind = pair_name = "softplus"


class Tanh(Activation):
    """``tanh(x)`` (`tanh_forward`).

    >>> Tanh().shape((10,))
    (10,)
    """

    kind = pair_name = "tanh"


class LeakyReLU(Activation):
    """x where it is positive, else alpha x (`leaky_relu_forward`).

    >>> LeakyReLU(0.1).shape((10,))
    (10,)
    """

    kind = pair_name = "leaky_relu"

    def __init__(self, alpha: float = 0.01, *, name: str | None = None) -> None:
        """alpha: the slope of the negative side."""
        super().__init__(name)
        self.alpha = as_number("LeakyReLU", "alpha", alpha)

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """Alpha."""
        return (self.alpha,)


class ELU(Activation):
    """x where it is positive, else ``alpha (exp(x) - 1)`` (`elu_forward`).

    >>> ELU().shape((10,))
    (10,)
    """

    kind = pair_name = "elu"

    def __init__(self, alpha: float = 1.0, *, name: str | None = None) -> None:
        """alpha: minus the limit for large negative x."""
        super().__init__(name)
        self.alpha = as_number("ELU", "alpha", alpha)

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """Alpha."""
        return (self.alpha,)


class GELU(Activation):
    """x times the probability of a gate being open (`gelu_forward`).

    >>> GELU().shape((10,))
    (10,)
    """

    kind = pair_name = link = "gelu"

    def __init__(self, approximate: str = "none", *, name: str | None = None) -> None:
        """approximate: "none" for the exact gate, "tanh" for the approximate one."""
        super().__init__(name)
        check_choice("GELU", "approximate", approximate, ("none", "tanh"))
        self.approximate = approximate

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """How exact the gate is."""
        return (self.approximate,)


class PReLU(Activation):
    """A ReLU that learns its negative slope a (`prelu_forward`).

    >>> PReLU().shape((10,))
    (10,)
    """

    kind = pair_name = "prelu"

    def __init__(
        self, start: float = 0.25, *, shared: bool = False, name: str | None = None
    ) -> None:
        """start: the first slope; shared: one slope for all channels rather than one for each."""
        super().__init__(name)
        self.start = as_number("PReLU", "start", start)
        self.shared = as_flag("PReLU", "shared", shared)

    def weights(self, *shapes: Shape) -> dict[str, Weight]:
        """a (C,), or (1,) if it is shared."""
        slopes = (1,) if self.shared or not shapes[0] else shapes[0][:1]
        return {"a": Weight(slopes, init=lambda shape, rng: np.full(shape, self.start))}


class Maxout(PairLayer):
    """The largest of each group of channels (`maxout_forward`).

    >>> Maxout(2).shape((10,))
    (5,)
    """

    kind = pair_name = "maxout"

    def __init__(self, pieces: int = 2, *, name: str | None = None) -> None:
        """pieces: channels in a group."""
        super().__init__(name)
        self.pieces = as_count("Maxout", "pieces", pieces)

    def shape(self, *shapes: Shape) -> Shape:
        """(C / pieces, ...)."""
        if not shapes[0] or shapes[0][0] % self.pieces:
            raise ShapeError(
                f"{self!r} takes a multiple of {self.pieces} channels, got rows of {shapes[0]}"
            )
        return (shapes[0][0] // self.pieces, *shapes[0][1:])

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """The number of pieces."""
        return (self.pieces,)


class Dropout(Activation):
    """Inverted dropout (`dropout_forward`): in training each number is kept with probability p.

    >>> Dropout(0.8).shape((10,))
    (10,)
    """

    kind = pair_name = "dropout"

    def __init__(
        self,
        p: float = 0.5,
        *,
        seed: int | None = None,
        rng: Any = None,
        name: str | None = None,
    ) -> None:
        """Describe the layer.

        Args:
            p: the probability of keeping a number, 0 < p <= 1.
            seed: if given, each call first calls ``np.random.seed(seed)``: the same mask every time.
            rng: a Generator, a RandomState, or a seed for a new Generator; None is NumPy's global
                stream.  Its state is part of checkpoints.
            name: in place of the automatic one.
        """
        super().__init__(name)
        self.param: dict[str, Any] = {"p": as_number("Dropout", "p", p, 0, 1, open_low=True)}
        if seed is not None and rng is not None:
            raise OptionError("Dropout: give seed or rng, not both")
        if seed is not None:
            self.param["seed"] = as_count("Dropout", "seed", seed, 0, 2**32 - 1)
        if rng is not None:
            if not isinstance(rng, np.random.Generator | np.random.RandomState):
                rng = np.random.default_rng(
                    as_count("Dropout", "rng (a Generator, RandomState or seed)", rng, 0)
                )
            self.param["rng"] = rng

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """dropout_param."""
        param = {**self.param, "mode": mode}
        if mode == "test" and self._root is not None and self._root._is_beside():
            param.pop("seed", None)  # NumPy's global stream belongs to the thread that trains
        return (param,)

    def stream(self) -> Any:
        """Its own stream."""
        return self.param.get("rng")

    @property
    def has_state(self) -> bool:
        """Whether it draws from a stream of its own."""
        return "rng" in self.param
