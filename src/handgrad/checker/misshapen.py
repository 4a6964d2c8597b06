"""A result of the wrong shape: how it comes from the right one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from handgrad.checker.known.layer import KnownLayer
from handgrad.checker.records import Call, is_numeric

Shape = tuple[int, ...]
Named = tuple[str, str]  # name and words


def explained(key: str, calls: Sequence[Call], layer: KnownLayer) -> Named | None:
    """Return the one name that holds in most calls whose shape is wrong, and the words; None if none does."""
    wrong = [
        call
        for call in calls
        if is_numeric(call.got[key]) and np.shape(call.got[key]) != np.shape(call.expected[key])
    ]
    constant = _constant(key, wrong)
    if constant:
        return "constant", constant
    found = [_one(key, call, layer) for call in wrong]
    known = [one for one in found if one is not None]
    if 2 * len(known) <= len(found) or len({name for name, _ in known}) != 1:
        return None
    return known[0]


def _constant(key: str, wrong: Sequence[Call]) -> str:
    """Say so if a result is one and the same number in all calls: a start such as `dx = 0`, and no sum."""
    values = {np.asarray(call.got[key]).item() for call in wrong if np.ndim(call.got[key]) == 0}
    if len(values) != 1 or any(np.ndim(call.got[key]) for call in wrong):
        return ""
    (value,) = values
    if value and len(wrong) == 1:
        return ""
    right = np.shape(wrong[0].expected[key])
    return f"{key} is the number {value:g}, expected an array of shape {right}"


def _one(key: str, call: Call, layer: KnownLayer) -> Named | None:
    came, right = np.shape(call.got[key]), np.shape(call.expected[key])
    says = f"{key} has shape {came}, expected {right}"
    if key == "out" and layer.family in ("conv", "pool"):
        size = _output_size(call, came, right)
        if size:
            return "output_size", f"{says}: {size}"
    if 0 in came and 0 not in right:
        why = (
            ": pad:-pad is empty where pad is 0, pad:pad+H is not" if layer.family == "conv" else ""
        )
        return "empty", f"{says}: an axis is cut to nothing{why}"
    if len(came) > len(right) and _without_ones(came) == _without_ones(right):
        return (
            "axes_of_one",
            f"{says}: axes of size 1 are left over; reshape it, or sum without keepdims",
        )
    if _without_ones(came) == _without_ones(right):
        return (
            "axes_of_one",
            f"{says}: an axis of size 1 is lost; reshape it, or sum with keepdims=True",
        )
    if len(came) == len(right) == 2 and came == right[::-1]:
        return "transposed", f"{says}: it is transposed"
    if np.prod(came, dtype=int) == np.prod(right, dtype=int):
        if sorted(came) == sorted(right):
            return "axes_exchanged", f"{says}: its axes stand in another order"
        return "not_reshaped", f"{says}: the same numbers in another shape; reshape it at the end"
    if len(right) == 1 and came == (right[0], right[0]):
        return "outer", f"{says}: a column and a row were broadcast to a matrix"
    if len(came) > len(right) and came[len(came) - len(right) :] == right:
        return (
            "not_summed",
            f"{says}: {_count(len(came) - len(right))} too many in front; it is to be summed over the "
            "batch, or something was given axes that it has already",
        )
    if _is_part(came, right):
        return "summed_too_far", f"{says}: it is summed over an axis too many"
    if _is_part(right, came):
        return "not_summed", f"{says}: the sum over {_count(len(came) - len(right))} is missing"
    like = [name for name, array in call.arrays.items() if np.shape(array) == came and came]
    if like and key[0] == "d" and key[1:] not in like:
        return "shape_of_another", f"{says}: {came} is the shape of {' and of '.join(like)}"
    return None


def _count(axes: int) -> str:
    return "one axis" if axes == 1 else f"{axes} axes"


def _without_ones(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)


def _is_part(small: Shape, large: Shape) -> bool:
    """Whether a shape is a larger one without some of its axes."""
    return len(small) < len(large) and small in itertools.combinations(large, len(small))


def _output_size(call: Call, came: Shape, right: Shape) -> str:
    """What the rows and columns of a layer of windows must be."""
    if len(came) != 4 or came[:2] != right[:2]:
        return ""
    param: dict[str, Any] = call.options[0]
    if not isinstance(param["stride"], int):
        return ""
    conv = "w" in call.arrays
    words = "1 + (H + 2 pad - HH) // stride" if conv else "1 + (H - pool_height) // stride"
    return f"there must be {words} = {right[2]} rows and, likewise, {right[3]} columns"
