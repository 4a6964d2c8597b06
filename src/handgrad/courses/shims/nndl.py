"""UCLA's nndl (C147, C247, ECE 239AS): its own package, and the support code from CS231n.

The support code is called ``cs231n`` in older years and ``utils`` in newer ones; both are the same.
"""

from __future__ import annotations

import numpy as np

from handgrad import gradcheck, layers, optim
from handgrad.courses.profiles import Profile
from handgrad.courses.shims import (
    Shim,
    layer_tests,
    linear,
    neighbours,
    networks,
    neural_net,
    pick,
    rules,
    solvers,
)
from handgrad.courses.shims import layers as faces
from handgrad.courses.shims.cs231n import (
    AFFINE,
    AFFINE_RELU,
    BATCHNORM,
    CONV_RELU,
    LOSSES,
    NAIVE,
    SPATIAL_BATCHNORM,
    dropout,
    fast_layers,
    support,
)

LAYER_TESTS = (
    "affine_forward_test",
    "affine_backward_test",
    "relu_forward_test",
    "relu_backward_test",
    "affine_relu_test",
    "fc_net_test",
    "rel_error",
)
PDB = {"pdb": "pdb"}  # which the original's files import, and so pass on
PARTS = (
    "layers",
    "layer_utils",
    "conv_layers",
    "conv_layer_utils",
    "fc_net",
    "neural_net",
    "cnn",
    "optim",
    "layer_tests",
    "knn",
    "svm",
    "softmax",
)


def modules(profile: Profile) -> dict[str, Shim]:
    """Return the modules of the era of `profile`."""
    drops = profile.dropout == "drop"
    if drops:
        deep: type = networks.FullyConnectedNetDropping
    elif profile.dropout_option[1] == 1:
        deep = networks.FullyConnectedNetNndl
    else:
        deep = networks.FullyConnectedNetNndlMix
    own = pick(layers, *AFFINE, *BATCHNORM, *LOSSES) | dropout(profile)
    affine = (*AFFINE_RELU, "affine_bn_relu_forward", "affine_bn_relu_backward")
    found = {
        package: Shim(__file__, stars=stars)
        for package, stars in (
            ("nndl", tuple(f"nndl.{part}" for part in PARTS)),
            ("cs231n", ()),
            ("utils", ()),
        )
    }
    for package in ("cs231n", "utils"):
        found |= support(package, solvers.NndlSolver, "nndl.optim")
    found |= {
        "nndl.layers": Shim(faces.__file__, {**own, "np": np}, imports=PDB),
        "nndl.layer_utils": Shim(__file__, pick(layers, *affine), stars=("nndl.layers",)),
        "nndl.conv_layers": Shim(
            faces.__file__,
            {**pick(faces, *NAIVE), **pick(layers, *SPATIAL_BATCHNORM), "np": np},
            stars=("nndl.layers",),
            imports=PDB,
        ),
        "nndl.conv_layer_utils": Shim(
            __file__, {**pick(layers, *CONV_RELU), **fast_layers()}, stars=("nndl.layers",)
        ),
        "nndl.fc_net": Shim(
            networks.__file__,
            {"TwoLayerNet": networks.TwoLayerNetNndl, "FullyConnectedNet": deep, "np": np},
            stars=("nndl.layers", "nndl.layer_utils"),
            imports=PDB,
        ),
        "nndl.neural_net": Shim(
            neural_net.__file__,
            {"TwoLayerNet": neural_net.TwoLayerNetTransposed, "np": np},
            imports={"plt": "matplotlib.pyplot"},
        ),
        "nndl.cnn": Shim(
            networks.__file__,
            {"ThreeLayerConvNet": networks.ThreeLayerConvNetNndl, "np": np},
            stars=(
                "nndl.layers",
                "nndl.conv_layers",
                "nndl.layer_utils",
                "nndl.conv_layer_utils",
            ),
            imports=PDB,
        ),
        "nndl.knn": Shim(neighbours.__file__, {"KNN": neighbours.KNN, "np": np}, imports=PDB),
        "nndl.svm": Shim(linear.__file__, {"SVM": linear.NndlSVM, "np": np}, imports=PDB),
        "nndl.softmax": Shim(linear.__file__, {"Softmax": linear.NndlSoftmax, "np": np}),
        "nndl.optim": Shim(
            rules.__file__,
            {
                **pick(optim, "sgd", "sgd_momentum", "sgd_nesterov_momentum"),
                "rmsprop": rules.nndl_rmsprop,
                "adam": rules.nndl_adam,
                "np": np,
            },
        ),
        "nndl.layer_tests": Shim(
            layer_tests.__file__,
            {
                **pick(layer_tests, *LAYER_TESTS),
                **pick(gradcheck, "eval_numerical_gradient", "eval_numerical_gradient_array"),
            },
            stars=("nndl.layers", "nndl.layer_utils", "nndl.fc_net"),
        ),
    }
    return found
