"""Inverted dropout: in training each entry is kept with probability p, and scaled by 1/p.

    mask = 1/p with probability p, else 0        so E[mask] = 1
    train:  out = x mask      dx = dout mask
    test:   out = x           dx = dout

The scaling keeps E[out] = x, so test mode needs none.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np

from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, promote
from handgrad.errors import (
    OptionError,
    as_number,
    check_choice,
    check_keys,
    check_min_ndim,
    required,
)
from handgrad.layers.pair import Cache, run_backward, run_forward

_KEYS = frozenset({"p", "mode", "seed", "rng"})
_streams = threading.local()


def dropout_forward(
    x: Array, dropout_param: dict[str, Any], *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Inverted dropout: ``out = x * (rand < p) / p`` in training, ``out = x`` in testing.

    The random numbers are those of the courses: one ``np.random.rand(*x.shape)`` of NumPy's global
    stream, which a seed, if there is one, first sets (in both modes).  With a seed the mask does not
    depend on what other threads draw from that stream.

    Args:
        x: inputs, (N, ...).
        dropout_param: a dictionary with the keys
            p: the probability of keeping an entry, 0 < p <= 1.
            mode: 'train' or 'test'.
            seed (optional): ``np.random.seed(seed)`` is called first; None calls nothing.
            rng (optional): a Generator or RandomState to draw from in place of the global stream.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, the shape of x and never its memory, and the cache (the mask) for `dropout_backward`.

    Raises:
        ShapeError, DtypeError: x is not an array of real or complex numbers.
        OptionError: p, mode, seed or rng is missing or not as above, both seed and rng are given, or
            there is an unknown key.

    Source: N. Srivastava et al., "Dropout" (2014); CS231n assignment 2, ``dropout_forward``, of
    2018 and later (earlier years called p the probability of dropping).
    """
    (x,) = promote("dropout_forward", x=x)
    check_min_ndim("dropout_forward", "x", x, 1, "(N, ...)")
    check_keys("dropout_forward", "dropout_param", dropout_param, _KEYS)
    p = required("dropout_forward", "dropout_param", dropout_param, "p")
    p = as_number("dropout_forward", "p (the probability of keeping)", p, 0, 1, open_low=True)
    mode = required("dropout_forward", "dropout_param", dropout_param, "mode")
    check_choice("dropout_forward", "mode", mode, ("train", "test"))
    seed = dropout_param.get("seed")
    rng = _random_source(seed, dropout_param.get("rng"))
    mask = _draw_mask(x, p, rng) if mode == "train" else None
    if seed is not None:
        np.random.set_state(rng.get_state())
    return run_forward("dropout", engine, (x,), mask)


def dropout_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `dropout_forward`: ``dx = dout * mask`` in training, ``dx = dout`` in testing.

    Args:
        dout: upstream gradient, the shape of x.
        cache: what `dropout_forward` returned.

    Returns:
        dx, the shape of x and never dout's memory.

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return run_backward("dropout", dout, cache)


class Saved(NamedTuple):
    """mask: 1/p where x is kept, else 0; None in test mode."""

    mask: Array | None


@vectorized.computes("dropout_forward")
def _forward(x: Array, mask: Array | None) -> tuple[Array, Saved]:
    saved = Saved(mask)
    return _backward(x, saved), saved  # the same product


@vectorized.computes("dropout_backward")
def _backward(dout: Array, saved: Saved) -> Array:
    if saved.mask is None:
        return namespace(dout).asarray(dout, copy=True)
    return dout * saved.mask


def _random_source(seed: Any, rng: Any) -> Any:
    """Return what to draw from: `rng`, NumPy's global stream, or one that `seed` sets as it would that."""
    if rng is None:
        if seed is None:
            return np.random
        try:
            return _seeded(seed)
        except (TypeError, ValueError) as error:
            raise OptionError(f"dropout_forward: seed {seed!r} is no seed: {error}") from None
    if seed is not None:
        raise OptionError("dropout_forward: dropout_param has both seed and rng; give one of them")
    if not isinstance(rng, np.random.Generator | np.random.RandomState):
        raise OptionError(
            "dropout_forward: rng must be a numpy.random.Generator or RandomState, "
            f"got {type(rng).__name__}"
        )
    return rng


def _seeded(seed: Any) -> np.random.RandomState:
    """Return ``RandomState(seed)``: this thread's own one, as making one takes ten times as long."""
    stream: np.random.RandomState | None = getattr(_streams, "stream", None)
    if stream is None:
        stream = _streams.stream = np.random.RandomState(0)
    stream.seed(seed)
    return stream


def _draw_mask(x: Array, p: float, rng: Any) -> Array:
    """Return 1/p with probability p, else 0, in the shape, dtype and library of x."""
    mask = (rng.random(tuple(x.shape)) < p) / p
    xp = namespace(x)
    return xp.astype(xp.asarray(mask, device=x.device), x.dtype)
