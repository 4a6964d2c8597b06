"""Layers: forward and backward pairs, one file a layer, each with its formula, shapes and source."""

from handgrad.layers.affine import affine_backward, affine_forward

__all__ = ["affine_backward", "affine_forward"]
