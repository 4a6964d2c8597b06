"""The base of all layer objects, and of those that call a pair of `handgrad.layers`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from handgrad import layers
from handgrad.engines.arrays import Array, namespace
from handgrad.errors import OperationError, OptionError, ShapeError
from handgrad.layers.pair import backward_name
from handgrad.nn.configured import Configured, import_path, plain, shown_call
from handgrad.nn.options import Init, Shape
from handgrad.nn.state import copied
from handgrad.nn.value import Value

if TYPE_CHECKING:
    from handgrad.nn.built import Built


class Weight(NamedTuple):
    """A parameter of a layer before it is drawn.

    Attributes:
        shape: its shape.
        fan_in: the number of inputs of an output.
        init: how it starts, None for the network's rule.
        decays: whether the network's L2 regularisation counts it.
    """

    shape: Shape
    fan_in: int = 1
    init: Init | None = None
    decays: bool = False


def ones(shape: Shape, rng: Any) -> np.ndarray:
    """Return ones: how a scale starts."""
    return np.ones(shape)


def zeros(shape: Shape, rng: Any) -> np.ndarray:
    """Return zeros: how a bias or shift starts."""
    return np.zeros(shape)


class Layer(metaclass=Configured):
    """A layer as an object: its options, the shapes of its parameters, and its pair.

    The arrays of the parameters belong to the network, in ``params`` under "<name>.<parameter>".
    Inside of a network's ``forward`` a layer is called with values, ``y = conv(x)``; the call is
    recorded, and computed with its backward later.

    Subclasses say `kind`, `weights`, `shape`, `forward` and `backward`.

    >>> from handgrad.nn import Affine
    >>> layer = Affine(3)
    >>> {name: weight.shape for name, weight in layer.weights((4,)).items()}
    {'W': (4, 3), 'b': (3,)}
    """

    kind: ClassVar[str] = "layer"
    takes: ClassVar[str] = "one value"

    _arguments: dict[str, Any]
    _by_place: list[str]

    def __init__(self, name: str | None = None) -> None:
        """Give the layer a name in its network, in place of that of its attribute or place."""
        if name is not None and (not isinstance(name, str) or not name or "/" in name):
            raise OptionError(f"{type(self).__name__}: name must be a text without /, got {name!r}")
        self.name = name
        self.parameters: tuple[str, ...] = ()  # full names, in the order of `weights`
        self._root: Built | None = None
        self._label = ""  # full name in the network
        self._built: dict[str, Shape] = {}
        self._shapes: dict[tuple[Shape, ...], Shape] = {}  # of inputs -> of the output

    def _join(self, network: Built, label: str = "") -> None:
        """Become a layer of `network`, which calls it `label`."""
        self._root = network
        self._label = label

    def _note_built(self, weights: dict[str, Shape], rows: tuple[Shape, ...], shape: Shape) -> None:
        """Note the shapes of the weights, by full name, and that inputs of `rows` give outputs of `shape`."""
        if not self._shapes:
            self.parameters = tuple(weights)
            self._built = weights
        self._shapes[rows] = shape

    def _made(self) -> None:
        """Nothing is left to do after the constructor."""

    def __repr__(self) -> str:
        given = {key: value for key, value in self._arguments.items() if key != "name"}
        return shown_call(type(self).__name__, given, self._by_place)

    def __call__(self, *values: Value) -> Value:
        """Record a call of this layer in the ``forward`` that `values` belong to."""
        for value in values:
            if not isinstance(value, Value):
                raise OperationError(
                    f"{self!r} takes the values that a network's forward receives and its layers "
                    f"return, got {type(value).__name__}; for arrays call the pair itself, as in "
                    "handgrad.layers.affine_forward(x, w, b)"
                )
        if not values:
            raise OperationError(f"{self!r} must be called with {self.takes}, got nothing")
        return values[0].graph.add(self, values)

    # -- what a layer is ---------------------------------------------------------------------------

    def weights(self, *shapes: Shape) -> dict[str, Weight]:
        """Return the parameters for inputs of `shapes` (without N), in the order of the pair."""
        return {}

    def shape(self, *shapes: Shape) -> Shape:
        """Return the shape of the output, without N; raise an error for inputs that do not fit."""
        raise NotImplementedError

    def forward(self, xs: Sequence[Array], params: Sequence[Array], mode: str) -> tuple[Array, Any]:
        """Compute the output, and what backward needs, in the mode 'train' or 'test'."""
        raise NotImplementedError

    def backward(self, dout: Array, cache: Any) -> tuple[Sequence[Array], Sequence[Array]]:
        """Return the gradients of the inputs, and those of the parameters."""
        raise NotImplementedError

    def backward_of_parameters(self, dout: Array, cache: Any) -> Sequence[Array]:
        """Return the gradients of the parameters, where those of the inputs are not used."""
        return self.backward(dout, cache)[1]

    # -- state beside the parameters ---------------------------------------------------------------

    keeps: ClassVar[bool] = False
    """Whether the network keeps this layer's buffers, and hands them to each call by `in_call`."""

    def in_call(self, buffers: dict[str, Array]) -> Layer:
        """Return a copy of this layer for one call of its network, in which it keeps `buffers`.

        What the call does to them is seen by no other call; `buffers()` of the copy returns it.
        """
        own = copied(self)
        own._root = None
        return own

    def _kept_by_network(self) -> dict[str, Array] | None:
        """Return the buffers that the network keeps for this layer; None if it is in none."""
        return None if self._root is None else self._root._kept.get(self._label, {})

    def buffers(self) -> dict[str, Array]:
        """Return the layer's running statistics by name."""
        return {}

    def load_buffers(self, buffers: dict[str, np.ndarray]) -> None:
        """Take running statistics by name in the place of the present ones."""

    def stream(self) -> Any:
        """Return the layer's own random stream, None if it has none."""
        return None

    def buffer_shapes(self) -> dict[str, Shape | None]:
        """Return the shapes of the running statistics that `load_buffers` takes, None where any may come."""
        return {}

    @property
    def has_state(self) -> bool:
        """Whether the layer keeps anything from call to call but parameters."""
        return False

    def config(self) -> dict[str, Any]:
        """Return a table that `handgrad.nn.build_layer` makes this layer from again."""
        cls = type(self)
        home = "handgrad.nn"
        name = cls.__name__ if cls.__module__.startswith(home + ".") else import_path(cls)
        return {"layer": name, **plain(repr(self), self._arguments)}


