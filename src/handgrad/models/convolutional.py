"""Convolutional networks: any stack of conv blocks and hidden affine layers, and the courses' one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from handgrad.errors import as_count, as_items
from handgrad.models.network import Network
from handgrad.models.options import as_conv, as_image, as_widths


class ConvNet(Network):
    """[conv - [norm] - relu - [2x2 pool]] x K - [affine - [norm] - relu - [dropout]] x M - affine.

    Parameters and X are cast to dtype.  Draws: the weights in layer order.  The rows of the first
    affine weight are in (F, H, W) order.  'layernorm' normalises each image over all channels and
    places in the convolutional blocks (group normalisation with one group), gamma and beta by
    channel.

    Source: the patterns that CS231n assignment 2 suggests; skynet's ``AntConvNet``.

    >>> model = ConvNet(input_dim=(1, 8, 8))
    >>> model.loss(__import__('numpy').zeros((2, 1, 8, 8))).shape
    (2, 10)
    """

    def __init__(
        self,
        input_dim: Sequence[int] = (3, 32, 32),
        conv_params: Sequence[Mapping[str, Any]] = ({"num_filters": 32, "filter_size": 3},),
        hidden_dims: Sequence[int] = (100,),
        num_classes: int = 10,
        normalization: str | None = None,
        dropout_keep_ratio: float = 1,
        weight_scale: float | str = "kaiming",
        reg: float = 0.0,
        dtype: Any = np.float32,
        seed: int | None = None,
        *,
        rng: Any = None,
    ) -> None:
        """Draw the parameters.

        Args:
            input_dim: (C, H, W) of an image.
            conv_params: a dictionary for each convolution, with the keys num_filters, filter_size,
                stride (default 1), pad and pool (default True: a 2x2 max pool follows).  The default
                pad, (filter_size - 1) // 2, keeps the size where the filter is odd and the stride 1.
                Sizes, strides and pads are integers or pairs (vertical, horizontal).
            hidden_dims: widths of the hidden affine layers; may be empty.
            num_classes: number of scores.
            normalization: None, 'batchnorm' or 'layernorm', in all blocks but the last.
            dropout_keep_ratio: probability of keeping an output of a hidden affine layer in
                training; 1 is no dropout.
            weight_scale: standard deviation of the weights; or 'xavier', sqrt(1 / fan_in), or
                'kaiming', sqrt(2 / fan_in), with fan_in the number of inputs of an output.
            reg: strength of the L2 regularisation.
            dtype: of the computation: float32, float64 or complex128 (None casts nothing).
            seed: if given, every dropout layer first calls ``np.random.seed(seed)``.
            rng: where the weights come from: a Generator, a RandomState or a seed; None is NumPy's
                global stream.  (Dropout always draws from the global stream.)

        Raises:
            OptionError, DtypeError: an option is unknown or out of range.
            ShapeError: no image is left behind a convolution or pool.
        """
        super().__init__(
            as_image("ConvNet", input_dim),
            num_classes,
            weight_scale=weight_scale,
            reg=reg,
            dtype=dtype,
            rng=rng,
            normalization=normalization,
            dropout_keep_ratio=dropout_keep_ratio,
            seed=seed,
        )
        for i, given in enumerate(as_items("ConvNet", "conv_params", conv_params, "dictionaries")):
            self._add_conv(*as_conv(f"ConvNet: conv_params[{i}]", given))
        for width in as_widths("ConvNet", hidden_dims):
            self._add_affine(width, hidden=True)
        self._finish()


class ThreeLayerConvNet(Network):
    """conv - relu - 2x2 max pool - affine - relu - affine - softmax.

    The parameters are cast to dtype, X is not: float64 images make a float64 computation.  Draws:
    W1 (num_filters, C, filter_size, filter_size), W2, W3.  Stride 1 and pad (filter_size - 1) // 2.

    Source: CS231n assignment 2, ``ThreeLayerConvNet``.

    >>> model = ThreeLayerConvNet(input_dim=(1, 8, 8), num_filters=4, filter_size=3, hidden_dim=10)
    >>> model.params['W1'].shape
    (4, 1, 3, 3)
    """

    _casts_input = False

    def __init__(
        self,
        input_dim: Sequence[int] = (3, 32, 32),
        num_filters: int = 32,
        filter_size: int = 7,
        hidden_dim: int = 100,
        num_classes: int = 10,
        weight_scale: float | str = 1e-3,
        reg: float = 0.0,
        dtype: Any = np.float32,
        *,
        rng: Any = None,
    ) -> None:
        """Draw the parameters.

        Args:
            input_dim: (C, H, W) of an image.
            num_filters, filter_size: of the convolution.
            hidden_dim: width of the hidden affine layer.
            num_classes: number of scores.
            weight_scale: standard deviation of the weights; or 'xavier', sqrt(1 / fan_in), or
                'kaiming', sqrt(2 / fan_in), with fan_in the number of inputs of an output.
            reg: strength of the L2 regularisation.
            dtype: of the parameters: float32, float64 or complex128 (None casts nothing).
            rng: a Generator, a RandomState or a seed; None is NumPy's global stream.

        Raises:
            OptionError, DtypeError: an option is unknown or out of range.
            ShapeError: no image is left behind the convolution and pool.
        """
        super().__init__(
            as_image("ThreeLayerConvNet", input_dim),
            num_classes,
            weight_scale=weight_scale,
            reg=reg,
            dtype=dtype,
            rng=rng,
        )
        conv = {"num_filters": num_filters, "filter_size": filter_size}
        self._add_conv(*as_conv("ThreeLayerConvNet", conv))
        self._add_affine(as_count("ThreeLayerConvNet", "hidden_dim", hidden_dim), hidden=True)
        self._finish()
