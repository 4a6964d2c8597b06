"""Other forms of a pair, seen as two functions: objects, autograd functions, custom derivatives."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.stored import INPUT_GRADIENTS, OUTPUTS, first_attribute
from handgrad.errors import OptionError

Functions = tuple[Callable[..., Any], Callable[..., Any] | None]


def as_functions(thing: Any, backward: Callable[..., Any] | None = None) -> Functions:
    """Return forward and backward of whatever `thing` is."""
    torch = sys.modules.get("torch")
    if torch and inspect.isclass(thing) and issubclass(thing, torch.autograd.Function):
        return _torch(thing)
    wrapped = getattr(thing, "__wrapped__", None)
    if hasattr(wrapped, "defvjp"):  # jit of a function with its own derivative
        thing = wrapped
    if hasattr(thing, "defvjp") and hasattr(thing, "fun"):
        return _jax(thing)
    methods = hasattr(thing, "forward") and hasattr(thing, "backward")
    if backward is None and methods:
        return _object(thing)
    return thing, backward


def _object(thing: Any) -> Functions:
    """Return the methods of an object, or of a class, as two functions.

    Each forward runs on a copy of the object.  That copy is the cache, along with what forward
    returns beside its output if backward asks for more than dout.
    """
    layer: Any = thing
    if inspect.isclass(thing) and not isinstance(
        inspect.getattr_static(thing, "forward"), staticmethod | classmethod
    ):
        try:
            layer = thing()
        except TypeError as error:
            raise OptionError(
                f"check: {thing.__name__} cannot be made without arguments ({error}); "
                "give an object of it"
            ) from None
    takes_cache = _positional(layer.backward) > 1

    def of(own: Any, *arguments: Any) -> Any:
        result = own.forward(*arguments)
        result = first_attribute(own, OUTPUTS) if result is None else result
        out, *rest = result if isinstance(result, tuple) else (result,)
        return out, (own, rest[0] if len(rest) == 1 else tuple(rest))

    def forward(*arguments: Any) -> Any:
        return of(layer if inspect.isclass(layer) else copy.deepcopy(layer), *arguments)

    def backward(dout: Any, cache: Any) -> Any:
        own, rest = cache
        result = own.backward(dout, rest) if takes_cache else own.backward(dout)
        return first_attribute(own, INPUT_GRADIENTS) if result is None else result

    if not inspect.isclass(layer):
        forward.layer, forward.of = layer, of  # type: ignore[attr-defined]
        backward.layer = layer  # type: ignore[attr-defined]

    name = layer.__name__ if inspect.isclass(layer) else type(layer).__name__
    return _named(forward, f"{name}.forward", layer.forward), _named(
        backward, f"{name}.backward", layer.backward
    )


def _positional(function: Any) -> int:
    """How many arguments a function needs."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 1
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in kinds and p.default is p.empty for p in parameters)


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
        given = torch.as_tensor(np.array(dout))
        gradients = torch.autograd.grad(out, wanted, given, retain_graph=True, allow_unused=True)
        if np.ndim(dout):  # what backward did to its dout is seen by the caller
            dout[...] = given.numpy()
        return tuple(
            np.zeros(tuple(t.shape)) if g is None else g.numpy().copy()
            for g, t in zip(gradients, wanted, strict=True)
        )

    forward.whole_numbers = False  # type: ignore[attr-defined]
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

    forward.whole_numbers = False  # type: ignore[attr-defined]
    name = getattr(function.fun, "__name__", "function")
    return _named(forward, f"{name}.forward", function.fun), _named(
        backward, f"{name}.backward", function.bwd or function.fun
    )


def _named(function: Callable[..., Any], name: str, original: Any) -> Callable[..., Any]:
    """Give the function the name, and the source lines, of what it stands for."""
    function.__name__ = name
    function.__wrapped__ = getattr(original, "__func__", original)  # type: ignore[attr-defined]
    return function
