"""nndl's ``layer_tests``: the cells of its first notebooks as functions that print errors.

They test what ``nndl`` holds when they are called.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from handgrad.gradcheck import (
    eval_numerical_gradient,
    eval_numerical_gradient_array,
    rel_error,
)


def affine_forward_test() -> None:
    """Print the error of affine_forward against known numbers."""
    shape, M = (2, 4, 5, 6), 3
    D = int(np.prod(shape[1:]))
    x = np.linspace(-0.1, 0.5, num=2 * D).reshape(shape)
    w = np.linspace(-0.2, 0.3, num=D * M).reshape(D, M)
    b = np.linspace(-0.3, 0.1, num=M)
    out, _ = _nndl("layers", "affine_forward")(x, w, b)
    expected = [[1.49834967, 1.70660132, 1.91485297], [3.25553199, 3.5141327, 3.77273342]]
    _print("If affine_forward function is working, difference should be less than 1e-9:")
    _print(f"difference: {rel_error(out, expected)}")


def affine_backward_test() -> None:
    """Print the errors of affine_backward against numerical gradients."""
    x, w, b = np.random.randn(10, 2, 3), np.random.randn(6, 5), np.random.randn(5)
    dout = np.random.randn(10, 5)
    _print("If affine_backward is working, error should be less than 1e-9::")
    _print_errors("layers", "affine", (x, w, b), dout)


def relu_forward_test() -> None:
    """Print the error of relu_forward against known numbers."""
    out, _ = _nndl("layers", "relu_forward")(np.linspace(-0.5, 0.5, num=12).reshape(3, 4))
    expected = [
        [0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.04545455, 0.13636364],
        [0.22727273, 0.31818182, 0.40909091, 0.5],
    ]
    _print("If relu_forward function is working, difference should be around 1e-8:")
    _print(f"difference: {rel_error(out, expected)}")


def relu_backward_test() -> None:
    """Print the error of relu_backward against a numerical gradient."""
    x, dout = np.random.randn(10, 10), np.random.randn(10, 10)
    _print("If relu_forward function is working, error should be less than 1e-9:")
    _print_errors("layers", "relu", (x,), dout)


def affine_relu_test() -> None:
    """Print the errors of affine_relu_backward against numerical gradients."""
    x, w, b = np.random.randn(2, 3, 4), np.random.randn(12, 10), np.random.randn(10)
    dout = np.random.randn(2, 10)
    _print(
        "If affine_relu_forward and affine_relu_backward are working, error should be less than "
        "1e-9::"
    )
    _print_errors("layer_utils", "affine_relu", (x, w, b), dout)


def fc_net_test() -> None:
    """Print the losses of a three-layer FullyConnectedNet, and the errors of its gradients."""
    X, y = np.random.randn(2, 15), np.random.randint(10, size=(2,))
    for reg in (0, 3.14):
        _print(f"Running check with reg = {reg}")
        model = _nndl("fc_net", "FullyConnectedNet")(
            [20, 30], input_dim=15, num_classes=10, reg=reg, weight_scale=5e-2, dtype=np.float64
        )
        loss, grads = model.loss(X, y)
        _print(f"Initial loss: {loss}")
        for name in sorted(grads):
            numerical = eval_numerical_gradient(
                partial(_loss, model, X, y), model.params[name], verbose=False
            )
            _print(f"{name} relative error: {rel_error(numerical, grads[name])}")


def _loss(model: Any, X: np.ndarray, y: np.ndarray, _: np.ndarray) -> Any:
    """Return the loss; the parameter that is perturbed is the model's own."""
    return model.loss(X, y)[0]


def _print_errors(
    module: str, layer: str, arguments: tuple[np.ndarray, ...], dout: np.ndarray
) -> None:
    forward, backward = (_nndl(module, f"{layer}_{way}") for way in ("forward", "backward"))
    _, cache = forward(*arguments)
    gradients = backward(dout, cache)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    for name, argument, gradient in zip("xwb", arguments, gradients, strict=False):
        # the numerical gradient writes into `argument`, which forward closes over
        numerical = eval_numerical_gradient_array(lambda _: forward(*arguments)[0], argument, dout)
        _print(f"d{name} error: {rel_error(numerical, gradient)}")


def _nndl(module: str, name: str) -> Callable[..., Any]:
    return getattr(importlib.import_module(f"nndl.{module}"), name)


def _print(line: str) -> None:
    print(line)  # noqa: T201
