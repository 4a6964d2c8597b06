"""The courses' networks, where their options or files differ from those of `handgrad.models`.

As an option, a dropout of 0 and of 1 both mean no dropout, in every generation; between them it is
the probability of dropping, or of keeping, by the class.  Each class stands at the top level of
this module under its own name, so that models can be pickled.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from handgrad import models
from handgrad.courses.pickles import load_object, save_params
from handgrad.courses.shims.layers import keeping
from handgrad.errors import as_count, as_number
from handgrad.models.network import Network
from handgrad.models.options import as_conv, as_image

SAVED = Path("cs231n/saved")
"""Where `SavingMixin` keeps files, from the working directory: the course's own folder."""


class CourseMixin(Network):
    """A network whose running statistics start at zero and stay uncorrected, as the courses have it."""

    corrects_start = False


class DroppingMixin(CourseMixin):
    """A network whose ``dropout_param["p"]`` is the probability of dropping."""

    def _dropout_options(self) -> dict[str, Any]:
        options: dict[str, Any] = keeping(super()._dropout_options())
        return options

    @property
    def use_batchnorm(self) -> bool:
        """Whether the hidden blocks normalise over the batch."""
        return self.normalization == "batchnorm"


class SavingMixin:
    """What keeps its parameters in a file, as CS231n does since 2025."""

    params: Any

    def save(self, fname: str) -> None:
        """Write the parameters to ``cs231n/saved/<fname>``."""
        SAVED.mkdir(parents=True, exist_ok=True)
        save_params(_with_suffix(SAVED / fname), self.params)
        print(fname, "saved.")  # noqa: T201

    def load(self, fname: str) -> bool:
        """Read ``cs231n/saved/<fname>``, a pickle, if that was allowed; False if it is not there."""
        if not (SAVED / fname).exists():
            print(fname, "not available.")  # noqa: T201
            return False
        self.params = load_object(SAVED / fname)
        print(fname, "loaded.")  # noqa: T201
        return True


class FullyConnectedNetDropping(DroppingMixin, models.FullyConnectedNet):
    """`handgrad.models.FullyConnectedNet` of CS231n 2016 and 2017, nndl until 2019, and skynet."""

    def __init__(
        self,
        hidden_dims: Sequence[int],
        input_dim: int = 3 * 32 * 32,
        num_classes: int = 10,
        dropout: float = 0,
        use_batchnorm: bool = False,
        reg: float = 0.0,
        weight_scale: float = 1e-2,
        dtype: Any = np.float32,
        seed: int | None = None,
    ) -> None:
        """Draw the parameters; dropout is the probability of dropping."""
        drop = as_number("FullyConnectedNet", "dropout", dropout, 0, 1)
        super().__init__(
            hidden_dims,
            input_dim,
            num_classes,
            dropout_keep_ratio=1 - drop if drop < 1 else 1,
            normalization="batchnorm" if use_batchnorm else None,
            reg=reg,
            weight_scale=weight_scale,
            dtype=dtype,
            seed=seed,
        )
        if self.use_dropout:
            self.dropout_param["p"] = dropout


class FullyConnectedNetCourse(CourseMixin, models.FullyConnectedNet):
    """`handgrad.models.FullyConnectedNet` of CS231n 2021 to 2024."""


class FullyConnectedNetKeeping(CourseMixin, models.FullyConnectedNet):
    """`handgrad.models.FullyConnectedNet` of CS231n 2018 to 2020: dropout is that of keeping."""

    def __init__(
        self,
        hidden_dims: Sequence[int],
        input_dim: int = 3 * 32 * 32,
        num_classes: int = 10,
        dropout: float = 1,
        normalization: str | None = None,
        reg: float = 0.0,
        weight_scale: float = 1e-2,
        dtype: Any = np.float32,
        seed: int | None = None,
    ) -> None:
        """Draw the parameters; dropout is the probability of keeping."""
        super().__init__(
            hidden_dims,
            input_dim,
            num_classes,
            dropout_keep_ratio=dropout if dropout != 0 else 1,
            normalization=normalization,
            reg=reg,
            weight_scale=weight_scale,
            dtype=dtype,
            seed=seed,
        )


