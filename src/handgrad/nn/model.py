"""Networks that a class connects in its own ``forward``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import prod
from typing import Any

import numpy as np

from handgrad.engines.arrays import Array
from handgrad.engines.devices import check_device, to_device, to_numpy
from handgrad.engines.weights import with_penalty
from handgrad.errors import (
    OperationError,
    ShapeError,
    as_count,
    as_flag,
    as_number,
    check_choice,
    check_dictionary,
    check_known,
    keywords_of,
)
from handgrad.nn.built import Arrays, Built, current_mode, in_mode
from handgrad.nn.configured import import_path, plain, shown_call
from handgrad.nn.fit import check_inputs, check_params, checked_buffers, own_loss
from handgrad.nn.gradients import Gradients, Played
from handgrad.nn.graph import Plan
from handgrad.nn.inputs import as_inputs, check_rows, input_shapes
from handgrad.nn.layer import Layer
from handgrad.nn.losses import LOSSES, Loss, as_loss
from handgrad.nn.norms import BatchNorm
from handgrad.nn.options import (
    Init,
    Shape,
    as_dtype,
    as_init,
    as_random_source,
)
from handgrad.nn.state import State, training
from handgrad.nn.summary import as_table
from handgrad.nn.value import Value
from handgrad.nn.whitening import Whitening

__all__ = ["LOSSES", "Model"]


class Model(Built):
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
    """

    last_scores: Any = None

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
            init: how weights W start: 'kaiming', normal with the variance 2 / fan_in; 'xavier', with
                1 / fan_in; a number, the standard deviation; or a function (shape, rng) -> array.
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
        self._plans: dict[str, Any] = {}  # by mode the last one, and the calls that it is of

    def __call__(self, *values: Value) -> Any:
        """Use this network as a block in the forward of another one."""
        for value in values:
            if not isinstance(value, Value):
                raise OperationError(
                    f"{self._name} takes the values of another network's forward, got "
                    f"{type(value).__name__}; for the scores of arrays call model.loss(X)"
                )
        if values and values[0].graph.model is not self:
            root = values[0].graph.model
            if self._root is not root:
                root._refuse_unknown(f"the block {self._name}")
        return self.forward(*values)

    def __repr__(self) -> str:
        return shown_call(self._name, self._arguments)

    def _repr_html_(self) -> str:
        text = self.summary() if self._row_shape is not None else repr(self)
        return f"<pre>{escape(text)}</pre>"

    # -- what others use ---------------------------------------------------------------------------

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

    def check_params(self) -> None:
        """Raise an error unless params has the names and shapes that the network was made with.

        Each loss and each saving does so; raises OptionError, ShapeError or DtypeError.
        """
        check_params(self._name, self.params, self._shapes_of_params)

    @property
    def num_classes(self) -> int:
        """The number of scores."""
        self._check_built("num_classes")
        assert self._row_shape is not None
        return self._row_shape[0]

    @property
    def decayed(self) -> tuple[str, ...]:
        """The names of the parameters that `reg` counts: the weights, not biases and scales."""
        self._check_built("decayed")
        return tuple(self._decays)

    @property
    def first_filters(self) -> str | None:
        """The name of the weights that see the images themselves; None in a network without weights."""
        return next(iter(self.decayed), None)

    @property
    def training(self) -> bool:
        """In ``forward``: whether a training step is computed; outside, whether the last call was one."""
        return (current_mode() or self._mode) == "train"

    @property
    def task(self) -> str | None:
        """What the loss is for, of `handgrad.nn.losses.TASKS`; None for a function of one's own."""
        return self._loss.task

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
        xs = self._checked(X)
        shapes = tuple(x.shape for x in xs)
        xs = [to_device(x, self.device) for x in xs]
        if y is None:
            state = self._state()
            plan = self._plan(shapes, "test")
            self._mode = "test"
            own = self._in_call(state)
            return to_numpy(plan.forward(xs, self._on_device(state), own=own))
        with training(self), in_mode("train"):
            state = self._state()
            plan = self._plan(shapes, "train")
            self._mode = "train"
            own = self._in_call(state)
            caches: list[Any] = []
            scores = plan.forward(xs, self._on_device(state), caches, own=own)
            loss, dscores = own_loss(self._name, self._loss(scores, y, sample_weight), scores)
            result = self._completed(loss, plan.backward(dscores, caches), state.params)
            self._keep({layer._label: layer.buffers() for layer in own.values()}, scores)
            return result

    def loss_of(self, scores: Any, y: Any) -> float:
        """Return the loss of scores, (N, num_classes), without regularisation."""
        loss, _ = own_loss(self._name, self._loss(scores, y), scores)
        return float(loss)

    def gradients(self, X: Any, y: Any, mode: str = "train") -> Gradients:
        """Return the loss, and its gradients by the parameters and by the input.

        Nothing is kept of the call: running statistics stay as they are.

        Args:
            X: inputs, (N, ...); a tuple of arrays where forward takes several.
            y: labels or targets, as `loss` takes; or a function (scores, None) -> (value, dscores) of the
                scores, whose gradients are then returned.
            mode: 'train' or 'test', of batch normalisation and dropout.

        Returns:
            `Gradients`: loss, params, dx; the regularisation is part of loss and params.

        >>> import numpy as np
        >>> from handgrad import nn
        >>> model = nn.Sequential([nn.Affine(2)], input_shape=(3,), rng=0)
        >>> model.gradients(np.ones((4, 3)), np.zeros(4, int)).dx.shape
        (4, 3)
        """
        check_choice(f"{self._name}.gradients", "mode", mode, ("train", "test"))
        xs = self._checked(X)
        with in_mode(mode):
            graph, output = self._record([x.shape for x in xs], mode)
            state = self._state()
            played = Played(graph.calls, self._on_device(state), self._in_call(state), mode)
            scores = played.forward([to_device(x, self.device) for x in xs], output.index)
            is_function = callable(y) and not isinstance(y, type)
            value = y(scores, None) if is_function else self._loss(scores, y)
            loss, dscores = own_loss(self._name, value, scores)
            grads, dxs = played.backward(dscores, output.index, len(xs))
            loss, params = self._completed(loss, grads, state.params)
        dxs = [
            np.zeros_like(x) if dx is None else to_numpy(dx) for x, dx in zip(xs, dxs, strict=True)
        ]
        return Gradients(loss, params, dxs[0] if len(dxs) == 1 else tuple(dxs))

    def activations(self, X: Any) -> Arrays:
        """Return the outputs of the layers on X, in test mode, by name; of a sandwich, the last."""
        xs = self._checked(X)
        outputs: dict[str, Array] = {}
        state = self._state()
        plan = self._plan(tuple(x.shape for x in xs), "test")
        inputs = [to_device(x, self.device) for x in xs]
        params, own = self._on_device(state), self._in_call(state)
        plan.forward(inputs, params, outputs=outputs, own=own)
        return {label: to_numpy(out) for label, out in outputs.items()}

    def trace(self, X: Any) -> list[tuple[str, Layer, list[Array], list[Array]]]:
        """Return the calls of layers on X in train mode: name, layer, its inputs, its parameters."""
        xs = self._checked(X)
        graph, output = self._record([x.shape for x in xs], "train")
        state = self._state()
        params = self._with_all_names(state.params)
        return Plan(graph, output, fuse=False).trace(xs, params, self._in_call(state))

    def predict(self, X: Any, batch_size: int = 100) -> np.ndarray:
        """Return the class with the largest score for each row of X, computed batch by batch.

        Scores are (N, C), or (N, C, H, W) for a class of each pixel; the classes then are (N, H, W).
        """
        batch_size = as_count(self._name, "batch_size", batch_size)
        xs = as_inputs(self._name, X, self.dtype)
        self._check_rows([x.shape[1:] for x in xs])
        assert self._row_shape is not None
        labels = [np.zeros((0, *self._row_shape[1:]), np.int64)]
        with self.fixed():
            for start in range(0, len(xs[0]), batch_size):
                batch = tuple(x[start : start + batch_size] for x in xs)
                labels.append(np.argmax(self.loss(batch).real, axis=1))
        return np.concatenate(labels)

    def compile(self, batch_shape: Any) -> None:
        """Keep the plan for batches of `batch_shape`: order, sandwiches and memory are then fixed.

        ``forward`` is not called again for such batches, so what it computes must not change from
        call to call; other batches are recorded as ever.  The numbers are the same to the last bit.

        Args:
            batch_shape: (N, ...), or a list of such for several inputs; None forgets the plan.
        """
        self._compiled = {}
        if batch_shape is None:
            return
        shapes = input_shapes(f"{self._name}.compile", batch_shape)
        assert shapes is not None
        if any(len(shape) < 2 for shape in shapes):
            raise ShapeError(f"{self._name}.compile: batch_shape must be (N, ...), got {shapes}")
        self._check_rows([shape[1:] for shape in shapes])
        compiled = {mode: self._recorded(shapes, mode, keep=True) for mode in ("test", "train")}
        self._compiled = compiled

    def prepare(self, X: Any) -> None:
        """Compute from training images X what is not trained: the filters of `Whitening` layers.

        The Solver calls it when it is made.
        """
        if not any(isinstance(layer, Whitening) for layer in self._layers):
            return
        xs = self._checked(X)
        graph, _ = self._record([x.shape for x in xs], "test")
        with training(self):
            kept = dict(self._kept)
            for call in graph.calls:
                if isinstance(call.layer, Whitening):
                    if call.inputs[0] >= len(xs):
                        raise OperationError(
                            f"{self._name}, layer {call.label}: Whitening takes the network's input, "
                            "whose patches it whitens; put it in front"
                        )
                    own = call.layer.in_call({})
                    own.prepare(xs[call.inputs[0]])
                    kept[call.layer._label] = own.buffers()
            self._replace_kept(kept)

    def buffers(self) -> Arrays:
        """Return the running statistics by name, as bn.running_mean; none before the first step.

        Beside them, bn.steps is the number of training steps that they have seen.
        """
        own = self._in_call(self._state())
        return {
            f"{layer._label}.{key}": to_numpy(value)
            for layer in self._layers
            for key, value in own.get(id(layer), layer).buffers().items()
        }

    def load_buffers(self, buffers: Mapping[str, Any]) -> None:
        """Put copies of `buffers`, as `buffers()` gave them, in the place of the present ones."""
        kept = self._kept_of(buffers)
        others = {layer._label: layer for layer in self._layers if not layer.keeps}
        for label, mine in self._by_layer(buffers).items():
            if label in others:
                others[label].load_buffers(mine)
        self._unfix()
        self._replace_kept(kept)

    def _by_layer(self, buffers: Mapping[str, Any]) -> dict[str, Arrays]:
        """Return `buffers` by the names of the layers, and then by their own."""
        buffers = checked_buffers(self._name, buffers)
        mine: dict[str, Arrays] = {layer._label: {} for layer in self._layers if layer.has_state}
        for name, value in buffers.items():
            label, _, key = name.rpartition(".")
            check_known(f"{self._name}.load_buffers", [label or name], mine)
            mine[label][key] = value
        return mine

    def buffer_shapes(self) -> dict[str, Shape | None]:
        """Return the shapes of the running statistics that the network takes, None where any may come."""
        return {
            f"{layer._label}.{key}": shape
            for layer in self._layers
            for key, shape in layer.buffer_shapes().items()
        }

    def row_norms(self) -> list[str]:
        """Return the names of batch normalisations that are left nothing of a single row.

        They normalise rows (N, D), or images of one pixel (N, C, 1, 1).
        """
        self._check_built("row_norms()")
        return [
            layer._label
            for layer in self._layers
            if isinstance(layer, BatchNorm)
            and any(prod(x[1:]) == 1 for (x,) in list(layer._shapes))
        ]

    def streams(self) -> dict[str, Any]:
        """Return the random streams that layers own, by name."""
        return {
            layer._label: layer.stream() for layer in self._layers if layer.stream() is not None
        }

    def summary(self) -> str:
        """Return a table of the layers: what they compute, output shapes, numbers of parameters."""
        self._check_built("summary()")
        return as_table(self._name, self._rows, sum(w.size for w in self.params.values()))

    def config(self) -> dict[str, Any]:
        """Return a table with which `handgrad.models.build` makes this network again.

        Raises OptionError for a class that cannot be imported, or arguments that cannot be written.
        """
        arguments = {
            key: value for key, value in self._arguments.items() if key not in ("rng", "device")
        }
        return {"name": import_path(type(self)), **plain(self._name, arguments)}

    @property
    def _is_static(self) -> bool:
        """Whether forward makes the same calls each time: known of lists of layers alone."""
        return False

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

    def _own_state(self) -> State:
        return State(dict(self._params), self._kept)

    def _kept_of(self, buffers: Mapping[str, Any]) -> dict[str, Arrays]:
        mine = self._by_layer(buffers)
        kept = {}
        for layer in self._layers:
            if layer.keeps:
                own = layer.in_call({})
                own.load_buffers(mine[layer._label])
                kept[layer._label] = own.buffers()
        return kept

    def _replace_kept(self, kept: dict[str, Arrays]) -> None:
        self._kept = kept

    def _in_call(self, state: State) -> dict[int, Layer]:
        """Return the layers of a call that keep buffers, by the id of those that they are copies of."""
        return {
            id(layer): layer.in_call(state.kept.get(layer._label, {}))
            for layer in self._layers
            if layer.keeps
        }

    def _on_device(self, state: State) -> dict[str, Array]:
        params = self._with_all_names(state.params)
        if self.device == "cpu":
            return params
        return {name: to_device(w, self.device) for name, w in params.items()}

    def _with_all_names(self, params: Arrays) -> Arrays:
        check_params(self._name, params, self._shapes_of_params)
        return params

    def _completed(
        self, loss: Any, grads: dict[str, Array], params: Arrays
    ) -> tuple[float, Arrays]:
        """Return the loss and the gradients of all parameters, with the regularisation."""
        loss = loss.item() if hasattr(loss, "item") else loss
        complete = {
            name: to_numpy(grads[name]) if name in grads else np.zeros_like(w)
            for name, w in params.items()
        }
        reg = as_number(self._name, "reg", self.reg, 0)
        if reg != 0:
            for name in self._decays:
                complete[name], penalty = with_penalty(params[name], complete[name], reg)
                loss += penalty
        return loss, complete

    def _checked(self, X: Any) -> list[np.ndarray]:
        """Return the inputs as arrays that fit the network, in its dtype; build it if it is not."""
        xs = as_inputs(self._name, X, self.dtype)
        rows = [x.shape[1:] for x in xs]
        if self._root is not None and self._root is not self:
            self._check_built("loss")
        self._check_rows(rows)
        return xs if self.dtype is None else [x.astype(self.dtype, copy=False) for x in xs]

    def _check_rows(self, rows: Sequence[Shape]) -> None:
        """Raise ShapeError unless inputs of `rows` fit the network; build it if it is not."""
        if self._row_shape is None:
            check_inputs(self._name, self.forward, rows)
            self._build(rows)
        assert self._input_shapes is not None
        check_rows(self._name, rows, self._input_shapes)
