"""Texts of the notebooks' deterministic cells, in our own words, and how to run them.

A cell imports from ``{module}``, which stands for the course's own name of it.  It leaves what the
notebook would print in variables.
"""

from __future__ import annotations

import warnings

from handgrad.courses import PROFILES, stop_using, use

CS231N = {
    "fc_net": "cs231n.classifiers.fc_net",
    "cnn": "cs231n.classifiers.cnn",
    "layers": "cs231n.layers",
    "layer_utils": "cs231n.layer_utils",
    "conv_layer_utils": "cs231n.layer_utils",
    "fast_layers": "cs231n.fast_layers",
    "optim": "cs231n.optim",
    "gradient_check": "cs231n.gradient_check",
    "data_utils": "cs231n.data_utils",
    "vis_utils": "cs231n.vis_utils",
    "solver": "cs231n.solver",
    "im2col": "cs231n.im2col",
}
NNDL = {
    **CS231N,
    "fc_net": "nndl.fc_net",
    "cnn": "nndl.cnn",
    "layers": "nndl.conv_layers",
    "layer_utils": "nndl.layer_utils",
    "conv_layer_utils": "nndl.conv_layer_utils",
    "optim": "nndl.optim",
}
SKYNET = {
    "fc_net": "skynet.neural_network.classifiers.fc_net",
    "cnn": "skynet.neural_network.classifiers.cnn",
    "layers": "skynet.neural_network.layers",
    "layer_utils": "skynet.neural_network.layer_utils",
    "conv_layer_utils": "skynet.neural_network.layer_utils",
    "fast_layers": "skynet.neural_network.fast_layers",
    "optim": "skynet.solvers.optimizer",
    "gradient_check": "skynet.utils.gradient_check",
    "data_utils": "skynet.utils.data_utils",
    "vis_utils": "skynet.utils.vis_utils",
    "solver": "skynet.solvers.solver",
    "im2col": "skynet.neural_network.im2col",
}
MODULES = {"cs231n": CS231N, "nndl": NNDL, "skynet": SKYNET}

SETUP = """
import numpy as np
from {gradient_check} import eval_numerical_gradient, eval_numerical_gradient_array

def rel_error(x, y):
    return np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y)))
"""

AFFINE = """
from {fc_net} import *
shape, M = (2, 4, 5, 6), 3
D = np.prod(shape[1:])
x = np.linspace(-0.1, 0.5, num=2 * D).reshape(shape)
w = np.linspace(-0.2, 0.3, num=D * M).reshape(D, M)
out, _ = affine_forward(x, w, np.linspace(-0.3, 0.1, num=M))
F1 = rel_error(out, np.array([[1.49834967, 1.70660132, 1.91485297],
                              [3.25553199, 3.5141327, 3.77273342]]))

np.random.seed(231)
x, w, b = np.random.randn(10, 2, 3), np.random.randn(6, 5), np.random.randn(5)
dout = np.random.randn(10, 5)
_, cache = affine_forward(x, w, b)
dx, dw, db = affine_backward(dout, cache)
F2 = [
    rel_error(eval_numerical_gradient_array(lambda x: affine_forward(x, w, b)[0], x, dout), dx),
    rel_error(eval_numerical_gradient_array(lambda w: affine_forward(x, w, b)[0], w, dout), dw),
    rel_error(eval_numerical_gradient_array(lambda b: affine_forward(x, w, b)[0], b, dout), db),
]
"""

RELU = """
from {fc_net} import *
out, _ = relu_forward(np.linspace(-0.5, 0.5, num=12).reshape(3, 4))
F3 = rel_error(out, np.array([[0, 0, 0, 0], [0, 0, 0.04545455, 0.13636364],
                              [0.22727273, 0.31818182, 0.40909091, 0.5]]))

np.random.seed(231)
x = np.random.randn(10, 10)
dout = np.random.randn(*x.shape)
_, cache = relu_forward(x)
numerical = eval_numerical_gradient_array(lambda x: relu_forward(x)[0], x, dout)
F4 = rel_error(numerical, relu_backward(dout, cache))
"""

AFFINE_RELU = """
from {layer_utils} import affine_relu_forward, affine_relu_backward
np.random.seed(231)
x, w, b = np.random.randn(2, 3, 4), np.random.randn(12, 10), np.random.randn(10)
dout = np.random.randn(2, 10)
out, cache = affine_relu_forward(x, w, b)
dx, dw, db = affine_relu_backward(dout, cache)
f = lambda _: affine_relu_forward(x, w, b)[0]
F5 = [rel_error(eval_numerical_gradient_array(f, a, dout), da)
      for a, da in ((x, dx), (w, dw), (b, db))]
"""

