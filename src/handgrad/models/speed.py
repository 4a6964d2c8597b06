"""The network of the recipe `speedrun`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from handgrad import nn
from handgrad.errors import ShapeError, as_count
from handgrad.models.ready import filled_list, layer_widths
from handgrad.nn.options import as_row_shape

SCALE = 1 / 15


@nn.layer(input_shape=(8,))  # type: ignore[untyped-decorator]
def scaled(x: Any, factor: float = SCALE) -> tuple[Any, float]:
    """``factor x``; in front of the scores it makes the first ones small and learning calm."""
    return x * factor, factor


@scaled.backward  # type: ignore[untyped-decorator]
def scaled_backward(dout: Any, cache: float) -> tuple[Any]:
    """``factor dout``."""
    return (dout * cache,)


scaled.factor = lambda options: float(options.get("factor", SCALE))


def speednet(
    input_shape: Any = (3, 32, 32),
    num_classes: int = 10,
    widths: Sequence[int | Sequence[int]] = (64, 128, 256),
    components: int = 12,
    label_smoothing: float = 0.2,
    reg: float = 0.0,
    dtype: Any = np.float32,
    *,
    rng: Any = None,
) -> nn.Sequential:
    """A network that learns much in few epochs: whitened patches, and groups of convolutions.

    A group is conv 3x3 - max pool 2x2 - norm - gelu, then conv 3x3 - norm - gelu for each further
    convolution; behind the groups come the maximum of each channel, divided by 15, and an affine layer.
    The first filters of a convolution start as the identity.

    Args:
        input_shape: (C, H, W) of an image; H and W are at least 2 to the number of groups.
        num_classes: number of scores.
        widths: for each group the filters of its convolutions, or one number for two such ones.
        components: principal components of the 3x3 patches that are kept (of 9 C, where that is less), see
            `handgrad.nn.Whitening`.
        label_smoothing: of the softmax loss.
        reg: strength of the L2 regularisation.
        dtype: of the computation.
        rng: where the weights come from, see `handgrad.nn.Model`.

    Source: K. Jordan, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU (2024), arXiv:2404.00498; and
    D. Page, How to train your ResNet (2018).
    """
    groups = _groups(widths)
    shape = as_row_shape("speednet", input_shape)
    least = 2 ** len(groups)
    if len(shape) != 3 or min(shape[1:]) < least:
        raise ShapeError(
            f"speednet: input_shape must be (C, H, W) with H and W at least {least}, got {shape}"
        )
    components = min(as_count("speednet", "components", components), 9 * shape[0])
    parts: list[Any] = [nn.Whitening(3, components), nn.ReLU()]
    for first, *others in groups:
        parts += [_identity_conv(first), nn.MaxPool(2), nn.BatchNorm(), nn.GELU()]
        for width in others:
            parts += [_identity_conv(width), nn.BatchNorm(), nn.GELU()]
    parts += [nn.MaxPool((shape[1] // least, shape[2] // least)), nn.Flatten(), scaled()]
    parts.append(
        nn.Affine(as_count("speednet", "num_classes", num_classes), bias=False, init="xavier")
    )
    network: nn.Sequential = nn.Sequential(
        parts, input_shape, label_smoothing=label_smoothing, reg=reg, dtype=dtype, rng=rng
    )
    return network


def _groups(widths: Any) -> list[list[int]]:
    """Return the filters of each group's convolutions."""
    items = filled_list("speednet", "widths", widths, "numbers of filters or lists of such")
    groups = [item if isinstance(item, Sequence) else [item, item] for item in items]
    return [layer_widths("speednet", group, f"widths[{i}]") for i, group in enumerate(groups)]


def _identity_conv(filters: int) -> nn.Conv2d:
    conv: nn.Conv2d = nn.Conv2d(filters, 3, pad=1, bias=False, init=_identity)
    return conv


def _identity(shape: tuple[int, ...], rng: Any) -> np.ndarray:
    """Kaiming's weights, of which the first filters hand on one channel each."""
    weights = np.sqrt(2.0 / np.prod(shape[1:])) * rng.standard_normal(shape)
    same = np.arange(min(shape[:2]))
    weights[same] = 0.0
    weights[same, same, shape[2] // 2, shape[3] // 2] = 1.0
    return weights
