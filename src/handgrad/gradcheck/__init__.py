"""Gradient checks: the courses' central differences, and the complex step, six orders sharper."""

from handgrad.gradcheck.complex_step import (
    Difference,
    check_pair,
    complex_step_gradients,
    complex_step_jacobians,
)
from handgrad.gradcheck.numerical import (
    eval_numerical_gradient,
    eval_numerical_gradient_array,
    eval_numerical_gradient_blobs,
    eval_numerical_gradient_net,
    grad_check_sparse,
    rel_error,
)

__all__ = [
    "Difference",
    "check_pair",
    "complex_step_gradients",
    "complex_step_jacobians",
    "eval_numerical_gradient",
    "eval_numerical_gradient_array",
    "eval_numerical_gradient_blobs",
    "eval_numerical_gradient_net",
    "grad_check_sparse",
    "rel_error",
]
