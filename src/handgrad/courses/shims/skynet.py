"""The skynet project: CS231n of 2016 in packages of its own, and two convolutional networks."""

from __future__ import annotations

from math import ceil, sqrt
from random import randrange
from typing import Any

import numpy as np

from handgrad import gradcheck, layers, models, optim
from handgrad.courses import pickles
from handgrad.courses.profiles import Profile
from handgrad.courses.shims import (
    Shim,
    columns,
    convnets,
    data_utils,
    networks,
    neural_net,
    pick,
    rules,
    solvers,
    vis_utils,
)
from handgrad.courses.shims import layers as faces
from handgrad.courses.shims.cs231n import (
    AFFINE,
    AFFINE_RELU,
    BATCHNORM,
    CONV_BN_RELU,
    CONV_RELU,
    GRADIENT_CHECK,
    INDICES,
    LOSSES,
    NAIVE,
    SPATIAL_BATCHNORM,
    VIS_UTILS,
    dropout,
    fast_layers,
    linear_modules,
)
from handgrad.courses.shims.recurrent import recurrent_modules

NETWORK = "skynet.neural_network"
MORE_SANDWICHES = (
    "affine_bn_relu_forward",
    "affine_bn_relu_backward",
    "conv_bn_relu_pool_forward",
    "conv_bn_relu_pool_backward",
)
PLOTS = ("visualize_decision_boundary", "visualize_regression", "visualize_cross_validation")


def modules(profile: Profile) -> dict[str, Shim]:
    """Return the modules of skynet."""
    own = pick(layers, *AFFINE, *BATCHNORM, "batchnorm_backward_alt", *SPATIAL_BATCHNORM, *LOSSES)
    own |= {**dropout(profile), **pick(faces, *NAIVE), "np": np}
    data: dict[str, Any] = pick(
        data_utils,
        "load_CIFAR10",
        "get_CIFAR10_data",
        "load_tiny_imagenet",
        "generate_decision_boundary_data",
        "imread",
    )
    data |= {
        "load_CIFAR_batch": data_utils.load_CIFAR_batch_encoded,
        "load_models": pickles.load_models,
    }
    plots = pick(vis_utils, *VIS_UTILS, *PLOTS) | pick(
        data_utils, "generate_decision_boundary_data"
    )
    classifiers = f"{NETWORK}.classifiers"
    packages = ("skynet", "skynet.feature", NETWORK, classifiers, "skynet.solvers", "skynet.utils")
    found = linear_modules("skynet.linear", "skynet.feature.features", factor=0.5)
    found |= recurrent_modules(
        f"{NETWORK}.rnn.rnn_layers", "skynet.solvers", classifiers, "skynet.utils"
    )
    found |= {package: Shim(__file__) for package in packages}
    return found | {
        f"{NETWORK}.classifiers.neural_net": Shim(
            neural_net.__file__, {"TwoLayerNet": neural_net.TwoLayerNetHalving, "np": np}
        ),
        f"{NETWORK}.layers": Shim(faces.__file__, own),
        f"{NETWORK}.im2col": Shim(columns.__file__, {**pick(columns, *INDICES), "np": np}),
        f"{NETWORK}.fast_layers": Shim(
            __file__, {**fast_layers(), "np": np}, stars=(f"{NETWORK}.im2col",)
        ),
        f"{NETWORK}.layer_utils": Shim(
            __file__,
            pick(layers, *AFFINE_RELU, *CONV_RELU, *CONV_BN_RELU, *MORE_SANDWICHES),
            stars=(f"{NETWORK}.layers", f"{NETWORK}.fast_layers"),
        ),
        f"{NETWORK}.classifiers.fc_net": Shim(
            networks.__file__,
            {
                "TwoLayerNet": models.TwoLayerNet,
                "FullyConnectedNet": networks.FullyConnectedNetDropping,
            },
            stars=(f"{NETWORK}.layers", f"{NETWORK}.layer_utils"),
        ),
        f"{NETWORK}.classifiers.cnn": Shim(
            convnets.__file__,
            {
                "ThreeLayerConvNet": models.ThreeLayerConvNet,
                "AntConvNet": convnets.AntConvNet,
                "FunConvNet": convnets.FunConvNet,
            },
            stars=(f"{NETWORK}.layers", f"{NETWORK}.fast_layers", f"{NETWORK}.layer_utils"),
        ),
        "skynet.solvers.optimizer": Shim(
            rules.__file__,
            {
                **pick(optim, "sgd", "sgd_momentum"),
                **pick(rules, "rmsprop", "adam"),
                "np": np,
            },
        ),
        "skynet.solvers.solver": Shim(
            solvers.__file__,
            {"Solver": solvers.SkynetSolver, "np": np},
            imports={"optim": "skynet.solvers.optimizer"},
        ),
        "skynet.utils.data_utils": Shim(
            data_utils.__file__, {**data, "np": np}, imports={"os": "os", "pickle": "pickle"}
        ),
        "skynet.utils.gradient_check": Shim(
            gradcheck.__file__,
            {**pick(gradcheck, *GRADIENT_CHECK), "np": np, "randrange": randrange},
        ),
        "skynet.utils.vis_utils": Shim(
            vis_utils.__file__,
            {**plots, "np": np, "sqrt": sqrt, "ceil": ceil},
            imports={"plt": "matplotlib.pyplot"},
        ),
    }
