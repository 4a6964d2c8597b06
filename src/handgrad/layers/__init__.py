"""Layers: forward and backward pairs, one file a layer, each with its formula, shapes and source."""

from handgrad.layers.absolute_loss import absolute_loss
from handgrad.layers.add import add_backward, add_forward
from handgrad.layers.affine import affine_backward, affine_forward
from handgrad.layers.avg_pool import avg_pool_backward, avg_pool_forward
from handgrad.layers.avg_pool1d import avg_pool1d_backward, avg_pool1d_forward
from handgrad.layers.batchnorm import batchnorm_backward, batchnorm_backward_alt, batchnorm_forward
from handgrad.layers.binary_cross_entropy_loss import binary_cross_entropy_loss
from handgrad.layers.concat import concat_backward, concat_forward
from handgrad.layers.conv import conv_backward, conv_forward
from handgrad.layers.conv1d import conv1d_backward, conv1d_forward
from handgrad.layers.conv_transpose import conv_transpose_backward, conv_transpose_forward
from handgrad.layers.dropout import dropout_backward, dropout_forward
from handgrad.layers.elu import elu_backward, elu_forward
from handgrad.layers.flatten import flatten_backward, flatten_forward
from handgrad.layers.focal_loss import focal_loss
from handgrad.layers.gelu import gelu_backward, gelu_forward
from handgrad.layers.global_avg_pool import global_avg_pool_backward, global_avg_pool_forward
from handgrad.layers.huber_loss import huber_loss
from handgrad.layers.layernorm import layernorm_backward, layernorm_forward
from handgrad.layers.leaky_relu import leaky_relu_backward, leaky_relu_forward
from handgrad.layers.lstm import lstm_backward, lstm_forward
from handgrad.layers.lstm_step import lstm_step_backward, lstm_step_forward
from handgrad.layers.max_pool import max_pool_backward, max_pool_forward
from handgrad.layers.max_pool1d import max_pool1d_backward, max_pool1d_forward
from handgrad.layers.maxout import maxout_backward, maxout_forward
from handgrad.layers.mse_loss import mse_loss
from handgrad.layers.poisson_loss import poisson_loss
from handgrad.layers.prelu import prelu_backward, prelu_forward
from handgrad.layers.quantile_loss import quantile_loss
from handgrad.layers.relu import relu_backward, relu_forward
from handgrad.layers.rnn import rnn_backward, rnn_forward
from handgrad.layers.rnn_step import rnn_step_backward, rnn_step_forward
from handgrad.layers.sandwich import (
    affine_bn_relu_backward,
    affine_bn_relu_forward,
    affine_ln_relu_backward,
    affine_ln_relu_forward,
    affine_relu_backward,
    affine_relu_forward,
    bn_gelu_backward,
    bn_gelu_forward,
    conv_bn_relu_backward,
    conv_bn_relu_forward,
    conv_bn_relu_pool_backward,
    conv_bn_relu_pool_forward,
    conv_pool_backward,
    conv_pool_forward,
    conv_relu_backward,
    conv_relu_forward,
    conv_relu_pool_backward,
    conv_relu_pool_forward,
    relu_pool_backward,
    relu_pool_forward,
)
from handgrad.layers.sigmoid import sigmoid_backward, sigmoid_forward
from handgrad.layers.softmax_loss import softmax_loss
from handgrad.layers.softplus import softplus_backward, softplus_forward
from handgrad.layers.spatial_batchnorm import spatial_batchnorm_backward, spatial_batchnorm_forward
from handgrad.layers.spatial_groupnorm import spatial_groupnorm_backward, spatial_groupnorm_forward
from handgrad.layers.spatial_instancenorm import (
    spatial_instancenorm_backward,
    spatial_instancenorm_forward,
)
from handgrad.layers.svm_loss import svm_loss
from handgrad.layers.tanh import tanh_backward, tanh_forward
from handgrad.layers.temporal_affine import temporal_affine_backward, temporal_affine_forward
from handgrad.layers.temporal_softmax_loss import temporal_softmax_loss
from handgrad.layers.upsample import upsample_backward, upsample_forward
from handgrad.layers.word_embedding import word_embedding_backward, word_embedding_forward

__all__ = [
    "absolute_loss",
    "add_backward",
    "add_forward",
    "affine_backward",
    "affine_bn_relu_backward",
    "affine_bn_relu_forward",
    "affine_forward",
    "affine_ln_relu_backward",
    "affine_ln_relu_forward",
    "affine_relu_backward",
    "affine_relu_forward",
    "avg_pool1d_backward",
    "avg_pool1d_forward",
    "avg_pool_backward",
    "avg_pool_forward",
    "batchnorm_backward",
    "batchnorm_backward_alt",
    "batchnorm_forward",
    "binary_cross_entropy_loss",
    "bn_gelu_backward",
    "bn_gelu_forward",
    "concat_backward",
    "concat_forward",
    "conv1d_backward",
    "conv1d_forward",
    "conv_backward",
    "conv_bn_relu_backward",
    "conv_bn_relu_forward",
    "conv_bn_relu_pool_backward",
    "conv_bn_relu_pool_forward",
    "conv_forward",
    "conv_pool_backward",
    "conv_pool_forward",
    "conv_relu_backward",
    "conv_relu_forward",
    "conv_relu_pool_backward",
    "conv_relu_pool_forward",
    "conv_transpose_backward",
    "conv_transpose_forward",
    "dropout_backward",
    "dropout_forward",
    "elu_backward",
    "elu_forward",
    "flatten_backward",
    "flatten_forward",
    "focal_loss",
    "gelu_backward",
    "gelu_forward",
    "global_avg_pool_backward",
    "global_avg_pool_forward",
    "huber_loss",
    "layernorm_backward",
    "layernorm_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "lstm_backward",
    "lstm_forward",
    "lstm_step_backward",
    "lstm_step_forward",
    "max_pool1d_backward",
    "max_pool1d_forward",
    "max_pool_backward",
    "max_pool_forward",
    "maxout_backward",
    "maxout_forward",
    "mse_loss",
    "poisson_loss",
    "prelu_backward",
    "prelu_forward",
    "quantile_loss",
    "relu_backward",
    "relu_forward",
    "relu_pool_backward",
    "relu_pool_forward",
    "rnn_backward",
    "rnn_forward",
    "rnn_step_backward",
    "rnn_step_forward",
    "sigmoid_backward",
    "sigmoid_forward",
    "softmax_loss",
    "softplus_backward",
    "softplus_forward",
    "spatial_batchnorm_backward",
    "spatial_batchnorm_forward",
    "spatial_groupnorm_backward",
    "spatial_groupnorm_forward",
    "spatial_instancenorm_backward",
    "spatial_instancenorm_forward",
    "svm_loss",
    "tanh_backward",
    "tanh_forward",
    "temporal_affine_backward",
    "temporal_affine_forward",
    "temporal_softmax_loss",
    "upsample_backward",
    "upsample_forward",
    "word_embedding_backward",
    "word_embedding_forward",
]
