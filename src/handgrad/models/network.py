"""What the ready networks of the courses share: their names for a network of `handgrad.nn`.

    scores = affine_L(... block_2(block_1(X)))
    loss = softmax_loss(scores, y) + 1/2 reg sum_l sum(W_l^2)
    dW_l = (what backward of its layer gives) + reg W_l

Only the weights W are regularised, not the biases nor gamma and beta.  A block is a convolution or an affine
layer and what follows it; its layers are those of `handgrad.nn`, called conv1, batchnorm1, relu1, ... and
their parameters W1, b1, gamma1, beta1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, NamedTuple

import numpy as np

from handgrad import nn
from handgrad.engines.arrays import as_numpy
from handgrad.engines.devices import to_numpy
from handgrad.errors import (
    DtypeError,
    HandgradError,
    ShapeError,
    as_count,
    as_number,
    check_choice,
    check_dictionary,
    check_known,
    check_size,
)
from handgrad.models.norms import CourseBatchNorm, CourseLayerNorm
from handgrad.models.options import as_weight_scale
from handgrad.nn.answers import InCall
from handgrad.nn.fit import check_complete, checked_buffers
from handgrad.nn.norms import STATISTICS, STEPS, as_steps
from handgrad.nn.state import State, changing
from handgrad.nn.summary import as_table, by

Param = dict[str, Any]

_KEPT = (*STATISTICS, STEPS)


class Block(NamedTuple):
    """A row of the summary: the name of a block, what it computes, its output without N."""

    name: str
    computes: str
    shape: tuple[int, ...]


class CourseDropout(nn.Dropout):
    """Dropout by the network's `dropout_param`."""

    @property
    def param(self) -> Param:
        """dropout_param, as it is now."""
        return self._root._dropout_options() if isinstance(self._root, Network) else {}

    @param.setter
    def param(self, own: Param) -> None:
        """Nothing: the layer has no options of its own."""


