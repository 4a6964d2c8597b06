"""Networks of layer objects, in two convenient levels over the pairs of `handgrad.layers`.

`Sequential` is a list of layers; `Model` a class that connects layers in its own ``forward``.  Both
have ``params`` and ``loss``, as all models.  A layer object calls one hand-written pair; no operation
is differentiated automatically.

>>> net = Sequential([Affine(8), ReLU(), Affine(3)], input_shape=(4,), rng=0)
>>> import numpy as np
>>> loss, grads = net.loss(np.ones((2, 4)), np.array([0, 2]))
>>> sorted(grads) == sorted(net.params)
True
"""

from handgrad.nn.activations import (
    ELU,
    GELU,
    Dropout,
    LeakyReLU,
    Maxout,
    PReLU,
    ReLU,
    Sigmoid,
    Softplus,
    Tanh,
)
from handgrad.nn.build import LAYERS, build_layer, check_options, model_class, sequential
from handgrad.nn.compiled.steps import CompiledSteps
from handgrad.nn.custom import CustomPair, layer
from handgrad.nn.gradients import Gradients
from handgrad.nn.joins import Add, Concat, Flatten, add, concat
from handgrad.nn.layer import Layer
from handgrad.nn.linear import Affine, Conv2d, ConvTranspose2d
from handgrad.nn.losses import LOSSES
from handgrad.nn.model import Model
from handgrad.nn.norms import BatchNorm, GroupNorm, InstanceNorm, LayerNorm
from handgrad.nn.pools import AvgPool, GlobalAvgPool, MaxPool, Upsample
from handgrad.nn.sequences import AvgPool1d, BatchNorm1d, Conv1d, GlobalAvgPool1d, MaxPool1d
from handgrad.nn.sequential import Sequential
from handgrad.nn.value import Value
from handgrad.nn.whitening import Whitening

__all__ = [
    "ELU",
    "GELU",
    "LAYERS",
    "LOSSES",
    "Add",
    "Affine",
    "AvgPool",
    "AvgPool1d",
    "BatchNorm",
    "BatchNorm1d",
    "CompiledSteps",
    "Concat",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "CustomPair",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "GlobalAvgPool1d",
    "Gradients",
    "GroupNorm",
    "InstanceNorm",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "MaxPool",
    "MaxPool1d",
    "Maxout",
    "Model",
    "PReLU",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softplus",
    "Tanh",
    "Upsample",
    "Value",
    "Whitening",
    "add",
    "build_layer",
    "check_options",
    "concat",
    "layer",
    "model_class",
    "sequential",
]
