"""How the translators of PyTorch's functions look at their arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.interop.reader import NoCounterpart, Value


class Weight:
    """A tensor of the module with its name."""

    def __init__(self, array: np.ndarray, name: str) -> None:
        self.array, self.name = array, name


def numbers_of(torch: Any, tensor: Any) -> np.ndarray:
    """Return a tensor as an array; of 16 bits as float32."""
    tensor = tensor.detach().cpu()
    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.float()
    array: np.ndarray = tensor.numpy().copy()
    return array


def value_of(x: Any) -> Value:
    """Return x, a value of the network."""
    if not isinstance(x, Value):
        raise NoCounterpart("of something that is not computed from the input")
    return x


def weight_of(x: Any, what: str) -> Weight:
    """Return x, a tensor of the module."""
    if not isinstance(x, Weight):
        raise NoCounterpart(f"{what} that the module computes")
    return x


def layer_name(place: str, weight: Weight, node: Any) -> str:
    """The name of a layer: that of its weights without their role."""
    return weight.name.rpartition(".")[0] or weight.name or place


def pair_of(n: Any, default: Any = None) -> tuple[int, int]:
    """Return a number, or a list of one or two, as a pair."""
    if n is None or n == []:
        return default
    if isinstance(n, int):
        return n, n
    return (int(n[0]), int(n[0])) if len(n) == 1 else (int(n[0]), int(n[1]))


def products(
    op: str, W: np.ndarray, weight: Weight, bias: Any
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the arrays and the parameters of a product with weights and a bias."""
    arrays, params = {"W": W}, {"W": weight.name}
    if bias is not None:
        b = weight_of(bias, "a bias")
        arrays["b"], params["b"] = b.array, b.name
    return arrays, params


def constant_of(c: Any) -> np.ndarray:
    """Return a number or a tensor of the module as an array."""
    if isinstance(c, int | float):
        return np.array([float(c)])
    return weight_of(c, "a constant").array
