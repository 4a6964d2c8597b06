"""Whole-array expressions in the Python array API standard: NumPy, PyTorch, CuPy and JAX arrays."""

from handgrad.engines.vectorized.affine import affine_backward, affine_forward

__all__ = ["affine_backward", "affine_forward"]
