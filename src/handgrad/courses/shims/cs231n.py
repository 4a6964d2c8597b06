"""CS231n, 2016 to 2026: the modules of assignments 1 and 2, and the layers of assignment 3.

The names of a year are those of its official files; where its two assignments differ, the module
has the names of both (the two-layer network, and svm_loss, have been in assignment 1 since 2021).
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, sqrt
from random import randrange
from typing import Any

import numpy as np

from handgrad import gradcheck, layers, models, optim
from handgrad.courses.profiles import Profile
from handgrad.courses.shims import (
    Shim,
    columns,
    data_utils,
    features,
    linear,
    neighbours,
    networks,
    neural_net,
    pick,
    rules,
    solvers,
    vis_utils,
)
from handgrad.courses.shims import layers as faces
from handgrad.courses.shims.dropping import lenient
from handgrad.courses.shims.recurrent import recurrent_modules

AFFINE = ("affine_forward", "affine_backward", "relu_forward", "relu_backward")
BATCHNORM = ("batchnorm_forward", "batchnorm_backward")
LOSSES = ("svm_loss", "softmax_loss")
SPATIAL_BATCHNORM = ("spatial_batchnorm_forward", "spatial_batchnorm_backward")
SINCE_2018 = (
    "layernorm_forward",
    "layernorm_backward",
    "spatial_groupnorm_forward",
    "spatial_groupnorm_backward",
)
NAIVE = (
    "conv_forward_naive",
    "conv_backward_naive",
    "max_pool_forward_naive",
    "max_pool_backward_naive",
)
AFFINE_RELU = ("affine_relu_forward", "affine_relu_backward")
CONV_RELU = (
    "conv_relu_forward",
    "conv_relu_backward",
    "conv_relu_pool_forward",
    "conv_relu_pool_backward",
)
CONV_BN_RELU = ("conv_bn_relu_forward", "conv_bn_relu_backward")
GRADIENT_CHECK = (
    "eval_numerical_gradient",
    "eval_numerical_gradient_array",
    "eval_numerical_gradient_blobs",
    "eval_numerical_gradient_net",
    "grad_check_sparse",
)
VIS_UTILS = ("visualize_grid", "vis_grid", "vis_nn")
DATA_UTILS = (
    "load_pickle",
    "load_CIFAR_batch",
    "load_CIFAR10",
    "get_CIFAR10_data",
    "load_tiny_imagenet",
    "load_models",
    "imread",
)
FEATURES = ("extract_features", "rgb2gray", "hog_feature", "color_histogram_hsv")
INDICES = ("get_im2col_indices", "im2col_indices", "col2im_indices")
CYTHON = ("im2col_cython", "col2im_cython", "col2im_6d_cython")
ONLY_2025 = ("get_num_fields", "field_coords", "im2col_naive", "col2im")

_FAST = {
    f"{layer}_{way}_{how}": lenient(getattr(layers, f"{layer}_{way}"))
    for layer, ways in (
        ("conv", ("fast", "strides", "im2col")),
        ("max_pool", ("fast", "reshape", "im2col")),
    )
    for way in ("forward", "backward")
    for how in ways
}


def dropout(profile: Profile) -> dict[str, Any]:
    """Return the pair of dropout, with the profile's meaning of p."""
    drops = profile.dropout == "drop"
    forward = faces.dropout_forward_drop if drops else layers.dropout_forward
    return {"dropout_forward": lenient(forward), "dropout_backward": layers.dropout_backward}


def fast_layers() -> dict[str, Any]:
    """Return the fast layers, which are the library's, and all of ``im2col``."""
    return {**_FAST, **pick(columns, *INDICES, *CYTHON)}


def support(package: str, solver: type[solvers.Solver], rules_from: str) -> dict[str, Shim]:
    """Return the modules of `package` that are the same in nndl; the Solver's rules have a module."""
    return {
        f"{package}.data_utils": Shim(
            data_utils.__file__,
            {**pick(data_utils, *DATA_UTILS), "np": np},
            imports={"os": "os", "pickle": "pickle", "platform": "platform"},
        ),
        f"{package}.gradient_check": Shim(
            gradcheck.__file__,
            {**pick(gradcheck, *GRADIENT_CHECK), "np": np, "randrange": randrange},
        ),
        f"{package}.solver": Shim(
            solvers.__file__,
            {"Solver": solver, "np": np},
            imports={"os": "os", "pickle": "pickle", "optim": rules_from},
        ),
        f"{package}.vis_utils": Shim(
            vis_utils.__file__,
            {**pick(vis_utils, *VIS_UTILS), "np": np, "sqrt": sqrt, "ceil": ceil},
        ),
        f"{package}.im2col": Shim(columns.__file__, {**pick(columns, *INDICES), "np": np}),
        f"{package}.im2col_cython": Shim(columns.__file__, pick(columns, *CYTHON)),
        f"{package}.fast_layers": Shim(
            __file__, {**fast_layers(), "np": np}, stars=(f"{package}.im2col",)
        ),
    }


