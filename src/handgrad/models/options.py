"""The options of the models' constructors, checked and brought to one form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from handgrad.errors import (
    OptionError,
    as_count,
    as_flag,
    as_items,
    as_number,
    as_pair,
    check_choice,
    check_known,
    required,
)
from handgrad.nn.options import VARIANCES

_CONV_KEYS = ("num_filters", "filter_size", "stride", "pad", "pool")


def as_widths(model: str, hidden_dims: Any) -> list[int]:
    """Return `hidden_dims`, the widths of the hidden layers, as a new list of ints."""
    widths = as_items(model, "hidden_dims", hidden_dims, "the hidden layers' widths")
    return [as_count(model, f"hidden_dims[{i}]", width) for i, width in enumerate(widths)]


def as_weight_scale(model: str, weight_scale: Any) -> float | str:
    """Return `weight_scale`, a number or the name of a rule."""
    if isinstance(weight_scale, str):
        check_choice(model, "weight_scale (or a number)", weight_scale, list(VARIANCES))
        return weight_scale
    return as_number(model, "weight_scale", weight_scale, 0)


def as_image(model: str, input_dim: Any) -> tuple[int, ...]:
    """Return `input_dim` as a tuple (C, H, W)."""
    is_list = isinstance(input_dim, Sequence) or np.ndim(input_dim) == 1
    if not is_list or len(input_dim) != 3:
        raise OptionError(f"{model}: input_dim must be (C, H, W), got {input_dim!r}")
    return tuple(
        as_count(model, f"{name} of input_dim (C, H, W)", size)
        for name, size in zip("CHW", input_dim, strict=True)
    )


def as_conv(where: str, given: Any) -> tuple[int, tuple[int, int], dict[str, Any], bool]:
    """Return num_filters, filter size, conv_param and pool of one convolution, all checked."""
    filters = as_count(where, "num_filters", required(where, "it", given, "num_filters"))
    size = as_pair(where, "filter_size", required(where, "it", given, "filter_size"))
    check_known(where, given, _CONV_KEYS)
    same = ((size[0] - 1) // 2, (size[1] - 1) // 2)
    conv_param = {
        "stride": as_pair(where, "stride", given.get("stride", 1)),
        "pad": as_pair(where, "pad", given.get("pad", same), minimum=0),
    }
    return filters, size, conv_param, as_flag(where, "pool", given.get("pool", True))