class Network(nn.Model):
    """A stack of convolutional and affine blocks with a softmax loss; the base of all models.

    Attributes:
        params: name -> array, W1, b1, gamma1, beta1, W2, ...; live: what is changed here, in place
            or by key, is what the next loss sees.
        reg: strength of the L2 regularisation; may be changed at any time.
        dtype: what the parameters were cast to, or None where nothing is cast.
        num_layers, num_classes: the numbers of layers with weights, and of scores.
        normalization, use_dropout: what else the hidden blocks do.
        bn_params: the dictionary of each normalisation, in layer order; empty without one.
        dropout_param: the dictionary of all dropout layers; empty without dropout.  The mode in these
            dictionaries is that of the last call; each call computes in its own.
        device: where the arrays computed with are, see `handgrad.engines.devices`; params are NumPy's.
        last_scores: those of the last loss with y, (N, num_classes); None before it.
    """

    _is_static = True
    _names_unknown = False  # the courses' constructors are functions like any other
    corrects_start = True  # of the running statistics, as `handgrad.nn.BatchNorm`

    def __init__(
        self,
        input_dim: int | tuple[int, ...],
        num_classes: int,
        *,
        weight_scale: float | str,
        reg: float,
        dtype: Any,
        rng: Any,
        normalization: str | None = None,
        dropout_keep_ratio: float = 1,
        seed: int | None = None,
    ) -> None:
        """Check the options; the constructors of the models then add their blocks."""
        name = self._name
        scale = as_weight_scale(name, weight_scale)
        shape = input_dim if isinstance(input_dim, tuple) else (input_dim,)
        super().__init__(shape, reg=reg, dtype=dtype, init=scale, rng=rng)
        self._classes = as_count(name, "num_classes", num_classes)
        self.num_layers = 0
        check_choice(name, "normalization", normalization, (None, "batchnorm", "layernorm"))
        self.normalization = normalization
        self.bn_params: list[Param] = []
        if seed is not None:
            seed = as_count(name, "seed", seed, 0, 2**32 - 1)
        keep = as_number(name, "dropout_keep_ratio", dropout_keep_ratio, 0, 1, open_low=True)
        self.use_dropout = keep != 1
        self.dropout_param: Param = {}
        if self.use_dropout:
            self.dropout_param = {"mode": "train", "p": keep}
            if seed is not None:
                self.dropout_param["seed"] = seed
        self._input_dim = input_dim
        self._parts_by_name: dict[str, nn.Layer] = {}
        self._numbers: dict[str, int] = {}  # of a layer's block
        self._norms: list[nn.Layer] = []
        self._blocks: list[Block] = []

    # -- building ---------------------------------------------------------------------------------

    def _add(self, kind: str, layer: nn.Layer, number: int | None = None) -> None:
        """Add a layer to the present block, or to that of `number`."""
        number = self.num_layers if number is None else number
        self._parts_by_name[f"{kind}{number}"] = layer
        self._numbers[f"{kind}{number}"] = number

    def _add_affine(self, width: int, *, hidden: bool) -> None:
        """Add affine, or, if `hidden`, affine - [norm] - relu - [dropout]."""
        self._begin_layer(prod(self._shape), width)
        self._add("affine", nn.Affine(width))
        steps: list[str | None] = ["affine"]
        if hidden:
            self._add_norm(CourseLayerNorm())
            self._add("relu", self._activation())
            steps += [self.normalization, "relu"]
            if self.use_dropout:
                self._add("dropout", CourseDropout())
                steps.append("dropout")
        name = f"affine{self.num_layers}"
        self._blocks.append(Block(name, " - ".join(filter(None, steps)), (width,)))

    def _add_conv(self, filters: int, size: tuple[int, int], conv_param: Param, pool: bool) -> None:
        """Add conv - [norm] - relu, and a 2x2 max pool if `pool`."""
        self._begin_layer(filters, self._shape[0], *size)
        H, W = self._conv_output(size, conv_param, pool)
        self._add("conv", nn.Conv2d(filters, size, **conv_param))
        self._add_norm(CourseLayerNorm(groups=self._norm_groups))
        self._add("relu", nn.ReLU())
        if pool:
            self._add("max_pool", nn.MaxPool(2))
        computes = f"conv {size[0]}x{size[1]}"
        steps = [computes, self.normalization, "relu", "pool 2x2" if pool else ""]
        name = f"conv{self.num_layers}"
        self._blocks.append(Block(name, " - ".join(filter(None, steps)), (filters, H, W)))

    def _add_norm(self, layernorm: nn.Layer) -> None:
        """Add the normalisation of a block, where there is one."""
        if self.normalization is not None:
            is_batch = self.normalization == "batchnorm"
            self._norms.append(CourseBatchNorm() if is_batch else layernorm)
            self._add(self._norms[-1].kind, self._norms[-1])
            self.bn_params.append({"mode": "train"} if is_batch else {})

    _norm_groups = 1  # of the channels of a convolution, in layer normalisation

    def _activation(self) -> nn.Layer:
        """Return what stands behind a hidden affine layer."""
        return nn.ReLU()

    def _begin_layer(self, *shape: int) -> None:
        self.num_layers += 1
        check_size(self._name, f"the weights of layer {self.num_layers}", *shape)

    def _finish(self) -> None:
        """Add the output layer, and draw the parameters."""
        self._add_affine(self._classes, hidden=False)
        self._made()

    def _conv_output(self, size: tuple[int, int], conv_param: Param, pool: bool) -> tuple[int, int]:
        """Return the rows and columns that a convolutional block makes; refuse fewer than one."""
        rows, columns = (
            (1 + (n + 2 * pad - window) // stride) // (2 if pool else 1)
            for n, window, pad, stride in zip(
                self._shape[1:], size, conv_param["pad"], conv_param["stride"], strict=True
            )
        )
        if rows < 1 or columns < 1:
            raise ShapeError(
                f"{self._name}: conv layer {self.num_layers} has nothing left to compute: images of "
                f"{self._shape[1]} x {self._shape[2]}, filters {size}, {conv_param}"
                f"{', then a 2x2 pool' if pool else ''}; use fewer layers, a larger pad, or no pool"
            )
        return rows, columns

    @property
    def _shape(self) -> tuple[int, ...]:
        """The output of the last block so far, without N."""
        if self._blocks:
            return self._blocks[-1].shape
        return self._input_dim if isinstance(self._input_dim, tuple) else (self._input_dim,)

    def _parts(self) -> Iterator[tuple[str, nn.Layer]]:
        yield from self._parts_by_name.items()

    def _full_name(self, label: str, name: str) -> str:
        return f"{name}{self._numbers[label]}"

    def forward(self, *values: nn.Value) -> nn.Value:
        """Hand the images from layer to layer."""
        (x,) = values
        for layer in self._parts_by_name.values():
            x = layer(x)
        return x

    # -- computing --------------------------------------------------------------------------------

    def activations(self, X: Any) -> dict[str, np.ndarray]:
        """Return the output of every block on X, in test mode, by name: conv1, affine2, ...

        The last one holds the scores.
        """
        outputs = super().activations(X)
        return {self._block_of(label): out for label, out in outputs.items()}

    def layer_of(self, param: str) -> str:
        """Return the block of the parameter `param`, as affine3 of W3."""
        label = super().layer_of(param)
        return self._block_of(label) if label in self._numbers else param

    def _block_of(self, label: str) -> str:
        return self._blocks[self._numbers[label] - 1].name

    def _begin(self, mode: str) -> InCall:
        if self.normalization == "batchnorm":
            for param in self.bn_params:
                param["mode"] = mode
        if self.use_dropout:
            self.dropout_param["mode"] = mode
        return super()._begin(mode)

    def _dropout_options(self) -> Param:
        """Return a dictionary for `dropout_forward`."""
        return dict(self.dropout_param)

    def _of_layer(self, label: str, error: HandgradError) -> HandgradError:
        return error  # the courses' networks call pairs, whose errors say enough

    def _fitting(self, X: Any) -> list[np.ndarray]:
        real = self.dtype is None or np.dtype(self.dtype).kind != "c"
        must = f"hold {'real ' if real else ''}numbers"
        X = as_numpy(self._name, "X", X, must)
        dim = self._input_dim
        images = isinstance(dim, tuple)
        given = X.shape[1:] if images else prod(X.shape[1:])
        if X.ndim < 1 or given != dim:
            shape = str(("N", *dim)).replace("'", "") if isinstance(dim, tuple) else f"(N, {dim})"
            also = "" if images else f", or more dimensions with {dim} numbers a row"
            raise ShapeError(f"{self._name}: X must have shape {shape}{also}; got {X.shape}")
        if X.dtype.kind not in ("iuf" if real else "iufc"):
            hint = "; its imaginary part would be lost" if X.dtype.kind == "c" else ""
            raise DtypeError(f"{self._name}: X must {must}, got {X.dtype}{hint}")
        return [X]

    # -- keeping and showing ----------------------------------------------------------------------

    def _own_state(self) -> State:
        kept: dict[str, Param] = {}
        for norm, param in zip(self._norms, self.bn_params, strict=True):
            kept[norm._label] = dict(param)
        return State(dict(self._params), kept)

    def _replace_kept(self, kept: dict[str, Param]) -> None:
        for norm, bn_param in zip(self._norms, self.bn_params, strict=True):
            new = kept[norm._label]
            for key in _KEPT:
                if key not in new:
                    bn_param.pop(key, None)
            bn_param.update({key: new[key] for key in _KEPT if key in new})

    def buffers(self) -> dict[str, np.ndarray]:
        """Return the running statistics of batch normalisation, by name: running_mean1, ...

        They appear with the first training step, and are empty in a model without them.  steps1, ... are
        the numbers of training steps that they have seen.
        """
        return {
            f"{key}{i}": to_numpy(bn_param[key])
            for i, bn_param in enumerate(self._state().kept.values(), start=1)
            for key in _KEPT
            if key in bn_param
        }

    def buffer_shapes(self) -> dict[str, tuple[int, ...] | None]:
        """Return the shapes of the running statistics that the network takes."""
        return {
            f"{key}{i}": shape
            for i, norm in enumerate(self._norms, start=1)
            for key, shape in norm.buffer_shapes().items()
        }

    def load_buffers(self, buffers: Mapping[str, Any]) -> None:
        """Put copies of `buffers`, as `buffers()` gave them, in the place of the present ones."""
        kept = self._kept_of(buffers)
        self._unfix()
        with changing:
            self._replace_kept(kept)

    def _kept_of(self, buffers: Mapping[str, Any]) -> dict[str, Param]:
        shapes = self.buffer_shapes()
        check_dictionary(self._name, "buffers", buffers)
        check_known(f"{self._name}.load_buffers", buffers, shapes)
        loaded = checked_buffers(self._name, buffers)
        kept = {}
        for i, (norm, bn_param) in enumerate(
            zip(self._norms, self.bn_params, strict=True), start=1
        ):
            if f"{STEPS}{i}" in loaded:
                as_steps(f"{self._name}.load_buffers: {STEPS}{i}", loaded[f"{STEPS}{i}"])
            own = {key: value for key, value in bn_param.items() if key not in _KEPT}
            own |= {key: loaded[f"{key}{i}"] for key in _KEPT if f"{key}{i}" in loaded}
            for key in STATISTICS:
                expected = shapes.get(f"{key}{i}")
                if key in own and own[key].shape != expected:
                    raise ShapeError(
                        f"{self._name}.load_buffers: {key}{i} must have the shape of "
                        f"{norm.parameters[0]}, {expected}, got {own[key].shape}"
                    )
            given = [key for key in _KEPT if key in own]
            check_complete(
                f"{self._name}.load_buffers",
                [f"{key}{i}" for key in given],
                [f"{key}{i}" for key in STATISTICS],
            )
            kept[norm._label] = own
        return kept

    def row_norms(self) -> list[str]:
        """Return the names of blocks whose batch normalisation is left nothing of a single row.

        They normalise rows (N, D), or images of one pixel (N, C, 1, 1).
        """
        return [self._block_of(label) for label in super().row_norms()]

    def summary(self) -> str:
        """Return a table of the blocks: what they compute, output shapes, numbers of parameters."""
        rows = [("input", "", by(self._input_dim), "")]
        for number, block in enumerate(self._blocks, start=1):
            names = [
                name
                for label, layer in self._parts_by_name.items()
                if self._numbers[label] == number
                for name in layer.parameters
            ]
            count = sum(self.params[name].size for name in names)
            rows.append((block.name, block.computes, by(block.shape), f"{count:,}"))
        return as_table(self._name, rows, sum(w.size for w in self.params.values()))
