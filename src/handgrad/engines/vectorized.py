"""The engine of the layer files: their array code, in the Python array API standard.

It takes NumPy, PyTorch and CuPy arrays, on their own device.  The code of a pair is in the file of its
layer, which puts it here as `handgrad.layers` is imported:

    @vectorized.computes("relu_forward")
    def _forward(x): ...
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from handgrad.engines.pairs import FUNCTIONS

fused = None  # every pair is a call of its own

Function = TypeVar("Function", bound=Callable[..., Any])


def computes(name: str) -> Callable[[Function], Function]:
    """Make the decorated function what this engine computes as `name`, one of `FUNCTIONS`."""
    if name not in FUNCTIONS or name in globals():
        raise ValueError(f"{name} is no name of handgrad.engines.pairs, or is there already")

    def put(function: Function) -> Function:
        globals()[name] = function
        return function

    return put


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"the vectorized engine has no {name!r}: its code is that of the layer files, "
        "which `import handgrad.layers` brings"
    )
