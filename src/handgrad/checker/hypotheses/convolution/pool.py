"""Mistakes of max pooling."""

from __future__ import annotations

from handgrad.checker.hypotheses.convolution import pool_backward, pool_forward

FORWARD = pool_forward.FORWARD
BACKWARD = pool_backward.BACKWARD
