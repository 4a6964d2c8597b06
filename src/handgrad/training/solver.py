"""The Solver: the training loop."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from os import PathLike
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import numpy as np

from handgrad.errors import NonFiniteError, OptionError, check_known, check_size, keywords_of
from handgrad.nn.state import training
from handgrad.optim import Rule
from handgrad.training.arrays import Arrays
from handgrad.training.averaging import replace
from handgrad.training.callback import Callback, Record
from handgrad.training.checkpoint import ResumeWarning, restore, save_checkpoint
from handgrad.training.checks import check_model, make_ready
from handgrad.training.clock import Stopped
from handgrad.training.estimates import Looking, task_of
from handgrad.training.estimating import estimate
from handgrad.training.health import look_after
from handgrad.training.options import TEXTS, checked_arguments, described
from handgrad.training.owned import Owner, Random
from handgrad.training.place import AT_EPOCH_END, DUE
from handgrad.training.shards import Cut, Shards, Wire, shards_of
from handgrad.training.step import take_step, take_steps, told_of
from handgrad.training.telling import PendingCall, calls_of, say
from handgrad.training.undo import Before
from handgrad.training.weighting import frozen_names, loss_in_parts, rows_of


class Solver(Owner):
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
    histories grow, and the state of the update rule is kept.  After `stop`, or an exception as by
    Ctrl-C, it continues the call that was stopped: a step or an estimate that was interrupted has
    left nothing behind, so that the numbers are those of a run that never was interrupted.

    Random numbers are drawn in a fixed order: a batch by ``choice(N, batch_size)``, with
    replacement (``sampling="shuffled"`` draws one number at the start of an epoch instead); then
    what `augment` and the model draw; and ``choice(N, num_train_samples)`` for
    an accuracy of more rows than that, training before validation.

    With `ema` the accuracies are those of the moving average of the weights and running statistics
    (`handgrad.training.averaging`), the best parameters are averages, and the model ends with one;
    between the steps it keeps the weights themselves.

    `handgrad.training.owned.Owner` says what it owns; total_steps are those of all calls of `train`.

    Source: CS231n assignment 2, ``Solver``.
    """

    @described(TEXTS)
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
        precision: str = "float32",
        ema: float | None = None,
        sampling: str = "replacement",
        skip_easy: float | list[float] = 0.0,
        task: str | None = None,
        metric: str | Callable[[np.ndarray, np.ndarray], float] | None = None,
        class_weight: Any = None,
        sample_weight: Any = None,
        accumulate: int = 1,
        shards: int | None = None,
        norm_sync: bool = False,
        freeze: Iterable[str] = (),
        unit: Callable[[np.ndarray], np.ndarray] | None = None,
        **unknown: Any,
    ) -> None:
        """Check the arguments and the data.

        Args:
            model: what is trained.
            data: dictionary with X_train (N, ...), y_train (N,), X_val, y_val; y are labels, of a regression
                numbers and of multilabel 0 and 1, of the shape of the scores.
            options

        Raises:
            OptionError: an option is unknown or out of range.
            ShapeError, DtypeError, LabelError, NonFiniteError: the data cannot be trained on.
        """
        given = SimpleNamespace(**checked_arguments(locals()))
        check_known("Solver", unknown, keywords_of(Solver, Solver))
        check_model(model)
        self.model = model
        self.looking = Looking(model, task_of(model, task), metric, unit)
        rows, self.weights = rows_of(model, data, self.task, class_weight, sample_weight)
        self.X_train, self.y_train, self.X_val, self.y_val = rows
        self.accumulate: int = given.accumulate
        self.batch_size = given.batch_size
        self.shards = shards_of(given.shards, self.batch_size, given.norm_sync)
        check_size("Solver", "a batch", self.batch_size, *self.X_train.shape[1:])
        self.num_epochs: int = given.num_epochs
        self.num_train_samples: int | None = given.num_train_samples
        self.num_val_samples: int | None = given.num_val_samples
        self.checkpoint_name = checkpoint_name
        self.print_every: int = given.print_every
        self.verbose = verbose
        self.rng = given.rng
        self.callbacks: list[Callback] = given.callbacks
        self.augment = augment
        self.restore_best: bool = given.restore_best
        make_ready(model, self.X_train, self.batch_size)
        self._own(given, frozen_names(model.params, freeze))
        self.total_steps = self.num_epochs * self.iterations_per_epoch
        self._before: Before | None = None  # of the step or estimate that is going on

    def train(self) -> None:
        """Train for `num_epochs`, or go on with the call that was stopped or resumed.

        Other threads may predict with the model meanwhile: they see it as it is between two steps.

        Raises:
            NonFiniteError: the loss or a parameter became NaN or infinite; says where, and keeps
                the parameters from before that step.
            ConcurrencyError: another thread is training the model.
        """
        with training(self.model):
            is_over = self._train()
        if is_over:
            self._before = Before(self)
            self.place.position = self.stopping.epochs_without_gain = 0
            self._before = None  # from here on the next call of train is another one

    def _train(self) -> bool:
        """Do what `train` does, and return whether its call is over."""
        self.settle()
        self.precise.settle(self)
        place = self.place
        num_iterations = self.num_epochs * self.iterations_per_epoch
        self.total_steps = self.iteration - place.position + num_iterations
        self.stop_reason = None
        if text := self.nothing_left():
            warnings.warn(text, ResumeWarning, stacklevel=3)
        self.clock.start()
        is_over = False
        try:
            with ExitStack() as ends:
                for callback in self.callbacks:
                    ends.callback(callback.on_train_end, self)
                    callback.on_train_begin(self)
                try:
                    self._catch_up()
                    while place.position < num_iterations and not self.stopping.is_due:
                        self._advance(num_iterations)
                        self._catch_up()
                    is_over = place.position >= num_iterations or self.stop_reason == "patience"
                    is_over = is_over and not place.estimate_due
                    if is_over:
                        self._finish()
                except BaseException:
                    self.settle()
                    raise
        finally:
            self.ahead.close()
            self.clock.stop()
            if self.is_at_rest and not place.estimate_due:  # else callbacks will look at it again
                self.last.forget_arrays()
        return is_over

    def try_step(self) -> float:
        """Do one step without telling the callbacks, and return its loss; for `lr_find`, which undoes it."""
        take_step(self, Before(self))
        self.place.position += 1
        self.place.iteration += 1
        return self.loss_history[-1]

    def settle(self) -> None:
        """Take back a step or an estimate that was interrupted, if one was."""
        if self._before is not None:
            self._before.put_back(self)
            self._before = None

    @property
    def is_at_rest(self) -> bool:
        """Whether the state can be saved: nothing is half done, and all callbacks were told of it."""
        return self.telling.is_done and self._before is None

    def stop(self, reason: str = "interrupted") -> None:
        """Make `train` return after the current step; another `train` or a resume goes on from there."""
        if self.shards is not None and self.shards.wire is not None:
            self.shards.wire.reason = reason  # all ranks stop after the same step
            return
        self.stop_reason = reason

    def resume(self, path: str | PathLike[str]) -> None:
        """Take up the state in the checkpoint `path`, or the newest good one of the folder `path`.

        The Solver must be built as the one that wrote it; `train` then continues as if it had
        never stopped.  Raises CheckpointError if the checkpoint is corrupt or of another run.
        """
        restore(self, path)

    def gradients_of(
        self, X: Any, y: np.ndarray, weights: np.ndarray | None
    ) -> tuple[float, Arrays]:
        """Return the loss and the gradients of a batch, whose rows count as often as `weights` says."""
        if isinstance(X, Cut):
            assert self.shards is not None
            return self.shards.gradients(self, X, y, weights)
        return loss_in_parts(self.precise.network(self.model), X, y, weights, self.accumulate)

    def use_wire(self, wire: Wire) -> None:
        """Compute the shards of this process alone; `wire` sums those of all."""
        if self.precise.asked != "float32":
            raise OptionError(
                f"Solver: precision {self.precise.asked!r} is for a training in one process; leave it out"
            )
        self.shards = (self.shards or Shards(1, self.batch_size)).over(wire)

    def diverge(self, error: NonFiniteError, cause: NonFiniteError) -> None:
        """Raise `error`, which says why a step is not finite; its weights were put back."""
        raise error from cause

    def _advance(self, num_iterations: int) -> None:
        """Take a step, or several by a plan: as a whole or, where an exception comes, not at all."""
        started = perf_counter()
        self._before = before = Before(self)
        place, per_epoch = self.place, self.iterations_per_epoch
        first = place.position
        to_estimate = min(num_iterations - first, per_epoch - first % per_epoch) if first else 1
        taken = take_steps(self, before, to_estimate)
        count = len(taken.rates)
        if self.shards is not None and self.shards.wire is not None:
            self.shards.wire.checked(self.model.params, place.iteration + 1)
            if self.shards.wire.must_stop:
                self.stop_reason = self.shards.wire.reason or "interrupted"
        place.position += count
        place.iteration += count
        is_epoch_end = place.position % per_epoch == 0
        if is_epoch_end:
            place.epoch += 1
            self.updates.end_epoch()
        if count == to_estimate:
            self.updates.check(f"iteration {place.iteration}")
            place.estimate_due = AT_EPOCH_END if is_epoch_end else DUE
        self.clock.count_steps(perf_counter() - started, count)
        own, told = told_of(self, taken, num_iterations)
        if own or told:
            self.telling.add(own, told)
        self._before = None  # here the step is done

    def _catch_up(self) -> None:
        """Make the estimate of the accuracy where one is due, then tell the callbacks."""
        if self.place.estimate_due:
            self._estimate()
        if not self.telling.is_done:
            self.telling.go_on(self)

    def _estimate(self) -> None:
        """Make an estimate and note what is to be told, as a whole.

        A stop in the middle (by a signal) ends the estimate at once, as if it had not begun; it is
        then due when training goes on.
        """
        self._before = Before(self)
        try:
            record, line = estimate(self)
        except Stopped:
            self.settle()
            return
        own = self._calls_to_save()
        if self.verbose:
            own.append(PendingCall(None, say, line))
        if self.looks_after_health:
            own.append(PendingCall(None, self._check_health, record))
        self.telling.add(own, calls_of(self, "on_epoch_end", record))
        self._before = None  # here the estimate is done

    def _calls_to_save(self) -> list[PendingCall]:
        if self.checkpoint_name is None:
            return []
        filename = f"{self.checkpoint_name}_epoch_{self.epoch}.{self._suffix}"
        save = PendingCall(None, self._save_checkpoint, filename)
        if not self.verbose:
            return [save]
        return [PendingCall(None, say, f'Saving checkpoint to "{filename}"'), save]

    looks_after_health: bool = True
    """Whether `HealthCheck` looks at the training where it is not among the callbacks."""

    def _check_health(self, record: Record) -> None:
        look_after(self, record)

    _suffix = "safetensors"

    def _save_checkpoint(self, filename: str) -> None:
        save_checkpoint(self, filename)

    def _finish(self) -> None:
        """End a call of `train`: give the model its best parameters, or the average of the last."""
        self.stop_reason = "patience" if self.stop_reason == "patience" else None
        params, buffers = self.ema_params, self.ema_buffers
        if self.restore_best and self.best_params:
            params, buffers = self.best_params, self.best_buffers
        if params:
            replace(self.model, params, buffers)
