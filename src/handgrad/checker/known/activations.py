"""Activations to which no course gives a constant: the code's own slope, limit or form is the right one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad import layers
from handgrad.checker.known.layer import KnownLayer, Truth
from handgrad.checker.records import Config, Raised
from handgrad.checker.undisturbed import quiet, run

_POINTS = np.array([[-40.0, -1.0, 1.0, 2.0]])


def as_meant(layer: KnownLayer) -> KnownLayer:
    """Let a layer be the one that a function computes, where another constant makes it so."""
    return replace(layer, meant=lambda function: _with(layer, _constant(layer.name, function)))


def _constant(name: str, function: Callable[..., Any]) -> Any:
    """Return the constant under which the library gives what the function gives; None if none does."""
    with quiet():
        result = run(function, _POINTS.copy())
    if isinstance(result, Raised) or not (isinstance(result, tuple | list) and result):
        return None
    out = result[0]
    if not isinstance(out, np.ndarray) or out.shape != _POINTS.shape or out.dtype.kind != "f":
        return None
    tried: list[Any] = {
        "leaky_relu": [-out[0, 1]],
        "elu": [-out[0, 0]],
        "gelu": ["none", "tanh"],
    }.get(name, [])
    for constant in tried:
        if not isinstance(constant, str) and not 0 < constant < 10:
            continue
        right, _ = _forward(name)(_POINTS, constant, engine="vectorized")
        if np.allclose(out, right, rtol=1e-6, atol=1e-9):
            return constant
    return None


def _forward(name: str) -> Callable[..., Any]:
    return getattr(layers, f"{name}_forward")


def _with(layer: KnownLayer, constant: Any) -> KnownLayer:
    if constant is None:
        return layer

    def reference(config: Config) -> Truth:
        x = np.asarray(config.arrays["x"], np.float64)
        out, cache = _forward(layer.name)(x, constant, engine="vectorized")
        return Truth({"out": out}, (), functools.partial(_gradient, layer.name, cache))

    return replace(layer, reference=reference, cache={})


def _gradient(name: str, cache: Any, dout: Any) -> dict[str, Any]:
    return {"dx": getattr(layers, f"{name}_backward")(dout, cache)}
