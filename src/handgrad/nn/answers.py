"""What a network answers those who train, save and show it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from handgrad.engines.arrays import Array
from handgrad.engines.devices import to_device, to_numpy
from handgrad.engines.weights import with_penalty
from handgrad.errors import OperationError, as_count, as_number, check_choice, check_known
from handgrad.nn.built import Arrays, Built
from handgrad.nn.configured import import_path, plain, shown_call
from handgrad.nn.fit import check_params, checked_buffers, own_loss
from handgrad.nn.gradients import Gradients, Played
from handgrad.nn.graph import Plan
from handgrad.nn.layer import Layer
from handgrad.nn.losses import NamedLoss
from handgrad.nn.norms import BatchNorm
from handgrad.nn.options import Shape
from handgrad.nn.state import State, in_mode, training
from handgrad.nn.summary import as_table
from handgrad.nn.value import Value
from handgrad.nn.whitening import Whitening


class InCall(NamedTuple):
    """What a call computes with: its state, the parameters on their device, and the layers that keep buffers.

    layers: copies for this call, by the ids of those in the network.
    """

    state: State
    params: Arrays
    layers: dict[int, Layer]


class Answers(Built):
    """A network that tells its names, parameters, buffers and calls; `handgrad.nn.Model` computes."""

    if TYPE_CHECKING:
        params: Arrays
        device: str
        reg: float
        loss: Any
        _loss: NamedLoss

        def _begin(self, mode: str) -> InCall: ...
        def _plan(self, shapes: tuple[Shape, ...], mode: str) -> Plan: ...
        def _completed(
            self, loss: Any, grads: dict[str, Array], params: Arrays
        ) -> tuple[float, Arrays]: ...
        def _checked(self, X: Any) -> list[Array]: ...
        def _fitting(self, X: Any) -> list[np.ndarray]: ...
        def _in_call(self, state: State) -> dict[int, Layer]: ...

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

    def layer_of(self, param: str) -> str:
        """Return what `activations` calls the layer of the parameter `param`; `param` if it is in none."""
        return next((layer._label for layer in self._layers if param in layer.parameters), param)

    @property
    def first_filters(self) -> str | None:
        """The name of the weights that see the images themselves; None in a network without weights."""
        return next(iter(self.decayed), None)

    @property
    def head(self) -> tuple[str, ...]:
        """The names of the parameters of the last layer with weights, which gives the scores."""
        last = next(reversed(self.decayed), None)
        return next((x.parameters for x in self._layers if last in x.parameters), ())

    @property
    def task(self) -> str | None:
        """What the loss is for, of `handgrad.nn.losses.TASKS`; None for a function of one's own."""
        return self._loss.task

    def check_params(self) -> None:
        """Raise an error unless params has the names and shapes that the network was made with.

        Each loss and each saving does so; raises OptionError, ShapeError or DtypeError.
        """
        check_params(self._name, self.params, self._shapes_of_params)

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
            call = self._begin(mode)
            played = Played(graph.calls, call.params, call.layers, mode)
            scores = played.forward([to_device(x, self.device) for x in xs], output.index)
            if callable(y) and not isinstance(y, type):  # of NumPy's arrays, whatever the device
                loss, slopes = own_loss(self._name, y(to_numpy(scores), None), to_numpy(scores))
                dscores = to_device(slopes, self.device)
            else:
                loss, dscores = own_loss(self._name, self._loss(scores, y), scores)
            grads, dxs = played.backward(dscores, output.index, len(xs))
            loss, params = self._completed(loss, grads, call.state.params)
        dxs = [
            np.zeros_like(x) if dx is None else to_numpy(dx) for x, dx in zip(xs, dxs, strict=True)
        ]
        return Gradients(loss, params, dxs[0] if len(dxs) == 1 else tuple(dxs))

    def penalised(self, loss: float, grads: Arrays, params: Arrays) -> tuple[float, Arrays]:
        """Return the loss and the gradients with the regularisation, ``1/2 reg sum(W^2)``, added.

        Args:
            loss: without it.
            grads: name -> gradient without it; the dictionary is changed, and returned.
            params: name -> parameter.
        """
        reg = self.reg if self.reg == 0.0 else as_number(self._name, "reg", self.reg, 0)
        if reg != 0:
            for name in self._decays:
                grads[name], penalty = with_penalty(params[name], grads[name], reg)
                loss += penalty
        return loss, grads

    def predict(self, X: Any, batch_size: int = 100) -> np.ndarray:
        """Return the class with the largest score for each row of X, computed batch by batch.

        Scores are (N, C), or (N, C, H, W) for a class of each pixel; the classes then are (N, H, W).
        """
        batch_size = as_count(self._name, "batch_size", batch_size)
        xs = self._fitting(X)
        assert self._row_shape is not None
        labels = [np.zeros((0, *self._row_shape[1:]), np.int64)]
        with self.fixed():
            for start in range(0, len(xs[0]), batch_size):
                batch = tuple(x[start : start + batch_size] for x in xs)
                scores = self.loss(batch if len(batch) > 1 else batch[0])
                labels.append(np.argmax(scores.real, axis=1))
        return np.concatenate(labels)

    def activations(self, X: Any) -> Arrays:
        """Return the outputs of the layers on X, in test mode, by name; of a sandwich, the last."""
        xs = self._checked(X)
        outputs: dict[str, Array] = {}
        call = self._begin("test")
        plan = self._plan(tuple([x.shape for x in xs]), "test")
        inputs = [to_device(x, self.device) for x in xs]
        plan.forward(inputs, call.params, outputs=outputs, own=call.layers)
        return {label: to_numpy(out) for label, out in outputs.items()}

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

    def trace(self, X: Any) -> list[tuple[str, Layer, list[Array], list[Array]]]:
        """Return the calls of layers on X in train mode: name, layer, its inputs, its parameters."""
        xs = self._checked(X)
        graph, output = self._record([x.shape for x in xs], "train")
        state = self._state()
        check_params(self._name, state.params, self._shapes_of_params)
        return Plan(graph, output, fuse=False).trace(xs, state.params, self._in_call(state))

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

    def buffer_shapes(self) -> dict[str, Shape | None]:
        """Return the shapes of the running statistics that the network takes, None where any may come."""
        return {
            f"{layer._label}.{key}": shape
            for layer in self._layers
            for key, shape in layer.buffer_shapes().items()
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

    def _kept_of(self, buffers: Mapping[str, Any]) -> dict[str, Arrays]:
        mine = self._by_layer(buffers)
        kept = {}
        for layer in self._layers:
            if layer.keeps:
                own = layer.in_call({})
                own.load_buffers(mine[layer._label])
                kept[layer._label] = own.buffers()
        return kept

    def _by_layer(self, buffers: Mapping[str, Any]) -> dict[str, Arrays]:
        """Return `buffers` by the names of the layers, and then by their own."""
        buffers = checked_buffers(self._name, buffers)
        mine: dict[str, Arrays] = {layer._label: {} for layer in self._layers if layer.has_state}
        for name, value in buffers.items():
            label, _, key = name.rpartition(".")
            check_known(f"{self._name}.load_buffers", [label or name], mine)
            mine[label][key] = value
        return mine
