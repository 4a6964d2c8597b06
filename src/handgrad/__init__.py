"""Handgrad: every layer is a pair of functions you can read, every gradient is written by hand.

>>> import numpy as np
>>> from handgrad.layers import affine_backward, affine_forward
>>> x, w, b = np.ones((2, 3)), np.full((3, 4), 0.5), np.zeros(4)
>>> out, cache = affine_forward(x, w, b)
>>> dx, dw, db = affine_backward(np.ones_like(out), cache)
>>> out[0], dx.shape, db
(array([1.5, 1.5, 1.5, 1.5]), (2, 3), array([2., 2., 2., 2.]))
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

__version__ = "0.1.0"

# name -> module that defines it; a module is imported when one of its names is first used
_HOMES = {
    "ConvNet": "handgrad.models",
    "FullyConnectedNet": "handgrad.models",
    "Solver": "handgrad.training",
    "ThreeLayerConvNet": "handgrad.models",
    "TwoLayerNet": "handgrad.models",
    "check": "handgrad.checker",
    "export": "handgrad.interop",
    "load": "handgrad.training",
    "load_ipython_extension": "handgrad.courses.magic",  # for %load_ext handgrad
    "load_weights": "handgrad.training",
    "plot": "handgrad.report",
    "unload_ipython_extension": "handgrad.courses.magic",
    "use": "handgrad.engines",
}
_MODULES = (
    "bench",
    "checker",
    "courses",
    "data",
    "distributed",
    "engines",
    "errors",
    "experiments",
    "gradcheck",
    "interop",
    "lab",
    "layers",
    "models",
    "nn",
    "optim",
    "report",
    "sklearn",
    "testing",
    "training",
    "tuning",
)

__all__ = [
    "ConvNet",
    "FullyConnectedNet",
    "Solver",
    "ThreeLayerConvNet",
    "TwoLayerNet",
    "bench",
    "check",
    "checker",
    "courses",
    "data",
    "distributed",
    "engines",
    "errors",
    "experiments",
    "export",
    "gradcheck",
    "interop",
    "lab",
    "layers",
    "load",
    "load_weights",
    "models",
    "nn",
    "optim",
    "plot",
    "report",
    "testing",
    "training",
    "tuning",
    "use",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"handgrad.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'handgrad' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "sklearn", "__version__"]  # not for a star: it needs an extra


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


if _in_notebook():  # a notebook shows no header of a training
    from handgrad import engines as _engines

    if _missing := _engines.missing_text():
        print(_missing, file=sys.stderr)  # noqa: T201
