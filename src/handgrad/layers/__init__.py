"""Layers: forward and backward pairs, one file a layer, each with its formula, shapes and source."""

from handgrad.layers.affine import affine_backward, affine_forward
from handgrad.layers.avg_pool import avg_pool_backward, avg_pool_forward
from handgrad.layers.batchnorm import batchnorm_backward, batchnorm_backward_alt, batchnorm_forward
from handgrad.layers.conv import conv_backward, conv_forward
from handgrad.layers.global_avg_pool import global_avg_pool_backward, global_avg_pool_forward
from handgrad.layers.layernorm import layernorm_backward, layernorm_forward
from handgrad.layers.max_pool import max_pool_backward, max_pool_forward
from handgrad.layers.spatial_batchnorm import spatial_batchnorm_backward, spatial_batchnorm_forward
from handgrad.layers.spatial_groupnorm import spatial_groupnorm_backward, spatial_groupnorm_forward
from handgrad.layers.spatial_instancenorm import (
    spatial_instancenorm_backward,
    spatial_instancenorm_forward,
)

__all__ = [
    "affine_backward",
    "affine_forward",
    "avg_pool_backward",
    "avg_pool_forward",
    "batchnorm_backward",
    "batchnorm_backward_alt",
    "batchnorm_forward",
    "conv_backward",
    "conv_forward",
    "global_avg_pool_backward",
    "global_avg_pool_forward",
    "layernorm_backward",
    "layernorm_forward",
    "max_pool_backward",
    "max_pool_forward",
    "spatial_batchnorm_backward",
    "spatial_batchnorm_forward",
    "spatial_groupnorm_backward",
    "spatial_groupnorm_forward",
    "spatial_instancenorm_backward",
    "spatial_instancenorm_forward",
]
