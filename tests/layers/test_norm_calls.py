"""The normalisation layers: wrong calls and their messages."""

import numpy as np
import pytest

from handgrad import layers
from handgrad.errors import CacheError, DtypeError, OptionError, ShapeError
from handgrad.layers import (
    batchnorm_backward,
    batchnorm_backward_alt,
    batchnorm_forward,
    layernorm_backward,
    spatial_batchnorm_backward,
)

X, G3, XI, G6 = np.ones((2, 3)), np.ones(3), np.ones((2, 6, 2, 2)), np.ones(6)
TRAIN = {"mode": "train"}


@pytest.mark.parametrize(
    ("layer", "arguments", "error", "message"),
    [
        ("batchnorm", (X, G3, G3, {"mode": "tset"}), OptionError, 'Invalid forward batchnorm mode "tset"'),
        ("batchnorm", (X, G3, G3, {}), OptionError, "bn_param lacks the key 'mode'"),
        ("batchnorm", (X, G3, G3, None), OptionError, "bn_param must be a dictionary, got NoneType"),
        ("batchnorm", (X, G3, G3, {**TRAIN, "eps": 0}), OptionError, "a finite number above 0, got 0"),
        ("batchnorm", (X, G3, G3, {**TRAIN, "eps": "x"}), OptionError, r"eps'\] must be a number, got 'x'"),
        ("batchnorm", (X, G3, G3, {**TRAIN, "momentum": 2}), OptionError, r"momentum'\] must be in \[0, 1\]"),
        ("batchnorm", (X[:0], G3, G3, TRAIN), ShapeError, r"at least one number in a channel.*\(0, 3\)"),
        ("batchnorm", (XI, G3, G3, TRAIN), ShapeError, r"x must have 2 dimensions \(N, D\), got 4"),
        ("batchnorm", (X, G6, G3, TRAIN), ShapeError, r"gamma must have shape \(3,\).*got \(6,\)"),
        ("batchnorm", (X, G3, np.ones((1, 3)), TRAIN), ShapeError, r"beta must have shape \(3,\).*\(1, 3\)"),
        ("batchnorm", (X, G3, G3, {**TRAIN, "running_mean": G6}), ShapeError, r"running_mean'\] must have"),
        ("batchnorm", (X, G3, G3, {**TRAIN, "running_var": G3 * 1j}), DtypeError, r"running_var'\] is"),
        ("batchnorm", (X.astype("f2"), G3, G3, TRAIN), DtypeError, "x must be float32.*got float16"),
        ("layernorm", (X, G3, G3, None), OptionError, "ln_param must be a dictionary, got NoneType"),
        ("layernorm", (X, G3, G3, {"eps": -1}), OptionError, "a finite number above 0, got -1"),
        ("layernorm", (X, G6, G3, {}), ShapeError, r"gamma must have shape \(3,\).*got \(6,\)"),
        ("layernorm", (X, G3, np.ones(()), {}), ShapeError, r"beta must have shape \(3,\).*got \(\)"),
        ("layernorm", (X[0], G3, G3, {}), ShapeError, "x must have 2 dimensions"),
        ("layernorm", (X[:, :0], G3[:0], G3[:0], {}), ShapeError, r"at least one number.*\(2, 0\)"),
        ("spatial_batchnorm", (XI, G6, G6, {"mode": 1}), OptionError, 'Invalid forward batchnorm mode "1"'),
        ("spatial_batchnorm", (X, G3, G3, TRAIN), ShapeError, r"x must have 4 dimensions \(N, C, H, W\)"),
        ("spatial_batchnorm", (XI, XI[0, :, :1, :1], G6, TRAIN), ShapeError, r"gamma .*got \(6, 1, 1\)"),
        ("spatial_batchnorm", (XI[..., :0], G6, G6, TRAIN), ShapeError, "at least one number in a channel"),
        ("spatial_batchnorm", (XI[:, :, :0], G6, G6, TRAIN), ShapeError, "at least one number in a channel"),
        ("spatial_groupnorm", (XI, G6, G6, 4, {}), OptionError, "G must divide C = 6, .*got 4"),
        ("spatial_groupnorm", (XI, G6, G6, 0, {}), OptionError, "G must be at least 1, got 0"),
        ("spatial_groupnorm", (XI, G6, G6, 1.5, {}), OptionError, "G must be an integer.*got 1.5"),
        ("spatial_groupnorm", (XI, G6, G6, {}, 2), OptionError, "G must be an integer.*got {}"),
        ("spatial_groupnorm", (XI, G6, G6, 2, 1e-5), OptionError, "gn_param must be a dictionary, got float"),
        ("spatial_groupnorm", (XI, G6, G3, 2, {}), ShapeError, r"beta must have shape \(6,\) or"),
        ("spatial_groupnorm", (X, G3, G3, 3, {}), ShapeError, "x must have 4 dimensions"),
        ("spatial_groupnorm", (XI[:, :, :0], G6, G6, 2, {}), ShapeError, "at least one number"),
        ("spatial_instancenorm", (XI, G3, G6, {}), ShapeError, r"gamma must have shape \(6,\) or"),
        ("spatial_instancenorm", (XI, G6, G6, []), OptionError, "in_param must be a dictionary, got list"),
        ("spatial_instancenorm", (XI[:, :0], G6[:0], G6[:0], {}), ShapeError, "at least one number"),
        ("spatial_instancenorm", (X, G3, G3, {}), ShapeError, "x must have 4 dimensions"),
    ],
)  # fmt: skip
def test_wrong_calls_of_forward(layer, arguments, error, message):
    with pytest.raises(error, match=rf"^{layer}_forward: .*{message}"):
        getattr(layers, f"{layer}_forward")(*arguments)


def test_a_refused_call_leaves_bn_param_alone():
    bn_param = {"mode": "train", "running_var": G6}
    with pytest.raises(ShapeError):
        batchnorm_forward(X, G3, G3, bn_param)
    assert bn_param == {"mode": "train", "running_var": G6}


def test_wrong_calls_of_backward():
    _, cache = batchnorm_forward(X, G3, G3, {"mode": "train"})
    for backward in (batchnorm_backward, batchnorm_backward_alt):
        with pytest.raises(ShapeError, match=r"^batchnorm_backward: dout .*\(2, 3\), got \(3,\)"):
            backward(G3, cache)
    with pytest.raises(CacheError, match=r"^layernorm_backward: .*the cache of batchnorm_forward"):
        layernorm_backward(X, cache)
    with pytest.raises(CacheError, match=r"^spatial_batchnorm_backward: .*of batchnorm_forward"):
        spatial_batchnorm_backward(X, cache)
