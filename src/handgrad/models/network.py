"""What all ready networks share: a stack of blocks, its loss, and the bookkeeping around it.

A network is a list of stages, each one call of a pair of `handgrad.layers`; forward goes through
them in order and keeps their caches, backward goes through them in reverse:

    scores = stage_L(... stage_2(stage_1(X)))
    loss = softmax_loss(scores, y) + 1/2 reg sum_l sum(W_l^2)
    dW_l = (what backward of its stage gives) + reg W_l

Only the weights W are regularised, not the biases nor gamma and beta.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from math import prod, sqrt
from threading import get_ident
from typing import Any, NamedTuple

import numpy as np

from handgrad import layers
from handgrad.engines.arrays import as_numpy
from handgrad.engines.devices import like, to_device, to_numpy
from handgrad.engines.weights import with_penalty
from handgrad.errors import (
    DtypeError,
    ShapeError,
    as_count,
    as_number,
    check_choice,
    check_dictionary,
    check_known,
    check_size,
)
from handgrad.models.options import as_weight_scale
from handgrad.nn.fit import check_complete, check_params, checked_buffers
from handgrad.nn.norms import STATISTICS, STEPS, as_steps, momentum_at, steps_of
from handgrad.nn.options import VARIANCES, as_dtype, as_random_source
from handgrad.nn.state import State, Stateful, changing, training
from handgrad.nn.summary import as_table, by

Param = dict[str, Any]

_AFFINE_PAIRS = {None: "affine_relu", "batchnorm": "affine_bn_relu", "layernorm": "affine_ln_relu"}
_KEPT = (*STATISTICS, STEPS)
_MOMENTUM = 0.9


@cache
def takes_need_dx(pair: str) -> bool:
    """Whether the pair's backward can leave dx out."""
    return "need_dx" in inspect.signature(getattr(layers, pair + "_backward")).parameters


class Stage(NamedTuple):
    """One pair to call: ``<pair>_forward(x, *params, *before, norm's dictionary, *after)``.

    block: the block that it belongs to; params: names in `Network.params`; norm: the place of the
    dictionary in `Network.bn_params`, None where the pair normalises nothing.
    """

    block: str
    pair: str
    params: tuple[str, ...] = ()
    before: tuple[Any, ...] = ()
    norm: int | None = None
    after: tuple[Any, ...] = ()


class Block(NamedTuple):
    """A row of the summary: the name of a block, what it computes, its output without N."""

    name: str
    computes: str
    shape: tuple[int, ...]


class Own(NamedTuple):
    """What a call computes with: its mode, parameters by name, dictionaries of the norms and of dropout.

    Nobody else changes these.  A training call puts new dictionaries into `norms`, whose running
    statistics go to the network at its end.
    """

    mode: str
    params: dict[str, Any]
    norms: list[Param]
    dropout: Param


