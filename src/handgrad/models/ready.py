"""Ready networks for small images, built of the layer objects of `handgrad.nn`.

All take ``input_shape`` (C, H, W) and ``num_classes``, and end in scores; reg, dtype and rng are those
of `handgrad.nn.Model`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from handgrad import nn
from handgrad.errors import OptionError, as_count, as_number


def conv_norm(filters: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Return conv - batchnorm; the norm's shift makes a bias superfluous."""
    conv = nn.Conv2d(filters, size, stride=stride, pad="same", bias=False, name="conv")
    return nn.Sequential([conv, nn.BatchNorm(name="bn")])


class ResidualBlock(nn.Model):
    """``relu(norm(conv(relu(norm(conv(x))))) + x)``; where sizes change, x goes through a 1x1 conv."""

    def __init__(self, filters: int, stride: int = 1, projects: bool = False) -> None:
        """filters: of both convolutions; stride: of the first; projects: whether sizes change."""
        super().__init__()
        self.first = conv_norm(filters, stride=stride)
        self.second = conv_norm(filters)
        self.relu = nn.ReLU()
        if projects:
            self.shortcut = conv_norm(filters, 1, stride)
        self._projects = projects

    def forward(self, x: nn.Value) -> nn.Value:
        """Add what the two convolutions find to x."""
        out = self.second(self.relu(self.first(x)))
        joined: nn.Value = self.relu(out + (self.shortcut(x) if self._projects else x))
        return joined


class ResNet(nn.Model):
    """The residual network for CIFAR: 6 n + 2 layers in three stages, each of n blocks.

    The stages have 16, 32 and 64 filters; the second and third begin with a stride of 2.  Where the
    number of filters changes, the shortcut is a 1x1 convolution (the paper's option B).

    Source: K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition" (2016),
    section 4.2.

    >>> model = ResNet((3, 8, 8), blocks=1, widths=(4, 8, 8))
    >>> sum(w.size for w in model.params.values())
    2718
    """

    def __init__(
        self,
        input_shape: Any = (3, 32, 32),
        num_classes: int = 10,
        *,
        blocks: int = 3,
        widths: Sequence[int] = (16, 32, 64),
        **options: Any,
    ) -> None:
        """Draw the parameters.

        Args:
            input_shape: (C, H, W) of an image.
            num_classes: number of scores.
            blocks: n, the blocks of each stage.
            widths: the filters of each stage.
            **options: those of `handgrad.nn.Model`.
        """
        super().__init__(input_shape, **options)
        self.stem = conv_norm(layer_widths("ResNet", widths)[0])
        self.relu = nn.ReLU()
        self.blocks: list[ResidualBlock] = []
        before = widths[0]
        for stage, filters in enumerate(layer_widths("ResNet", widths)):
            for place in range(as_count("ResNet", "blocks", blocks)):
                stride = 2 if stage and not place else 1
                projects = stride != 1 or filters != before
                self.blocks.append(ResidualBlock(filters, stride, projects))
                before = filters
        self.pool = nn.GlobalAvgPool()
        self.scores = nn.Affine(as_count("ResNet", "num_classes", num_classes))

    def forward(self, x: nn.Value) -> nn.Value:
        """Stem, blocks, mean of each channel, scores."""
        x = self.relu(self.stem(x))
        for block in self.blocks:
            x = block(x)
        return self.scores(self.pool(x))


