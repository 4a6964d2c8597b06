"""Which reader a thing is for."""

from __future__ import annotations

from typing import Any

from handgrad.errors import OptionError
from handgrad.interop.network import Network


def network_of_module(module: Any, example: Any = None) -> Network:
    """Return the neutral form of a module of PyTorch or a model of Keras; see `from_torch`, `from_keras`."""
    if hasattr(module, "stateless_call"):
        from handgrad.interop.keras_in import network_of as of_keras

        return of_keras(module)
    if example is None:
        raise OptionError(
            "compare: give X, so that PyTorch can tell what the first network computes"
        )
    from handgrad.interop.torch_in import network_of as of_torch

    return of_torch(module, example)
