"""The two convolutional networks of the skynet project, over the blocks of `handgrad.models`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from handgrad import models
from handgrad.courses.shims.dropping import CONVOLUTION, read_of
from handgrad.courses.shims.networks import DroppingMixin
from handgrad.errors import as_number
from handgrad.models.network import CourseDropout, Network
from handgrad.models.options import as_conv, as_image, as_widths

ConvParams = Sequence[Mapping[str, Any]]


class AntConvNet(DroppingMixin, models.ConvNet):
    """{conv - [norm] - relu - pool} x N - {affine - [norm] - relu - [dropout]} x M - affine.

    norm is batch normalisation, dropout the probability of dropping.  The dictionaries of
    conv_params are not changed.
    """

    def __init__(
        self,
        input_dim: Sequence[int] = (3, 32, 32),
        conv_params: ConvParams = ({"num_filters": 32, "filter_size": 7},),
        hidden_dims: Sequence[int] = (100,),
        num_classes: int = 10,
        dropout: float = 0,
        use_batchnorm: bool = False,
        weight_scale: float = 2e-2,
        reg: float = 0.0,
        dtype: Any = np.float64,
        seed: int | None = None,
    ) -> None:
        """Draw the parameters."""
        drop = as_number("AntConvNet", "dropout", dropout, 0, 1)
        super().__init__(
            input_dim,
            [read_of(given, CONVOLUTION) for given in conv_params],
            hidden_dims,
            num_classes,
            normalization="batchnorm" if use_batchnorm else None,
            dropout_keep_ratio=1 - drop if drop < 1 else 1,
            weight_scale=weight_scale,
            reg=reg,
            dtype=dtype,
            seed=seed,
        )
        if self.use_dropout:
            self.dropout_param["p"] = dropout


class FunConvNet(DroppingMixin):
    """{conv - [norm] - relu - pool} x N - {[dropout] - affine} x M - affine.

    norm is spatial batch normalisation, dropout the probability of dropping; there is no ReLU
    between the affine layers.  The dictionaries of conv_params are not changed.
    """

    def __init__(
        self,
        input_dim: Sequence[int] = (3, 32, 32),
        conv_params: ConvParams = (
            {"num_filters": 64, "filter_size": 5, "stride": 1},
            {"num_filters": 128, "filter_size": 3, "stride": 1},
        ),
        hidden_dims: Sequence[int] = (512, 128),
        num_classes: int = 10,
        dropout: float = 0,
        use_batchnorm: bool = False,
        weight_scale: float = 1e-3,
        reg: float = 0.0,
        dtype: Any = np.float32,
        seed: int | None = None,
    ) -> None:
        """Draw the parameters."""
        drop = as_number("FunConvNet", "dropout", dropout, 0, 1)
        Network.__init__(
            self,
            as_image("FunConvNet", input_dim),
            num_classes,
            weight_scale=weight_scale,
            reg=reg,
            dtype=dtype,
            rng=None,
            normalization="batchnorm" if use_batchnorm else None,
            dropout_keep_ratio=1 - drop if drop < 1 else 1,
            seed=seed,
        )
        if self.use_dropout:
            self.dropout_param["p"] = dropout
        for i, given in enumerate(conv_params):
            self._add_conv(*as_conv(f"FunConvNet: conv_params[{i}]", read_of(given, CONVOLUTION)))
        for width in as_widths("FunConvNet", hidden_dims):
            if self.use_dropout:
                self._add("dropout", CourseDropout(), self.num_layers + 1)
            self._add_affine(width, hidden=False)
        self._finish()
