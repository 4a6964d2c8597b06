"""How far a float32 computation of a network may be off: the bounds of its layers, added up."""

import importlib.util
import sys

import numpy as np

from handgrad.interop import bounds
from handgrad.interop.bounds import Value
from handgrad.interop.describe import describe


def agree(model, X, got, what="", slack=1.0):
    """Check that `got` are the model's scores on X, within what rounding of float32 explains."""
    network = describe(model)
    xs = X if isinstance(X, tuple) else (X,)
    values = {name: Value.exact(x) for name, x in zip(network.inputs, xs, strict=True)}
    unit = np.finfo(got.dtype).eps / 2
    for node in network.nodes:
        given = [values[name] for name in node.inputs]
        values[node.name] = bounds.forward(node, given, unit).out
    right, bound = values[network.output]
    assert got.shape == right.shape, what
    size = np.sqrt((right**2).mean())
    assert (np.abs(got - right) <= slack * bound).all(), what
    if (
        bound.max() < 1e-3 * size
    ):  # where rounding is not blown up on the way, it is far below its bound
        assert np.abs(got - right).max() <= 50 * np.sqrt(len(network.nodes)) * unit * size, what


def as_dtype(model, dtype):
    """The network of layer objects with parameters of another dtype."""
    model.dtype = dtype
    model._params = {name: w.astype(dtype) for name, w in model._params.items()}
    return model


def imported(path):
    """The module that a file holds."""
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module
