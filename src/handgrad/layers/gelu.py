"""The Gaussian error linear unit: each entry times the probability of a gate being open.

    out = x g(x)        dx = dout (g(x) + x g'(x))

The exact gate is the distribution function of the standard normal distribution, and its slope the
density:

    g(x) = Phi(x) = erfc(-x / sqrt(2)) / 2        g'(x) = exp(-x^2 / 2) / sqrt(2 pi)

The approximate one is a sigmoid, usually written with a tanh; z' = sigmoid'(2u) below:

    u = sqrt(2 / pi) (x + 0.044715 x^3)
    g(x) = (1 + tanh(u)) / 2 = sigmoid(2u)        g'(x) = 2 u' z',  u' = sqrt(2 / pi) (1 + 3 * 0.044715 x^2)

Both are evaluated without the difference 1 - tanh or 1 - erf, so small outputs keep their digits.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import NamedTuple

from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, promote, real_part
from handgrad.engines.erf import erfc
from handgrad.errors import check_choice, check_min_ndim
from handgrad.layers.pair import Cache, Checked, run_backward, run_forward
from handgrad.layers.sigmoid import sigmoid_and_slope


def gelu_forward(
    x: Array, approximate: str = "none", *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Gaussian error linear unit: ``out = x Phi(x)``.

    Args:
        x: inputs, (N, ...).
        approximate: "none" for the exact gate Phi, "tanh" for the approximate one.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, the shape of x, and the cache (x, or the derivative there) for `gelu_backward`.

    Raises:
        ShapeError, DtypeError: x is not an array of real or complex numbers.
        OptionError: approximate is neither "none" nor "tanh".

    Source: D. Hendrycks, K. Gimpel, "Gaussian error linear units" (2016).
    """
    (x,) = promote("gelu_forward", x=x)
    check(x, approximate)
    return run_forward("gelu", engine, (x,), approximate)


def check(x: Array, approximate: str) -> Checked:
    """Do the checks of `gelu_forward`."""
    check_min_ndim("gelu_forward", "x", x, 1, "(N, ...)")
    check_choice("gelu_forward", "approximate", approximate, ("none", "tanh"))
    return Checked("gelu", (approximate,), tuple(x.shape))


def gelu_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `gelu_forward`: ``dx = dout (g(x) + x g'(x))`` with the gate g.

    Args:
        dout: upstream gradient, the shape of x.
        cache: what `gelu_forward` returned.

    Returns:
        dx, the shape of x.

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return run_backward("gelu", dout, cache)


class Saved(NamedTuple):
    """slope: g(x) + x g'(x), the derivative."""

    slope: Array


@vectorized.computes("gelu_forward")
def _forward(x: Array, approximate: str) -> tuple[Array, Saved]:
    gate, slope = _gelu_gate(x, approximate)
    return x * gate, Saved(gate + x * slope)


@vectorized.computes("gelu_backward")
def _backward(dout: Array, saved: Saved) -> Array:
    return dout * saved.slope


def _gelu_gate(x: Array, approximate: str) -> tuple[Array, Array]:
    """The gate g(x), and its slope g'(x)."""
    xp = namespace(x)
    real = real_part(x)
    # Beyond 40 the gate is 0 or 1 to the last digit; stopping there keeps x^3 finite.
    x = xp.where(xp.abs(real) > 40.0, 40.0 * xp.sign(real), x)
    if approximate == "none":
        return erfc(x / -sqrt(2.0)) / 2.0, xp.exp(x * x / -2.0) / sqrt(2.0 * pi)
    scale = 2.0 * sqrt(2.0 / pi)
    gate, slope = sigmoid_and_slope(scale * (x + 0.044715 * x * x * x))
    return gate, slope * scale * (1.0 + 3.0 * 0.044715 * x * x)