class FullyConnectedNetNndl(CourseMixin, models.FullyConnectedNet):
    """`handgrad.models.FullyConnectedNet` of nndl since 2020: dropout is that of keeping."""

    def __init__(
        self,
        hidden_dims: Sequence[int],
        input_dim: int = 3 * 32 * 32,
        num_classes: int = 10,
        dropout: float = 1,
        use_batchnorm: bool = False,
        reg: float = 0.0,
        weight_scale: float = 1e-2,
        dtype: Any = np.float32,
        seed: int | None = None,
    ) -> None:
        """Draw the parameters; dropout is the probability of keeping."""
        super().__init__(
            hidden_dims,
            input_dim,
            num_classes,
            dropout_keep_ratio=dropout if dropout != 0 else 1,
            normalization="batchnorm" if use_batchnorm else None,
            reg=reg,
            weight_scale=weight_scale,
            dtype=dtype,
            seed=seed,
        )
        self.use_batchnorm = use_batchnorm


class FullyConnectedNetNndlMix(FullyConnectedNetNndl):
    """`FullyConnectedNetNndl` of 2024: the default is the 0 of the years before."""

    def __init__(
        self,
        hidden_dims: Sequence[int],
        input_dim: int = 3 * 32 * 32,
        num_classes: int = 10,
        dropout: float = 0,
        use_batchnorm: bool = False,
        reg: float = 0.0,
        weight_scale: float = 1e-2,
        dtype: Any = np.float32,
        seed: int | None = None,
    ) -> None:
        """Draw the parameters; dropout is the probability of keeping, 0 is no dropout."""
        super().__init__(
            hidden_dims,
            input_dim,
            num_classes,
            dropout,
            use_batchnorm,
            reg,
            weight_scale,
            dtype,
            seed,
        )


class FullyConnectedNetSaving(SavingMixin, CourseMixin, models.FullyConnectedNet):
    """`handgrad.models.FullyConnectedNet` with the files of CS231n since 2025."""


class TwoLayerNetSaving(SavingMixin, models.TwoLayerNet):
    """`handgrad.models.TwoLayerNet` with the files of CS231n since 2025."""


class TwoLayerNetNndl(models.TwoLayerNet):
    """`handgrad.models.TwoLayerNet` with nndl's keyword ``hidden_dims``; dropout does nothing."""

    def __init__(
        self,
        input_dim: int = 3 * 32 * 32,
        hidden_dims: int = 100,
        num_classes: int = 10,
        dropout: float = 0,
        weight_scale: float = 1e-3,
        reg: float = 0.0,
    ) -> None:
        """Draw the parameters."""
        super().__init__(input_dim, hidden_dims, num_classes, weight_scale, reg)


class ThreeLayerConvNetNndl(CourseMixin, models.ThreeLayerConvNet):
    """`handgrad.models.ThreeLayerConvNet` with nndl's ``use_batchnorm``, the last argument.

    With it the convolution is followed by spatial, the hidden layer by batch normalisation.
    """

    def __init__(
        self,
        input_dim: Sequence[int] = (3, 32, 32),
        num_filters: int = 32,
        filter_size: int = 7,
        hidden_dim: int = 100,
        num_classes: int = 10,
        weight_scale: float = 1e-3,
        reg: float = 0.0,
        dtype: Any = np.float32,
        use_batchnorm: bool = False,
    ) -> None:
        """Draw the parameters."""
        Network.__init__(
            self,
            as_image("ThreeLayerConvNet", input_dim),
            num_classes,
            weight_scale=weight_scale,
            reg=reg,
            dtype=dtype,
            rng=None,
            normalization="batchnorm" if use_batchnorm else None,
        )
        self.use_batchnorm = use_batchnorm
        conv = {"num_filters": num_filters, "filter_size": filter_size}
        self._add_conv(*as_conv("ThreeLayerConvNet", conv))
        self._add_affine(as_count("ThreeLayerConvNet", "hidden_dim", hidden_dim), hidden=True)
        self._finish()


def _with_suffix(path: Path) -> Path:
    """Return `path` with the ending that ``np.save`` adds where it is missing."""
    return path if path.name.endswith(".npy") else path.with_name(path.name + ".npy")
