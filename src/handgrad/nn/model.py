"""Networks that a class connects in its own ``forward``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from handgrad.engines.arrays import Array
from handgrad.engines.devices import check_device, to_device, to_numpy
from handgrad.errors import (
    as_flag,
    as_number,
    check_dictionary,
    check_known,
    keywords_of,
)
from handgrad.nn.answers import InCall
from handgrad.nn.built import Arrays
from handgrad.nn.compiled.half import FLOAT32
from handgrad.nn.compiled.scoring import ScorePlan
from handgrad.nn.compiling import Compiling
from handgrad.nn.fit import (
    as_inputs,
    check_inputs,
    check_params,
    check_rows,
    input_shapes,
    own_loss,
)
from handgrad.nn.graph import Plan
from handgrad.nn.layer import Layer
from handgrad.nn.leaving import listening
from handgrad.nn.losses import Loss, as_loss
from handgrad.nn.options import (
    Init,
    Shape,
    as_dtype,
    as_init,
    as_random_source,
)
from handgrad.nn.state import State, current_mode, in_mode, training


class Model(Compiling):
    """A network of layer objects; the base of your own.

    Make the layers in ``__init__``, connect them in ``forward``::

        class Residual(nn.Model):
            def __init__(self, width=64):
                super().__init__(input_shape=(8, 8))
                self.first, self.second = nn.Affine(width), nn.Affine(width)
                self.relu, self.scores = nn.ReLU(), nn.Affine(10)

            def forward(self, x):
                x = self.relu(self.first(x))
                x = x + self.relu(self.second(x))  # a residual connection
                return self.scores(x)

    ``forward`` may use a layer again, add values, concatenate them (`concat`), branch, merge, and take
    several inputs.  What it receives are not arrays but values; the calls of layers are recorded, and
    `loss` plays them in reverse, each with its own hand-written backward.  A model can be a block of
    another one.

    Parameters are named by the attributes, ``first.W``; drawn in the order in which forward first
    uses the layers; and drawn by the constructor if it knows `input_shape`, else by the first `loss`.

    Attributes:
        params: name -> array; live: what is changed here, in place or by key, the next loss sees.
        reg: strength of the L2 regularisation of all weights W; may be changed at any time.
        dtype: what the parameters and inputs are cast to, or None where nothing is cast.
        num_classes: the number of scores.
        device: where the arrays are computed with, see `handgrad.engines.devices`; params stay NumPy's.
        last_scores: those of the last loss with y; None before it.
        precision: "float32" or "bf16", in which `compile` lets the scores be computed.
    """

    last_scores: Any = None
    precision = FLOAT32
    _casts_input = True
    _is_static = (
        False  # whether forward makes the same calls each time: known of lists of layers alone
    )

    def __init__(
        self,
        input_shape: Any = None,
        *,
        reg: float = 0.0,
        dtype: Any = np.float32,
        init: Init = "kaiming",
        loss: str | Mapping[str, Any] | Loss = "softmax",
        label_smoothing: float = 0.0,
        device: str = "cpu",
        fuse: bool = True,
        rng: Any = None,
        **unknown: Any,
    ) -> None:
        """Describe the network; a block of another network needs no arguments.

        Args:
            input_shape: that of one row, as (3, 32, 32); a list of such for several inputs.
            reg: strength of the L2 regularisation, ``1/2 reg sum(W^2)``.
            dtype: float32, float64 or complex128; None casts nothing (parameters are float64).
            init: how weights W start: 'kaiming' (normal with the variance 2 / fan_in), 'xavier' (with
                1 / fan_in), a number (the standard deviation), or a function (shape, rng) -> array.
            loss: a name of `handgrad.nn.LOSSES`, as 'softmax' or 'mse'; a table of it with its options, as
                {"name": "huber", "delta": 2.0}; or a function (scores, y) -> (loss, dscores).
            label_smoothing: of the softmax loss, see `softmax_loss`.
            device: 'cpu', 'cuda', 'cuda:1' or 'torch:cpu'.
            fuse: whether neighbouring layers may be computed as sandwiches.
            rng: where the weights come from: a Generator, a RandomState or a seed; None is NumPy's
                global stream.

        Raises:
            OptionError, DtypeError, EngineError: an option is unknown or out of range.
        """
        name = self._name
        check_known(name, unknown, keywords_of(type(self), Model))
        super().__init__(
            input_shapes(name, input_shape),
            as_init(name, init),
            None if dtype is None else as_dtype(name, dtype),
            None if rng is None else as_random_source(name, rng),
        )
        if self._input_shapes is not None:
            check_inputs(name, self.forward, self._input_shapes)
        self.reg = as_number(name, "reg", reg, 0)
        self.device = check_device(name, device)
        self._loss = as_loss(name, loss, label_smoothing)
        self._fuse = as_flag(name, "fuse", fuse)
        self._compiled: dict[str, Plan] = {}
        self._scorer: ScorePlan | None = None
        self._frozen: list[np.ndarray] = []
        self._plans: dict[str, Any] = {}  # by mode the last one, and the calls that it is of

    @property
    def params(self) -> Arrays:
        """The parameters by name, live."""
        self._check_built("params")
        return self._seen_params()

    @params.setter
    def params(self, params: Arrays) -> None:
        check_dictionary(self._name, "params", params)
        if self._row_shape is not None:
            check_params(self._name, params, self._shapes_of_params, all_names=False)
        self._unfix()
        self._params = dict(params)

    @property
    def training(self) -> bool:
        """In ``forward``: whether a training step is computed; outside, whether the last call was one."""
        return (current_mode() or self._mode) == "train"

    def loss(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> Any:
        """Scores, or the loss and its gradients.

        Args:
            X: inputs, (N, ...); a tuple of arrays where forward takes several.
            y: labels, (N,), or targets of the scores' shape; None asks for the scores.
            sample_weight: how often each row counts in the loss, (N,); None is once.

        Returns:
            Without y, what forward returns, (N, num_classes), in test mode.  With y, in train mode,
            the loss, a number, and a dictionary with the keys of params and the gradients.

        Raises:
            ShapeError, DtypeError: X does not fit the network.  LabelError: y holds no class number.
            OperationError: forward does something that is no layer.
        """
        scorer = self._scorer if y is None else None
        quick = None if scorer is None else scorer(X)
        if quick is not None:
            return quick
        xs = self._checked(X)
        if scorer is not None and scorer.is_half and len(xs) == 1:
            quick = scorer.of_any(xs[0])
            if quick is not None:
                return quick
        shapes = tuple([x.shape for x in xs])
        if self.device != "cpu":
            xs = [to_device(x, self.device) for x in xs]
        if y is None:
            call = self._begin("test")
            scores = self._plan(shapes, "test").forward(xs, call.params, own=call.layers)
            return scores if isinstance(scores, np.ndarray) else to_numpy(scores)
        with training(self), in_mode("train"):
            call = self._begin("train")
            plan = self._plan(shapes, "train")
            caches: list[Any] = []
            scores = plan.forward(xs, call.params, caches, own=call.layers)
            function = self._loss.func if sample_weight is None else self._loss
            options = (
                self._loss.options if sample_weight is None else {"sample_weight": sample_weight}
            )
            loss, dscores = own_loss(self._name, function(scores, y, **options), scores)
            listener = listening.get()
            take = None if listener is None else listener.heard()
            grads = plan.backward(dscores, caches, take)
            result = self._completed(loss, grads, call.state.params, with_reg=take is None)
            kept = {layer._label: layer.buffers() for layer in call.layers.values()}
            self._keep(kept, scores)
            return result

    # -- computing ---------------------------------------------------------------------------------

    def _recorded(self, shapes: Sequence[Shape], mode: str, keep: bool = False) -> Plan:
        graph, output = self._record(shapes, mode)
        return Plan(graph, output, self._fuse, keep)

    def _plan(self, shapes: tuple[Shape, ...], mode: str) -> Plan:
        plan = self._compiled.get(mode)
        if plan and plan.shapes == shapes:
            return plan
        known = self._plans.get(mode)
        if known and self._is_static and known[0] == (shapes, self._fuse):
            return known[1]
        graph, output = self._record(shapes, mode)
        # a layer that forward itself makes, as Add, keeps nothing: its options tell it
        made = [(c.layer if c.layer._root else repr(c.layer), c.inputs) for c in graph.calls]
        calls = (shapes, self._fuse), output.index, made
        if known is None or (known[0], *known[2]) != calls:
            known = (calls[0], Plan(graph, output, self._fuse), calls[1:])
            self._plans[mode] = known
        return known[1]

    def _begin(self, mode: str) -> InCall:
        """Return what a call computes with that begins now."""
        state = self._state()
        check_params(self._name, state.params, self._shapes_of_params)
        params: Arrays = state.params
        if self.device != "cpu":
            params = {name: to_device(w, self.device) for name, w in params.items()}
        self._mode = mode
        return InCall(state, params, self._in_call(state))

    def _in_call(self, state: State) -> dict[int, Layer]:
        """Return the layers of a call that keep buffers, by the id of those that they are copies of."""
        return {
            id(layer): layer.in_call(state.kept.get(layer._label, {}))
            for layer in self._layers
            if layer.keeps
        }

    def _own_state(self) -> State:
        return State(dict(self._params), self._kept)

    def _replace_kept(self, kept: dict[str, Arrays]) -> None:
        self._kept = kept

    def _completed(
        self, loss: Any, grads: dict[str, Array], params: Arrays, with_reg: bool = True
    ) -> tuple[float, Arrays]:
        """Return the loss and the gradients of all parameters, with the regularisation if asked to."""
        loss = loss.item() if hasattr(loss, "item") else loss
        complete: Arrays = {}
        for name, w in params.items():
            dw = grads.get(name)
            if not isinstance(dw, np.ndarray):
                dw = np.zeros_like(w) if dw is None else to_numpy(dw)
            complete[name] = dw
        if with_reg and self.reg != 0.0:
            return self.penalised(loss, complete, params)
        return loss, complete

    def _checked(self, X: Any) -> list[np.ndarray]:
        """Return the inputs as arrays that fit the network, in its dtype; build it if it is not."""
        xs = self._fitting(X)
        if self.dtype is None or not self._casts_input:
            return xs
        if len(xs) == 1 and xs[0].dtype == self.dtype:  # as it is in most calls
            return xs
        return [x.astype(self.dtype, copy=False) for x in xs]

    def _fitting(self, X: Any) -> list[np.ndarray]:
        """Return the inputs as arrays that fit the network; build it if it is not."""
        xs = as_inputs(self._name, X, self.dtype)
        if self._root is not None and self._root is not self:
            self._check_built("loss")
        self._check_rows([x.shape[1:] for x in xs])
        return xs

    def _check_rows(self, rows: Sequence[Shape]) -> None:
        """Raise ShapeError unless inputs of `rows` fit the network; build it if it is not."""
        if self._row_shape is None:
            check_inputs(self._name, self.forward, rows)
            self._build(rows)
        assert self._input_shapes is not None
        if rows != self._input_shapes:
            check_rows(self._name, rows, self._input_shapes)
