"""Group normalisation of images: between layer normalisation and instance normalisation.

The C channels of each image are cut into G groups of C/G neighbours; the statistics are those of
the m = (C/G) H W numbers of one group of one image:

    mean = 1/m sum x            var = 1/m sum (x - mean)^2
    xhat = (x - mean) / std     std = sqrt(var + eps)
    out  = gamma xhat + beta    gamma, beta: one number a channel

The derivation of the backward is that of `handgrad.layers.batchnorm`, within a group.  With
g = dout gamma:

    dx = (g - mean(g) - xhat mean(g xhat)) / std        means over the group
    dgamma[c] = sum_{n,h,w} dout[n,c,h,w] xhat[n,c,h,w]      dbeta[c] = sum_{n,h,w} dout[n,c,h,w]
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, promote
from handgrad.errors import OptionError, as_count, check_ndim
from handgrad.layers.batchnorm import normalise
from handgrad.layers.norms import (
    check_channels,
    check_group_norm,
    eps_of,
    norm_backward,
    norm_forward,
)
from handgrad.layers.pair import Cache


def spatial_groupnorm_forward(
    x: Array,
    gamma: Array,
    beta: Array,
    G: int,
    gn_param: dict[str, Any],
    *,
    engine: str | None = None,
) -> tuple[Array, Cache]:
    """Normalise groups of channels: ``out = gamma * (x - mean) / sqrt(var + eps) + beta``.

    Mean and variance are those of one group of one image; the variance is the biased one, divided
    by m.  Train and test do not differ.

    Args:
        x: images, (N, C, H, W).
        gamma: scales, (1, C, 1, 1) or (C,).
        beta: shifts, (1, C, 1, 1) or (C,).
        G: number of groups; divides C.
        gn_param: optional 'eps' (1e-5) and 'mode', which changes nothing; may be empty.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, C, H, W), and the cache for `spatial_groupnorm_backward`.

    Raises:
        ShapeError, DtypeError: an argument does not fit the others, or an image is empty.
        OptionError: G does not divide C, `gn_param` is no dictionary or has an unknown key, or eps is not
            positive.

    Source: Wu and He 2018, arXiv:1803.08494; CS231n assignment 2, ``spatial_groupnorm_forward``.
    """
    where = "spatial_groupnorm_forward"
    x, gamma, beta = promote(where, x=x, gamma=gamma, beta=beta)
    check_ndim(where, "x", x, 4, "(N, C, H, W)")
    C = x.shape[1]
    check_channels(where, "gamma", gamma, C)
    check_channels(where, "beta", beta, C)
    groups = as_count(where, "G", G)
    if C % groups:
        raise OptionError(
            f"{where}: G must divide C = {C}, the number of channels of x (N, C, H, W); got {G}"
        )
    eps = eps_of(where, "gn_param", gn_param)
    checked = check_group_norm("spatial_groupnorm", x, groups, eps)
    return norm_forward("spatial_groupnorm", engine, (x, gamma, beta), checked)


def spatial_groupnorm_backward(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Gradients of `spatial_groupnorm_forward`, from the formulas above.

    Args:
        dout: upstream gradient, (N, C, H, W).
        cache: what `spatial_groupnorm_forward` returned.

    Returns:
        dx (N, C, H, W), dgamma and dbeta in the shapes of gamma and beta.

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return norm_backward("spatial_groupnorm", dout, cache)


# The arithmetic, of x (N, C, ...); one group is layer normalisation, C groups are instance normalisation


class Saved(NamedTuple):
    """std: (N, G, 1, 1); xhat: the normalised x, (N, G, C/G, positions); gamma: (C,)."""

    std: Array
    xhat: Array
    gamma: Array


@vectorized.computes("groupnorm_forward")
def _forward(x: Array, gamma: Array, beta: Array, groups: int, eps: float) -> tuple[Array, Saved]:
    xp = namespace(x)
    grouped = _grouped(x, groups)
    xhat, _, _, std = normalise(grouped, (2, 3), eps)
    out = xhat * _along_groups(gamma, grouped) + _along_groups(beta, grouped)
    return xp.reshape(out, x.shape), Saved(std, xhat, gamma)


@vectorized.computes("groupnorm_backward")
def _backward(dout: Array, saved: Saved) -> tuple[Array, Array, Array]:
    xp = namespace(dout)
    xhat = saved.xhat
    grouped = _grouped(dout, xhat.shape[1])
    m = xhat.shape[2] * xhat.shape[3]
    dbeta = xp.reshape(xp.sum(grouped, axis=(0, 3)), saved.gamma.shape)
    dgamma = xp.reshape(xp.sum(grouped * xhat, axis=(0, 3)), saved.gamma.shape)
    dxhat = grouped * _along_groups(saved.gamma, grouped)
    mean_dxhat = xp.sum(dxhat, axis=(2, 3), keepdims=True) / m
    mean_dxhat_xhat = xp.sum(dxhat * xhat, axis=(2, 3), keepdims=True) / m
    dx = (dxhat - mean_dxhat - xhat * mean_dxhat_xhat) / saved.std
    return xp.reshape(dx, dout.shape), dgamma, dbeta


def _grouped(x: Array, groups: int) -> Array:
    N, C = x.shape[:2]
    return namespace(x).reshape(x, (N, groups, C // groups, prod(x.shape[2:])))


def _along_groups(vector: Array, grouped: Array) -> Array:
    """View `vector` (C,) so that it broadcasts along the channels of (N, G, C/G, positions)."""
    return namespace(vector).reshape(vector, (1, grouped.shape[1], grouped.shape[2], 1))