def modules(profile: Profile) -> dict[str, Shim]:
    """Return the modules of the year of `profile`."""
    year = profile.year
    found = support("cs231n", _solver(year), "cs231n.optim")
    own: dict[str, Any] = {"np": np}
    own |= pick(layers, *AFFINE, *BATCHNORM, "batchnorm_backward_alt", *SPATIAL_BATCHNORM, *LOSSES)
    own |= pick(layers, *SINCE_2018) if year >= 2018 else {}
    own |= {**dropout(profile), **pick(faces, *NAIVE)}
    found |= _assignment_1(year)
    found |= recurrent_modules("cs231n.rnn_layers", "cs231n", "cs231n.classifiers", "cs231n")
    found |= {
        "cs231n": Shim(__file__),
        "cs231n.layers": Shim(faces.__file__, own),
        "cs231n.layer_utils": Shim(
            __file__,
            pick(layers, *AFFINE_RELU, *CONV_RELU, *CONV_BN_RELU),
            stars=("cs231n.layers", "cs231n.fast_layers"),
        ),
        "cs231n.optim": Shim(rules.__file__, {**_optim(year), "np": np}),
        "cs231n.classifiers.fc_net": Shim(
            networks.__file__,
            _fc_net(year),
            stars=("cs231n.layers", "cs231n.layer_utils"),
            imports={"os": "os"} if year >= 2025 else {},
        ),
        "cs231n.classifiers.cnn": Shim(
            networks.__file__,
            pick(models, "ThreeLayerConvNet"),
            stars=("cs231n.layers", "cs231n.fast_layers", "cs231n.layer_utils"),
        ),
    }
    data = found["cs231n.data_utils"].names
    if year == 2016:
        del data["load_pickle"]
        data["get_CIFAR10_data"] = data_utils.get_CIFAR10_data_2016
        data["load_tiny_imagenet"] = data_utils.load_tiny_imagenet_2016
    elif year >= 2018:
        data["load_imagenet_val"] = data_utils.load_imagenet_val
    if year == 2019:
        found["cs231n.fast_layers"].names.update(
            conv_forward_pytorch=lenient(layers.conv_forward),
            conv_backward_pytorch=layers.conv_backward,
        )
    elif year == 2025:
        found["cs231n.im2col"].names.update(pick(columns, *ONLY_2025))
    return found


def linear_modules(
    package: str, features_in: str, factor: float, saving: bool = False
) -> dict[str, Shim]:
    """Return the nearest neighbours and linear classifiers as modules of `package`, and the features."""
    losses = linear.losses(factor)
    parts = ("k_nearest_neighbor", "linear_classifier")
    return {
        package: Shim(linear.__file__, stars=tuple(f"{package}.{part}" for part in parts)),
        f"{package}.k_nearest_neighbor": Shim(
            neighbours.__file__, {"KNearestNeighbor": neighbours.KNearestNeighbor, "np": np}
        ),
        **{
            f"{package}.{module}": Shim(
                linear.__file__,
                {name: loss for name, loss in losses.items() if name.startswith(kind)} | {"np": np},
            )
            for module, kind in (("linear_svm", "svm"), ("softmax", "softmax"))
        },
        f"{package}.linear_classifier": Shim(
            linear.__file__,
            {**linear.classifiers(factor, saving), "np": np},
            stars=(f"{package}.linear_svm", f"{package}.softmax"),
        ),
        features_in: Shim(
            features.__file__,
            {**pick(features, *FEATURES), "np": np},
            imports={"matplotlib": "matplotlib"},
        ),
    }


def _assignment_1(year: int) -> dict[str, Shim]:
    factor = 0.5 if year == 2016 else 1.0
    own = linear_modules("cs231n.classifiers", "cs231n.features", factor, saving=year >= 2025)
    net = neural_net.TwoLayerNetHalving if year == 2016 else neural_net.TwoLayerNet
    own["cs231n.classifiers.neural_net"] = Shim(
        neural_net.__file__, {"TwoLayerNet": net, "np": np}, imports={"plt": "matplotlib.pyplot"}
    )
    return own


def _solver(year: int) -> type[solvers.Solver]:
    return {2016: solvers.Solver2016, 2017: solvers.Solver2017}.get(year, solvers.Solver)


def _optim(year: int) -> dict[str, Callable[..., Any]]:
    names = pick(optim, "sgd", "sgd_momentum", "rmsprop", "adam")
    if year <= 2017:
        adam = rules.adam if year == 2016 else rules.adam_from_one
        names |= {"rmsprop": rules.rmsprop, "adam": adam}
    return names


def _fc_net(year: int) -> dict[str, Any]:
    if year <= 2017:
        deep: type = networks.FullyConnectedNetDropping
    elif year <= 2020:
        deep = networks.FullyConnectedNetKeeping
    else:
        deep = networks.FullyConnectedNetCourse if year < 2025 else networks.FullyConnectedNetSaving
    two = models.TwoLayerNet if year < 2025 else networks.TwoLayerNetSaving
    return {"TwoLayerNet": two, "FullyConnectedNet": deep}
