"""Networks that a class connects in its own ``forward``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from handgrad.engines.devices import check_device, to_device, to_numpy
from handgrad.errors import (
    OptionError,
    ShapeError,
    as_flag,
    as_number,
    check_dictionary,
    check_known,
    keywords_of,
)
from handgrad.nn.answers import InCall
from handgrad.nn.built import Arrays
from handgrad.nn.checks import Checks
from handgrad.nn.compiled.half import BF16, FLOAT32, scorer
from handgrad.nn.compiled.scoring import ScorePlan
from handgrad.nn.compiled.steps import CompiledSteps
from handgrad.nn.fit import (
    check_inputs,
    check_params,
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
from handgrad.nn.state import State, changing, current_mode, in_mode, training


class Model(Checks):
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

    def compile(
        self,
        batch_shape: Any,
        update_rule: str | None = None,
        optim_config: Mapping[str, Any] | None = None,
        clip_norm: float | None = None,
        precision: str = "float32",
        freeze: bool = False,
    ) -> CompiledSteps | None:
        """Keep the plan for batches of `batch_shape`: order, sandwiches and memory are then fixed.

        ``forward`` is not called again for such batches, so what it computes must not change from
        call to call; other batches are recorded as ever.  The numbers are the same to the last bit.

        Args:
            batch_shape: (N, ...), or a list of such for several inputs; None forgets the plan.
            update_rule: the name of a rule of `handgrad.optim`: whole training steps are compiled, too.
            optim_config: its settings, as in ``{"learning_rate": 1e-3}``.
            clip_norm: scale the gradients of a step down to this norm where theirs is larger.
            precision: "float32"; "bf16", in which values of layers are stored and products take their
                factors, with parameters, sums, statistics and updates in float32; or "auto", which measures
                both at the first step and takes the faster one.  Without an update rule it is that of the
                scores of such batches, with float32 scores, and "auto" measures here.
            freeze: make what depends on parameters alone once, and let nobody write to their arrays, until
                compile is called again.  Assigned to a name, others are seen as ever.  For scores.

        Returns:
            With an update rule what does the steps, `handgrad.nn.CompiledSteps`; else None.

        Raises:
            ShapeError: `batch_shape` does not fit the network.
            OptionError: no plan computes it in bf16, or an option is for something else.

        >>> import numpy as np
        >>> from handgrad import nn
        >>> model = nn.Sequential([nn.Affine(8), nn.ReLU(), nn.Affine(2)], input_shape=(3,), rng=0)
        >>> steps = model.compile((4, 3), update_rule="adam")
        >>> len(steps.run(np.ones((20, 3)), np.zeros(20, int), steps=50, rng=0))
        50
        """
        self._compiled, self._scorer, self.precision = {}, None, FLOAT32
        self._thaw()
        if batch_shape is None:
            return None
        where = f"{self._name}.compile"
        shapes = input_shapes(where, batch_shape)
        assert shapes is not None
        if any(len(shape) < 2 for shape in shapes):
            raise ShapeError(f"{where}: batch_shape must be (N, ...), got {shapes}")
        freeze = as_flag(where, "freeze", freeze)
        self._check_rows([shape[1:] for shape in shapes])
        compiled = {mode: self._recorded(shapes, mode, keep=True) for mode in ("test", "train")}
        self._compiled = compiled
        is_single = len(shapes) == 1
        if update_rule is None:
            if not is_single and (freeze or precision != FLOAT32):
                raise OptionError(
                    f"{where}: precision and freeze are for networks of one input, this one takes "
                    f"{len(shapes)}; leave them out"
                )
            if freeze:
                self._freeze()
            if is_single:
                self._scorer = scorer(self, where, shapes[0], precision, freeze)
            if self._scorer is not None and self._scorer.is_half:
                self.precision = BF16
            return None
        if freeze:
            raise OptionError(f"{where}: freeze is for scores; leave it or update_rule out")
        if not is_single:
            raise OptionError(
                f"{where}: update_rule is for networks of one input, this one takes "
                f"{len(shapes)}; leave update_rule out"
            )
        self._scorer = scorer(self, where, shapes[0], FLOAT32, False)
        return CompiledSteps(self, shapes[0], update_rule, optim_config, clip_norm, precision)

    def _freeze(self) -> None:
        """Put read-only copies in the place of the parameters."""
        frozen = {name: w.copy(order="K") for name, w in self._params.items()}
        for w in frozen.values():
            w.setflags(write=False)
        with changing:
            self._params.update(frozen)
        self._frozen = [*frozen.values()]

    def _thaw(self) -> None:
        for w in self._frozen:
            w.setflags(write=True)
        self._frozen = []

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
