"""Batch normalisation of the channels of images.

The statistics of a channel are taken over all N H W numbers that it has in the batch: with each
pixel as a row, this is the batch normalisation of `handgrad.layers.batchnorm`, whose formulas hold
with N H W for N.  The backward is its simplified one.
"""

from __future__ import annotations

from typing import Any

from handgrad.engines.arrays import Array, promote
from handgrad.errors import check_ndim
from handgrad.layers.norms import (
    batch_norm_forward,
    check_batch_norm,
    check_channels,
    norm_backward,
)
from handgrad.layers.pair import Cache, Checked


def spatial_batchnorm_forward(
    x: Array, gamma: Array, beta: Array, bn_param: dict[str, Any], *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Normalise each channel over the batch: ``out = gamma * (x - mean) / sqrt(var + eps) + beta``.

    Args:
        x: images, (N, C, H, W).
        gamma: scales, (C,) or (1, C, 1, 1).
        beta: shifts, (C,) or (1, C, 1, 1).
        bn_param: modes, options and running statistics, (C,), as in `batchnorm_forward`.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, C, H, W), and the cache for `spatial_batchnorm_backward`.

    Raises:
        ShapeError, DtypeError: an argument does not fit the others, or a train batch is empty.
        OptionError: `bn_param` has no valid mode or an unknown key, or eps or momentum is outside its range.

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167, section 3.2; CS231n assignment 2,
    ``spatial_batchnorm_forward``.
    """
    x, gamma, beta = promote("spatial_batchnorm_forward", x=x, gamma=gamma, beta=beta)
    return batch_norm_forward("spatial_batchnorm", engine, (x, gamma, beta), bn_param, check)


def check(x: Array, gamma: Array, beta: Array, bn_param: dict[str, Any]) -> Checked:
    """Do the checks of `spatial_batchnorm_forward`, but those of the running statistics."""
    where = "spatial_batchnorm_forward"
    check_ndim(where, "x", x, 4, "(N, C, H, W)")
    check_channels(where, "gamma", gamma, x.shape[1])
    check_channels(where, "beta", beta, x.shape[1])
    return check_batch_norm(where, x, bn_param)


def spatial_batchnorm_backward(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Gradients of `spatial_batchnorm_forward`.

    Args:
        dout: upstream gradient, (N, C, H, W).
        cache: what `spatial_batchnorm_forward` returned, in either mode.

    Returns:
        dx (N, C, H, W), dgamma and dbeta in the shapes of gamma and beta.

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return norm_backward("spatial_batchnorm", dout, cache, alt=True)