LOSSES = """
from {fc_net} import *
np.random.seed(231)
x = 0.001 * np.random.randn(50, 10)
y = np.random.randint(10, size=50)
svm, dx = svm_loss(x, y)
numerical = eval_numerical_gradient(lambda x: svm_loss(x, y)[0], x, verbose=False)
F6 = [svm, rel_error(numerical, dx)]
softmax, dx = softmax_loss(x, y)
numerical = eval_numerical_gradient(lambda x: softmax_loss(x, y)[0], x, verbose=False)
F7 = [softmax, rel_error(numerical, dx)]
"""

TWO_LAYERS = """
from {fc_net} import *
np.random.seed(231)
N, D, H, C = 3, 5, 50, 7
X, y = np.random.randn(N, D), np.random.randint(C, size=N)
std = 1e-3
model = TwoLayerNet(input_dim=D, {hidden}=H, num_classes=C, weight_scale=std)
for name in ("W1", "W2"):
    assert abs(model.params[name].std() - std) < std / 10
    assert np.all(model.params[name.replace("W", "b")] == 0)
model.params["W1"] = np.linspace(-0.7, 0.3, num=D * H).reshape(D, H)
model.params["b1"] = np.linspace(-0.1, 0.9, num=H)
model.params["W2"] = np.linspace(-0.3, 0.4, num=H * C).reshape(H, C)
model.params["b2"] = np.linspace(-0.9, 0.1, num=C)
X = np.linspace(-5.5, 4.5, num=N * D).reshape(D, N).T
scores = model.loss(X)
y = np.asarray([0, 5, 1])
F8 = [model.loss(X, y)[0]]
model.reg = 1.0
F8.append(model.loss(X, y)[0])
errors = []
for model.reg in (0.0, 0.7):
    loss, grads = model.loss(X, y)
    for name in sorted(grads):
        numerical = eval_numerical_gradient(
            lambda _: model.loss(X, y)[0], model.params[name], verbose=False)
        errors.append(rel_error(numerical, grads[name]))
"""

DEEP = """
from {fc_net} import *
np.random.seed(231)
X, y = np.random.randn(2, 15), np.random.randint(10, size=(2,))
F9, errors = [], []
for reg in (0, 3.14):
    model = FullyConnectedNet([20, 30], input_dim=15, num_classes=10, reg=reg, weight_scale=5e-2,
                              dtype=np.float64)
    loss, grads = model.loss(X, y)
    F9.append(loss)
    for name in sorted(grads) if {gradients} else ():
        numerical = eval_numerical_gradient(
            lambda _: model.loss(X, y)[0], model.params[name], verbose=False, h=1e-5)
        errors.append(rel_error(numerical, grads[name]))
"""

DEEP_BATCHNORM = """
from {fc_net} import *
np.random.seed(231)
X, y = np.random.randn(2, 15), np.random.randint(10, size=(2,))
B5 = []
for reg in (0, 3.14):
    model = FullyConnectedNet([20, 30], input_dim=15, num_classes=10, reg=reg, weight_scale=5e-2,
                              dtype=np.float64, {batchnorm})
    B5.append(model.loss(X, y)[0])
"""

DEEP_DROPOUT = """
from {fc_net} import *
np.random.seed(231)
X, y = np.random.randn(2, 15), np.random.randint(10, size=(2,))
D3, errors = [], []
for number in {dropouts}:
    model = FullyConnectedNet([20, 30], input_dim=15, num_classes=10, weight_scale=5e-2,
                              dtype=np.float64, {dropout}=number, seed=123)
    loss, grads = model.loss(X, y)
    D3.append(loss)
    for name in sorted(grads) if {gradients} else ():
        numerical = eval_numerical_gradient(
            lambda _: model.loss(X, y)[0], model.params[name], verbose=False, h=1e-5)
        errors.append(rel_error(numerical, grads[name]))
"""

