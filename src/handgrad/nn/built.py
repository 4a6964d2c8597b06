"""What a network is made of: layers with names, and their parameters."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad.errors import HandgradError, OperationError, OptionError, ShapeError
from handgrad.nn.configured import Configured
from handgrad.nn.fit import texts
from handgrad.nn.graph import Graph
from handgrad.nn.layer import Layer
from handgrad.nn.options import Init, Shape, as_random_source, draw
from handgrad.nn.state import Stateful, in_mode, lock_of_each_process
from handgrad.nn.summary import by
from handgrad.nn.value import Value

Arrays = dict[str, np.ndarray]

_building = lock_of_each_process()


class Built(Stateful, metaclass=Configured):
    """A network whose layers get their names and parameters from its own ``forward``."""

    _arguments: dict[str, Any]
    _is_made = False

    def __init__(self, shapes: list[Shape] | None, init: Init, dtype: Any, rng: Any) -> None:
        """Begin with nothing built; the arguments are the checked ones of `handgrad.nn.Model`."""
        self.dtype = dtype
        self._input_shapes = shapes
        self._init = init
        # modules cannot be copied: NumPy's global stream is looked up when it is drawn from
        self._rng = rng
        self._params: Arrays = {}
        self._decays: list[str] = []
        self._shapes_of_params: dict[str, Shape] = {}
        self._layers: list[Layer] = []
        self._row_shape: Shape | None = None  # of the output, once the network is built
        self._rows: list[tuple[str, str, str, str]] = []  # of the summary
        self._root: Built | None = None  # the network that this one is a block of
        self._mode = "test"  # of the last call
        self._trained_in = threading.get_ident()
        self._kept: dict[
            str, Arrays
        ] = {}  # buffers of the layers by label; replaced, never changed
        self._is_made = True

    def _made(self) -> None:
        """Draw the parameters, if the shape of the input is known."""
        if not self._is_made:
            raise OptionError(f"{self._name}.__init__ must call super().__init__()")
        if self._input_shapes is not None:
            self._build(self._input_shapes)

    if TYPE_CHECKING:
        forward: Callable[..., Any]  # each network takes as many inputs as it needs
    else:

        def forward(self, *values: Value) -> Value:
            """Connect the layers: take the inputs, return the scores.  Subclasses write this."""
            raise OperationError(f"{self._name} must have a method forward(self, x)")

    def _check_built(self, what: str) -> None:
        if self._row_shape is None:
            hint = (
                "it is a block of another network, whose params hold its parameters"
                if self._root is not None
                else "pass input_shape, the shape of one row, to its constructor (or to "
                "super().__init__), or call loss(X) once"
            )
            raise OptionError(f"{self._name}: {what} is not known yet: {hint}")

    def _build(self, rows: Sequence[Shape]) -> None:
        """Name the layers, and draw the parameters in the order in which forward uses them."""
        with _building:
            if self._row_shape is None:  # another thread may have built it meanwhile
                self._build_alone(rows)

    def _build_alone(self, rows: Sequence[Shape]) -> None:
        self._register(self, "")
        self._input_shapes = list(rows)
        try:
            graphs = [self._record([(1, *row) for row in rows], mode) for mode in ("test", "train")]
            (graph, output), _ = graphs
        except BaseException:
            self._params, self._decays = {}, []
            raise
        unused = [layer for layer in self._layers if not layer._shapes]
        if unused:
            raise OptionError(
                f"{self._name}: forward never calls {', '.join(x._label for x in unused)}; "
                "use every layer, or do not make it"
            )
        if len(output.shape) < 2:
            raise ShapeError(f"{self._name}: forward must return scores (N, C), got {output!r}")
        self._rows = [("input", "", by(row), "") for row in rows]
        for call in graph.calls:
            count = sum(self._params[name].size for name in call.layer.parameters)
            again = "#" in call.label
            number = "the same" if again and count else f"{count:,}"
            self._rows.append((call.label, repr(call.layer), by(call.shape[1:]), number))
        self._rng = None  # the random source is not part of the network
        self._shapes_of_params = {name: w.shape for name, w in self._params.items()}
        self._row_shape = output.shape[1:]  # from here on it is built

    def _note_mode(self, mode: str) -> None:
        """Note the mode of a call that computes without `loss`."""
        self._mode = mode

    def _join(self, network: Built) -> None:
        """Become a block of `network`."""
        self._root = network

    def _register(self, block: Built, prefix: str) -> None:
        """Give the layers in `block`, and in blocks of it, their full names."""
        for name, part in block._parts():
            label = f"{prefix}{name}"
            if part._root is self:
                continue  # two attributes for one object: the first names it
            if part._root is not None or getattr(part, "_row_shape", None) is not None:
                raise OptionError(
                    f"{self._name}: {label}, {part!r}, belongs to another network; make one for each"
                )
            if isinstance(part, Built):
                part._join(self)
                self._register(part, label + ".")
            else:
                if any(label == other._label for other in self._layers):
                    raise OptionError(f"{self._name}: two layers have the name {label}")
                part._join(self, label)
                self._layers.append(part)

    def _parts(self) -> Iterator[tuple[str, Layer | Built]]:
        """Yield the layers and blocks among the attributes, those in lists and dictionaries too."""
        for name, value in vars(self).items():
            if not name.startswith("_"):
                yield from _parts_of(name, value)

    def _admit(self, layer: Layer, rows: tuple[Shape, ...]) -> tuple[str, Shape]:
        """Return the name of `layer` and the shape of its output for inputs of `rows`; build it."""
        label = layer._label if layer._root is self else layer.name or layer.kind
        known = layer._shapes.get(rows) if layer._root is self else None
        if known is not None:
            return label, known
        try:
            shape = layer.shape(*rows)
            weights = layer.weights(*rows)
        except HandgradError as error:
            raise type(error)(f"{self._name}, layer {label}: {error}") from error
        if layer._root is self:
            shapes = {self._full_name(label, name): w.shape for name, w in weights.items()}
            if not layer._shapes:
                for full, weight in zip(shapes, weights.values(), strict=True):
                    init = self._init if weight.init is None else weight.init
                    rng = as_random_source(self._name, self._rng)
                    value = draw(f"{self._name}, {full}", init, weight.shape, weight.fan_in, rng)
                    self._params[full] = value if self.dtype is None else value.astype(self.dtype)
                    if weight.decays:
                        self._decays.append(full)
            elif shapes != layer._built:
                raise ShapeError(
                    f"{self._name}, layer {label}: {layer!r} was built for inputs of "
                    f"{texts(next(iter(tuple(layer._shapes))))} without N, got {texts(rows)}"
                )
            layer._note_built(shapes, rows, shape)
        elif layer._root is not None or weights or layer.has_state:
            self._refuse_unknown(repr(layer))
        return label, shape

    def _full_name(self, label: str, name: str) -> str:
        """Return what the parameter `name` of the layer `label` is called in `params`."""
        return f"{label}.{name}"

    def _of_layer(self, label: str, error: HandgradError) -> HandgradError:
        """Return `error`, which a layer raised in a call, with the names of network and layer in front."""
        return type(error)(f"{self._name}, layer {label}: {error}")

    def _refuse_unknown(self, what: str) -> None:
        raise OptionError(
            f"{self._name}: {what} is no part of this network; make layers and blocks in __init__ "
            "and keep them as attributes (or in lists that are), so that their parameters have names"
        )

    def _record(self, shapes: Sequence[Shape], mode: str) -> tuple[Graph, Value]:
        """Run forward on values of `shapes` (N, ...)."""
        graph = Graph(self, mode, shapes)
        with in_mode(mode):
            output = self.forward(*graph.inputs)
        if not isinstance(output, Value) or output.graph is not graph:
            raise OperationError(
                f"{self._name}.forward must return the value that its last layer gave, got "
                f"{type(output).__name__}"
            )
        return graph, output


def _parts_of(name: str, value: Any) -> Iterator[tuple[str, Layer | Built]]:
    if isinstance(value, Layer | Built):
        yield value.name if isinstance(value, Layer) and value.name else name, value
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _parts_of(f"{name}.{i}", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _parts_of(f"{name}.{key}", item)