class PairLayer(Layer):
    """A layer that calls one pair: ``<pair>_forward(*inputs, *arrays, *options)``."""

    pair_name: ClassVar[str] = ""
    link: ClassVar[str] = ""
    """What the pair is called in chains (`handgrad.layers.chain`); no subclass inherits it.

    A network asks for the options of a link when it plans a batch of a new shape; where the layer `keeps`
    buffers, in each call.
    """
    count: ClassVar[int] = 1  # of inputs

    def __call__(self, *values: Value) -> Value:
        """Record a call, of as many values as the pair takes."""
        if values and len(values) != self.count:
            raise OperationError(f"{self!r} must be called with {self.takes}, got {len(values)}")
        return super().__call__(*values)

    def pair(self, x: Array) -> str:
        """Return the name of the pair for an input x."""
        return self.pair_name

    def arrays(self, x: Array, params: Sequence[Array]) -> list[tuple[Array, bool]]:
        """Return the pair's arrays behind the inputs, and for each whether it is a parameter."""
        return [(w, True) for w in params]

    def options(self, x: Array, mode: str) -> tuple[Any, ...]:
        """Return the pair's arguments behind the arrays."""
        return ()

    def forward(self, xs: Sequence[Array], params: Sequence[Array], mode: str) -> tuple[Array, Any]:
        """Call the pair's forward."""
        pair = self.pair(xs[0])
        arrays = self.arrays(xs[0], params)
        forward = getattr(layers, pair + "_forward")
        out, cache = forward(*xs, *(array for array, _ in arrays), *self.options(xs[0], mode))
        return out, (pair, [learned for _, learned in arrays], cache)

    def backward(self, dout: Array, cache: Any) -> tuple[Sequence[Array], Sequence[Array]]:
        """Call the pair's backward."""
        pair, learned, kept = cache
        gradients = getattr(layers, backward_name(pair))(dout, kept)
        if not isinstance(gradients, tuple):
            gradients = (gradients,)
        return gradients[: self.count], learned_ones(gradients[self.count :], learned)


def learned_ones(gradients: Sequence[Array], learned: Sequence[bool]) -> list[Array]:
    """Return the gradients of those of a pair's arrays that are parameters."""
    return [gradient for gradient, is_own in zip(gradients, learned, strict=True) if is_own]


def filled(x: Array, count: int, value: float) -> Array:
    """Return `count` times `value`, in the library, dtype and place of x: a parameter left out."""
    if isinstance(x, np.ndarray):
        return np.full(count, value, x.dtype)
    return namespace(x).full((count,), value, dtype=x.dtype, device=x.device)


def need_images(layer: Layer, shape: Shape) -> Shape:
    """Return `shape` if it is (C, H, W), else raise ShapeError."""
    if len(shape) != 3:
        text = str(("N", *shape)).replace("'", "")
        raise ShapeError(f"{layer!r} takes images (N, C, H, W), got {text}")
    return shape


def numbers(shape: Shape) -> int:
    """Return how many numbers a row of `shape` has."""
    return prod(shape)
