"""A network from a model of Keras, or from a ``.keras`` file.

Images are (N, H, W, C) in Keras and (N, C, H, W) here: the weights of convolutions, and of dense layers
behind
a flattened image, are sorted accordingly, and no number of them changes.
"""

from __future__ import annotations

import warnings
from os import PathLike
from typing import Any

import numpy as np

from handgrad.errors import DataError, OptionError, as_path, shown
from handgrad.interop.keras_files import check_size, checked_file
from handgrad.interop.keras_ops import LAYERS
from handgrad.interop.network import Images, Network
from handgrad.interop.optional import library
from handgrad.interop.reader import Growing, NoCounterpart, Unknown, Value, as_seen
from handgrad.interop.rebuild import GraphModel, check_options, model_of

Made = Any


def from_keras(model: Any, **options: Any) -> GraphModel:
    """Read a model of Keras, or a ``.keras`` file, as a network that trains on.

    Args:
        model: a Sequential or functional model, channels last; or the path of a file.
        **options: those of `handgrad.nn.Model`, as reg and loss.

    Returns:
        A `GraphModel` with the weights and running statistics; it takes images as (N, C, H, W).

    Raises:
        OperationError: layers that have no counterpart, all of them with their names.
        DataError: the file is damaged, unpacks to more than it may, holds code (Lambda layers, classes of
            other packages) or links, or has layers with more numbers than it holds.
        OptionError: it is no model, or Keras is missing.
    """
    check_options("from_keras", options)
    return model_of(network_of(model), **options)


