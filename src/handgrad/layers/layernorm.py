"""Layer normalisation of the rows of a matrix.

Over the D numbers of each row x[n]:

    mean = 1/D sum_d x[d]       var = 1/D sum_d (x[d] - mean)^2
    xhat = (x - mean) / std     std = sqrt(var + eps)
    out  = gamma xhat + beta    gamma, beta: one number a column

The derivation of the backward is that of `handgrad.layers.batchnorm`, along rows; as gamma differs
within a row, it stays inside the means.  With g = dout gamma:

    dx = (g - mean(g) - xhat mean(g xhat)) / std        means over the row
    dgamma = sum_n dout[n] xhat[n]      dbeta = sum_n dout[n]
"""

from __future__ import annotations

from typing import Any

from handgrad.engines.arrays import Array, promote
from handgrad.errors import check_ndim, check_shape
from handgrad.layers.norms import check_group_norm, eps_of, norm_backward, norm_forward
from handgrad.layers.pair import Cache, Checked


def layernorm_forward(
    x: Array, gamma: Array, beta: Array, ln_param: dict[str, Any], *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Normalise each row: ``out = gamma * (x - mean) / sqrt(var + eps) + beta``.

    The variance is the biased one, divided by D.  Train and test do not differ.

    Args:
        x: inputs, (N, D).
        gamma: scales, (D,).
        beta: shifts, (D,).
        ln_param: optional 'eps' (1e-5) and 'mode', which changes nothing; may be empty.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, D), and the cache for `layernorm_backward`.

    Raises:
        ShapeError, DtypeError: an argument does not fit the others, or D is 0.
        OptionError: `ln_param` is no dictionary or has an unknown key, or eps is not positive.

    Source: Ba, Kiros and Hinton 2016, arXiv:1607.06450; CS231n assignment 2, ``layernorm_forward``.
    """
    x, gamma, beta = promote("layernorm_forward", x=x, gamma=gamma, beta=beta)
    return norm_forward("layernorm", engine, (x, gamma, beta), check(x, gamma, beta, ln_param))


def check(x: Array, gamma: Array, beta: Array, ln_param: dict[str, Any]) -> Checked:
    """Do the checks of `layernorm_forward`."""
    check_ndim("layernorm_forward", "x", x, 2, "(N, D)")
    columns = (x.shape[1],)
    check_shape("layernorm_forward", "gamma", gamma, columns, "(D,) of x (N, D)")
    check_shape("layernorm_forward", "beta", beta, columns, "(D,) of x (N, D)")
    eps = eps_of("layernorm_forward", "ln_param", ln_param)
    return check_group_norm("layernorm", x, 1, eps)


def layernorm_backward(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Gradients of `layernorm_forward`, from the formulas above.

    Args:
        dout: upstream gradient, (N, D).
        cache: what `layernorm_forward` returned.

    Returns:
        dx (N, D), dgamma (D,), dbeta (D,).

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return norm_backward("layernorm", dout, cache)
