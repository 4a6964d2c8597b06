"""The complex step: derivatives of a forward pass to the last digit, without a difference.

For a function that is analytic around x (on each smooth piece, away from kinks),

    f(x + i h e_k) = f(x) + i h df/dx_k - O(h^2),    so    df/dx_k = Im f(x + i h e_k) / h.

Nothing is subtracted, so h can be tiny and no digit is lost, where central differences keep nine.
(It is 2^-100: multiplying and dividing by a power of two is exact.)  One complex forward pass gives
column k of the whole Jacobian.  The forward pass must treat complex numbers as the same formula
would: no conjugate, no absolute value, branches on the real part.  Whether it does is tried with
differences; where it does not, `check_pair` takes differences of five points instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from handgrad.engines.arrays import as_numpy
from handgrad.errors import (
    DtypeError,
    OperationError,
    ShapeError,
    as_count,
    as_number,
    check_callable,
    check_takes,
)

STEP = 2.0**-100
_SMALL = 32  # outputs of at most so many numbers have each row of the Jacobian checked


class Difference(NamedTuple):
    """How one gradient of a pair differs from the complex step.

    error: ``max|got - expected| / max|expected|`` over all upstream gradients that were tried;
    infinite if a NaN came.  scale: that ``max|expected|``.  where: the index of the largest
    difference in the array; expected, got: the two numbers there.  method: 'complex step', or
    'differences' for a forward that is not analytic.

    >>> Difference(1e-16, 2.0, (0, 1), 1.5, 1.5).method
    'complex step'
    """

    error: float
    scale: float
    where: tuple[int, ...]
    expected: float
    got: float
    method: str = "complex step"


def complex_step_jacobians(
    forward: Callable[..., Any], arrays: Sequence[np.ndarray], *, h: float = STEP
) -> tuple[np.ndarray, ...]:
    """Jacobian of the output of `forward` in each array: ``J[o, k] = d out[o] / d array[k]``.

    Args:
        forward: called as ``forward(*arrays)``; returns out, or a tuple that begins with it.
        arrays: real arrays, at a point where `forward` is smooth; they are not changed.
        h: the step.

    Returns:
        For each array, its Jacobian, of shape ``out.shape + array.shape``, in float64.

    Raises:
        OperationError: forward is not analytic, as with np.abs: differences say something else.

    >>> complex_step_jacobians(lambda x: x**3, [np.array(2.0)])
    (array(12.),)
    """
    check_callable("complex_step", "forward", forward)
    h = as_number("complex_step", "h", h, 0, open_low=True)
    real = _real_arrays("complex_step", arrays)
    check_takes("complex_step", "forward", forward, f"the {len(real)} arrays", len(real))
    here = _output(forward(*real))
    shape = here.shape
    jacobians = []
    for position, array in enumerate(real):
        jacobian = np.empty(shape + array.shape)
        for index in np.ndindex(array.shape):
            shifted = array.astype(np.complex128)
            shifted[index] += 1j * h
            out = _output(forward(*real[:position], shifted, *real[position + 1 :]))
            jacobian[(..., *index)] = np.imag(out) / h
        jacobians.append(jacobian)
    _check_analytic(forward, real, np.real(here), jacobians)
    return tuple(jacobians)


def _check_analytic(
    forward: Callable[..., Any],
    arrays: list[np.ndarray],
    here: np.ndarray,
    jacobians: list[np.ndarray],
) -> None:
    """Refuse a Jacobian that differences deny: at two steps, in one direction for each array."""
    for i, (array, jacobian) in enumerate(zip(arrays, jacobians, strict=True)):
        # never 0, and no two alike: no two wrong entries of a row cancel
        way = 1 + np.modf(0.6180339887 * np.arange(1, array.size + 1))[0].reshape(array.shape)
        slope = np.tensordot(jacobian, way, array.ndim)
        denied = []
        for step in (1e-5, 1e-6):
            step *= float(np.max(np.abs(array), initial=0.0)) or 1.0
            behind, ahead = (
                np.real(_output(forward(*arrays[:i], array + s * way, *arrays[i + 1 :])))
                for s in (-step, step)
            )
            sides = (here - behind) / step, (ahead - here) / step  # they differ at a kink
            rounding = 1e-14 * np.abs(here) / step
            allowed = 1e-3 * np.max(np.abs(sides), initial=0.0) + rounding
            below, above = np.minimum(*sides) - allowed, np.maximum(*sides) + allowed
            denied.append((slope < below) | (slope > above))
        if np.any(denied[0] & denied[1]):
            raise OperationError(
                f"complex_step: forward is not analytic in arrays[{i}]: differences give another "
                "derivative; np.abs, np.conj or np.real of the input may be the reason. Write "
                "np.where(np.real(x) < 0, -x, x) for np.abs(x), or use eval_numerical_gradient_array"
            )


def _jacobians_by_differences(
    forward: Callable[..., Any], arrays: list[np.ndarray]
) -> tuple[np.ndarray, ...]:
    """The Jacobians by central differences of five points; about ten digits are right."""
    shape = _output(forward(*arrays)).shape
    jacobians = []
    for i, array in enumerate(arrays):
        step = 1e-3 * (float(np.std(array)) or float(np.max(np.abs(array), initial=0.0)) or 1.0)
        jacobian = np.zeros(shape + array.shape)
        for index in np.ndindex(array.shape):
            for times, weight in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
                moved = array.copy()
                moved[index] += times * step
                out = _output(forward(*arrays[:i], moved, *arrays[i + 1 :]))
                jacobian[(..., *index)] += weight / (12 * step) * out
        jacobians.append(jacobian)
    return tuple(jacobians)


def complex_step_gradients(
    forward: Callable[..., Any], arrays: Sequence[np.ndarray], dout: Any, *, h: float = STEP
) -> tuple[np.ndarray, ...]:
    """Gradient of ``sum(dout * out)`` in each array, where out is the output of `forward`.

    Args:
        forward, arrays, h: as in `complex_step_jacobians`.
        dout: the upstream gradient, of the shape of out.

    Returns:
        One gradient for each array, of its shape, in float64.

    Raises:
        ShapeError: dout does not have the output's shape.

    >>> import numpy as np
    >>> complex_step_gradients(lambda x: x**2, [np.array([1.0, 3.0])], np.ones(2))
    (array([2., 6.]),)
    """
    jacobians = complex_step_jacobians(forward, arrays, h=h)
    dout = as_numpy("complex_step_gradients", "dout", dout)
    if dout.dtype.kind not in "biufc":
        raise DtypeError(f"complex_step_gradients: dout must hold numbers, got {dout.dtype}")
    for array, jacobian in zip(arrays, jacobians, strict=True):
        shape = jacobian.shape[: jacobian.ndim - np.ndim(array)]
        if np.shape(dout) != shape:
            raise ShapeError(
                f"complex_step_gradients: dout must have the output's shape {shape}, "
                f"got {np.shape(dout)}"
            )
    return tuple(np.tensordot(dout, jacobian, np.ndim(dout)) for jacobian in jacobians)


def check_pair(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    arrays: Sequence[np.ndarray],
    *,
    trials: int = 3,
    rng: np.random.Generator | int = 0,
    h: float = STEP,
) -> tuple[Difference, ...]:
    """Compare a backward pass with the complex step of its forward pass.

    Several random upstream gradients are tried, and for small outputs the unit vectors too, which
    give the whole Jacobian.  A forward that is not analytic, as with np.abs, is compared with
    differences of five points, and `Difference.method` says so.

    Args:
        forward: ``forward(*arrays)`` returns out and the cache.
        backward: ``backward(dout, cache)`` returns one gradient, or a tuple, one for each array.
        arrays: real arrays, at a point where `forward` is smooth.
        trials: how many random upstream gradients to try.
        rng: a generator or a seed for them.
        h: the complex step.

    Returns:
        For each array, the `Difference`: below 1e-12 for a right backward pass, by differences below 1e-7.

    Raises:
        ShapeError: backward returned another number of gradients, or one of another shape.

    >>> from handgrad.layers import affine_backward, affine_forward
    >>> x, w, b = np.ones((2, 3)), np.ones((3, 2)), np.zeros(2)
    >>> dx, dw, db = check_pair(affine_forward, affine_backward, (x, w, b))
    >>> max(dx.error, dw.error, db.error) < 1e-12
    True
    """
    trials = as_count("check_pair", "trials", trials)
    if not isinstance(rng, np.random.Generator):
        rng = np.random.default_rng(as_count("check_pair", "rng (a Generator or seed)", rng, 0))
    check_callable("check_pair", "backward", backward)
    real = _real_arrays("check_pair", arrays)
    try:
        jacobians, method = complex_step_jacobians(forward, real, h=h), "complex step"
    except OperationError:
        jacobians, method = _jacobians_by_differences(forward, real), "differences"
    result = forward(*real)
    if not isinstance(result, tuple) or len(result) != 2:
        raise ShapeError(
            f"check_pair: forward must return out and the cache, got {type(result).__name__}"
        )
    out, cache = result
    douts = rng.standard_normal((trials, *np.shape(out)))
    if out.size <= _SMALL:
        douts = np.concatenate([douts, np.eye(out.size).reshape(out.size, *np.shape(out))])
    trial_gradients = [_gradients(backward(dout, cache), real) for dout in douts]
    return tuple(
        _difference(np.tensordot(douts, jacobian, np.ndim(out)), np.stack(got))._replace(
            method=method
        )
        for jacobian, *got in zip(jacobians, *trial_gradients, strict=True)
    )


def _output(result: Any) -> np.ndarray:
    """Return the output of forward, which may come with a cache."""
    out = result[0] if isinstance(result, tuple) and result else result
    out = as_numpy("complex_step", "forward", out, "return numbers")
    if out.dtype.kind not in "iufc":
        raise DtypeError(f"complex_step: forward must return numbers, got {out.dtype}")
    return out


def _real_arrays(function: str, arrays: Any) -> list[np.ndarray]:
    """Return `arrays` in float64; refuse one array in the place of several, and what is not real."""
    if not isinstance(arrays, tuple | list) or not arrays:
        raise ShapeError(
            f"{function}: arrays must be a tuple or list, as in (x, w, b), got "
            f"{type(arrays).__name__}"
        )
    real = []
    for i, array in enumerate(arrays):
        array = as_numpy(function, f"arrays[{i}]", array)
        if array.dtype.kind not in "iuf":
            raise DtypeError(f"{function}: arrays[{i}] must hold real numbers, got {array.dtype}")
        real.append(array.astype(np.float64, copy=False))
    return real


def _gradients(result: Any, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Return what a backward pass returned as a tuple, after checking number and shapes."""
    results = result if isinstance(result, tuple) else (result,)
    gradients = tuple(as_numpy("check_pair", "a gradient", gradient) for gradient in results)
    shapes = [np.shape(gradient) for gradient in gradients]
    expected = [array.shape for array in arrays]
    if shapes != expected:
        raise ShapeError(
            f"check_pair: backward must return gradients of the arrays' shapes {expected}, "
            f"got {shapes}"
        )
    return gradients


def _difference(expected: np.ndarray, got: np.ndarray) -> Difference:
    """Compare gradients that are stacked along axis 0, one for each upstream gradient."""
    if not expected.size:
        return Difference(0.0, 0.0, (), 0.0, 0.0)
    distance = np.abs(got - expected)
    worst = np.unravel_index(np.argmax(distance), distance.shape)
    scale = np.max(np.abs(expected))
    error = 0.0
    if distance[worst] != 0:
        error = distance[worst] / scale if scale and np.isfinite(distance[worst]) else np.inf
    where = tuple(int(i) for i in worst[1:])
    return Difference(float(error), float(scale), where, float(expected[worst]), float(got[worst]))
