"""Ready networks: parameters by name, and ``loss(X, y)`` with hand-written gradients.

``model.params`` maps names to live arrays; ``model.loss(X)`` gives scores, ``model.loss(X, y)`` the
loss and a dictionary of gradients with the keys of params.  That is all that the Solver knows.
"""

import inspect
from typing import Any

from handgrad.errors import OptionError, check_known, is_one_of
from handgrad.models.convolutional import ConvNet, ThreeLayerConvNet
from handgrad.models.fully_connected import FullyConnectedNet, TwoLayerNet
from handgrad.models.network import Network

__all__ = [
    "MODELS",
    "ConvNet",
    "FullyConnectedNet",
    "Network",
    "ThreeLayerConvNet",
    "TwoLayerNet",
    "build",
]

MODELS: dict[str, type[Network]] = {
    model.__name__: model for model in (TwoLayerNet, FullyConnectedNet, ThreeLayerConvNet, ConvNet)
}


def build(name: str, **options: Any) -> Network:
    """Build the model called `name` from plain options, those of its constructor.

    Raises OptionError for an unknown model, for an unknown option (naming the known ones), and for
    a missing one.

    >>> build("TwoLayerNet", input_dim=64, hidden_dim=32).params["W1"].shape
    (64, 32)
    """
    if not is_one_of(name, MODELS):
        raise OptionError(f"model: name must be one of {', '.join(MODELS)}; got {name!r}")
    known = inspect.signature(MODELS[name]).parameters
    check_known(f"model {name}", options, known)
    for option, parameter in known.items():
        if parameter.default is parameter.empty and option not in options:
            raise OptionError(f"model {name}: lacks {option}; its options are {', '.join(known)}")
    return MODELS[name](**options)
