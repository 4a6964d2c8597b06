"""Ready networks: parameters by name, and ``loss(X, y)`` with hand-written gradients.

``model.params`` maps names to live arrays; ``model.loss(X)`` gives scores, ``model.loss(X, y)`` the
loss and a dictionary of gradients with the keys of params.  That is all that the Solver knows.
"""

from collections.abc import Callable
from typing import Any

from handgrad import nn
from handgrad.errors import OptionError, is_one_of
from handgrad.models.convolutional import ConvNet, ThreeLayerConvNet
from handgrad.models.fully_connected import FullyConnectedNet, TwoLayerNet
from handgrad.models.network import Network
from handgrad.models.ready import (
    DenseNet,
    ResNet,
    allconv,
    densenet,
    resnet8,
    resnet20,
    resnet56,
    vgg,
)
from handgrad.models.speed import speednet

__all__ = [
    "MODELS",
    "ConvNet",
    "DenseNet",
    "FullyConnectedNet",
    "Network",
    "ResNet",
    "ThreeLayerConvNet",
    "TwoLayerNet",
    "allconv",
    "build",
    "constructor",
    "densenet",
    "resnet8",
    "resnet20",
    "resnet56",
    "speednet",
    "vgg",
]

MODELS: dict[str, Callable[..., Any]] = {
    "TwoLayerNet": TwoLayerNet,
    "FullyConnectedNet": FullyConnectedNet,
    "ThreeLayerConvNet": ThreeLayerConvNet,
    "ConvNet": ConvNet,
    "Sequential": nn.sequential,
    "resnet8": resnet8,
    "resnet20": resnet20,
    "resnet56": resnet56,
    "densenet": densenet,
    "vgg": vgg,
    "allconv": allconv,
    "speednet": speednet,
}
"""Name -> what makes the model."""


def constructor(name: str) -> Callable[..., Any]:
    """Return what makes the model called `name`: one of `MODELS`, or a class at an import path.

    Raises OptionError for an unknown name, and for a path "package.module:Class" that leads to no
    subclass of `handgrad.nn.Model`.

    >>> constructor('resnet8').__name__
    'resnet8'
    """
    if isinstance(name, str) and ":" in name:
        return nn.model_class(name)
    if not is_one_of(name, MODELS):
        raise OptionError(
            f"model: name must be one of {', '.join(MODELS)}, or the import path of a Model's class, "
            f"as package.module:Class; got {name!r}"
        )
    return MODELS[name]


def build(name: str, **options: Any) -> Any:
    """Build the model called `name` from plain options, those of its constructor.

    The name is one of `MODELS`, or the import path of your own class, "package.module:Class".
    Raises OptionError for an unknown model, for an unknown option (naming the known ones), and for
    a missing one.

    >>> build("TwoLayerNet", input_dim=64, hidden_dim=32).params["W1"].shape
    (64, 32)
    """
    return nn.check_options(f"model {name}", constructor(name), options)
