"""Central differences, with the names and the behaviour of the courses' ``gradient_check``.

    df/dx_i = (f(x + h e_i) - f(x - h e_i)) / 2h + O(h^2)

All functions perturb `x` itself, one number at a time, and put the number back exactly, also when
`f` raises: notebooks pass functions that ignore their argument and read the array they closed over.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from handgrad.engines.arrays import as_numpy
from handgrad.errors import (
    DtypeError,
    ShapeError,
    as_count,
    as_flag,
    as_number,
    check_callable,
    shown,
)


def rel_error(x: Any, y: Any) -> float:
    """Largest relative error ``max(|x - y| / max(1e-8, |x| + |y|))``; 0.0 for empty arrays.

    Raises:
        ShapeError: the shapes differ; nothing is broadcast.

    Source: the notebooks of CS231n assignment 2, but for the check of the shapes.

    >>> rel_error([1.0, 2.0], [1.0, 2.0])
    0.0
    >>> rel_error([1.0, 0.0], [-1.0, 0.0])
    1.0
    """
    x, y = as_numpy("rel_error", "x", x), as_numpy("rel_error", "y", y)
    for name, array in (("x", x), ("y", y)):
        if array.dtype.kind not in "biufc":
            raise DtypeError(f"rel_error: {name} must hold numbers, got {array.dtype}")
    if x.shape != y.shape:
        raise ShapeError(f"rel_error: x and y must have one shape, got {x.shape} and {y.shape}")
    scale = np.maximum(1e-8, np.abs(x) + np.abs(y))
    return float(np.max(np.abs(x - y) / scale, initial=0.0))


def eval_numerical_gradient(
    f: Callable[[np.ndarray], Any], x: np.ndarray, verbose: bool = True, h: float = 1e-5
) -> np.ndarray:
    """Gradient of the scalar function `f` at `x`, by central differences.

    Args:
        f: function of x that returns one number.
        x: the point, of any shape; perturbed in place and restored.
        verbose: print each index and its derivative.
        h: the step.

    Returns:
        The gradient, with x's shape and dtype.

    Raises:
        DtypeError: x holds integers, is read-only, or holds numbers beside which the step is lost; f returns
            complex numbers at a real x.

    >>> import numpy as np
    >>> eval_numerical_gradient(lambda x: float(x @ x), np.array([1.0, 3.0]), verbose=False).round(6)
    array([2., 6.])
    """
    function = "eval_numerical_gradient"
    _check_floating(function, x)
    h = _checked_step(function, f, h)
    verbose = as_flag(function, "verbose", bool(verbose) if isinstance(verbose, int) else verbose)
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        change = _difference(function, lambda: f(x), x, index, h)
        gradient[index] = _one_number(function, change) / (2 * h)
        if verbose:
            print(index, gradient[index])  # noqa: T201
    return gradient


def eval_numerical_gradient_array(
    f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, df: Any, h: float = 1e-5
) -> np.ndarray:
    """Gradient of ``sum(f(x) * df)`` at `x`, by central differences.

    Args:
        f: function of x that returns an array.
        x: the point, of any shape; perturbed in place and restored.
        df: the upstream gradient, of the shape of f(x) (or a number).
        h: the step.

    Returns:
        The gradient, with x's shape and dtype.

    Raises:
        DtypeError: as `eval_numerical_gradient`.  ShapeError: df does not have the shape of f(x).
    """
    function = "eval_numerical_gradient_array"
    _check_floating(function, x)
    h = _checked_step(function, f, h)
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        change = _difference(function, lambda: f(x), x, index, h)
        gradient[index] = _contract(function, change, df) / (2 * h)
    return gradient


def eval_numerical_gradient_blobs(
    f: Callable[..., Any], inputs: Sequence[Any], output: Any, h: float = 1e-5
) -> list[np.ndarray]:
    """Gradients of a function that reads and writes blobs, by central differences.

    A blob is any object with the arrays ``vals`` and ``diffs``, such as a layer's input or output.

    Args:
        f: called as ``f(*inputs, output)``; writes ``output.vals``.
        inputs: the input blobs; their vals are perturbed in place and restored.
        output: the output blob; its diffs are the upstream gradient.
        h: the step.

    Returns:
        One gradient of ``sum(output.vals * output.diffs)`` for the vals of each input.

    Raises:
        DtypeError: vals hold integers.
        ShapeError: the diffs of `output` differ in shape from its vals.
    """
    function = "eval_numerical_gradient_blobs"
    h = _checked_step(function, f, h)
    if not isinstance(inputs, list | tuple):
        raise DtypeError(f"{function}: inputs must be a list of blobs, got {type(inputs).__name__}")
    for name, blob in (
        *((f"inputs[{i}]", blob) for i, blob in enumerate(inputs)),
        ("output", output),
    ):
        if not hasattr(blob, "vals") or (name == "output" and not hasattr(blob, "diffs")):
            raise DtypeError(
                f"{function}: {name} must be a blob with the arrays vals and diffs, got {shown(blob)}"
            )

    def value() -> Any:
        f(*inputs, output)
        return output.vals

    gradients = []
    for blob in inputs:
        _check_floating(function, blob.vals)
        gradient = np.zeros_like(blob.vals)
        for index in np.ndindex(blob.vals.shape):
            change = _difference(function, value, blob.vals, index, h)
            gradient[index] = _contract(function, change, output.diffs) / (2 * h)
        gradients.append(gradient)
    return gradients


def eval_numerical_gradient_net(
    net: Any, inputs: Sequence[Any], output: Any, h: float = 1e-5
) -> list[np.ndarray]:
    """`eval_numerical_gradient_blobs` of a net whose ``forward()`` reads and writes the blobs.

    >>> eval_numerical_gradient_net(net, inputs, output)  # doctest: +SKIP
    """
    check_callable("eval_numerical_gradient_net", "net.forward", getattr(net, "forward", None))
    if isinstance(net, type):
        raise DtypeError(
            f"eval_numerical_gradient_net: net must be a net, got the class {net.__name__}"
        )
    return eval_numerical_gradient_blobs(lambda *blobs: net.forward(), inputs, output, h=h)


def grad_check_sparse(
    f: Callable[[np.ndarray], Any],
    x: np.ndarray,
    analytic_grad: np.ndarray,
    num_checks: int = 10,
    h: float = 1e-5,
) -> None:
    """Print numerical and analytic derivative of the scalar `f` at a few random positions of `x`.

    The positions come from Python's `random`; x is perturbed in place and restored.

    Raises:
        DtypeError: x holds integers.  ShapeError: analytic_grad does not have x's shape.

    >>> grad_check_sparse(f, x, analytic_grad, num_checks=3)  # doctest: +SKIP
    """
    function = "grad_check_sparse"
    _check_floating(function, x)
    h = _checked_step(function, f, h)
    analytic_grad = as_numpy(function, "analytic_grad", analytic_grad)
    if analytic_grad.shape != x.shape or not x.size:
        raise ShapeError(
            f"grad_check_sparse: analytic_grad must have x's shape {x.shape}, of at least one "
            f"number, got {analytic_grad.shape}"
        )
    for _ in range(as_count(function, "num_checks", num_checks)):
        index = tuple(random.randrange(size) for size in x.shape)
        change = _difference(function, lambda: f(x), x, index, h)
        numerical = _one_number(function, change) / (2 * h)
        analytic = analytic_grad[index]
        scale = abs(numerical) + abs(analytic)
        error = abs(numerical - analytic) / scale if scale else 0.0
        print(  # noqa: T201
            f"numerical: {numerical:f} analytic: {analytic:f}, relative error: {error:e}"
        )


def _difference(
    function: str, f: Callable[[], Any], x: np.ndarray, index: tuple[int, ...], h: float
) -> Any:
    """Return f() with ``x[index] + h`` less f() with ``x[index] - h``, and restore x."""
    original = x[index]
    try:
        x[index] = original + h
        above = x[index]
        plus = _array_of(function, f()).copy()  # f may write both results to one buffer
        x[index] = original - h
        if x[index] == above and np.isfinite(above):
            raise DtypeError(
                f"{function}: the step h = {h:g} is lost beside x{list(index)} = {original:g} in "
                f"{x.dtype}; pass x.astype(np.float64), or a larger h"
            )
        minus = _array_of(function, f())
        if minus.shape != plus.shape:
            raise ShapeError(
                f"{function}: f must return one shape, got {plus.shape} and {minus.shape}"
            )
        if "c" in plus.dtype.kind + minus.dtype.kind and x.dtype.kind == "f":
            raise DtypeError(
                f"{function}: f must return real numbers at a real x, got {plus.dtype}; take the real part, "
                "as in lambda x: f(x).real"
            )
        return plus - minus
    finally:
        x[index] = original


def _array_of(function: str, result: Any) -> np.ndarray:
    """Return what f returned as an array of numbers."""
    if isinstance(result, tuple):
        raise ShapeError(
            f"{function}: f must return one number or array, got a tuple of {len(result)}; take its first, "
            "as in lambda x: f(x)[0]"
        )
    array = as_numpy(function, "f", result, "return numbers")
    if array.dtype.kind not in "biufc":
        raise DtypeError(f"{function}: f must return numbers, got {array.dtype}: {array!s:.60}")
    return array.astype(np.int64) if array.dtype.kind in "bu" else array


def _one_number(function: str, change: Any) -> Any:
    """Return `change`, of a function that must return one number, without its axes of length 1."""
    if np.size(change) != 1:
        raise ShapeError(f"{function}: f must return one number, got shape {np.shape(change)}")
    return np.reshape(change, ())


def _contract(function: str, change: Any, upstream: Any) -> Any:
    upstream = as_numpy(function, "the upstream gradient", upstream, "hold numbers")
    if upstream.dtype.kind not in "biufc":
        raise DtypeError(f"{function}: the upstream gradient must hold numbers, got {upstream!r}")
    if np.ndim(upstream) and np.shape(upstream) != np.shape(change):
        raise ShapeError(
            f"{function}: the upstream gradient must have the output's shape {np.shape(change)}, "
            f"got {np.shape(upstream)}"
        )
    return np.sum(change * upstream)


def _checked_step(function: str, f: Any, h: Any) -> float:
    """Return the step `h`, after checking that `f` can be called."""
    check_callable(function, "f", f)
    return as_number(function, "h", h, 0, open_low=True)


def _check_floating(function: str, x: Any) -> None:
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "fc":
        raise DtypeError(
            f"{function}: x must be a NumPy array of floats, in which a small step is not lost; "
            f"got {type(x).__name__} of {getattr(x, 'dtype', 'no dtype')}"
        )
    if hasattr(x, "mask"):
        raise DtypeError(
            f"{function}: x must be a plain NumPy array, got a masked one; pass x.filled(number), with a "
            "number of your choice"
        )
    if not x.flags.writeable:
        raise DtypeError(
            f"{function}: x is changed in place and restored, but it is read-only; pass x.copy(), which f "
            "must then read"
        )
    if x.size and any(
        step == 0 and size > 1 for step, size in zip(x.strides, x.shape, strict=True)
    ):
        raise DtypeError(
            f"{function}: x is changed in place, but its numbers share memory (a stride of 0); pass "
            "x.copy(), which f must then read"
        )
