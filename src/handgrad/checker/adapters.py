"""Other forms of a pair, seen as two functions: objects, autograd functions, custom derivatives."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

Functions = tuple[Callable[..., Any], Callable[..., Any] | None]


def as_functions(thing: Any, backward: Callable[..., Any] | None = None) -> Functions:
    """Return forward and backward of whatever `thing` is."""
    torch = sys.modules.get("torch")
    if torch and inspect.isclass(thing) and issubclass(thing, torch.autograd.Function):
        return _torch(thing)
    if hasattr(thing, "defvjp") and hasattr(thing, "fun"):
        return _jax(thing)
    methods = hasattr(thing, "forward") and hasattr(thing, "backward")
    if backward is None and methods and not inspect.isclass(thing):
        return _object(thing)
    return thing, backward


def _object(layer: Any) -> Functions:
    """An object that keeps its cache in itself: each forward runs on a copy, which is the cache."""

    def forward(*arguments: Any) -> Any:
        own = copy.deepcopy(layer)
        out = own.forward(*arguments)
        return (out[0] if isinstance(out, tuple) else out), own

    def backward(dout: Any, own: Any) -> Any:
        return own.backward(dout)

    name = type(layer).__name__
    return _named(forward, f"{name}.forward", layer.forward), _named(
        backward, f"{name}.backward", layer.backward
    )


def _torch(function: Any) -> Functions:
    import torch

    def forward(*arguments: Any) -> Any:
        tensors = [
            torch.tensor(a, requires_grad=a.dtype.kind in "fc") if isinstance(a, np.ndarray) else a
            for a in arguments
        ]
        out = function.apply(*tensors)
        return out.detach().numpy().copy(), (out, tensors)

    def backward(dout: Any, cache: Any) -> Any:
        out, tensors = cache
        wanted = [t for t in tensors if isinstance(t, torch.Tensor) and t.requires_grad]
        gradients = torch.autograd.grad(
            out, wanted, torch.as_tensor(np.array(dout)), retain_graph=True, allow_unused=True
        )
        return tuple(
            np.zeros(tuple(t.shape)) if g is None else g.numpy().copy()
            for g, t in zip(gradients, wanted, strict=True)
        )

    name = function.__name__
    return _named(forward, f"{name}.forward", function.forward), _named(
        backward, f"{name}.backward", function.backward
    )


def _jax(function: Any) -> Functions:
    import jax

    def forward(*arguments: Any) -> Any:
        arrays = [i for i, a in enumerate(arguments) if isinstance(a, np.ndarray)]

        def of_arrays(*values: Any) -> Any:
            every = list(arguments)
            for i, value in zip(arrays, values, strict=True):
                every[i] = value
            return function(*every)

        out, pull = jax.vjp(of_arrays, *(arguments[i] for i in arrays))
        return np.array(out), pull

    def backward(dout: Any, pull: Any) -> Any:
        return tuple(np.array(gradient) for gradient in pull(np.asarray(dout)))

    name = getattr(function.fun, "__name__", "function")
    return _named(forward, f"{name}.forward", function.fun), _named(
        backward, f"{name}.backward", function.bwd or function.fun
    )


def _named(function: Callable[..., Any], name: str, original: Any) -> Callable[..., Any]:
    """Give the function the name, and the source lines, of what it stands for."""
    function.__name__ = name
    function.__wrapped__ = getattr(original, "__func__", original)  # type: ignore[attr-defined]
    return function
