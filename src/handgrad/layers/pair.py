"""What all pairs share: the cache, the way to the engine, and the checks of the backward pass."""

from __future__ import annotations

from typing import Any, NamedTuple

from handgrad import engines
from handgrad.engines.arrays import Array, cast
from handgrad.errors import CacheError, ShapeError, as_flag

_SHOWN = 4  # items of a list in the text of a cache


class Cache(NamedTuple):
    """What forward hands to backward.

    Attributes:
        layer: name of the layer.
        engine: the engine that made it.
        shape: the output's, so also dout's.
        like: an empty array of the output's library and dtype.
        saved: what the engine's backward needs, in the vectorized engine the ``Saved`` of the layer's
            file.

    >>> import numpy as np
    >>> Cache("relu", "naive", (2, 3), np.zeros((0, 3)), np.ones((2, 3)))
    Cache(layer='relu', engine='naive', shape=(2, 3), like=float64[0, 3], saved=float64[2, 3])
    """

    layer: str
    engine: str
    shape: tuple[int, ...]
    like: Array
    saved: Any

    def __repr__(self) -> str:
        return in_short(self)


class Checked(NamedTuple):
    """What the checks of a pair find.

    Attributes:
        pair: the engines' name of it.
        options: its plain arguments behind the arrays.
        shape: the output's.
    """

    pair: str
    options: tuple[Any, ...]
    shape: tuple[int, ...]


def in_short(value: Any) -> str:
    """Return `value` as text, with the dtype and shape of arrays in place of their numbers."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{str(value.dtype).rpartition('.')[2]}{list(value.shape)}"
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        fields = (
            f"{name}={in_short(item)}" for name, item in zip(value._fields, value, strict=True)
        )
        return f"{type(value).__name__}({', '.join(fields)})"
    if isinstance(value, tuple | list):
        items = [in_short(item) for item in value[:_SHOWN]]
        items += [f"and {len(value) - _SHOWN} more"] if len(value) > _SHOWN else []
        return f"({', '.join(items)})"
    return repr(value)


def run_forward(
    layer: str, engine: str | None, arrays: tuple[Array, ...], *options: Any
) -> tuple[Array, Cache]:
    """Call the engine's ``<layer>_forward(*arrays, *options)`` on checked arrays of one dtype."""
    name, module = engines.select(engine, arrays[0])
    out, saved = getattr(module, layer + "_forward")(*arrays, *options)
    return out, Cache(layer, name, tuple(out.shape), out[:0, ...], saved)


def run_backward(layer: str, dout: Array, cache: Cache, variant: str = "backward") -> Any:
    """Call the backward of the engine that made `cache`, after checking `cache` and `dout`."""
    dout = check_backward(layer, dout, cache)
    return getattr(engines.get(cache.engine), f"{layer}_{variant}")(dout, cache.saved)


def run_linear_backward(
    layer: str, dout: Array, cache: Cache, need_dx: bool
) -> tuple[Array | None, Array, Array]:
    """Return dx, dw and db; dx is None where it is not needed, and an engine may not compute it."""
    need_dx = as_flag(f"{layer}_backward", "need_dx", need_dx)
    dout = check_backward(layer, dout, cache)
    module = engines.get(cache.engine)
    gradients: tuple[Array | None, Array, Array]
    if not need_dx and module.fused and (layer,) in module.fused.CHAINS:
        gradients = module.fused.backward(dout, cache.saved, False)
        return gradients
    gradients = getattr(module, layer + "_backward")(dout, cache.saved)
    return gradients if need_dx else (None, *gradients[1:])


def backward_name(pair: str) -> str:
    """Return the name of the backward to call: the simplified one of batch normalisation."""
    return "batchnorm_backward_alt" if pair == "batchnorm" else pair + "_backward"


def check_backward(layer: str, dout: Array, cache: Cache, name: str = "dout") -> Array:
    """Return `dout` in the dtype of the forward pass; refuse another layer's cache or another shape.

    name: what the layer calls its upstream gradient.
    """
    if type(cache) is not Cache or cache.layer != layer:
        came = (
            f"the cache of {cache.layer}_forward" if isinstance(cache, Cache) else repr(type(cache))
        )
        raise CacheError(
            f"{layer}_backward: cache must be the one that {layer}_forward returned, got {came}"
        )
    dout = cast(f"{layer}_backward", name, dout, cache.like)
    if tuple(dout.shape) != cache.shape:
        raise ShapeError(
            f"{layer}_backward: {name} must have the output's shape {cache.shape}, "
            f"got {tuple(dout.shape)}"
        )
    return dout
