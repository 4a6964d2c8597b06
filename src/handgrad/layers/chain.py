"""Chains: pairs that stand behind one another, computed forwards and backwards in one go.

By the chain rule the dx of each pair is the dout of the one before it, and the gradients of the arrays are
those that each pair's own backward gives.  A chain's name lists its pairs:

    affine   conv   bn   ln   relu   gelu   pool        conv_bn_relu_pool

"bn" is `batchnorm` of rows and `spatial_batchnorm` of images, "ln" `layernorm`, "pool" `max_pool`.

An engine may compute several pairs in one call.  Its module ``fused`` then has

    longest(names, options) -> how many of these pairs, from the first on, are one call
    CHAINS[names](x, *links) -> (out, saved)        backward(dout, saved, need_dx) -> (dx, gradients ...)
    moments(saved) -> mean and variance of the batch

where names are the engine's own of the pairs, and a link holds a pair's arguments behind x.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from handgrad import engines
from handgrad.engines.arrays import DTYPES, Array, namespace, promote
from handgrad.errors import as_flag
from handgrad.layers import (
    affine,
    batchnorm,
    conv,
    gelu,
    layernorm,
    max_pool,
    relu,
    spatial_batchnorm,
)
from handgrad.layers.norms import Running, keep_running, running_of
from handgrad.layers.pair import Cache, Checked, backward_name, check_backward

CHAINS = (
    "affine_relu",
    "affine_bn_relu",
    "affine_ln_relu",
    "conv_relu",
    "conv_bn_relu",
    "conv_pool",
    "conv_relu_pool",
    "conv_bn_relu_pool",
    "bn_gelu",
    "relu_pool",
)
"""What is known as a sandwich."""

Names = tuple[str, ...]

_shape_of = attrgetter("shape")
_RUNNING = ("running_mean", "running_var", "momentum")
_MOST_PLANS = 1000
_plans: dict[Any, Plan] = {}


class Pair(NamedTuple):
    """What a chain must know of a pair.

    Attributes:
        layer: its name.
        arrays: the names of those behind x.
        options: how many arguments follow them.
        check: the checks of its forward, of (x, *arrays, *options), which look at no more than shapes
            of arrays.
    """

    layer: str
    arrays: Names
    options: int
    check: Callable[..., Checked]


def _check_bn(x: Array, *others: Any) -> Checked:
    return (batchnorm if len(x.shape) == 2 else spatial_batchnorm).check(x, *others)


PAIRS = {
    "affine": Pair("affine", ("w", "b"), 0, affine.check),
    "conv": Pair("conv", ("w", "b"), 1, conv.check),
    "bn": Pair("batchnorm", ("gamma", "beta"), 1, _check_bn),
    "ln": Pair("layernorm", ("gamma", "beta"), 1, layernorm.check),
    "relu": Pair("relu", (), 0, relu.check),
    "gelu": Pair("gelu", (), 1, gelu.check),
    "pool": Pair("max_pool", (), 1, max_pool.check),
}


class Chain(NamedTuple):
    """The pairs of a name.

    arrays: the names of all, x first; places: for each pair those of its arrays, and of its options; norm:
    the place of the batch normalisation among the pairs, bn_param: that of its option; or -1.
    """

    pairs: tuple[Pair, ...]
    arrays: Names
    places: tuple[tuple[slice, slice], ...]
    norm: int
    bn_param: int


class Ahead(NamedTuple):
    """What is known of an array before it is computed."""

    shape: tuple[int, ...]


class Plan(NamedTuple):
    """How an engine computes a chain for given sizes and options, all of them checked.

    Attributes:
        parts: the engine's names of the pairs of each call.
        options: the plain ones of each pair.
        forms: the shapes of arrays that came as (1, C, 1, 1), by place.
        where, channels: of the batch normalisation.
        only: the call of a chain without one that is a single call.
    """

    parts: tuple[Names, ...]
    options: tuple[tuple[Any, ...], ...]
    forms: dict[int, tuple[int, ...]]
    where: str
    channels: int
    of_batch: bool  # whether it takes the batch's own moments
    only: Callable[..., tuple[Array, Any]] | None


class Saved(NamedTuple):
    """What a chain's `Cache` holds.

    Attributes:
        parts: the engine's names of the pairs of each call.
        kept: what each call saved.
        forms: the shapes of arrays that came as (1, C, 1, 1), by place.
        left_out: whether the normalisation is.
    """

    parts: tuple[Names, ...]
    kept: tuple[Any, ...]
    forms: dict[int, tuple[int, ...]]
    left_out: bool


@cache
def _chain(name: str) -> Chain:
    parts = name.split("_")
    arrays, options, places = ["x"], 0, []
    for part in parts:
        pair, first = PAIRS[part], len(arrays)
        arrays += pair.arrays
        places.append((slice(first, len(arrays)), slice(options, options + pair.options)))
        options += pair.options
    norm = parts.index("bn") if "bn" in parts else -1
    bn_param = places[norm][1].start if norm >= 0 else -1
    return Chain(tuple(PAIRS[part] for part in parts), tuple(arrays), tuple(places), norm, bn_param)


def forward(
    name: str, arrays: Sequence[Array], options: Sequence[Any] = (), engine: str | None = None
) -> tuple[Array, Cache]:
    """Compute the chain `name`.

    Args:
        name: that of a sandwich, or of a single pair.
        arrays: x, and those of all pairs, in their order.
        options: those of all pairs.  Behind another pair a normalisation whose bn_param is None is left
            out: gamma and beta are not looked at, and `backward` gives None for them.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, and the cache for `backward`.
    """
    chain, computed, options = _chain(name), name, list(options)
    bn_param: Any = None
    own: Any = None
    if chain.norm >= 0:
        bn_param = options[chain.bn_param]
        # of this call: no other thread changes its mode and statistics
        own = options[chain.bn_param] = dict(bn_param) if isinstance(bn_param, dict) else bn_param
        if bn_param is None and chain.norm > 0:
            del options[chain.bn_param]
            computed = name.replace("_bn", "")
            chain, arrays = _chain(computed), arrays[:3]
    arrays = _of_one_dtype(name, chain, arrays)
    x = out = arrays[0]
    engine, module = engines.select(engine, x)
    plan = _plan(computed, engine, arrays, options)
    links = []
    for (at, _), given in zip(chain.places, plan.options, strict=True):
        links.append((*arrays[at], *given))
    if chain.norm >= 0:
        running = running_of(plan.where, own, x, plan.channels)
        links[chain.norm] = _with_moments(links[chain.norm], plan, running)
    if plan.only is not None:
        out, saved = plan.only(x, *links)
        saved = Saved(plan.parts, (saved,), plan.forms, False)
        return out, Cache(name, engine, tuple(out.shape), out[:0, ...], saved)
    whole = module.fused.CHAINS if module.fused else {}
    kept: list[Any] = []
    place = 0
    for names in plan.parts:
        end = place + len(names)
        if names in whole:
            out, saved = whole[names](out, *links[place:end])
        else:
            out, saved = getattr(module, names[0] + "_forward")(out, *links[place])
        kept.append(saved)
        if plan.of_batch and place <= chain.norm < end:
            moments = module.fused.moments(saved) if names in whole else (saved.mean, saved.var)
        place = end
    if plan.of_batch:
        keep_running(bn_param, running, *moments)
    saved = Saved(plan.parts, tuple(kept), plan.forms, computed != name)
    return out, Cache(name, engine, tuple(out.shape), out[:0, ...], saved)


def backward(name: str, dout: Array, cache: Cache, need_dx: Any = True) -> tuple[Array | None, ...]:
    """Go back through the chain `name`; return dx and the gradients of its arrays, in their order.

    dx of an affine layer or convolution is None where it is not needed, as in front of a model's first.
    """
    if need_dx is not True and need_dx is not False:
        need_dx = as_flag(f"{name}_backward", "need_dx", need_dx)
    if type(cache) is not Cache or cache.layer != name or not _fits(dout, cache):
        dout = check_backward(name, dout, cache)
    parts, kept, forms, left_out = cache.saved
    module = engines.loaded(cache.engine)
    whole = module.fused.CHAINS if module.fused else {}
    if len(parts) == 1 and parts[0] in whole and not forms and not left_out:
        return module.fused.backward(dout, kept[0], need_dx)
    gradients: list[Any] = [None, None] if left_out else []
    for place in range(len(parts) - 1, -1, -1):
        names, saved = parts[place], kept[place]
        needed = need_dx or place > 0
        if names in whole:
            dout, *own = module.fused.backward(dout, saved, needed)
        else:
            result = getattr(module, backward_name(names[0]))(dout, saved)
            dout, *own = result if isinstance(result, tuple) else (result,)
            if not needed and names[0] in ("affine", "conv"):
                dout = None
        gradients[:0] = own
    for at, form in forms.items():
        gradients[at - 1] = namespace(gradients[at - 1]).reshape(gradients[at - 1], form)
    return dout, *gradients


def planned(name: str, engine: str, arrays: Sequence[Array], options: Sequence[Any]) -> Plan:
    """Return how `engine` computes the chain `name` for arrays of these sizes, of which no number is read."""
    return _plan(name, engine, arrays, list(options))


def longest(parts: Sequence[str]) -> str | None:
    """Return the name of the longest chain, of those known as sandwiches, that `parts` begin with."""
    for count in range(len(parts), 1, -1):
        name = "_".join(parts[:count])
        if name in CHAINS:
            return name
    return None


def arrays_of(part: str) -> Names:
    """Return the names of the arrays of a pair, by what it is called in chains; none of "flatten"."""
    return PAIRS[part].arrays if part in PAIRS else ()


def _fits(dout: Array, cache: Cache) -> bool:
    """Return whether `check_backward` would hand dout back as it is."""
    is_plain = type(dout) is np.ndarray and dout.dtype is cache.like.dtype and dout.flags.aligned
    return is_plain and dout.shape == cache.shape


def _of_one_dtype(name: str, chain: Chain, arrays: Sequence[Array]) -> Sequence[Array]:
    """Do what `promote` does, the quick way where there is nothing to do."""
    dtype = getattr(arrays[0], "dtype", None)
    for array in arrays:
        if type(array) is not np.ndarray or array.dtype is not dtype or not array.flags.aligned:
            break
    else:
        if dtype in DTYPES:
            return arrays
    where = (chain.pairs[0].layer if len(chain.pairs) == 1 else name) + "_forward"
    return promote(where, **dict(zip(chain.arrays, arrays, strict=True)))


def _plan(name: str, engine: str, arrays: Sequence[Array], options: list[Any]) -> Plan:
    """Return the plan for these sizes and options; they are checked where there is none yet."""
    chain, plain = _chain(name), options
    if chain.norm >= 0 and isinstance(options[chain.bn_param], dict):
        # the running statistics change from call to call, and are checked in each
        fixed = {
            key: value for key, value in options[chain.bn_param].items() if key not in _RUNNING
        }
        plain = [*options[: chain.bn_param], fixed, *options[chain.bn_param + 1 :]]
    # the text of options holds their types, too: True is no stride, though it equals 1
    x = arrays[0]  # dtypes of two libraries are not compared with one another
    key = (name, engine, type(x), x.dtype, repr(plain), *map(_shape_of, arrays))
    plan = _plans.get(key)
    if plan is None:
        plan = _planned(chain, engine, arrays, options)
        if len(_plans) >= _MOST_PLANS:
            _plans.clear()
        _plans[key] = plan
    return plan


def _planned(chain: Chain, engine: str, arrays: Sequence[Array], options: list[Any]) -> Plan:
    x, checked, forms = Ahead(tuple(arrays[0].shape)), [], {}
    channels, where = 0, ""
    for place, (pair, (at, given)) in enumerate(zip(chain.pairs, chain.places, strict=True)):
        found = pair.check(x, *arrays[at], *options[given])
        checked.append(found)
        if place == chain.norm:
            where = "batchnorm_forward" if len(x.shape) == 2 else "spatial_batchnorm_forward"
            channels = x.shape[1]
            shapes = {i: tuple(arrays[i].shape) for i in range(at.start, at.stop)}
            forms = {i: shape for i, shape in shapes.items() if len(shape) > 1}
        x = Ahead(found.shape)
    names, plain = tuple(c.pair for c in checked), tuple(c.options for c in checked)
    fused, parts, place = engines.get(engine).fused, [], 0
    while place < len(names):
        count = fused.longest(names[place:], plain[place:]) if fused else 0
        parts.append(names[place : place + max(count, 1)])
        place += max(count, 1)
    of_batch = "batchnorm" in names
    only = fused.CHAINS.get(names) if fused and len(parts) == 1 and chain.norm < 0 else None
    return Plan(tuple(parts), plain, forms, where, channels, of_batch, only)


def _with_moments(link: tuple[Any, ...], plan: Plan, running: Running) -> tuple[Any, ...]:
    """Return what the engine's normalisation takes: vectors (C,), in test mode the running moments too."""
    gamma, beta, eps = link
    if plan.forms:
        xp, channels = namespace(gamma), (plan.channels,)
        gamma, beta = xp.reshape(gamma, channels), xp.reshape(beta, channels)
    moments = () if plan.of_batch else (running.mean, running.var)
    return (gamma, beta, *moments, eps)