class DenseNet(nn.Model):
    """A densely connected network: each convolution sees the outputs of all before it in its block.

    Three blocks of norm - relu - conv 3x3, with norm - relu - conv 1x1 - average pool between them,
    which halves the channels and the image.

    Source: G. Huang, Z. Liu, L. van der Maaten, K. Weinberger, "Densely connected convolutional
    networks" (2017).

    >>> model = DenseNet((3, 8, 8), depth=1, growth=4)
    >>> model.loss(__import__('numpy').zeros((2, 3, 8, 8))).shape
    (2, 10)
    """

    def __init__(
        self,
        input_shape: Any = (3, 32, 32),
        num_classes: int = 10,
        *,
        depth: int = 4,
        growth: int = 12,
        **options: Any,
    ) -> None:
        """Draw the parameters.

        Args:
            input_shape: (C, H, W) of an image.
            num_classes: number of scores.
            depth: convolutions in a block.
            growth: filters of each.
            **options: those of `handgrad.nn.Model`.
        """
        super().__init__(input_shape, **options)
        depth = as_count("DenseNet", "depth", depth)
        growth = as_count("DenseNet", "growth", growth)
        channels = 2 * growth
        self.stem = nn.Conv2d(channels, 3, pad=1, bias=False)
        self.blocks, self.transitions = [], []
        for stage in range(3):
            self.blocks.append([_norm_relu_conv(growth, 3) for _ in range(depth)])
            channels += depth * growth
            if stage < 2:
                channels //= 2
                self.transitions.append(_norm_relu_conv(channels, 1, nn.AvgPool(2)))
        self.last = nn.Sequential([nn.BatchNorm(name="bn"), nn.ReLU(), nn.GlobalAvgPool()])
        self.scores = nn.Affine(as_count("DenseNet", "num_classes", num_classes))

    def forward(self, x: nn.Value) -> nn.Value:
        """Put the output of each convolution behind all that came before it."""
        x = self.stem(x)
        for stage, block in enumerate(self.blocks):
            for conv in block:
                x = nn.concat(x, conv(x))
            if stage < len(self.transitions):
                x = self.transitions[stage](x)
        return self.scores(self.last(x))


def _norm_relu_conv(filters: int, size: int, *after: nn.Layer) -> nn.Sequential:
    conv = nn.Conv2d(filters, size, pad="same", bias=False, name="conv")
    return nn.Sequential([nn.BatchNorm(name="bn"), nn.ReLU(), conv, *after])


def resnet8(
    input_shape: Any = (3, 32, 32),
    num_classes: int = 10,
    reg: float = 0.0,
    dtype: Any = np.float32,
    *,
    rng: Any = None,
) -> ResNet:
    """`ResNet` with one block a stage.

    >>> model = resnet8((3, 8, 8))
    >>> type(model).__name__
    'ResNet'
    """
    return _resnet(1, input_shape, num_classes, reg, dtype, rng)


def resnet20(
    input_shape: Any = (3, 32, 32),
    num_classes: int = 10,
    reg: float = 0.0,
    dtype: Any = np.float32,
    *,
    rng: Any = None,
) -> ResNet:
    """`ResNet` with three blocks a stage.

    >>> model = resnet20((3, 8, 8))
    >>> type(model).__name__
    'ResNet'
    """
    return _resnet(3, input_shape, num_classes, reg, dtype, rng)


def resnet56(
    input_shape: Any = (3, 32, 32),
    num_classes: int = 10,
    reg: float = 0.0,
    dtype: Any = np.float32,
    *,
    rng: Any = None,
) -> ResNet:
    """`ResNet` with nine blocks a stage.

    >>> model = resnet56((3, 8, 8))
    >>> type(model).__name__
    'ResNet'
    """
    return _resnet(9, input_shape, num_classes, reg, dtype, rng)


def _resnet(
    blocks: int, input_shape: Any, num_classes: int, reg: float, dtype: Any, rng: Any
) -> ResNet:
    network: ResNet = ResNet(input_shape, num_classes, blocks=blocks, reg=reg, dtype=dtype, rng=rng)
    return network


def densenet(
    input_shape: Any = (3, 32, 32),
    num_classes: int = 10,
    depth: int = 4,
    growth: int = 12,
    reg: float = 0.0,
    dtype: Any = np.float32,
    *,
    rng: Any = None,
) -> DenseNet:
    """`DenseNet` with three blocks of `depth` convolutions.

    >>> model = densenet((3, 8, 8), depth=1, growth=4)
    >>> type(model).__name__
    'DenseNet'
    """
    network: DenseNet = DenseNet(
        input_shape, num_classes, depth=depth, growth=growth, reg=reg, dtype=dtype, rng=rng
    )
    return network


