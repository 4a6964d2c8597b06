"""Instance normalisation of images: each channel of each image by itself.

It is group normalisation with G = C, whose formulas (`handgrad.layers.spatial_groupnorm`) hold with
m = H W.
"""

from __future__ import annotations

from typing import Any

from handgrad.engines.arrays import Array, promote
from handgrad.errors import check_ndim
from handgrad.layers.norms import (
    check_channels,
    check_group_norm,
    eps_of,
    norm_backward,
    norm_forward,
)
from handgrad.layers.pair import Cache


def spatial_instancenorm_forward(
    x: Array, gamma: Array, beta: Array, in_param: dict[str, Any], *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Normalise each channel of each image: ``out = gamma * (x - mean) / sqrt(var + eps) + beta``.

    Args:
        x: images, (N, C, H, W).
        gamma: scales, (1, C, 1, 1) or (C,).
        beta: shifts, (1, C, 1, 1) or (C,).
        in_param: optional 'eps' (1e-5) and 'mode', which changes nothing; may be empty.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, C, H, W), and the cache for `spatial_instancenorm_backward`.

    Raises:
        ShapeError, DtypeError: an argument does not fit the others, or an image is empty.
        OptionError: `in_param` is no dictionary or has an unknown key, or eps is not positive.

    Source: Ulyanov, Vedaldi and Lempitsky 2016, arXiv:1607.08022.
    """
    where = "spatial_instancenorm_forward"
    x, gamma, beta = promote(where, x=x, gamma=gamma, beta=beta)
    check_ndim(where, "x", x, 4, "(N, C, H, W)")
    C = x.shape[1]
    check_channels(where, "gamma", gamma, C)
    check_channels(where, "beta", beta, C)
    eps = eps_of(where, "in_param", in_param)
    checked = check_group_norm("spatial_instancenorm", x, C, eps)
    return norm_forward("spatial_instancenorm", engine, (x, gamma, beta), checked)


def spatial_instancenorm_backward(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Gradients of `spatial_instancenorm_forward`.

    Args:
        dout: upstream gradient, (N, C, H, W).
        cache: what `spatial_instancenorm_forward` returned.

    Returns:
        dx (N, C, H, W), dgamma and dbeta in the shapes of gamma and beta.

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return norm_backward("spatial_instancenorm", dout, cache)
