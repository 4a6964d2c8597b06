"""Mistakes of convolution."""

from __future__ import annotations

from handgrad.checker.hypotheses.convolution import conv_backward, conv_forward

FORWARD = conv_forward.FORWARD
BACKWARD = conv_backward.BACKWARD