DROPOUT = """
from {fc_net} import *
np.random.seed(231)
x = np.random.randn(500, 500) + 10
rows = []
for p in {ps}:
    out, _ = dropout_forward(x, {{"mode": "train", "p": p}})
    out_test, _ = dropout_forward(x, {{"mode": "test", "p": p}})
    rows.append((out.mean(), (out == 0).mean(), (out_test == 0).mean()))
mean = x.mean()

np.random.seed(231)
x = np.random.randn(10, 10) + 10
dout = np.random.randn(*x.shape)
dropout_param = {{"mode": "train", "p": {p}, "seed": 123}}
out, cache = dropout_forward(x, dropout_param)
dx = dropout_backward(dout, cache)
error = rel_error(
    dx, eval_numerical_gradient_array(lambda x: dropout_forward(x, dropout_param)[0], x, dout))
"""

# nndl seeds nothing itself: the networks follow the state that the seed of dropout_backward leaves
NNDL_DROPOUT = """
from nndl.fc_net import *
from nndl.layers import *
x = np.random.randn(10, 10) + 10
dout = np.random.randn(*x.shape)
dropout_param = {{"mode": "train", "p": 0.8, "seed": 123}}
out, cache = dropout_forward(x, dropout_param)
dx = dropout_backward(dout, cache)
N7 = rel_error(
    dx, eval_numerical_gradient_array(lambda x: dropout_forward(x, dropout_param)[0], x, dout))

X, y = np.random.randn(2, 15), np.random.randint(10, size=(2,))
N6 = []
for dropout in {dropouts}:
    model = FullyConnectedNet([20, 30], input_dim=15, num_classes=10, weight_scale=5e-2,
                              dtype=np.float64, dropout=dropout, seed=123)
    N6.append(model.loss(X, y)[0])
"""

BATCHNORM = """
from {layers} import *
def shown(x, axis=0):
    return np.array([x.mean(axis), x.std(axis)])

np.random.seed(231)
X, W1, W2 = np.random.randn(200, 50), np.random.randn(50, 60), np.random.randn(60, 3)
a = np.maximum(0, X.dot(W1)).dot(W2)
B1 = [shown(a), shown(batchnorm_forward(a, np.ones(3), np.zeros(3), {{"mode": "train"}})[0])]
gamma, beta = np.asarray([1, 2, 3]), np.asarray([11, 12, 13])
B1.append(shown(batchnorm_forward(a, gamma, beta, {{"mode": "train"}})[0]))

np.random.seed(231)
W1, W2 = np.random.randn(50, 60), np.random.randn(60, 3)
bn_param = {{"mode": "train"}}
for t in range(50):
    X = np.random.randn(200, 50)
    batchnorm_forward(np.maximum(0, X.dot(W1)).dot(W2), np.ones(3), np.zeros(3), bn_param)
bn_param["mode"] = "test"
X = np.random.randn(200, 50)
B2 = shown(
    batchnorm_forward(np.maximum(0, X.dot(W1)).dot(W2), np.ones(3), np.zeros(3), bn_param)[0])

np.random.seed(231)
x = 5 * np.random.randn(4, 5) + 12
gamma, beta, dout = np.random.randn(5), np.random.randn(5), np.random.randn(4, 5)
bn_param = {{"mode": "train"}}
f = lambda a: batchnorm_forward(x, gamma, beta, bn_param)[0]
_, cache = batchnorm_forward(x, gamma, beta, bn_param)
B3 = [rel_error(eval_numerical_gradient_array(f, a, dout), da)
      for a, da in zip((x, gamma, beta), batchnorm_backward(dout, cache))]
"""

LAYERNORM = """
from {layers} import *
np.random.seed(231)
X, W1, W2 = np.random.randn(4, 50), np.random.randn(50, 60), np.random.randn(60, 3)
a = np.maximum(0, X.dot(W1)).dot(W2)
out, _ = layernorm_forward(a, np.ones(3), np.zeros(3), {{"mode": "train"}})
B6 = [a.mean(axis=1), a.std(axis=1), out.std(axis=1)]
gamma, beta = np.asarray([3, 3, 3]), np.asarray([5, 5, 5])
out, _ = layernorm_forward(a, gamma, beta, {{"mode": "train"}})
B6 += [out.mean(axis=1), out.std(axis=1)]
"""

