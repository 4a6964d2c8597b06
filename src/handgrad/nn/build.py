"""From the tables of a configuration to layer objects and networks."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from handgrad.errors import OptionError, check_known, required, shown
from handgrad.nn import activations, joins, linear, norms, pools, sequences, whitening
from handgrad.nn.custom import CustomPair
from handgrad.nn.layer import Layer
from handgrad.nn.model import Model
from handgrad.nn.sequential import Sequential

_BASES = (
    activations.Activation,
    linear.Linear,
    norms.Norm,
    pools.Pool,
    sequences.Pool1d,
    sequences._AsImages,
)
LAYERS: dict[str, type[Layer]] = {
    name: thing
    for module in (activations, joins, linear, norms, pools, sequences, whitening)
    for name, thing in vars(module).items()
    if isinstance(thing, type)
    and issubclass(thing, Layer)
    and thing.__module__ == module.__name__
    and thing not in _BASES
}
"""The layer objects of the library by name."""


def build_layer(table: Any) -> Layer | Model:
    """Make a layer, or a block, of a table: ``{"layer": "Conv2d", "num_filters": 32, ...}``.

    The layer is one of `LAYERS`, "Sequential" with the tables of its own layers, or the import path
    of a class or of a pair made by `layer`, as "package.module:name".

    Raises OptionError for an unknown layer or option.

    >>> build_layer({'layer': 'Conv2d', 'num_filters': 8, 'filter_size': 3})
    Conv2d(8, 3)
    """
    name = required("layer", "the table", table, "layer")
    options = {str(key): value for key, value in table.items() if key != "layer"}
    if name == "Sequential":
        check_known("Sequential", options, ["layers"])
        block: Sequential = Sequential(
            _layers(required("Sequential", "the table", table, "layers"))
        )
        return block
    made: Any = LAYERS.get(name) if isinstance(name, str) else None
    if made is None:
        if not isinstance(name, str) or ":" not in name:
            raise OptionError(
                f"layer: layer must be one of {', '.join(LAYERS)}, Sequential, or an import path "
                f"as package.module:name; got {name!r}"
            )
        made = imported(name)
        if not (isinstance(made, CustomPair) or _is_subclass(made, (Layer, Model))):
            raise OptionError(
                f"layer: {name} is no layer of handgrad.nn, no Model, and not made by @nn.layer"
            )
    return check_options(name, made, options)


def sequential(
    layers: Sequence[Any],
    input_shape: Any = None,
    *,
    reg: float = 0.0,
    dtype: Any = np.float32,
    init: Any = "kaiming",
    loss: Any = "softmax",
    label_smoothing: float = 0.0,
    fuse: bool = True,
    rng: Any = None,
) -> Sequential:
    """Make a `Sequential` of the tables of its layers, or of layers; options as those of `Model`.

    >>> model = sequential([{'layer': 'Affine', 'width': 3}], input_shape=(4,))
    >>> sorted(model.params)
    ['affine1.W', 'affine1.b']
    """
    parts = _layers(layers)
    options: dict[str, Any] = {"reg": reg, "dtype": dtype, "init": init, "loss": loss, "fuse": fuse}
    options["label_smoothing"] = label_smoothing
    network: Sequential = Sequential(parts, input_shape, **options, rng=rng)
    return network


def _layers(layers: Any) -> list[Layer | Model]:
    if isinstance(layers, str | Mapping) or not isinstance(layers, Sequence):
        raise OptionError(f"Sequential: layers must be a list of tables, got {layers!r}")
    return [part if isinstance(part, Layer | Model) else build_layer(part) for part in layers]


def model_class(path: str) -> type[Model]:
    """Return the class at an import path "package.module:Class".

    Raises OptionError if there is none, or it is no subclass of `Model`.

    >>> model_class('handgrad.models:ResNet').__name__
    'ResNet'
    """
    cls: type[Model] = imported(path)
    if not _is_subclass(cls, (Model,)):
        raise OptionError(f"model: {path} is no subclass of handgrad.nn.Model")
    return cls


def imported(path: str) -> Any:
    """Return what an import path "package.module:name" names; OptionError if it cannot be had."""
    if not isinstance(path, str):
        raise OptionError(
            f"model: an import path is a text, as package.module:Class, got {shown(path)}"
        )
    module_name, _, name = path.partition(":")
    if not module_name or not name.replace(".", "").isidentifier():
        raise OptionError(f"model: {path!r} is no import path, as package.module:Class")
    try:
        thing: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise OptionError(
            f"model: {path} cannot be imported ({error}); run in the folder that holds the module, "
            "or put that folder into PYTHONPATH"
        ) from None
    for part in name.split("."):
        if not hasattr(thing, part):
            raise OptionError(f"model: the module {module_name} has no {name}")
        thing = getattr(thing, part)
    return thing


def check_options(name: str, made: Any, options: Mapping[str, Any]) -> Any:
    """Call `made` with `options`, after checking them against its signature.

    >>> from handgrad.nn import Affine
    >>> check_options('Affine', Affine, {'width': 3})
    Affine(3)
    """
    if isinstance(made, CustomPair):
        return made(**options)
    parameters = inspect.signature(made).parameters
    is_open = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if not is_open:
        check_known(name, options, parameters)
    for option, p in parameters.items():
        needed = p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        if needed and option not in options:
            raise OptionError(f"{name}: lacks {option}; its options are {', '.join(parameters)}")
    return made(**options)


def _is_subclass(thing: Any, classes: tuple[type, ...]) -> bool:
    return isinstance(thing, type) and issubclass(thing, classes)
