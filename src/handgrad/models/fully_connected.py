"""Fully-connected networks: the two-layer net, and any depth with normalisation and dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from handgrad.errors import as_count
from handgrad.models.network import Network
from handgrad.models.options import as_widths


class TwoLayerNet(Network):
    """affine - relu - affine - softmax.

    Nothing is cast: parameters are drawn in float64, and the computation has the promoted dtype of X
    and the parameters.  Draws: W1 (input_dim, hidden_dim), W2 (hidden_dim, num_classes).

    Source: CS231n assignments 1 and 2, ``TwoLayerNet``.

    >>> import numpy as np
    >>> model = TwoLayerNet(input_dim=4, hidden_dim=5, num_classes=3)
    >>> model.loss(np.zeros((2, 4))).shape
    (2, 3)
    """

    def __init__(
        self,
        input_dim: int = 3 * 32 * 32,
        hidden_dim: int = 100,
        num_classes: int = 10,
        weight_scale: float | str = 1e-3,
        reg: float = 0.0,
        *,
        rng: Any = None,
    ) -> None:
        """Draw the parameters.

        Args:
            input_dim: numbers in a row of X.
            hidden_dim: width of the hidden layer.
            num_classes: number of scores.
            weight_scale: standard deviation of the weights; or 'xavier', sqrt(1 / fan_in), or
                'kaiming', sqrt(2 / fan_in), with fan_in the number of inputs of an output.
            reg: strength of the L2 regularisation.
            rng: a Generator, a RandomState or a seed; None is NumPy's global stream.

        Raises:
            OptionError: an option is out of range.
        """
        super().__init__(
            as_count("TwoLayerNet", "input_dim", input_dim),
            num_classes,
            weight_scale=weight_scale,
            reg=reg,
            dtype=None,
            rng=rng,
        )
        self._add_affine(as_count("TwoLayerNet", "hidden_dim", hidden_dim), hidden=True)
        self._finish()


class FullyConnectedNet(Network):
    """[affine - [norm] - relu - [dropout]] x (L - 1) - affine - softmax.

    Parameters and X are cast to dtype.  Draws: W1 ... WL in order; gamma starts at ones, beta and b
    at zeros.

    Source: CS231n assignment 2, ``FullyConnectedNet``.

    >>> import numpy as np
    >>> model = FullyConnectedNet([5, 6], input_dim=4, num_classes=3)
    >>> model.loss(np.zeros((2, 4))).shape
    (2, 3)
    """

    def __init__(
        self,
        hidden_dims: Sequence[int],
        input_dim: int = 3 * 32 * 32,
        num_classes: int = 10,
        dropout_keep_ratio: float = 1,
        normalization: str | None = None,
        reg: float = 0.0,
        weight_scale: float | str = 1e-2,
        dtype: Any = np.float32,
        seed: int | None = None,
        *,
        rng: Any = None,
    ) -> None:
        """Draw the parameters.

        Args:
            hidden_dims: widths of the hidden layers; may be empty.
            input_dim: numbers in a row of X.
            num_classes: number of scores.
            dropout_keep_ratio: probability of keeping an output in training; 1 is no dropout.
            normalization: None, 'batchnorm' or 'layernorm'.
            reg: strength of the L2 regularisation.
            weight_scale: standard deviation of the weights; or 'xavier', sqrt(1 / fan_in), or
                'kaiming', sqrt(2 / fan_in), with fan_in the number of inputs of an output.
            dtype: of the computation: float32, float64 or complex128 (None casts nothing).
            seed: if given, every dropout layer first calls ``np.random.seed(seed)``, which makes
                the loss a function that can be differentiated numerically.
            rng: where the weights come from: a Generator, a RandomState or a seed; None is NumPy's
                global stream.  (Dropout always draws from the global stream.)

        Raises:
            OptionError, DtypeError: an option is unknown or out of range.
        """
        super().__init__(
            as_count("FullyConnectedNet", "input_dim", input_dim),
            num_classes,
            weight_scale=weight_scale,
            reg=reg,
            dtype=dtype,
            rng=rng,
            normalization=normalization,
            dropout_keep_ratio=dropout_keep_ratio,
            seed=seed,
        )
        for width in as_widths("FullyConnectedNet", hidden_dims):
            self._add_affine(width, hidden=True)
        self._finish()
