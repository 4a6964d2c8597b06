"""Plain loops, to be read beside the formulas; the oracle that every other engine is tested against."""

from handgrad.engines.naive.affine import affine_backward, affine_forward

__all__ = ["affine_backward", "affine_forward"]