CONV = """
from {cnn} import *
from {layers} import *
x = np.linspace(-0.1, 0.5, num=96).reshape(2, 3, 4, 4)
w = np.linspace(-0.2, 0.3, num=144).reshape(3, 3, 4, 4)
b = np.linspace(-0.1, 0.2, num=3)
out, _ = conv_forward_naive(x, w, b, {{"stride": 2, "pad": {one}}})
C1 = rel_error(out, np.array(
    [[[[-0.08759809, -0.10987781], [-0.18387192, -0.2109216]],
      [[0.21027089, 0.21661097], [0.22847626, 0.23004637]],
      [[0.50813986, 0.54309974], [0.64082444, 0.67101435]]],
     [[[-0.98053589, -1.03143541], [-1.19128892, -1.24695841]],
      [[0.69108355, 0.66880383], [0.59480972, 0.56776003]],
      [[2.36270298, 2.36904306], [2.38090835, 2.38247847]]]]))

np.random.seed(231)
x, w, b = np.random.randn(4, 3, 5, 5), np.random.randn(2, 3, 3, 3), np.random.randn(2,)
dout = np.random.randn(4, 2, 5, 5)
conv_param = {{"stride": 1, "pad": 1}}
out, cache = conv_forward_naive(x, w, b, conv_param)
f = lambda _: conv_forward_naive(x, w, b, conv_param)[0]
C2 = [rel_error(da, eval_numerical_gradient_array(f, a, dout))
      for a, da in zip((x, w, b), conv_backward_naive(dout, cache))]

np.random.seed(231)
x, w, b = np.random.randn(3, 3, 31, 31), np.random.randn(25, 3, 3, 3), np.random.randn(25,)
dout = np.random.randn(3, 25, 16, 16)
conv_param = {{"stride": 2, "pad": 1}}
from {fast_layers} import conv_forward_fast, conv_backward_fast
out_naive, cache_naive = conv_forward_naive(x, w, b, conv_param)
out_fast, cache_fast = conv_forward_fast(x, w, b, conv_param)
C5 = [rel_error(out_naive, out_fast)]
C5 += [rel_error(a, b) for a, b in zip(conv_backward_naive(dout, cache_naive),
                                       conv_backward_fast(dout, cache_fast))]
"""

POOL = """
from {cnn} import *
from {layers} import *
from {fast_layers} import max_pool_forward_fast, max_pool_backward_fast
pool_param = {{"pool_width": 2, "pool_height": 2, "stride": 2}}
x = np.linspace(-0.3, 0.4, num=96).reshape(2, 3, 4, 4)
out, _ = max_pool_forward_naive(x, pool_param)
C3 = rel_error(out, np.array(
    [[[[-0.26315789, -0.24842105], [-0.20421053, -0.18947368]],
      [[-0.14526316, -0.13052632], [-0.08631579, -0.07157895]],
      [[-0.02736842, -0.01263158], [0.03157895, 0.04631579]]],
     [[[0.09052632, 0.10526316], [0.14947368, 0.16421053]],
      [[0.20842105, 0.22315789], [0.26736842, 0.28210526]],
      [[0.32631579, 0.34105263], [0.38526316, 0.4]]]]))

np.random.seed(231)
x, dout = np.random.randn(3, 2, 8, 8), np.random.randn(3, 2, 4, 4)
out, cache = max_pool_forward_naive(x, pool_param)
numerical = eval_numerical_gradient_array(
    lambda x: max_pool_forward_naive(x, pool_param)[0], x, dout)
dx = max_pool_backward_naive(dout, cache)
C4 = rel_error(dx, numerical)
out_fast, cache_fast = max_pool_forward_fast(x, pool_param)
C6 = [rel_error(out, out_fast), rel_error(dx, max_pool_backward_fast(dout, cache_fast))]
"""

CONV_SANDWICHES = """
from {cnn} import *
from {conv_layer_utils} import conv_relu_pool_forward, conv_relu_pool_backward
from {conv_layer_utils} import conv_relu_forward, conv_relu_backward
conv_param = {{"stride": 1, "pad": 1}}
pool_param = {{"pool_height": 2, "pool_width": 2, "stride": 2}}
C7 = []
for size, forward, backward, options in (
    (16, conv_relu_pool_forward, conv_relu_pool_backward, (conv_param, pool_param)),
    (8, conv_relu_forward, conv_relu_backward, (conv_param,)),
):
    np.random.seed(231)
    x, w, b = np.random.randn(2, 3, size, size), np.random.randn(3, 3, 3, 3), np.random.randn(3,)
    dout = np.random.randn(2, 3, 8, 8)
    out, cache = forward(x, w, b, *options)
    C7 += [rel_error(eval_numerical_gradient_array(lambda _: forward(x, w, b, *options)[0], a,
                                                   dout), da)
           for a, da in zip((x, w, b), backward(dout, cache))]

model = ThreeLayerConvNet()
X, y = np.random.randn(50, 3, 32, 32), np.random.randint(10, size=50)
C8 = [model.loss(X, y)[0]]
model.reg = 0.5
C8.append(model.loss(X, y)[0])
"""

