"""Addition of two arrays of one shape: where a residual block joins its shortcut.

out = a + b
da = dout      db = dout        each term has the slope 1
"""

from __future__ import annotations

from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, promote
from handgrad.errors import check_min_ndim, check_shape
from handgrad.layers.pair import Cache, run_backward, run_forward


def add_forward(a: Array, b: Array, *, engine: str | None = None) -> tuple[Array, Cache]:
    """Sum, entry by entry: ``out = a + b``.

    Args:
        a, b: inputs of one shape, (N, ...).
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, the shape of a, and the cache for `add_backward`.

    Raises:
        ShapeError: the shapes differ; nothing is broadcast.
        DtypeError: an argument is not an array of real or complex numbers.

    Source: K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning" (2016).
    """
    a, b = promote("add_forward", a=a, b=b)
    check_min_ndim("add_forward", "a", a, 1, "(N, ...)")
    check_shape("add_forward", "b", b, tuple(a.shape), "that of a; nothing is broadcast")
    return run_forward("add", engine, (a, b))


def add_backward(dout: Array, cache: Cache) -> tuple[Array, Array]:
    """Gradients of `add_forward`: ``da = dout``, ``db = dout``.

    Args:
        dout: upstream gradient, the shape of a.
        cache: what `add_forward` returned.

    Returns:
        da and db, copies of dout.

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return run_backward("add", dout, cache)


@vectorized.computes("add_forward")
def _forward(a: Array, b: Array) -> tuple[Array, None]:
    return a + b, None


@vectorized.computes("add_backward")
def _backward(dout: Array, saved: None) -> tuple[Array, Array]:
    xp = namespace(dout)
    return xp.asarray(dout, copy=True), xp.asarray(dout, copy=True)
