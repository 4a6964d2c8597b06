"""Compiled kernels for NumPy float32 and float64: channels-last memory, threads, SIMD."""

from handgrad.engines.native import control as control
from handgrad.engines.native import fused as fused
from handgrad.engines.native import updates as updates
from handgrad.engines.native.activations import (
    elu_backward,
    elu_forward,
    gelu_backward,
    gelu_forward,
    leaky_relu_backward,
    leaky_relu_forward,
    maxout_backward,
    maxout_forward,
    prelu_backward,
    prelu_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    tanh_backward,
    tanh_forward,
)
from handgrad.engines.native.affine import affine_backward, affine_forward
from handgrad.engines.native.conv import (
    conv_backward,
    conv_forward,
    conv_transpose_backward,
    conv_transpose_forward,
)
from handgrad.engines.native.dropout import dropout_backward, dropout_forward
from handgrad.engines.native.embedding import word_embedding_backward, word_embedding_forward
from handgrad.engines.native.joins import (
    add_backward,
    add_forward,
    concat_backward,
    concat_forward,
    flatten_backward,
    flatten_forward,
)
from handgrad.engines.native.losses import softmax_loss, svm_loss
from handgrad.engines.native.norm import (
    batchnorm_backward,
    batchnorm_backward_alt,
    batchnorm_forward,
    batchnorm_test_backward,
    batchnorm_test_forward,
    groupnorm_backward,
    groupnorm_forward,
)
from handgrad.engines.native.pool import (
    avg_pool_backward,
    avg_pool_forward,
    global_avg_pool_backward,
    global_avg_pool_forward,
    max_pool_backward,
    max_pool_forward,
)
from handgrad.engines.native.upsample import upsample_backward, upsample_forward

__all__ = [
    "add_backward",
    "add_forward",
    "affine_backward",
    "affine_forward",
    "avg_pool_backward",
    "avg_pool_forward",
    "batchnorm_backward",
    "batchnorm_backward_alt",
    "batchnorm_forward",
    "batchnorm_test_backward",
    "batchnorm_test_forward",
    "concat_backward",
    "concat_forward",
    "conv_backward",
    "conv_forward",
    "conv_transpose_backward",
    "conv_transpose_forward",
    "dropout_backward",
    "dropout_forward",
    "elu_backward",
    "elu_forward",
    "flatten_backward",
    "flatten_forward",
    "gelu_backward",
    "gelu_forward",
    "global_avg_pool_backward",
    "global_avg_pool_forward",
    "groupnorm_backward",
    "groupnorm_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "max_pool_backward",
    "max_pool_forward",
    "maxout_backward",
    "maxout_forward",
    "prelu_backward",
    "prelu_forward",
    "relu_backward",
    "relu_forward",
    "sigmoid_backward",
    "sigmoid_forward",
    "softmax_loss",
    "svm_loss",
    "tanh_backward",
    "tanh_forward",
    "upsample_backward",
    "upsample_forward",
    "word_embedding_backward",
    "word_embedding_forward",
]
