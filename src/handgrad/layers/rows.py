"""Sequences (N, C, L) as images of one row, (N, C, 1, L): how the pairs of sequences use those of images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from handgrad.engines.arrays import Array, namespace
from handgrad.errors import OptionError, as_count, check_dictionary, check_known, required
from handgrad.layers.pair import Cache, check_backward


class Saved(NamedTuple):
    """images: the cache of the pair of images."""

    images: Cache


def as_image(x: Array) -> Array:
    """Return x (N, C, L) as (N, C, 1, L)."""
    return namespace(x).expand_dims(x, axis=2)


def as_sequence(x: Array) -> Array:
    """Return x (N, C, 1, L) as (N, C, L)."""
    return x[:, :, 0, :]


def sequence_cache(layer: str, out: Array, images: Cache) -> Cache:
    """Return the cache of a pair of sequences with the output `out`, which that of images computed."""
    return Cache(layer, images.engine, tuple(out.shape), out[:0, ...], Saved(images))


def upstream(layer: str, dout: Array, cache: Cache) -> Array:
    """Return dout as an image, after the checks."""
    return as_image(check_backward(layer, dout, cache))


def flat_options(
    layer: str, name: str, param: Any, minimum: Mapping[str, int], others: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the options of a dictionary of a pair of sequences for that of images: (1 or 0, value).

    minimum: the least value of each whole number; others are handed on as they are.
    """
    check_dictionary(layer, name, param)
    check_known(f"{layer}: {name}", param, [*minimum, *others])
    found: dict[str, Any] = {key: param[key] for key in others if key in param}
    for key, least in minimum.items():
        if key in param:
            value = as_count(layer, f"{name}[{key!r}]", param[key], least)
            found[key] = (least, value)
    return found


def pool_param(layer: str, param: Any, others: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the pool_param of images for pool1d_param: pool_length, stride, pad, ceil_mode."""
    name = "pool1d_param"
    check_dictionary(layer, name, param)
    length = as_count(layer, f"{name}['pool_length']", required(layer, name, param, "pool_length"))
    rest = {key: value for key, value in param.items() if key != "pool_length"}
    if unknown := [key for key in rest if key not in ("stride", "pad", "ceil_mode", *others)]:
        check_known(
            f"{layer}: {name}", unknown, ["pool_length", "stride", "pad", "ceil_mode", *others]
        )
    found = flat_options(layer, name, rest, {"stride": 1, "pad": 0}, ("ceil_mode", *others))
    if 2 * found.get("pad", (0, 0))[1] > length:
        raise OptionError(
            f"{layer}: {name}['pad'] must be at most half of the window {length}, got {param['pad']}"
        )
    return {"pool_height": 1, "pool_width": length, **found}
