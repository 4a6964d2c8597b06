"""Calling a pair: on copies, with fixed random numbers, with its results taken apart."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from handgrad.checker.known.layer import KnownLayer
from handgrad.checker.records import Config, Raised, is_numeric
from handgrad.checker.undisturbed import fresh, run


class Pair(NamedTuple):
    """A forward pass and its backward passes, by the names that they are reported under."""

    forward: Callable[..., Any]
    backwards: dict[str, Callable[..., Any]]
    forward_name: str
    layer: KnownLayer

    def configs(self) -> list[Config]:
        """The configurations that it is tried in; autograd takes no derivatives of whole numbers."""
        configs = self.layer.configs()
        if getattr(self.forward, "whole_numbers", True):
            return configs
        return [
            config
            for config in configs
            if all(array.dtype.kind in "fc" for array in config.arrays.values())
        ]


def loss_pair(function: Callable[..., Any], layer: KnownLayer) -> Pair:
    """See a loss as a pair: its gradient is what forward caches, times dout."""

    def backward(dout: Any, gradients: Any) -> Any:
        if isinstance(gradients, tuple):
            return tuple(dout * _as_array(one) for one in gradients)
        return dout * _as_array(gradients)

    backward.__wrapped__ = function  # type: ignore[attr-defined]
    return Pair(function, {function.__name__: backward}, function.__name__, layer)


class Passed(NamedTuple):
    """What one forward call left behind."""

    out: Any
    cache: Any
    options: tuple[Any, ...]
    arrays: dict[str, np.ndarray]


def call_forward(pair: Pair, arrays: dict[str, Any], options: Sequence[Any]) -> Passed | Raised:
    """Run forward on copies; what it left in the copies comes back too."""
    copies = {name: np.array(array, order="K") for name, array in arrays.items()}
    own_options: tuple[Any, ...] = fresh(tuple(options))
    result = run(pair.forward, *copies.values(), *own_options)
    if isinstance(result, Raised):
        return result
    out, cache = result, None
    if pair.backwards or pair.layer.known:
        if not (isinstance(result, tuple | list) and len(result) >= 2):
            what = type(result).__name__
            return Raised("Missing", f"forward must return (out, cache), got {what}")
        out, cache = result[0], result[1] if len(result) == 2 else tuple(result[1:])
    if hasattr(out, "detach"):  # a tensor, as in the fast layers of CS231n 2019
        out = run(lambda: out.detach().cpu().numpy().copy())
    if not is_numeric(out):
        return Raised("Missing", f"forward must return an array, got {type(out).__name__}")
    return Passed(out, cache, own_options, copies)


def call_backward(
    pair: Pair, name: str, dout: Any, cache: Any, config: Config
) -> dict[str, Any] | Raised:
    """Run backward; return the gradients by name."""
    result = run(pair.backwards[name], dout, cache, seed=None)
    if isinstance(result, Raised):
        return result
    names = ["d" + key for key in config.arrays]
    if isinstance(result, Mapping):
        return _by_name(result, list(config.arrays))
    gradients = tuple(result) if isinstance(result, tuple | list) else (result,)
    if len(gradients) > len(names) and all(one is None for one in gradients[len(names) :]):
        gradients = gradients[: len(names)]  # of labels and options
    if len(gradients) != len(names):
        return Raised(
            "Missing",
            f"backward must return {', '.join(names)}; it returned {len(gradients)} results",
        )
    return dict(zip(names, map(_as_array, gradients), strict=True))


def _as_array(value: Any) -> Any:
    """NumPy's matrix, whose * is a product of matrices, or a list of numbers, as the array that it holds."""
    if isinstance(value, np.matrix):
        return np.asarray(value)
    if isinstance(value, list) and value:
        array = run(np.array, value, seed=None)
        return array if is_numeric(array) and array.dtype.kind in "fiub" else value
    return value


def _by_name(gradients: Mapping[Any, Any], keys: Sequence[str]) -> dict[str, Any] | Raised:
    """Gradients that came as a dictionary, under the names of the arrays or with a d before."""
    found = {"d" + key: gradients.get("d" + key, gradients.get(key)) for key in keys}
    missing = [key for key, value in found.items() if value is None]
    if missing:
        return Raised("Missing", f"backward's dictionary lacks {', '.join(missing)}")
    return found


def upstream(config: Config, out: Any) -> Any:
    """Return a random upstream gradient for `out`, the same in every run."""
    rng = np.random.default_rng(zlib.crc32(config.name.encode()))
    shape = np.shape(out)
    return rng.standard_normal(shape) if shape else np.float64(rng.uniform(0.5, 1.5))