SPATIAL_BATCHNORM = """
from {layers} import *
np.random.seed(231)
x = 4 * np.random.randn(2, 3, 4, 5) + 10
bn_param = {{"mode": "train"}}
out, _ = spatial_batchnorm_forward(x, np.ones(3), np.zeros(3), bn_param)
axes = (0, 2, 3)
C10 = [x.mean(axes), x.std(axes), out.std(axes)]
gamma, beta = np.asarray([3, 4, 5]), np.asarray([6, 7, 8])
C10.append(spatial_batchnorm_forward(x, gamma, beta, bn_param)[0].std(axes))

np.random.seed(231)
bn_param = {{"mode": "train"}}
gamma, beta = np.ones(4), np.zeros(4)
for t in range(50):
    spatial_batchnorm_forward(2.3 * np.random.randn(10, 4, 11, 12) + 13, gamma, beta, bn_param)
bn_param["mode"] = "test"
out, _ = spatial_batchnorm_forward(2.3 * np.random.randn(10, 4, 11, 12) + 13, gamma, beta, bn_param)
C11 = [out.mean(axes), out.std(axes)]

np.random.seed(231)
x = 5 * np.random.randn(2, 3, 4, 5) + 12
gamma, beta, dout = np.random.randn(3), np.random.randn(3), np.random.randn(2, 3, 4, 5)
bn_param = {{"mode": "train"}}
fx = lambda x: spatial_batchnorm_forward(x, gamma, beta, bn_param)[0]
fg = lambda a: spatial_batchnorm_forward(x, gamma, beta, bn_param)[0]
numerical = [eval_numerical_gradient_array(f, a, dout) for f, a in ((fx, x), (fg, gamma), (fg, beta))]
_, cache = spatial_batchnorm_forward(x, gamma, beta, bn_param)
C12 = [rel_error(n, a) for n, a in zip(numerical, spatial_batchnorm_backward(dout, cache))]
"""

GROUPNORM = """
from {layers} import *
np.random.seed(231)
x = 4 * np.random.randn(2, 6, 4, 5) + 10
gamma, beta = np.ones((1, 6, 1, 1)), np.zeros((1, 6, 1, 1))
out, _ = spatial_groupnorm_forward(x, gamma, beta, 2, {{"mode": "train"}})
C13 = [x.reshape(4, -1).mean(axis=1), x.reshape(4, -1).std(axis=1), out.reshape(4, -1).std(axis=1)]

np.random.seed(231)
x = 5 * np.random.randn(2, 6, 4, 5) + 12
gamma, beta = np.random.randn(1, 6, 1, 1), np.random.randn(1, 6, 1, 1)
dout = np.random.randn(2, 6, 4, 5)
f = lambda a: spatial_groupnorm_forward(x, gamma, beta, 2, {{}})[0]
numerical = [eval_numerical_gradient_array(f, a, dout) for a in (x, gamma, beta)]
_, cache = spatial_groupnorm_forward(x, gamma, beta, 2, {{}})
analytic = spatial_groupnorm_backward(dout, cache)
shapes = [a.shape for a in analytic]
C14 = [rel_error(n, a) for n, a in zip(numerical, analytic)]
"""

RULE = """
from {optim} import {rule}
line = lambda first, last: np.linspace(first, last, num=20).reshape(4, 5)
w, dw = line(-0.4, 0.6), line(-0.6, 0.4)
config = {config}
next_w, _ = {rule}(w, dw, config=config)
errors = [rel_error(got, np.reshape(expected, (4, 5))) for got, expected in (
    (next_w, {next_w}), *((config[key], table) for key, table in {tables}.items()))]
"""


def run(course: str, *cells: str, **words: object) -> dict[str, object]:
    """Run the cells, one notebook, under a profile; return its variables."""
    use(course)
    try:
        names = MODULES[PROFILES[course].course]
        variables: dict[str, object] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for cell in (SETUP, *cells):
                exec(cell.format(**{**names, **words}), variables)
        return variables
    finally:
        stop_using()
