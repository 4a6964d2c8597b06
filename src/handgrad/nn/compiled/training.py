"""Training steps of a network in one native call: a plan of the whole step, and its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad import engines
from handgrad.engines.weights import compiled_rules
from handgrad.nn.compiled import rules
from handgrad.nn.compiled.calls import Calls
from handgrad.nn.compiled.losses import add_loss
from handgrad.nn.compiled.memory import Memory, NotCovered, Ref
from handgrad.nn.compiled.network import Network, settings_of
from handgrad.nn.compiled.parts import Arrays, Done, Feed, Options, Steps
from handgrad.nn.compiled.statistics import (
    average_of,
    filters_of,
    momentum_of,
    note_statistics,
    statistics_of,
)
from handgrad.nn.state import in_mode, training

if TYPE_CHECKING:
    from handgrad.nn.answers import InCall
    from handgrad.nn.model import Model

_UNMOVED = np.zeros((0, 0, 3), np.int32)


class TrainPlan:
    """Steps of a network for batches of one shape, each to the bit what they are without a plan.

    Attribute: arena, bytes of its memory.

    Raises NotCovered where a part of the step is computed by something else than the native engine.
    """

    def __init__(self, model: Model, options: Options) -> None:
        """Plan for `model` as it is now; `is_for` tells whether it still is that."""
        self.model, self.options = model, options
        if options.rule not in rules.RULES:
            raise NotCovered(f"the update rule {options.rule}")
        self.rule = rules.RULES[options.rule]
        params = model._params
        first = next(iter(params.values()), None)
        if first is None or compiled_rules(first) is None:
            raise NotCovered("another engine or dtype")
        if model.device != "cpu":
            raise NotCovered(f"the device {model.device}")
        self.dtype = first.dtype
        self._key = self._present()
        self._is_stale = False
        with in_mode("train"):
            call = model._begin("train")
            plan = model._plan((options.shape,), "train")
            self._settings = settings_of(plan, call.layers)
            self._lower(plan, call)

    def _present(self) -> tuple[Any, ...]:
        """Return what a plan depends on, and may change."""
        model = self.model
        return (
            model._is_static or id(model._compiled.get("train")),
            engines.get("native").plans.settings(),
            engines.current(),
            model.device,
            model._fuse,
            model.reg != 0,
            model.dtype,
            id(model._loss.func),
            repr(model._loss.options),
        )

    def is_for(self, options: Options) -> bool:
        """Whether the plan is for these options, and for the network as it is now."""
        is_same = options == self.options and self._key == self._present()
        return is_same and not self._is_stale and (options.is_half or self.calls.is_as_seen())

    def bit_generators(self) -> list[Any]:
        """Return what dropout draws from."""
        return [_bit_generator(rng) for rng in self._streams]

    # -- making it -----------------------------------------------------------------------------------

    def _lower(self, plan: Any, call: InCall) -> None:
        model, options = self.model, self.options
        if len(plan.shapes) != 1:
            raise NotCovered("a network of several inputs")
        if options.is_half and self.dtype != np.float32:
            raise NotCovered(f"{self.dtype} in half precision")
        memory = Memory(self.dtype, options.is_half)
        params = call.state.params
        batch = memory.full(options.shape)
        memory.op("batch", [batch.slot], [options.shape[0], batch.numbers // options.shape[0]])
        self._trained = [name for name in params if name not in options.frozen]
        weights, after = {}, {}
        for name, w in params.items():
            if name in options.frozen:
                weights[name] = memory.give(w.size)
            else:
                weights[name], after[name] = memory.carry(w.size, alternates=True)
        scores_slot = memory.result((options.shape[0], *(model._row_shape or ())))
        grads = {name: memory.result(w.shape) for name, w in params.items()}
        self.calls = Calls(plan, memory)
        network = Network(plan, memory, call.layers, batch, weights, grads, self.calls)
        if options.averages and any(layer.keeps for layer in self.calls.layers):
            raise NotCovered(f"averages of what {self.calls.shown[0]} keeps")
        self.plan, self._norms, self._streams = plan, network.norms, network.streams
        self._filters = network.filters
        scores = memory.dense(memory.as_stored(network.scores), False)
        memory.op("copy", [scores.slot, scores_slot], [scores.numbers])
        self._columns = self._place_columns()
        column = self._columns["weights"] if options.weighted else None
        given = Ref(scores_slot, scores.shape)
        mark = memory.mark()
        try:
            dscores = add_loss(memory, model._loss, options.targets, column, given)
        except NotCovered:
            if len(given.shape) != 2:
                raise
            memory.back(mark)
            dscores = self.calls.loss(model._loss, given)
        network.backward(memory.as_stored(dscores))
        if model.reg != 0:
            for name in model._decays:
                slots = [weights[name], grads[name]]
                memory.op("penalty", slots, [params[name].size, self._columns["reg"]])
        memory.op("check_loss", [])
        gradients = dict(grads)
        if options.clips:
            gradients = {name: memory.value(params[name].size) for name in self._trained}
            pairs = [slot for name in self._trained for slot in (grads[name], gradients[name])]
            counts = [params[name].size for name in self._trained]
            memory.op("clip", pairs, [self._columns["clip"], len(counts), *counts])
        for place, name in enumerate(self._trained):
            w, column = (weights[name], after[name]), place * rules.COLUMNS
            l2 = name in options.decayed
            rules.add(memory, self.rule, w, gradients[name], params[name].size, column, l2)
        running = self._run_statistics(memory)
        if options.averages:
            kept = {**weights, **after}
            for slot in (*kept.values(), *running):
                count = memory.sizes[slot] // self.dtype.itemsize
                now, later = memory.carry(count)
                memory.op("average", [now, slot, later], [count, self._columns["share"]])
        self._make(memory)

    def _place_columns(self) -> dict[str, int]:
        """Return the columns of the table, behind those of the parameters."""
        first = len(self._trained) * rules.COLUMNS
        columns = {"reg": first, "clip": first + 1, "share": first + 2, "norms": first + 4}
        columns["weights"] = first + 4 + 2 * len(self._norms)
        rows = self.options.shape[0] if self.options.weighted else 0
        return {**columns, "width": columns["weights"] + rows}

    def _run_statistics(self, memory: Memory) -> list[int]:
        """Add the running statistics; return their slots after a step."""
        found = []
        for place, (_, moments) in enumerate(self._norms):
            column = self._columns["norms"] + 2 * place
            for slot in (moments.mean, moments.var):
                now, later = memory.carry(moments.channels)
                sizes = [moments.channels, column]
                memory.op("average", [now, slot, later], sizes)
                memory.op("check_finite", [later], [moments.channels])
                found.append(later)
        return found

    def _make(self, memory: Memory) -> None:
        memory.join_batch()
        offsets, self.arena = memory.places()
        self._native = engines.get("native").plans.make(
            self.dtype,
            memory.sizes,
            offsets,
            self.arena,
            memory.carried,
            memory.given,
            memory.results,
            memory.shapes,
            memory.constants,
            self.options.shape[0],
            self._columns["width"],
            len(self._streams),
            memory.ops,
            memory.is_half,
        )

    # -- running it ----------------------------------------------------------------------------------

    def run(
        self,
        feed: Feed,
        configs: Mapping[str, dict[str, Any]],
        steps: Steps,
        averages: Mapping[str, np.ndarray] | None = None,
        seconds: float = 0.05,
    ) -> Done | None:
        """Do steps, and leave the running statistics, and the state of the update rule, behind them.

        Args:
            feed: where the rows come from.
            configs: of the update rule, for each parameter; as a step has left them.
            steps: what is done.
            averages: of all parameters and running statistics, by name.
            seconds: one step begins later at most.

        Returns:
            What was done, of one step at least; the parameters of the network are as they were.  None
            where something is not finite: then nothing has changed but random streams.

        Raises:
            NotCovered: parameters, settings, state or running statistics are not as a plan takes them.
            Raised: a layer or a loss that Python computes raised something.
            ConcurrencyError: another thread trains the network.
        """
        model = self.model
        with training(model), in_mode("train"), ExitStack() as locks:
            call = model._begin("train")
            if settings_of(self.plan, call.layers) != self._settings:
                self._is_stale = True
                raise NotCovered("options of layers that have changed")
            params = call.state.params
            for name, w in params.items():
                if not rules.fits(w, model._shapes_of_params[name], self.dtype):
                    raise NotCovered(f"the parameter {name} as it lies in memory")
            buffers = model.buffers() if self.options.averages else {}
            running, names = statistics_of(self._norms, buffers, call, self.dtype)
            carried = self._carried(params, configs, running)
            if averages is not None:
                of = [*params, *names]
                carried += [average_of(averages, name, self.dtype) for name in of]
            else:
                of = []
            streams = self.bit_generators()
            for stream in {id(stream): stream for stream in streams}.values():
                locks.enter_context(stream.lock)
            self.calls.begin(call.layers, feed, steps, streams)
            if self.calls.functions:
                locks.enter_context(np.errstate(all="ignore"))
            locks.callback(self.calls.end)
            done, is_finite, losses, norms, after, before, made = self._ran(
                feed.X,
                feed.y,
                feed.prepare,
                steps.rows,
                carried,
                [params[name] for name in params if name in self.options.frozen]
                + filters_of(self._filters, call, self.dtype),
                _table(self, configs, steps, call),
                [stream.capsule for stream in streams],
                seconds,
                _UNMOVED if steps.moves is None else steps.moves,
                self.calls.functions,
            )
            if not is_finite:
                return None
            scores, *gradients = made
            first = len(self._trained) * (1 + len(self.rule.states))
            note_statistics(self._norms, call, after[first:], done)
            count = len(self._trained)
            self._note_states(configs, after, done)
            averaged = dict(zip(of, after[len(after) - len(of) :], strict=True))
            model._keep({layer._label: layer.buffers() for layer in call.layers.values()}, scores)
            earlier = dict(params)
            for name, w in zip(self._trained, before, strict=True):
                if w is not None:
                    earlier[name] = w
            return Done(
                losses[:done].tolist(),
                norms[:done].tolist(),
                dict(zip(self._trained, after[:count], strict=True)),
                earlier,
                dict(zip(params, gradients, strict=True)),
                averaged,
            )

    def _ran(self, *arguments: Any) -> Any:
        """Run the plan; take back what layers in Python have changed where that does not end well."""
        try:
            found = self._native.run(*arguments)
        except BaseException as error:
            self._is_stale = self._is_stale or isinstance(error, NotCovered)
            self.calls.take_back()
            raise
        if not found[1]:
            self.calls.take_back()
        return found

    def _carried(
        self, params: Arrays, configs: Mapping[str, Any], running: list[np.ndarray]
    ) -> list[np.ndarray]:
        """Return the carried arrays in the order of their slots."""
        carried = [params[name] for name in self._trained]
        for name in self._trained:
            rules.check(self.rule, configs[name], params[name], name in self.options.decayed)
            carried += [configs[name][key] for key in self.rule.states]
        return carried + running

    def _note_states(
        self, configs: Mapping[str, dict[str, Any]], after: Sequence[np.ndarray], done: int
    ) -> None:
        at = len(self._trained)
        for name in self._trained:
            config = configs[name]
            for key in self.rule.states:
                config[key] = after[at]
                at += 1
            if self.rule.counts:
                config["t"] += done


def _table(plan: TrainPlan, configs: Mapping[str, Any], steps: Steps, call: InCall) -> np.ndarray:
    """Return the settings of each of the steps, (steps, columns)."""
    columns = plan._columns
    table = np.zeros((len(steps.rows), columns["width"]))
    rules.fill(table, plan.rule, [configs[name] for name in plan._trained], steps.factors)
    table[:, columns["reg"]] = plan.model.reg
    table[:, columns["clip"]] = steps.clip_norm
    if steps.shares is not None:
        table[:, columns["share"]] = steps.shares
        table[:, columns["share"] + 1] = [1.0 - share for share in steps.shares]
    if steps.weights is not None:
        table[:, columns["weights"] :] = steps.weights / steps.weights.sum(axis=1, keepdims=True)
    for place, (layer, _) in enumerate(plan._norms):
        # a copy, as it is not known yet how many steps there will be
        own = layer.in_call(call.state.kept.get(layer._label, {}))
        momenta = [momentum_of(own) for _ in range(len(table))]
        column = columns["norms"] + 2 * place
        table[:, column] = momenta
        table[:, column + 1] = [1 - momentum for momentum in momenta]
    return table


def _bit_generator(rng: Any) -> Any:
    """Return what a stream draws from; of None, NumPy's global one."""
    if isinstance(rng, np.random.Generator):
        return rng.bit_generator
    return (np.random.mtrand._rand if rng is None else rng)._bit_generator