def network_of(model: Any) -> Network:
    """Return the neutral form of a model of Keras, see `from_keras`."""
    keras = library("keras", "from_keras")
    images = Images()
    if isinstance(model, str | PathLike):
        path = as_path("from_keras", "model", model)
        images, config, held = checked_file(path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                check_size(keras, config, held, path)
                model = keras.saving.load_model(path, compile=False, safe_mode=True)
        except DataError:
            raise
        except Exception as error:  # of many kinds
            raise DataError(
                f"{path} cannot be read: {' '.join(str(error).split())[:300]}"
            ) from None
        if "columns" in images.info:
            model = _behind_columns(keras, model)
    if not isinstance(model, keras.Model):
        raise OptionError(
            f"from_keras: model must be a model of Keras or a file, got {shown(model)}"
        )
    functional = _functional(keras, model)
    if functional is None:
        raise OptionError(
            "from_keras: the layers of a subclassed model are not known; make a functional or "
            "Sequential one, and call or build it once"
        )
    reader = _Reader(keras, f"from_keras: {model.name}")
    growing = reader.growing
    values = {}
    for tensor in functional.inputs:
        shape = tuple(tensor.shape[1:])
        if not all(isinstance(n, int) and n > 0 for n in shape) or not shape:
            raise OptionError(
                f"from_keras: the shape of the input {tensor.name} is not known: {tensor.shape}"
            )
        shape = (shape[-1], *shape[:-1])
        values[id(tensor)] = growing.input(tensor.name, shape)
    reader.walk(functional, values)
    outputs = functional.outputs
    if len(outputs) != 1:
        growing.problem(f"{len(outputs)} outputs", "a network has one, its scores")
    output = values.get(id(outputs[0]))
    if isinstance(output, Value) and output.name in reader.softmaxes:
        warnings.warn(
            f"{growing.where}: the softmax at the end is left out; the losses take the scores in front of it",
            stacklevel=3,
        )
        output = reader.softmaxes[output.name]
    return growing.network(model.name, output, images)


def _behind_columns(keras: Any, model: Any) -> Any:
    """Return the model behind what it makes of the columns of a table, in a file that `export` wrote."""
    first = [layer for layer in model.layers if layer.name == "columns"]
    kinds = keras.layers.Normalization, keras.layers.Rescaling
    behind = [layer for layer in first if isinstance(layer, kinds)]
    return keras.Model(behind[0].output, model.output, name=model.name) if behind else model


def _functional(keras: Any, model: Any) -> Any:
    if isinstance(model, keras.Sequential):
        return getattr(model, "_functional", None)
    return model if hasattr(model, "operations") and hasattr(model, "_nodes") else None


_KEEP = (
    "Dropout",
    "Activation",
    "ReLU",
    "LeakyReLU",
    "ELU",
    "GELU",
    "Gelu",
    "Rescaling",
    "Identity",
)


class _Reader:
    def __init__(self, keras: Any, where: str) -> None:
        self.keras, self.growing = keras, Growing(where)
        self.softmaxes: dict[str, Value] = {}
        self.layouts: dict[
            str, tuple[int, ...]
        ] = {}  # rows that are a flattened image in HWC order
        self.first: set[str] = set()  # values that Keras sees channels first

    def numbers(self, variable: Any) -> np.ndarray:
        array: np.ndarray = np.array(self.keras.ops.convert_to_numpy(variable))
        return array

    def walk(self, functional: Any, values: dict[int, Any]) -> None:
        """Translate the nodes of a functional model in their order."""
        nodes = functional._nodes_by_depth
        for depth in sorted(nodes, reverse=True):
            for node in nodes[depth]:
                if node.is_input:
                    continue
                given = [values.get(id(t), Unknown()) for t in node.input_tensors]
                for t in node.outputs:
                    values[id(t)] = Unknown()
                if not any(isinstance(g, Unknown) for g in given):
                    values[id(node.outputs[0])] = self.translate(node, given)
                for i, t in enumerate(node.outputs):
                    if isinstance(values[id(t)], Unknown):  # what makes it was named
                        label = f"{node.operation.name}.{i}"
                        shape = (*t.shape[-1:], *t.shape[1:-1])
                        values[id(t)] = self.growing.stand_in(label, shape)

    def translate(self, node: Any, given: list[Value]) -> Any:
        layer = node.operation
        kind = type(layer).__name__
        inner = _functional(self.keras, layer) if isinstance(layer, self.keras.Model) else None
        if inner is not None:
            values = {id(t): g for t, g in zip(inner.inputs, given, strict=True)}
            self.walk(inner, values)
            return values.get(id(inner.outputs[0]), Unknown())
        try:
            if kind not in LAYERS:
                raise NoCounterpart("")
            if getattr(layer, "data_format", "channels_last") == "channels_first":
                raise NoCounterpart("channels first")
            keeps = kind in _KEEP
            if not keeps and any(g.name in self.layouts for g in given) and kind != "Dense":
                raise NoCounterpart("on a flattened image that no Dense layer takes")
            if (
                not keeps
                and any(g.name in self.first for g in given)
                and kind not in ("Flatten", "Permute")
            ):
                raise NoCounterpart("on images with their channels first")
            out = LAYERS[kind](self, layer, given, node)
            if keeps and given[0].name in self.layouts:
                self.layouts[out.name] = self.layouts[given[0].name]
            if keeps and given[0].name in self.first:
                self.first.add(out.name)
            out = self.activated(layer, out, kind)
            is_row = len(out.shape) == 3 == len(node.outputs[0].shape) and out.shape[1] == 1
            return as_seen(out) if is_row else out
        except NoCounterpart as error:
            self.growing.problem(f"{layer.name} ({kind})", str(error))
            return Unknown()

    def activated(self, layer: Any, x: Value, kind: str) -> Value:
        """The activation that a layer has built in."""
        if kind in (
            "Dense",
            "Conv1D",
            "Conv2D",
            "DepthwiseConv2D",
            "SeparableConv2D",
            "Conv2DTranspose",
            "Activation",
        ):
            return self.activation(
                self.keras.activations.serialize(layer.activation), x, layer.name, kind
            )
        return x

    def activation(self, name: Any, x: Value, label: str, kind: str) -> Value:
        label = label if kind == "Activation" else f"{label}.{name}"
        known: dict[str, tuple[str, dict[str, Any]]] = {
            "relu": ("relu", {}), "sigmoid": ("sigmoid", {}), "tanh": ("tanh", {}),
            "softplus": ("softplus", {}), "elu": ("elu", {"alpha": 1.0}),
            "gelu": ("gelu", {"approximate": "none"}), "leaky_relu": ("leaky_relu", {"alpha": 0.2}),
        }  # fmt: skip
        if name in ("linear", None):
            return x
        if name in ("softmax", "log_softmax") and len(x.shape) == 1:
            fresh = self.growing.fresh(label)
            self.softmaxes[fresh] = x
            return Value(fresh, x.shape, x.shape)
        if name not in known:
            raise NoCounterpart(f"the activation {name}")
        op, options = known[str(name)]
        out = self.growing.add(op, [x], options, name=label)
        if x.name in self.layouts:
            self.layouts[out.name] = self.layouts[x.name]
        return out
