"""Plain loops, to be read beside the formulas; the oracle that every other engine is tested against."""

from handgrad.engines.naive.affine import affine_backward, affine_forward
from handgrad.engines.naive.conv import conv_backward, conv_forward
from handgrad.engines.naive.norm import (
    batchnorm_backward,
    batchnorm_backward_alt,
    batchnorm_forward,
    batchnorm_test_backward,
    batchnorm_test_forward,
    groupnorm_backward,
    groupnorm_forward,
)
from handgrad.engines.naive.pool import (
    avg_pool_backward,
    avg_pool_forward,
    global_avg_pool_backward,
    global_avg_pool_forward,
    max_pool_backward,
    max_pool_forward,
)

__all__ = [
    "affine_backward",
    "affine_forward",
    "avg_pool_backward",
    "avg_pool_forward",
    "batchnorm_backward",
    "batchnorm_backward_alt",
    "batchnorm_forward",
    "batchnorm_test_backward",
    "batchnorm_test_forward",
    "conv_backward",
    "conv_forward",
    "global_avg_pool_backward",
    "global_avg_pool_forward",
    "groupnorm_backward",
    "groupnorm_forward",
    "max_pool_backward",
    "max_pool_forward",
]
