"""The Solver: the training loop."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from contextlib import ExitStack, nullcontext
from os import PathLike
from threading import get_ident
from time import perf_counter
from typing import Any

import numpy as np

from handgrad.errors import (
    NonFiniteError,
    OptionError,
    ShapeError,
    as_count,
    as_number,
    as_path,
    check_callable,
    check_choice,
    check_dictionary,
    check_size,
)
from handgrad.nn.state import Stateful, changing, is_trained_elsewhere, training
from handgrad.optim import Rule, clip_by_norm, get_rule, leaves_weights
from handgrad.training.arrays import Arrays, all_finite, buffers_of, commit, copied, steady
from handgrad.training.averaging import add_to_average, replace, weights_of
from handgrad.training.callbacks import Callback, Record
from handgrad.training.checks import (
    check_buffers,
    check_data,
    check_gradients,
    check_model,
    check_rule_state,
    checked_callbacks,
    divergence,
    split_settings,
    warn_of_single_rows,
)
from handgrad.training.passes import Passes, as_skip
from handgrad.training.sampling import SAMPLINGS, Order, augmented, draw_rows

_DUE, _AT_EPOCH_END = 1, 2

Random = Any  # np.random.Generator or np.random.RandomState


class _Stopped(Exception):
    """An estimate of the accuracy was given up for a stop."""


class Solver:
    """Train a model: draw a batch, follow its gradient, look at the accuracy once an epoch.

        solver = Solver(model, data, update_rule="adam", optim_config={"learning_rate": 1e-3})
        solver.train()
        solver.val_acc_history

    The model has ``params`` (name -> array), ``loss(X)`` -> scores and ``loss(X, y)`` -> (loss,
    grads), which leaves the parameters as they are.  If it has running statistics, it hands them
    out by ``buffers()`` and takes them by ``load_buffers(buffers)``.  If it computes something from
    the training set before it is trained, it does so in ``prepare(X_train)``.

    A call of `train` runs ``num_epochs * max(N // batch_size, 1)`` steps.  The accuracies are
    estimated after the first step (epoch 0), after each epoch, and after the last step.  At its
    end the model gets the parameters and running statistics of the best validation accuracy;
    where that never exceeded 0 it keeps the last ones.  Another call of `train` continues:
    histories grow, and the state of the update rule is kept.  After `stop`, it continues the call
    that was stopped.

    Random numbers are drawn in a fixed order: a batch by ``choice(N, batch_size)``, with
    replacement (``sampling="shuffled"`` draws one number at the start of an epoch instead); then
    what `augment` and the model draw; and ``choice(N, num_train_samples)`` for
    an accuracy of more rows than that, training before validation.

    With `ema` the accuracies are those of the moving average of the weights and running statistics
    (`handgrad.training.averaging`), the best parameters are averages, and the model ends with one;
    between the steps it keeps the weights themselves.

    Attributes beside the arguments: iteration, epoch, loss_history, train_acc_history,
    val_acc_history, best_val_acc, best_params, best_buffers, ema_params, ema_buffers, optim_configs
    (a dictionary for each parameter), total_steps, stop_reason (None, "patience", or what `stop` was
    told), warnings (what `warn` said), and, while training, grads and params_before (of the last
    step).

    Source: CS231n assignment 2, ``Solver``.
    """

    def __init__(
        self,
        model: Any,
        data: Any,
        *,
        update_rule: str | Rule = "sgd",
        optim_config: dict[str, Any] | None = None,
        lr_decay: float = 1.0,
        batch_size: int = 100,
        num_epochs: int = 10,
        num_train_samples: int | None = 1000,
        num_val_samples: int | None = None,
        checkpoint_name: str | None = None,
        print_every: int = 10,
        verbose: bool = True,
        rng: Random | int | None = None,
        callbacks: Iterable[Callback] = (),
        schedule: Callable[[int, int], float] | None = None,
        augment: Callable[[np.ndarray, Random], np.ndarray] | None = None,
        patience: int | None = None,
        restore_best: bool = True,
        clip_norm: float | None = None,
        ema: float | None = None,
        sampling: str = "replacement",
        skip_easy: float | list[float] = 0.0,
        **unknown: Any,
    ) -> None:
        """Check the arguments and the data.

        Args:
            model: what is trained.
            data: dictionary with X_train (N, ...), y_train (N,), X_val, y_val.
            update_rule: name of a rule of `handgrad.optim`, or such a function.
            optim_config: settings of the rule, as in ``{"learning_rate": 1e-3}``; under "parameters"
                those of single parameters by name, ``{"parameters": {"conv1.*": {"learning_rate": 0}}}``,
                where * stands for anything.
            lr_decay: factor on the learning rate after each epoch.
            batch_size: rows of a step.
            num_epochs: epochs of a call of `train`.
            num_train_samples, num_val_samples: rows for an estimate of the accuracy; None for all.
            checkpoint_name: save ``<checkpoint_name>_epoch_<epoch>.safetensors`` at each estimate.
            print_every: steps between printed losses.
            verbose: print.
            rng: a Generator, a RandomState, or a seed; None is NumPy's global stream.
            callbacks: called in this order at the start, after steps, and after estimates.
            schedule: ``schedule(step, total_steps)`` -> factor on the learning rate of this step,
                on top of lr_decay; steps count from 0.
            augment: ``augment(X_batch, rng)`` -> the batch to train on; where it has a true attribute
                ``takes_rows``, it is also given ``rows=``, the places of the images in the training
                set, and ``epoch=``.
            patience: stop after so many epochs without a better validation accuracy.
            restore_best: end with the best parameters rather than with the last.
            clip_norm: scale the gradients of a step down to this norm, of all of them together, where
                theirs is larger; the norm before that is in the step's record, as gradient_norm.
            ema: decay of a moving average of the weights, in (0, 1); None for none.
            sampling: "replacement", or "shuffled": each row at most once an epoch, in a random order.
            skip_easy: with "shuffled", the share of the rows with low losses that a pass over the
                training set leaves out (`handgrad.training.passes`), or its first and last value;
                an epoch keeps its number of steps.  The model then has ``last_scores``, those of
                its last training step.

        Raises:
            OptionError: an option is unknown or out of range.
            ShapeError, DtypeError, LabelError, NonFiniteError: the data cannot be trained on.
        """
        if unknown:
            names = ", ".join(f'"{name}"' for name in unknown)
            raise OptionError(
                f"Unrecognized arguments {names} of Solver; see help(Solver.__init__)"
            )
        rule = update_rule if callable(update_rule) else get_rule(update_rule)
        check_model(model)
        num_classes = getattr(model, "num_classes", None)
        self.X_train, self.y_train, self.X_val, self.y_val = check_data(data, num_classes)
        self.model = model
        self.update_rule: Rule = rule
        self.optim_config = {} if optim_config is None else optim_config
        check_dictionary("Solver", "optim_config", self.optim_config)
        self.lr_decay = as_number("Solver", "lr_decay", lr_decay, 0.0)
        self.batch_size = as_count("Solver", "batch_size", batch_size)
        check_size("Solver", "a batch", self.batch_size, *self.X_train.shape[1:])
        self.num_epochs = as_count("Solver", "num_epochs", num_epochs, minimum=0)
        self.num_train_samples = _count_or_none("num_train_samples", num_train_samples)
        self.num_val_samples = _count_or_none("num_val_samples", num_val_samples)
        if checkpoint_name is not None:
            as_path("Solver", "checkpoint_name", checkpoint_name)
        self.checkpoint_name = checkpoint_name
        self.print_every = as_count("Solver", "print_every", print_every)
        self.verbose = verbose
        self.rng: Random | None = np.random.default_rng(rng) if _is_seed(rng) else rng
        self.callbacks = checked_callbacks(callbacks)
        for name, function in (("schedule", schedule), ("augment", augment)):
            if function is not None:
                check_callable("Solver", name, function)
        self.schedule = schedule
        self.augment = augment
        self.patience = _count_or_none("patience", patience)
        self.restore_best = restore_best
        self.clip_norm = _number_or_none("clip_norm", clip_norm, math.inf)
        self.ema = _number_or_none("ema", ema, 1.0)
        check_choice("Solver", "sampling", sampling, SAMPLINGS)
        self.sampling = sampling
        self.skip_easy = as_skip("Solver", skip_easy)
        if self.skip_easy and sampling != "shuffled":
            raise OptionError(f"Solver: skip_easy needs sampling='shuffled', got {sampling!r}")
        if self.skip_easy and not hasattr(model, "last_scores"):
            raise OptionError(
                "Solver: skip_easy needs a model that keeps the scores of loss(X, y) as last_scores, "
                f"which {type(model).__name__} does not have"
            )
        if min(self.batch_size, len(self.X_train)) == 1:
            warn_of_single_rows(model, self.batch_size)
        if hasattr(model, "prepare"):
            model.prepare(self.X_train)
        self._reset()

    def _reset(self) -> None:
        """Forget all training but the model's parameters."""
        self.iteration = 0
        self.epoch = 0
        self.best_val_acc = 0.0
        self.best_params: Arrays = {}
        self.best_buffers: Arrays = {}
        self.ema_params: Arrays = {}
        self.ema_buffers: Arrays = {}
        self.loss_history: list[float] = []
        self.train_acc_history: list[float] = []
        self.val_acc_history: list[float] = []
        config, special = split_settings(self.optim_config, self.model.params)
        if self.schedule is not None and "learning_rate" not in config:
            # a schedule needs the base rate before the rule has filled in its default
            config["learning_rate"] = self.update_rule(np.zeros(1), np.zeros(1), {})[1][
                "learning_rate"
            ]
        self.optim_configs = {name: {**config, **special[name]} for name in self.model.params}
        self.total_steps = self.num_epochs * self.iterations_per_epoch
        self.stop_reason: str | None = None
        self.warnings: dict[str, str] = {}
        self.grads: Arrays = {}
        self.params_before: Arrays = {}
        self.estimated_at = 0  # the iteration of the last estimate of the accuracy
        self._order_seed = 0  # of the rows of this epoch, where they are shuffled
        self._order: Order | None = None
        self._passes = Passes(len(self.X_train), self.skip_easy) if self.skip_easy else None
        self._fingerprints: dict[str, str] = {}  # of the data, once a checkpoint needs them
        self._estimate_due = 0  # _DUE or _AT_EPOCH_END: a stop came in the middle of an estimate
        self._is_estimating: int | None = None  # the thread that makes an estimate
        self._position = 0  # steps done of the current call of train
        self._epochs_without_gain = 0
        self._learning_rate: float | None = None
        self._gradient_norm: float | None = None
        self._seconds = 0.0  # of training, without the running call
        self._started: float | None = None  # clock at the start of the running call
        self._steps_timed = 0  # since the last estimate of the accuracy
        self._seconds_timed = 0.0

    @property
    def iterations_per_epoch(self) -> int:
        """Steps in an epoch, ``max(N // batch_size, 1)``."""
        return max(len(self.X_train) // self.batch_size, 1)

    @property
    def seconds(self) -> float:
        """Seconds spent in `train`, those before a resume included."""
        running = 0.0 if self._started is None else perf_counter() - self._started
        return self._seconds + running

    @property
    def random(self) -> Random:
        """The stream that random numbers are drawn from; NumPy's global one for ``rng=None``."""
        return np.random.mtrand._rand if self.rng is None else self.rng

    def train(self) -> None:
        """Train for `num_epochs`, or go on with the call that was stopped or resumed.

        Other threads may predict with the model meanwhile: they see it as it is between two steps.

        Raises:
            NonFiniteError: the loss or a parameter became NaN or infinite; says where, and keeps
                the parameters from before that step.
            ConcurrencyError: another thread is training the model.
        """
        with training(self.model):
            self._train()

    def _train(self) -> None:
        num_iterations = self.num_epochs * self.iterations_per_epoch
        self.total_steps = self.iteration - self._position + num_iterations
        self.stop_reason = None
        self._started = perf_counter()
        try:
            with ExitStack() as ends:
                for callback in self.callbacks:
                    ends.callback(callback.on_train_end, self)
                    callback.on_train_begin(self)
                if self._estimate_due:
                    self._tell_of(self._estimate(self._estimate_due == _AT_EPOCH_END))
                while self._position < num_iterations and not self._is_to_stop():
                    self._advance(num_iterations)
                is_over = self._position == num_iterations or self.stop_reason == "patience"
                if is_over and not self._estimate_due:
                    self._finish()
        finally:
            self._seconds, self._started = self.seconds, None
            self.grads, self.params_before = {}, {}

    def stop(self, reason: str = "interrupted") -> None:
        """Make `train` return after the current step; another `train` or a resume goes on from there."""
        self.stop_reason = reason

    def resume(self, path: str | PathLike[str]) -> None:
        """Take up the state in the checkpoint `path`, or the newest good one of the folder `path`.

        The Solver must be built as the one that wrote it; `train` then continues as if it had
        never stopped.  Raises CheckpointError if the checkpoint is corrupt or of another run.
        """
        from handgrad.training.checkpoint import restore

        restore(self, path)

    def emit(self, record: Record) -> None:
        """Hand a callback's own record to all callbacks."""
        for callback in self.callbacks:
            callback.on_record(self, record)

    def warn(self, key: str, text: str) -> None:
        """Hand the callbacks a record of kind ``warning``, once in a run for each `key`."""
        if key not in self.warnings:
            self.warnings[key] = text
            place = {"iteration": self.iteration, "epoch": self.epoch}
            self.emit({"kind": "warning", **place, "text": text})

    @property
    def learning_rate(self) -> float | None:
        """The learning rate of the last step; None before it, and for a rule that has none."""
        return self._learning_rate

    def check_accuracy(
        self, X: np.ndarray, y: np.ndarray, num_samples: int | None = None, batch_size: int = 100
    ) -> float:
        """Return the share of rows whose largest score is at the label.

        Args:
            X: rows, (N, ...).
            y: labels, (N,).
            num_samples: use so many rows, drawn with replacement, if there are more; None for all.
            batch_size: rows scored at a time.
        """
        rows: Any = None
        X, y = np.asarray(X), np.asarray(y)
        N = len(X) if X.ndim else 0
        if N == 0 or y.shape != (N,):
            raise ShapeError(
                "check_accuracy: X must have at least one row and y one label for each row, "
                f"got X {X.shape} and y {y.shape}"
            )
        batch_size = as_count("check_accuracy", "batch_size", batch_size)
        if num_samples is not None:
            num_samples = as_count("check_accuracy", "num_samples", num_samples)
        if num_samples is not None and num_samples < N:
            # the stream belongs to the thread that trains
            beside = is_trained_elsewhere(self.model)
            random = copy.deepcopy(self.random) if beside else self.random
            rows = random.choice(N, num_samples)
            N = num_samples
        right = 0
        with steady(self.model):
            for start in range(0, N, batch_size):
                if self._is_estimating == get_ident() and self.stop_reason == "interrupted":
                    raise _Stopped
                batch: Any = slice(start, start + batch_size)
                if rows is not None:
                    batch = rows[batch]
                scores = self.model.loss(X[batch])
                right += int(np.count_nonzero(np.argmax(scores, axis=1) == y[batch]))
        return right / N

    def _advance(self, num_iterations: int) -> None:
        """Do one step, and the estimate of the accuracy where one is due; then tell the callbacks."""
        started = perf_counter()
        self._step()
        self._seconds_timed += perf_counter() - started
        self._steps_timed += 1
        t = self._position
        self._position += 1
        if self.verbose and t % self.print_every == 0:
            _print(f"(Iteration {t + 1} / {num_iterations}) loss: {self.loss_history[-1]:f}")
        is_epoch_end = (t + 1) % self.iterations_per_epoch == 0
        if is_epoch_end:
            self.epoch += 1
            for config in self.optim_configs.values():
                if "learning_rate" in config:
                    config["learning_rate"] *= self.lr_decay
        epoch_record = None
        if t == 0 or is_epoch_end or t == num_iterations - 1:
            check_rule_state(self.optim_configs, f"iteration {self.iteration}")
            epoch_record = self._estimate(is_epoch_end)
        if not self.callbacks:
            return
        record = {
            "kind": "step",
            "iteration": self.iteration,
            "epoch": self.epoch,
            "loss": self.loss_history[-1],
            "learning_rate": self.learning_rate,
            "time": self.seconds,
        }
        if self.clip_norm is not None:
            record["gradient_norm"] = self._gradient_norm
        for callback in self.callbacks:
            callback.on_step_end(self, record)
        self._tell_of(epoch_record)

    def _tell_of(self, epoch_record: Record | None) -> None:
        if epoch_record is not None:
            for callback in self.callbacks:
                callback.on_epoch_end(self, epoch_record)

    def _step(self) -> None:
        """Draw a batch and update the parameters by its gradient.

        A step whose loss or update is not finite raises NonFiniteError and leaves the parameters
        and the running statistics as they were.
        """
        rows = draw_rows(self, self._position % self.iterations_per_epoch)
        X, y = augmented(self, self.X_train[rows], rows), self.y_train[rows]
        params = self.model.params
        # the library's networks are given new arrays, others see a rule change theirs in place
        untouched = isinstance(self.model, Stateful) or leaves_weights(self.update_rule)
        untouched = untouched and type(params) is dict
        self.params_before = dict(params) if untouched else copied(params)
        buffers_before = copied(buffers_of(self.model))
        try:
            with np.errstate(all="ignore"):  # NaN and infinity are looked for, and say more so
                loss, self.grads = self.model.loss(X, y)
                loss = float(loss)
                check_gradients(params, self.grads)
                if not math.isfinite(loss):
                    raise NonFiniteError(f"the loss is {loss}")
                self._update(params)
                check_buffers(buffers_of(self.model))
        except BaseException as error:
            self._undo(buffers_before)
            if isinstance(error, NonFiniteError):
                raise divergence(self, error, rows, X) from error
            raise
        self.loss_history.append(loss)
        if self._passes:
            self._passes.note(rows, self.model.last_scores, y)
        if self.ema is not None:
            add_to_average(self.ema_params, self.model.params, self.ema, self.iteration)
            add_to_average(self.ema_buffers, buffers_of(self.model), self.ema, self.iteration)
        self.iteration += 1

    def _update(self, params: Arrays) -> None:
        """Apply the update rule to each of `params`; NonFiniteError if one does not stay finite."""
        factor = 1.0
        if self.schedule is not None:
            factor = self.schedule(self.iteration, self.total_steps)
            factor = as_number("Solver", "the factor that schedule returns", factor, 0.0)
        grads = self.grads
        if self.clip_norm is not None:
            grads, norm = clip_by_norm(grads, self.clip_norm)
            if not math.isfinite(norm):
                raise NonFiniteError("the norm of the gradients is not finite")
            self._gradient_norm = norm
        updated: Arrays = {}
        in_place = not leaves_weights(self.update_rule)
        is_shared = isinstance(self.model, Stateful)
        for name, w in params.items():
            if is_shared and in_place:
                w = w.copy(order="K")
            config = self.optim_configs[name]
            base: Any = config.get("learning_rate")
            if self.schedule is not None:
                config["learning_rate"] = as_number("Solver", "learning_rate", base, 0.0) * factor
            try:
                updated[name], config = self.update_rule(w, grads[name], config)
                self._learning_rate = config.get("learning_rate")
            finally:
                if self.schedule is not None:
                    config["learning_rate"] = base
            self.optim_configs[name] = config
            if not all_finite(updated[name]):
                raise NonFiniteError(f"the update of {name} is not finite")
        commit(params, updated)

    def _undo(self, buffers: Arrays) -> None:
        """Put back the parameters and running statistics from before the step."""
        with changing:
            commit(self.model.params, self.params_before)
            if hasattr(self.model, "load_buffers"):
                self.model.load_buffers(buffers)

    def _estimate(self, is_epoch_end: bool) -> Record | None:
        """Estimate both accuracies, keep the best parameters, save and print; return the record.

        A stop in the middle (by a signal) ends the estimate at once, as if it had not begun; it is
        then due when training goes on.  Returns None in this case.
        """
        from handgrad.training.circumstances import get_state, set_state, streams

        drawn_from = [stream for stream in streams(self).values() if stream is not None]
        before = [get_state(stream) for stream in drawn_from]
        params, buffers = self._kept_weights()
        average = nullcontext() if self.ema is None else weights_of(self.model, params, buffers)
        # the next step says more about what overflows here
        try:
            with np.errstate(all="ignore"), average:
                train_acc = self._accuracy(self.X_train, self.y_train, self.num_train_samples)
                val_acc = self._accuracy(self.X_val, self.y_val, self.num_val_samples)
        except _Stopped:
            for stream, state in zip(drawn_from, before, strict=True):
                set_state(stream, state)
            self._estimate_due = _AT_EPOCH_END if is_epoch_end else _DUE
            return None
        self._estimate_due = 0
        self.train_acc_history.append(train_acc)
        self.val_acc_history.append(val_acc)
        if val_acc > self.best_val_acc:
            self.best_val_acc = val_acc
            self.best_params, self.best_buffers = copied(params), copied(buffers)
            self._epochs_without_gain = 0
        elif is_epoch_end:
            self._epochs_without_gain += 1
        speed = self._steps_timed * self.batch_size / max(self._seconds_timed, 1e-9)
        self._steps_timed, self._seconds_timed = 0, 0.0
        self.estimated_at = self.iteration
        if self.checkpoint_name is not None:
            self._save_checkpoint()
        if self.verbose:
            _print(
                f"(Epoch {self.epoch} / {self.num_epochs}) "
                f"train acc: {train_acc:f}; val_acc: {val_acc:f}"
            )
        return {
            "kind": "epoch",
            "epoch": self.epoch,
            "iteration": self.iteration,
            "train_acc": train_acc,
            "val_acc": val_acc,
            "images_per_second": speed,
            "time": self.seconds,
        }

    def _accuracy(self, X: np.ndarray, y: np.ndarray, num_samples: int | None) -> float:
        """Return `check_accuracy`, or raise _Stopped if a stop comes in the middle of it."""
        self._is_estimating = get_ident()
        try:
            return self.check_accuracy(X, y, num_samples)
        finally:
            self._is_estimating = None

    def _kept_weights(self) -> tuple[Arrays, Arrays]:
        """Return the parameters and running statistics that count: the averages, if there are any."""
        if self.ema is not None:
            return self.ema_params, self.ema_buffers
        return self.model.params, buffers_of(self.model)

    def _save_checkpoint(self) -> None:
        from handgrad.training.checkpoint import save_checkpoint

        filename = f"{self.checkpoint_name}_epoch_{self.epoch}.safetensors"
        if self.verbose:
            _print(f'Saving checkpoint to "{filename}"')
        save_checkpoint(self, filename)

    def _is_to_stop(self) -> bool:
        if self.patience is not None and self._epochs_without_gain >= self.patience:
            self.stop_reason = "patience"
        return self.stop_reason is not None

    def _finish(self) -> None:
        """End a call of `train`: give the model its best parameters, or the average of the last."""
        self.stop_reason = "patience" if self.stop_reason == "patience" else None
        self._position = 0
        self._epochs_without_gain = 0
        params, buffers = self.ema_params, self.ema_buffers
        if self.restore_best and self.best_params:
            params, buffers = self.best_params, self.best_buffers
        if params:
            replace(self.model, params, buffers)


def _count_or_none(name: str, value: Any) -> int | None:
    return None if value is None else as_count("Solver", name, value)


def _number_or_none(name: str, value: Any, below: float) -> float | None:
    if value is None:
        return None
    return as_number("Solver", name, value, 0.0, below, open_low=True, open_high=True)


def _is_seed(rng: Any) -> bool:
    if rng is None or isinstance(rng, np.random.Generator | np.random.RandomState):
        return False
    as_count("Solver", "rng (a Generator, a RandomState or a seed)", rng, minimum=0)
    return True


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201  (verbose output is part of the courses' contract)
