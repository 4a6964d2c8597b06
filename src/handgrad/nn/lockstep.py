"""Shards of one batch that go through a network side by side, layer by layer, and share batch statistics.

Batch normalisation of a batch in shards, "synchronised": with M numbers a channel in all shards together,

    mean = 1/M sum_s sum x_s        var = 1/M sum_s sum (x_s - mean)^2
    xhat_s = (x_s - mean) / std     out_s = gamma xhat_s + beta
    dbeta = sum_s sum dout_s        dgamma = sum_s sum dout_s xhat_s
    dx_s = gamma / std (dout_s - dbeta / M - xhat_s dgamma / M)

The sums over the shards are those of whoever made the `Lockstep`, of other processes too; they are taken in
float64.  All other layers see each shard by itself.

Source: Ioffe and Szegedy 2015, arXiv:1502.03167; the batch of C. Peng et al. (2018), MegDet, section 3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from math import prod
from typing import Any, NamedTuple

import numpy as np

from handgrad.errors import OptionError
from handgrad.layers.norms import keep_running, running_of
from handgrad.nn.activations import Dropout
from handgrad.nn.fit import own_loss
from handgrad.nn.graph import Plan, backward_of, forward_of
from handgrad.nn.layer import PairLayer
from handgrad.nn.model import Model
from handgrad.nn.norms import BatchNorm
from handgrad.nn.state import in_mode

Sum = Callable[[Sequence[np.ndarray]], np.ndarray]
Drawing = Callable[[int, int], AbstractContextManager[None]]


class _Normalised(NamedTuple):
    """What a synchronised normalisation keeps: xhat of a shard, std and gamma along the channels, M."""

    xhat: np.ndarray
    std: np.ndarray
    gamma: np.ndarray
    numbers: int
    learned: tuple[bool, ...]


class Lockstep:
    """One training step of a network on several shards."""

    def __init__(
        self,
        model: Any,
        of_all: Sum,
        drawing: Drawing,
        rows: Mapping[int, int],
        whole: int,
    ) -> None:
        """Describe the step.

        Args:
            model: a network of `handgrad.nn` on the processor.
            of_all: the vectors of the own shards, in order -> their sum over all shards.
            drawing: (shard, place of the layer) -> a ``with`` block with random streams of its own.
            rows: own shard -> its rows.
            whole: rows of the batch.

        Raises:
            OptionError: the network is of another kind.
        """
        if not isinstance(model, Model) or type(model).loss is not Model.loss:
            raise OptionError(
                f"Solver: norm_sync needs a network of handgrad.nn, got {type(model).__name__}"
            )
        if model.device != "cpu":
            raise OptionError(f"Solver: norm_sync needs device='cpu', got {model.device!r}")
        self._model, self._of_all, self._drawing = model, of_all, drawing
        self._rows, self._whole = rows, whole
        self._caches: dict[int, list[Any]] = {}

    def forward(self, pieces: Mapping[int, Any]) -> dict[int, np.ndarray]:
        """Return the scores of each shard."""
        model = self._model
        xs = {shard: model._checked(x) for shard, x in pieces.items()}
        with in_mode("train"):
            self._call = model._begin("train")
            self._own = {shard: model._in_call(self._call.state) for shard in pieces}
            self._plans = {shard: self._plan(x) for shard, x in xs.items()}
            values = {shard: dict(enumerate(x)) for shard, x in xs.items()}
            self._caches = {shard: [] for shard in pieces}
            steps = zip(*(self._plans[shard].steps for shard in pieces), strict=True)
            for place, of_shards in enumerate(steps):
                self._forward(place, dict(zip(pieces, of_shards, strict=True)), values)
        return {shard: values[shard][self._plans[shard].output] for shard in pieces}

    def loss(self, scores: np.ndarray, y: Any, weights: Any) -> tuple[Any, np.ndarray]:
        """Return the loss of a shard without the penalty, and its slope."""
        own = self._model._loss
        if weights is None:
            return own_loss(self._model._name, own.func(scores, y, **own.options), scores)
        return own_loss(self._model._name, own(scores, y, sample_weight=weights), scores)

    def backward(
        self, dscores: Mapping[int, np.ndarray], take: Callable[[int, str, np.ndarray], None]
    ) -> None:
        """Go back through the layers; hand each gradient of a shard to ``take(shard, name, gradient)``."""
        shards = list(dscores)
        douts: dict[int, dict[int, Any]] = {s: {self._plans[s].output: dscores[s]} for s in shards}
        grads: dict[int, dict[str, np.ndarray]] = {s: {} for s in shards}
        plan = self._plans[shards[0]].steps
        uses = Counter(name for step in plan for name in step.names)
        taken: set[str] = set()

        def used(names: Sequence[str]) -> None:
            """Hand over what no step in front adds to: it may be sent while backward goes on."""
            for name in names:
                uses[name] -= 1
                if not uses[name] and name in grads[shards[0]]:
                    taken.add(name)
                    for s in shards:
                        take(s, name, grads[s].pop(name))

        for place in reversed(range(len(plan))):
            steps = {s: self._plans[s].steps[place] for s in shards}
            caches = {s: self._caches[s].pop() for s in shards}
            own: dict[int, Any] = {s: douts[s].pop(steps[s].output, None) for s in shards}
            if own[shards[0]] is None:
                used(plan[place].names)
                continue
            if isinstance(caches[shards[0]], _Normalised):
                found: Any = self._backward(own, caches)
            else:
                found = {s: backward_of(steps[s], own[s], caches[s]) for s in shards}
            for s, (dxs, dparams) in found.items():
                for name, gradient in zip(steps[s].names, dparams, strict=True):
                    known = grads[s].get(name)
                    grads[s][name] = gradient if known is None else known + gradient
                if steps[s].needs_dx:
                    for i, dx in zip(steps[s].inputs, dxs, strict=True):
                        douts[s][i] = dx if i not in douts[s] else douts[s][i] + dx
            used(plan[place].names)
        for name, w in self._call.state.params.items():
            if name not in taken:
                for s in shards:
                    take(s, name, np.zeros_like(w))

    def keep(self, outs: Mapping[int, np.ndarray]) -> None:
        """End the step: put the running statistics in place."""
        first = next(iter(outs))
        kept = {layer._label: layer.buffers() for layer in self._own[first].values()}
        self._model._keep(kept, outs[first])

    def _plan(self, xs: Sequence[np.ndarray]) -> Plan:
        graph, output = self._model._record(tuple(x.shape for x in xs), "train")
        return Plan(graph, output, fuse=False)

    def _forward(self, place: int, steps: Mapping[int, Any], values: Mapping[int, Any]) -> None:
        params = self._call.params
        first = next(iter(steps.values())).layers[-1]
        if isinstance(first, BatchNorm):
            outs = self._normalised(steps, values)
        else:
            is_random = isinstance(first, Dropout) or not isinstance(first, PairLayer)
            outs = {}
            for s, step in steps.items():
                if is_random:
                    with self._drawing(s, place):
                        outs[s] = forward_of(step, values[s], params, self._own[s], "train")
                else:
                    outs[s] = forward_of(step, values[s], params, self._own[s], "train")
        for s, (out, cache) in outs.items():
            self._caches[s].append(cache)
            values[s][steps[s].output] = out
            for i in steps[s].frees:
                del values[s][i]

    def _normalised(
        self, steps: Mapping[int, Any], values: Mapping[int, Any]
    ) -> dict[int, tuple[np.ndarray, _Normalised]]:
        xs = {s: values[s][step.inputs[0]] for s, step in steps.items()}
        first = next(iter(xs))
        x = xs[first]
        axes = (0, *range(2, x.ndim))
        count = self._whole * prod(x.shape[2:])
        wide = np.result_type(x.dtype, np.float64)
        mean = self._of_all([np.sum(x, axis=axes, dtype=wide) for x in xs.values()]) / count
        centred = {s: x - _along(mean.astype(x.dtype), x) for s, x in xs.items()}
        squares = [np.sum(c * c, axis=axes, dtype=wide) for c in centred.values()]
        var = self._of_all(squares) / count
        for s in xs:
            layer = self._own[s][id(steps[s].layers[-1])]
            assert isinstance(layer, BatchNorm)
            (param,) = layer.options(xs[s], "train")
            running = running_of("batchnorm_forward", param, mean.astype(x.dtype), x.shape[1])
            keep_running(param, running, mean.astype(x.dtype), var.astype(x.dtype))
        std = np.sqrt(var + param.get("eps", 1e-5)).astype(x.dtype)
        outs = {}
        for s, c in centred.items():
            layer = steps[s].layers[-1]
            own = [self._call.params[name] for name in layer.parameters]
            (gamma, has_gamma), (beta, has_beta) = layer.arrays(xs[s], own)
            xhat = c / _along(std, c)
            out = xhat * _along(gamma, c) + _along(beta, c)
            outs[s] = out, _Normalised(xhat, std, gamma, count, (has_gamma, has_beta))
        return outs

    def _backward(
        self, douts: Mapping[int, np.ndarray], caches: Mapping[int, _Normalised]
    ) -> dict[int, tuple[tuple[np.ndarray], list[np.ndarray]]]:
        own, wide = {}, []
        for s, dout in douts.items():
            axes = (0, *range(2, dout.ndim))
            both = (np.sum(dout * caches[s].xhat, axis=axes), np.sum(dout, axis=axes))
            own[s] = [g for g, is_own in zip(both, caches[s].learned, strict=True) if is_own]
            wide.append(np.stack(both).astype(np.result_type(dout.dtype, np.float64)))
        sums = self._of_all(wide)
        found = {}
        for s, dout in douts.items():
            xhat, std, gamma, count, _ = caches[s]
            dgamma, dbeta = (sums / count).astype(dout.dtype)
            dx = dout - _along(dbeta, dout) - xhat * _along(dgamma, dout)
            found[s] = (dx * _along(gamma / std, dout),), own[s]
        return found


def _along(vector: np.ndarray, x: np.ndarray) -> np.ndarray:
    """View `vector` (C,) so that it broadcasts along the channels of x (N, C, ...)."""
    return vector.reshape((1, -1) + (1,) * (x.ndim - 2))