def vgg(
    input_shape: Any = (3, 32, 32),
    num_classes: int = 10,
    widths: Sequence[int] = (64, 128, 256),
    hidden_dim: int = 256,
    dropout_keep_ratio: float = 0.5,
    reg: float = 0.0,
    dtype: Any = np.float32,
    *,
    rng: Any = None,
) -> nn.Sequential:
    """A network like VGG: [conv - norm - relu, twice, - pool] for each width, then two affine layers.

    Args:
        input_shape: (C, H, W) of an image.
        num_classes: number of scores.
        widths: the filters of each group of two 3x3 convolutions.
        hidden_dim: width of the hidden affine layer.
        dropout_keep_ratio: probability of keeping an output of it; 1 is no dropout.
        reg: strength of the L2 regularisation.
        dtype: of the computation.
        rng: where the weights come from, see `handgrad.nn.Model`.

    Source: K. Simonyan, A. Zisserman, "Very deep convolutional networks" (2015), with the batch
    normalisation of later versions.
    """
    parts: list[Any] = []
    for width in layer_widths("vgg", widths):
        for _ in range(2):
            conv = nn.Conv2d(width, 3, pad=1, bias=False)
            parts += [conv, nn.BatchNorm(), nn.ReLU()]
        parts.append(nn.MaxPool(2))
    hidden = nn.Affine(as_count("vgg", "hidden_dim", hidden_dim), bias=False)
    parts += [hidden, nn.BatchNorm(), nn.ReLU()]
    keep = as_number("vgg", "dropout_keep_ratio", dropout_keep_ratio, 0, 1, open_low=True)
    parts += [nn.Dropout(keep)] if keep < 1 else []
    parts.append(nn.Affine(as_count("vgg", "num_classes", num_classes)))
    network: nn.Sequential = nn.Sequential(parts, input_shape, reg=reg, dtype=dtype, rng=rng)
    return network


def allconv(
    input_shape: Any = (3, 32, 32),
    num_classes: int = 10,
    widths: Sequence[int] = (96, 192),
    reg: float = 0.0,
    dtype: Any = np.float32,
    *,
    rng: Any = None,
) -> nn.Sequential:
    """A network of convolutions only: strides in place of pools, and a mean in place of affine layers.

    For each width three convolutions 3x3, the third with stride 2; then 3x3, 1x1 and 1x1 with a
    filter for each class, whose means are the scores.  Batch normalisation behind all but the last.

    Args:
        input_shape: (C, H, W) of an image.
        num_classes: number of scores.
        widths: the filters of each group.
        reg: strength of the L2 regularisation.
        dtype: of the computation.
        rng: where the weights come from, see `handgrad.nn.Model`.

    Source: J. Springenberg, A. Dosovitskiy, T. Brox, M. Riedmiller, "Striving for simplicity: the
    all convolutional net" (2015), All-CNN-C, which has dropout in place of batch normalisation.
    """
    widths = layer_widths("allconv", widths)
    layout = [(width, 3, stride) for width in widths for stride in (1, 1, 2)]
    layout += [(widths[-1], 3, 1), (widths[-1], 1, 1)]
    parts: list[Any] = []
    for filters, size, stride in layout:
        conv = nn.Conv2d(filters, size, stride=stride, pad="same", bias=False)
        parts += [conv, nn.BatchNorm(), nn.ReLU()]
    parts += [nn.Conv2d(as_count("allconv", "num_classes", num_classes), 1), nn.GlobalAvgPool()]
    network: nn.Sequential = nn.Sequential(parts, input_shape, reg=reg, dtype=dtype, rng=rng)
    return network


def layer_widths(model: str, widths: Any, name: str = "widths") -> list[int]:
    """Return `widths` as a list of ints; OptionError unless it is a list of numbers of filters."""
    items = filled_list(model, name, widths, "numbers of filters")
    return [as_count(model, f"{name}[{i}]", width) for i, width in enumerate(items)]


def filled_list(model: str, name: str, value: Any, what: str) -> Sequence[Any]:
    """Return `value`; OptionError unless it is a list with something in it."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise OptionError(f"{model}: {name} must be a list of {what}, got {value!r}")
    return value