class Network(Stateful):
    """A stack of convolutional and affine blocks with a softmax loss; the base of all models.

    Attributes:
        params: name -> array, W1, b1, gamma1, beta1, W2, ...; live: what is changed here, in place
            or by key, is what the next loss sees.
        reg: strength of the L2 regularisation; may be changed at any time.
        dtype: what the parameters were cast to, or None where nothing is cast.
        num_layers, num_classes: the numbers of layers with weights, and of scores.
        normalization, use_dropout: what the hidden blocks do besides.
        bn_params: the dictionary of each normalisation, in layer order; empty without one.
        dropout_param: the dictionary of all dropout layers; empty without dropout.  The mode in these
            dictionaries is that of the last call; each call computes in its own.
        device: where the arrays computed with are, see `handgrad.engines.devices`; params are NumPy's.
        last_scores: those of the last loss with y, (N, num_classes); None before it.
    """

    device = "cpu"
    last_scores: Any = None
    _casts_input = True
    _corrects_start = True  # of the running statistics, as `handgrad.nn.BatchNorm`

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
        self._shapes: dict[str, tuple[int, ...]] = {}  # of params, when they were made
        self.params: dict[str, np.ndarray] = {}
        self.reg = as_number(name, "reg", reg, 0)
        self.dtype = None if dtype is None else as_dtype(name, dtype)
        self.num_classes = as_count(name, "num_classes", num_classes)
        self.num_layers = 0
        check_choice(name, "normalization", normalization, (None, "batchnorm", "layernorm"))
        self.normalization = normalization
        self.bn_params: list[Param] = []
        self._row_norms: list[str] = []
        self._trained_in = get_ident()
        if seed is not None:
            seed = as_count(name, "seed", seed, 0, 2**32 - 1)
        keep = as_number(name, "dropout_keep_ratio", dropout_keep_ratio, 0, 1, open_low=True)
        self.use_dropout = keep != 1
        self.dropout_param: Param = {}
        if self.use_dropout:
            self.dropout_param = {"mode": "train", "p": keep}
            if seed is not None:
                self.dropout_param["seed"] = seed
        self._weight_scale = as_weight_scale(name, weight_scale)
        self._rng: Any = as_random_source(name, rng)
        self._input_dim = input_dim
        self._stages: list[Stage] = []
        self._blocks: list[Block] = []

    # -- building ---------------------------------------------------------------------------------

    def _add_affine(self, width: int, *, hidden: bool) -> None:
        """Add affine, or, if `hidden`, affine - [norm] - relu - [dropout]."""
        fan_in = prod(self._shape)
        block, params = self._new_layer("affine", (fan_in, width), fan_in)
        steps: list[str | None] = ["affine"]
        if hidden:
            params, norm = self._new_norm(params, width, block)
            self._stages.append(Stage(block, _AFFINE_PAIRS[self.normalization], params, norm=norm))
            steps += [self.normalization, "relu"]
            if self.use_dropout:
                self._stages.append(Stage(block, "dropout"))
                steps.append("dropout")
        else:
            self._stages.append(Stage(block, "affine", params))
        self._blocks.append(Block(block, " - ".join(filter(None, steps)), (width,)))

    def _add_conv(self, filters: int, size: tuple[int, int], conv_param: Param, pool: bool) -> None:
        """Add conv - [norm] - relu, and a 2x2 max pool if `pool`."""
        C = self._shape[0]
        shape = (filters, C, *size)
        block, params = self._new_layer("conv", shape, prod(shape[1:]))
        image = self._conv_output(size, conv_param, False)
        params, norm = self._new_norm(params, filters, block if prod(image) == 1 else None)
        pooling = ({"pool_height": 2, "pool_width": 2, "stride": 2},) if pool else ()
        suffix = "_pool" if pool else ""
        if self.normalization == "layernorm":
            # over all channels of an image: group normalisation with a single group
            self._stages += [
                Stage(block, "conv", params[:2], (conv_param,)),
                Stage(block, "spatial_groupnorm", params[2:], (1,), norm),
                Stage(block, "relu"),
            ]
            self._stages += [Stage(block, "max_pool", before=pooling)] if pool else []
        elif self.normalization == "batchnorm":
            pair = "conv_bn_relu" + suffix
            self._stages.append(Stage(block, pair, params, (conv_param,), norm, pooling))
        else:
            pair = "conv_relu" + suffix
            self._stages.append(Stage(block, pair, params, (conv_param, *pooling)))
        steps = [
            f"conv {size[0]}x{size[1]}",
            self.normalization,
            "relu",
            "pool 2x2" if pool else "",
        ]
        H, W = self._conv_output(size, conv_param, pool)
        self._blocks.append(Block(block, " - ".join(filter(None, steps)), (filters, H, W)))

    def _finish(self) -> None:
        """Add the output layer; the random source is not part of the model."""
        self._add_affine(self.num_classes, hidden=False)
        del self._rng

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

    def _new_layer(
        self, kind: str, shape: tuple[int, ...], fan_in: int
    ) -> tuple[str, tuple[str, ...]]:
        """Draw the weights of the next layer; return the block's name and the parameters' names."""
        self.num_layers += 1
        i = self.num_layers
        scale = self._weight_scale
        if isinstance(scale, str):
            scale = sqrt(VARIANCES[scale] / fan_in)
        check_size(self._name, f"the weights of layer {i}", *shape)
        width = shape[0] if kind == "conv" else shape[1]
        self._set(f"W{i}", scale * self._rng.standard_normal(shape))
        self._set(f"b{i}", np.zeros(width))
        return f"{kind}{i}", (f"W{i}", f"b{i}")

    def _new_norm(
        self, params: tuple[str, ...], width: int, single: str | None
    ) -> tuple[tuple[str, ...], int | None]:
        """Add gamma, beta and the dictionary of a normalisation, if there is one, to a layer.

        single: the name of a block that normalises one number of each row or image, else None.
        """
        if self.normalization is None:
            return params, None
        if self.normalization == "batchnorm" and single is not None:
            self._row_norms.append(single)
        names = (f"gamma{self.num_layers}", f"beta{self.num_layers}")
        self._set(names[0], np.ones(width))
        self._set(names[1], np.zeros(width))
        self.bn_params.append({"mode": "train"} if self.normalization == "batchnorm" else {})
        return params + names, len(self.bn_params) - 1

    def _set(self, name: str, value: np.ndarray) -> None:
        self._shapes[name] = value.shape
        self.params[name] = value if self.dtype is None else value.astype(self.dtype)

    # -- computing --------------------------------------------------------------------------------

    def loss(self, X: Any, y: Any = None) -> Any:
        """Class scores, or the loss and its gradients.

        Args:
            X: inputs, (N, ...) with the model's input behind N.
            y: labels, (N,), integers in [0, num_classes); None asks for the scores.

        Returns:
            Without y, the scores (N, num_classes) in test mode.  With y, in train mode, the loss, a
            number, and a dictionary with the keys of params and the gradients.

        Raises:
            ShapeError, DtypeError: X does not fit the model.  LabelError: y holds no class number.
        """
        X = self._checked(X)
        if y is None:
            return to_numpy(self._forward(X, self._begin("test")))
        with training(self):
            own = self._begin("train")
            caches: list[Any] = []
            scores = self._forward(X, own, caches=caches)
            loss, dscores = layers.softmax_loss(scores, y)
            backward = self._backward(dscores, caches, own)
            grads = {name: to_numpy(dw) for name, dw in backward.items()}
            result = self._regularize(loss.item(), grads, own)
            self._keep(own.norms, scores)
            return result

    @property
    def decayed(self) -> tuple[str, ...]:
        """The names of the parameters that `reg` counts: the weights, not biases and scales."""
        return tuple(f"W{i}" for i in range(1, self.num_layers + 1))

    @property
    def first_filters(self) -> str:
        """The name of the weights that see the images themselves."""
        return self.decayed[0]

    def activations(self, X: Any) -> dict[str, np.ndarray]:
        """Return the output of every block on X, in test mode, by name: conv1, affine2, ...

        The last one holds the scores.
        """
        outputs: dict[str, np.ndarray] = {}
        self._forward(self._checked(X), self._begin("test"), outputs=outputs)
        return {name: to_numpy(out) for name, out in outputs.items()}

    def predict(self, X: Any, batch_size: int = 100) -> np.ndarray:
        """Return the class with the largest score for each row of X, computed batch by batch."""
        batch_size = as_count(self._name, "batch_size", batch_size)
        X = self._fitting(X)
        labels = [np.zeros(0, np.int64)]
        with self.fixed():
            for start in range(0, len(X), batch_size):
                scores = self.loss(X[start : start + batch_size])
                labels.append(np.argmax(scores.real, axis=1))
        return np.concatenate(labels)

    def _forward(
        self,
        X: np.ndarray,
        own: Own,
        caches: list[Any] | None = None,
        outputs: dict[str, np.ndarray] | None = None,
    ) -> np.ndarray:
        """Go through the stages; collect caches, and outputs of the blocks, where asked to."""
        check_params(self._name, own.params, self._shapes)
        out = to_device(X, self.device)
        for stage in self._stages:
            forward = getattr(layers, stage.pair + "_forward")
            out, cache = self._call(forward, out, stage, own)
            if caches is not None:
                caches.append(cache)
            if outputs is not None:
                outputs[stage.block] = out
        return out

    def _backward(self, dout: np.ndarray, caches: list[Any], own: Own) -> dict[str, np.ndarray]:
        """Go back through the stages; use up the caches, and return the gradients."""
        grads: dict[str, Any] = dict.fromkeys(own.params)
        for stage in reversed(self._stages):
            backward = getattr(layers, stage.pair + "_backward")
            if stage is self._stages[0] and takes_need_dx(
                stage.pair
            ):  # the images' gradient is not used
                result = backward(dout, caches.pop(), need_dx=False)
            else:
                result = backward(dout, caches.pop())
            if stage.params:
                dout, *gradients = result
                grads.update(zip(stage.params, gradients, strict=True))
            else:
                dout = result
        return grads

    def _regularize(
        self, loss: float, grads: dict[str, np.ndarray], own: Own
    ) -> tuple[float, dict[str, np.ndarray]]:
        """Add ``1/2 reg sum(W^2)`` to the loss and ``reg W`` to the gradient of each W."""
        reg = as_number(self._name, "reg", self.reg, 0)
        if reg != 0:
            for name in self.decayed:
                grads[name], penalty = with_penalty(own.params[name], grads[name], reg)
                loss += penalty
        return loss, grads

    def _call(self, forward: Any, x: Any, stage: Stage, own: Own) -> tuple[Any, Any]:
        """Call the forward of a stage; move the running statistics in `own`, if it has such."""
        weights = self._weights(stage, own)
        if stage.norm is None:
            return forward(x, *weights, *self._options(stage, own))
        kept = own.norms[stage.norm]
        param = dict(kept)
        if self.normalization != "batchnorm":
            return forward(x, *weights, *stage.before, param, *stage.after)
        param.pop(STEPS, None)
        param["mode"] = own.mode
        for key in STATISTICS:
            if key in param:
                param[key] = like(param[key], x)
        if own.mode == "test":
            return forward(x, *weights, *stage.before, param, *stage.after)
        steps = steps_of(kept) if self._corrects_start else None
        if steps is not None:
            steps += 1
            momentum = kept.get("momentum", _MOMENTUM)
            momentum = as_number(self._name, "bn_params: momentum", momentum, 0, 1)
            param["momentum"] = momentum_at(momentum, steps)
        result = forward(x, *weights, *stage.before, param, *stage.after)
        new = {**kept, **{key: param[key] for key in STATISTICS}}
        own.norms[stage.norm] = new if steps is None else {**new, STEPS: np.array(steps)}
        return result

    def _weights(self, stage: Stage, own: Own) -> list[np.ndarray]:
        return [to_device(own.params[name], self.device) for name in stage.params]

    def _options(self, stage: Stage, own: Own) -> tuple[Any, ...]:
        return (own.dropout,) if stage.pair == "dropout" else stage.before

    # -- what a call knows ------------------------------------------------------------------------

    def _begin(self, mode: str) -> Own:
        """Return what a call computes with that begins now."""
        state = self._state()
        if self.normalization == "batchnorm":
            for param in self.bn_params:
                param["mode"] = mode
        dropout = {}
        if self.use_dropout:
            self.dropout_param["mode"] = mode
            dropout = {**self.dropout_param, "mode": mode}
            if mode == "test" and self._is_beside():
                dropout.pop("seed", None)  # NumPy's global stream belongs to the thread that trains
        return Own(mode, state.params, list(state.kept), dropout)

    def _own_state(self) -> State:
        return State(dict(self._params), [dict(param) for param in self.bn_params])

    def _replace_kept(self, kept: list[Param]) -> None:
        for bn_param, new in zip(self.bn_params, kept, strict=True):
            for key in _KEPT:
                if key not in new:
                    bn_param.pop(key, None)
            bn_param.update({key: new[key] for key in _KEPT if key in new})

    # -- checking ---------------------------------------------------------------------------------

    def check_params(self) -> None:
        """Raise an error unless params has the names and shapes that the network was made with.

        Each loss and each saving does so; raises OptionError, ShapeError or DtypeError.
        """
        check_dictionary(self._name, "params", self.params)
        check_params(self._name, self.params, self._shapes)

    def _checked(self, X: Any) -> np.ndarray:
        """Return X as an array that fits the model, in the model's dtype if it casts inputs."""
        X = self._fitting(X)
        if self.dtype is None or not self._casts_input:
            return X
        return X.astype(self.dtype, copy=False)

    def _fitting(self, X: Any) -> np.ndarray:
        real = self.dtype is None or self.dtype(0).dtype.kind != "c"
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
        return X

    # -- keeping and showing ----------------------------------------------------------------------

    @property
    def params(self) -> dict[str, np.ndarray]:
        """The parameters by name, live."""
        return self._seen_params()

    @params.setter
    def params(self, params: dict[str, np.ndarray]) -> None:
        check_dictionary(self._name, "params", params)
        check_params(self._name, params, self._shapes, all_names=False)
        self._unfix()
        self._params = params

    def buffers(self) -> dict[str, np.ndarray]:
        """Return the running statistics of batch normalisation, by name: running_mean1, ...

        They appear with the first training step, and are empty in a model without them.  steps1, ... are
        the numbers of training steps that they have seen.
        """
        return {
            f"{key}{i}": to_numpy(bn_param[key])
            for i, bn_param in enumerate(self._state().kept, start=1)
            for key in _KEPT
            if key in bn_param
        }

    def buffer_shapes(self) -> dict[str, tuple[int, ...] | None]:
        """Return the shapes of the running statistics that the network takes."""
        gammas = [shape for name, shape in self._shapes.items() if name.startswith("gamma")]
        if self.normalization != "batchnorm":
            return {}
        return {
            f"{key}{i}": () if key == STEPS else shape
            for i, shape in enumerate(gammas, start=1)
            for key in _KEPT
        }

    def load_buffers(self, buffers: Mapping[str, Any]) -> None:
        """Put copies of `buffers`, as `buffers()` gave them, in the place of the present ones."""
        kept = self._kept_of(buffers)
        self._unfix()
        with changing:
            self._replace_kept(kept)

    def row_norms(self) -> list[str]:
        """Return the names of blocks whose batch normalisation is left nothing of a single row.

        They normalise rows (N, D), or images of one pixel (N, C, 1, 1).
        """
        return list(self._row_norms)

    def _kept_of(self, buffers: Mapping[str, Any]) -> list[Param]:
        count = len(self.bn_params) if self.normalization == "batchnorm" else 0
        known = [f"{key}{i}" for i in range(1, count + 1) for key in _KEPT]
        check_dictionary(self._name, "buffers", buffers)
        check_known(f"{self._name}.load_buffers", buffers, known)
        gammas = [name for name in self._shapes if name.startswith("gamma")]
        loaded = checked_buffers(self._name, buffers)
        for i, gamma in enumerate(gammas, start=1):
            if f"{STEPS}{i}" in loaded:
                as_steps(f"{self._name}.load_buffers: {STEPS}{i}", loaded[f"{STEPS}{i}"])
            for key in STATISTICS:
                value = loaded.get(f"{key}{i}")
                expected = self._shapes[gamma]
                if value is not None and value.shape != expected:
                    raise ShapeError(
                        f"{self._name}.load_buffers: {key}{i} must have the shape of {gamma}, "
                        f"{expected}, got {value.shape}"
                    )
            given = [f"{key}{i}" for key in _KEPT if f"{key}{i}" in loaded]
            where = f"{self._name}.load_buffers"
            check_complete(where, given, [f"{key}{i}" for key in STATISTICS])
        return [
            {
                **{key: value for key, value in bn_param.items() if key not in _KEPT},
                **{key: loaded[f"{key}{i}"] for key in _KEPT if f"{key}{i}" in loaded},
            }
            for i, bn_param in enumerate(self.bn_params, start=1)
        ]

    def summary(self) -> str:
        """Return a table of the blocks: what they compute, output shapes, numbers of parameters."""
        rows = [("input", "", by(self._input_dim), "")]
        for i, block in enumerate(self._blocks, start=1):
            names = (f"W{i}", f"b{i}", f"gamma{i}", f"beta{i}")
            count = sum(self.params[name].size for name in names if name in self.params)
            rows.append((block.name, block.computes, by(block.shape), f"{count:,}"))
        return as_table(self._name, rows, sum(w.size for w in self.params.values()))

    @property
    def _name(self) -> str:
        return type(self).__name__
