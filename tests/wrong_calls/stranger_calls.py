"""Wrong calls of strangers: arrays of other libraries, losses of one's own, classes, images of scores."""

from types import SimpleNamespace

import numpy as np
import pytest
from wrong_calls.things import IMAGES, X, Y, net, rows, solver

from handgrad import gradcheck, layers, nn, training
from handgrad.errors import CheckpointError, DtypeError, OperationError, OptionError, ShapeError


class Frame:
    """As a data frame of pandas: columns by name, each with a dtype."""

    def __init__(self, **columns):
        self.columns = list(columns)
        self._arrays = columns
        self.dtypes = [np.asarray(column).dtype for column in columns.values()]

    def __getitem__(self, name):
        return self._arrays[name]

    def __array__(self, dtype=None, copy=None):
        return np.stack([np.asarray(a, object) for a in self._arrays.values()], axis=1)


def tensor(**options):
    torch = pytest.importorskip("torch")
    return torch.zeros(4, 6, **options)


def network(loss="softmax", **options):
    return nn.Sequential([nn.Affine(3)], input_shape=(6,), loss=loss, rng=0, **options)


def own_loss(result):
    return lambda: network(lambda scores, y: result(scores)).loss(X, Y)


def segmenter():
    return nn.Sequential([nn.Conv2d(2, 3, pad=1)], input_shape=(3, 6, 6), rng=0)


STRANGERS = [
    (
        "a tensor that requires grad",
        lambda: solver(given=rows(X_train=tensor(requires_grad=True))),
        DtypeError,
        r"Solver: X_train must be .* requires grad; pass X_train\.detach\(\)",
    ),
    (
        "a tensor of bfloat16",
        lambda: solver(given=rows(X_val=tensor().bfloat16())),
        DtypeError,
        r"Solver: X_val must be .* is bfloat16; pass X_val\.float\(\)",
    ),
    (
        "a sparse tensor",
        lambda: net().loss(tensor().to_sparse()),
        DtypeError,
        r"X must .* X\.to_dense\(\)",
    ),
    (
        "a tensor elsewhere",
        lambda: net().predict(tensor(device="meta")),
        DtypeError,
        r"X must hold numbers, got Tensor without data",
    ),
    (
        "a list of tensors",
        lambda: network().loss([tensor(requires_grad=True)[0]] * 4, Y),
        DtypeError,
        r"a list of Tensors that requires grad",
    ),
    (
        "a sparse tensor for a layer",
        lambda: layers.relu_forward(tensor().to_sparse()),
        DtypeError,
        r"relu_forward: x must be dense, got a sparse tensor; pass x\.to_dense\(\)",
    ),
    (
        "a column of texts",
        lambda: solver(given=rows(X_train=Frame(a=X[:, 0], b=["u", "v", "w", "x"]))),
        DtypeError,
        r"X_train must .* Frame with no plain numbers in the column 'b'; .*columns=\['b'\]",
    ),
    (
        "columns of several kinds",
        lambda: net().loss(Frame(a=X[:, 0], b=X[:, 0] > 0)),
        DtypeError,
        r"X must .* several kinds; pass X\.astype\(float\)",
    ),
    (
        "None among numbers",
        lambda: network().loss([[1.0] * 6, [None] * 6], [0, 1]),
        DtypeError,
        r"X must hold real numbers, got list of objects: X\[1\]\[0\] is None, no real number",
    ),
    (
        "a generator of rows",
        lambda: training.predict(net(), (x for x in X)),
        DtypeError,
        r"X must .* generator, .* np\.stack\(list\(X\)\)",
    ),
    (
        "booleans to train on",
        lambda: solver(given=rows(X_train=X > 0)),
        DtypeError,
        r"X_train must hold real numbers, got bool; .* X_train\.astype\(np\.float32\)",
    ),
    (
        "a class for the Solver",
        lambda: training.Solver(nn.Sequential, rows()),
        DtypeError,
        "model must have params.* got <class 'handgrad",
    ),
    (
        "a class to evaluate",
        lambda: training.evaluate(type(net()), X, Y),
        OptionError,
        "got the class Fully",
    ),
    (
        "a loss that is only the loss",
        own_loss(lambda s: 1.0),
        OptionError,
        r"Sequential: loss\(scores, y\) must return \(loss, dscores\), .*got float",
    ),
    (
        "a loss of three",
        own_loss(lambda s: (1.0, s, s)),
        OptionError,
        "must return .* got tuple of 3",
    ),
    (
        "a loss a row",
        own_loss(lambda s: (s.sum(axis=1), s)),
        ShapeError,
        r"must return .* got an array of shape \(4,\) for the loss; take its mean",
    ),
    (
        "a loss of text",
        own_loss(lambda s: ("1", s)),
        ShapeError,
        "must return .* got '1' for the loss",
    ),
    (
        "a loss without a gradient",
        own_loss(lambda s: (1.0, None)),
        DtypeError,
        "dscores, .* got NoneType",
    ),
    (
        "a gradient of another shape",
        own_loss(lambda s: (1.0, s.T)),
        ShapeError,
        r"of shape \(4, 3\), got \(3, 4\) for dscores",
    ),
    (
        "a loss of one argument",
        lambda: network(lambda scores: 1.0),
        OptionError,
        r"loss must be a function of \(scores, y\), got one of \(scores\)",
    ),
    (
        "evaluating images of scores",
        lambda: training.evaluate(segmenter(), IMAGES, Y[:2]),
        ShapeError,
        r"scores must be \(N, C\), .* got shape \(2, 2, 6, 6\)",
    ),
    (
        "scores of no rows",
        lambda: training.predict(SimpleNamespace(loss=lambda X: 3.0), X),
        ShapeError,
        r"model\.loss\(X\) must return scores \(N, C\)",
    ),
    (
        "predicting a number",
        lambda: network().predict(3.0),
        ShapeError,
        r"X must have shape \(N, \.\.\.\)",
    ),
    (
        "predicting no arrays",
        lambda: network().predict(()),
        ShapeError,
        "X must be one array, got 0",
    ),
    (
        "two inputs for one",
        lambda: nn.Sequential([nn.Affine(3)]).loss((X, X)),
        OperationError,
        r"Affine\(3\) must be called with one value, got 2",
    ),
    (
        "a tuple of loss and gradient",
        lambda: gradcheck.eval_numerical_gradient(lambda w: (w.sum(), w), np.ones(3)),
        ShapeError,
        r"eval_numerical_gradient: f must return .* a tuple of 2; take its first, .*f\(x\)\[0\]",
    ),
    (
        "a tuple of arrays",
        lambda: gradcheck.eval_numerical_gradient_array(lambda w: (w, w), np.ones(3), 1.0),
        ShapeError,
        "eval_numerical_gradient_array: f must return .* tuple of 2",
    ),
    (
        "a tuple, sparsely",
        lambda: gradcheck.grad_check_sparse(lambda w: (w.sum(), w), np.ones(3), np.ones(3)),
        ShapeError,
        "grad_check_sparse: f must return .* tuple of 2",
    ),
    (
        "a run that is a text",
        lambda: training.TrainedRun("text"),
        CheckpointError,
        "text is not a run folder",
    ),
    (
        "no run",
        lambda: training.TrainedRun(None),
        OptionError,
        "folder must be the path of .* got None",
    ),
    (
        "a name too long",
        lambda: training.load_checkpoint("x" * 5000),
        OptionError,
        "must be the path of a file",
    ),
    (
        "unknown weights",
        lambda: training.load_weights(net(), 3),
        OptionError,
        "source must be a file, .* got 3",
    ),
]
